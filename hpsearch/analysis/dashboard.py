"""optuna-dashboard on a study's storage."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable
from socketserver import ThreadingMixIn
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

from hpsearch.errors import UsageError
from hpsearch.study.storage import masked, open_storage, storage_errors

# Without a token the dashboard lets anyone who reaches it delete studies, so it listens on this machine only.
HOST = "127.0.0.1"


class _Server(ThreadingMixIn, WSGIServer):
    """Serves a browser's requests side by side."""

    daemon_threads = True


class _Quiet(WSGIRequestHandler):
    """Serves without a line per request."""

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class names it so
        """Say nothing."""


def serve(url: str, port: int, say: Callable[[str], None]) -> None:
    """Serve the dashboard until interrupted.

    Raises:
        UsageError: the port is taken.
        StorageError: the storage cannot be opened.
    """
    from optuna_dashboard import wsgi

    with storage_errors(url):
        application = wsgi(open_storage(url))
    try:
        server = make_server(HOST, port, application, server_class=_Server, handler_class=_Quiet)
    except OSError as error:
        raise UsageError(f"cannot listen on {HOST}:{port}: {error.strerror}", "choose another --port") from error
    with server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        say(f"dashboard of {masked(url)}: http://{HOST}:{server.server_port}/ (Ctrl-C ends it)")
        _wait_for_a_signal()
        server.shutdown()
    say("dashboard ended")


def _wait_for_a_signal() -> None:
    """Wait in the main thread, where no request is served: wsgiref would swallow the interrupt."""
    ended = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: ended.set())
    ended.wait()
