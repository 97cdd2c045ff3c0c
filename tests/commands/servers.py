"""A server that answers as a model would, or fails in one of the ways a server can."""

from __future__ import annotations

import base64
import hashlib
import json
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

Handle = Callable[["Request"], None]


class Request(BaseHTTPRequestHandler):
    """One question; ``reply`` answers it."""

    protocol_version = "HTTP/1.1"
    server: Server

    def do_POST(self) -> None:
        self.body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        content = self.body["messages"][0]["content"]
        self.picture = base64.b64decode(content[0]["image_url"]["url"].partition("base64,")[2])
        self.digest = hashlib.sha256(self.picture).hexdigest()
        with self.server.lock:
            self.server.asked[self.digest] += 1
            self.server.bodies.append(self.body)
            self.server.headers.append(dict(self.headers))
        self.server.handle_(self)

    def reply(self, text: Any, code: int = 200, finish: str = "stop", **headers: str) -> None:
        """Answer with a chat completion."""
        completion = {"choices": [{"message": {"content": text}, "finish_reason": finish}]}
        self.send(json.dumps(completion).encode(), code, **headers)

    def send(self, data: bytes, code: int = 200, **headers: str) -> None:
        """Answer with anything."""
        self.send_response(code)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *_: Any) -> None:
        """Say nothing."""


class Server(ThreadingHTTPServer):
    """What was asked, by the digest of the picture."""

    daemon_threads = True
    request_queue_size = 64

    def __init__(self, handle: Handle) -> None:
        super().__init__(("127.0.0.1", 0), Request)
        self.handle_ = handle
        self.lock = threading.Lock()
        self.asked: Counter[str] = Counter()
        self.bodies: list[dict[str, Any]] = []
        self.headers: list[dict[str, str]] = []

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"http://127.0.0.1:{self.server_port}/v1"

    def handle_error(self, *_: Any) -> None:
        """Clients that go away are no error here."""


@contextmanager
def serving(handle: Handle) -> Iterator[Server]:
    """A server for the time of a test."""
    server = Server(handle)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
