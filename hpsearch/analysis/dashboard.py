"""optuna-dashboard on a study's storage."""

from __future__ import annotations

from collections.abc import Callable
from wsgiref.simple_server import WSGIRequestHandler, make_server

from hpsearch.errors import UsageError
from hpsearch.study.storage import masked, open_storage, storage_errors

# Without a token the dashboard lets anyone who reaches it delete studies, so it listens on this machine only.
HOST = "127.0.0.1"


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
        server = make_server(HOST, port, application, handler_class=_Quiet)
    except OSError as error:
        raise UsageError(f"cannot listen on {HOST}:{port}: {error.strerror}", "choose another --port") from error
    with server:
        say(f"dashboard of {masked(url)}: http://{HOST}:{server.server_port}/ (Ctrl-C ends it)")
        try:
            server.serve_forever()
        except KeyboardInterrupt:
            say("dashboard ended")
