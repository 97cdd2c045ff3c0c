"""Serve optuna-dashboard on a study's storage, read-only, behind its guard."""

from __future__ import annotations

import signal
import socket
import sys
import threading
from collections.abc import Callable
from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path
from socketserver import ThreadingMixIn
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer

from hpsearch.errors import UsageError
from hpsearch.report.dashboard_guard import HOW_TO_MAKE_ONE, VARIABLE, ReadOnlyGuard
from hpsearch.report.dashboard_view import StudyView
from hpsearch.study.options import command_text
from hpsearch.study.storage.open import StorageUrl

LOCAL_HOST = "127.0.0.1"


@dataclass(frozen=True)
class ListenAddress:
    """The address that a server listens on: the ``host`` as given, and its meaning for this machine's sockets."""

    host: str
    family: socket.AddressFamily
    address: tuple[Any, ...]

    @property
    def is_local(self) -> bool:
        """True if only this machine reaches it."""
        return ip_address(self.address[0].partition("%")[0]).is_loopback

    def url(self, port: int) -> str:
        """Return the URL for a browser."""
        return f"http://[{self.host}]:{port}/" if ":" in self.host else f"http://{self.host}:{port}/"


class _Server(ThreadingMixIn, WSGIServer):
    """Serves a browser's requests concurrently."""

    daemon_threads = True

    def __init__(self, place: ListenAddress) -> None:
        self.address_family = place.family
        super().__init__(place.address, _Quiet)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Print errors of this server, but not those of a browser that left."""
        if not isinstance(sys.exception(), OSError):
            super().handle_error(request, client_address)


class _Quiet(WSGIRequestHandler):
    """Handles requests without logging a line for each."""

    timeout = 60  # seconds that a connection may be silent; without it any client could hold a thread forever

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class names it so
        """Log nothing."""


def serve(url: StorageUrl, base: Path, listen: tuple[str, int], token: str | None, say: Callable[[str], None]) -> None:
    """Serve the dashboard at the host and port of ``listen`` until interrupted; the studies' folders are in ``base``.
    Requests must present ``token``, if it is not None.

    Raises:
        UsageError: the address is not this machine's, the port is in use, or others could read without a token.
        StorageError: the storage cannot be opened.
    """
    host, port = listen
    place = _resolve(host, port)
    if token is None and not place.is_local:
        raise UsageError(
            f"a dashboard on {host} needs a token, as other machines reach it, but none is given: without one it is "
            f"served on {LOCAL_HOST} only",
            f"name a file with --token-file or set {VARIABLE}; to make a token: {HOW_TO_MAKE_ONE}",
        )
    from optuna.storages import get_storage
    from optuna_dashboard import wsgi

    with url.opened() as opened:
        storage = get_storage(opened)  # with Optuna's cache, as a page asks repeatedly
    application = StudyView(wsgi(storage), storage, base, lambda verb, study: command_text(verb, study, url.full, base))
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
        # In the main thread, which serves no request: wsgiref would swallow the interrupt.
        ended = threading.Event()
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, lambda *_: ended.set())
        ended.wait()
        server.shutdown()
    say("dashboard ended")


def _resolve(host: str, port: int) -> ListenAddress:
    """Resolve ``host``, an address or a name."""
    try:
        family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    except (OSError, UnicodeError) as error:
        raise UsageError(
            f"--host {host!r} is neither an address nor a known name: {error}", "name another --host"
        ) from error
    return ListenAddress(host, family, address)
