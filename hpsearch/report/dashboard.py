"""Serving optuna-dashboard on a study's storage, behind its guard."""

from __future__ import annotations

import signal
import socket
import sys
import threading
from collections.abc import Callable
from dataclasses import dataclass
from ipaddress import ip_address
from socketserver import ThreadingMixIn
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer

from hpsearch.errors import UsageError
from hpsearch.report.dashboard_guard import HOW_TO_MAKE_ONE, VARIABLE, ReadOnlyGuard
from hpsearch.study.storage.open import StorageUrl

LOCAL_HOST = "127.0.0.1"


@dataclass(frozen=True)
class ListenAddress:
    """Where a server listens: the ``host`` that was asked for, and what it means to the sockets of this machine."""

    host: str
    family: socket.AddressFamily
    address: tuple[Any, ...]

    @property
    def is_local(self) -> bool:
        """Whether only this machine reaches it."""
        return ip_address(self.address[0].partition("%")[0]).is_loopback

    def url(self, port: int) -> str:
        """What a browser is given."""
        return f"http://[{self.host}]:{port}/" if ":" in self.host else f"http://{self.host}:{port}/"


class _Server(ThreadingMixIn, WSGIServer):
    """Serves a browser's requests side by side."""

    daemon_threads = True

    def __init__(self, place: ListenAddress) -> None:
        self.address_family = place.family
        super().__init__(place.address, _Quiet)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Show what is wrong here, but not that a browser went away."""
        if not isinstance(sys.exception(), OSError):
            super().handle_error(request, client_address)


class _Quiet(WSGIRequestHandler):
    """Serves without a line per request."""

    timeout = 60  # seconds that a connection may be silent; without it whoever connects would hold a thread for good

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class names it so
        """Say nothing."""


def serve(url: StorageUrl, host: str, port: int, token: str | None, say: Callable[[str], None]) -> None:
    """Serve the dashboard until interrupted. ``token`` is what requests must present, None for none.

    Raises:
        UsageError: the address is not this machine's, the port is taken, or others could look in without a token.
        StorageError: the storage cannot be opened.
    """
    place = _place(host, port)
    if token is None and not place.is_local:
        raise UsageError(
            f"who reaches the dashboard on {host} must have a token, but none is given: without one it is served on "
            f"{LOCAL_HOST} only",
            f"name a file with --token-file or set {VARIABLE}; to make a token: {HOW_TO_MAKE_ONE}",
        )
    from optuna.storages import get_storage
    from optuna_dashboard import wsgi

    with url.opened() as storage:
        application = wsgi(get_storage(storage))  # with Optuna's cache, as a page asks again and again
    try:
        server = _Server(place)
    except OSError as error:
        remedy = "choose another --port, or an address of this machine as --host"
        raise UsageError(f"cannot listen on {host}:{port}: {error.strerror}", remedy) from error
    names = {"localhost", host.lower(), socket.gethostname().lower(), server.server_name.lower()}
    server.set_app(ReadOnlyGuard(application, frozenset(names), token))
    asked = ", with its token" if token else ""
    with server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        say(f"dashboard of {url}: {place.url(server.server_port)}{asked} (Ctrl-C ends it)")
        _wait_for_a_signal()
        server.shutdown()
    say("dashboard ended")


def _place(host: str, port: int) -> ListenAddress:
    """Where ``host``, an address or a name, is on this machine."""
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        raise UsageError(f"--host {host!r} is no address and no known name: {error}", "name another --host") from error
    family, _, _, _, address = found[0]
    return ListenAddress(host, family, address)


def _wait_for_a_signal() -> None:
    """Wait in the main thread, where no request is served: wsgiref would swallow the interrupt."""
    ended = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: ended.set())
    ended.wait()
