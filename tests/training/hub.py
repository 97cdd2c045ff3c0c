"""A model hub on this machine with as much of the Hub's protocol as a download needs."""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

COMMIT = "0123456789abcdef0123456789abcdef01234567"
TOKEN = "hf_letmein"


class Hub(BaseHTTPRequestHandler):
    """Serves ``folder`` as the model tiny/open, and as tiny/gated to who shows the token."""

    folder: Path
    requests: list[tuple[str, str | None]]

    def do_HEAD(self) -> None:
        self._answer(body=False)

    def do_GET(self) -> None:
        self._answer(body=True)

    def log_message(self, *_: object) -> None:
        """Say nothing."""

    def _answer(self, body: bool) -> None:
        self.requests.append((self.path, self.headers.get("authorization")))
        name = "/".join(urlsplit(self.path).path.removeprefix("/api/models").strip("/").split("/")[:2])
        if name not in ("tiny/open", "tiny/gated"):
            self._refuse(404, "RepoNotFound")
        elif name == "tiny/gated" and self.headers.get("authorization") != f"Bearer {TOKEN}":
            self._refuse(403, "GatedRepo")
        elif self.path.startswith("/api/models/"):
            self._api(body)
        else:
            self._file(self.folder / self.path.rpartition("/")[2], body)

    def _refuse(self, status: int, code: str) -> None:
        self.send_response(status)
        self.send_header("X-Error-Code", code)
        self.send_header("X-Error-Message", code)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def _api(self, body: bool) -> None:
        files = sorted(self.folder.iterdir())
        if "/revision/no-such" in self.path:
            self._refuse(404, "RevisionNotFound")
            return
        if "/tree/" in self.path:
            listed: Any = [
                {"type": "file", "path": path.name, "size": path.stat().st_size, "oid": "x"} for path in files
            ]
        else:
            listed = {"id": "tiny/open", "sha": COMMIT, "siblings": list(map(_sibling, files))}
        self._send(json.dumps(listed).encode(), body, {"Content-Type": "application/json"})

    def _file(self, path: Path, body: bool) -> None:
        if not path.is_file():
            self._refuse(404, "EntryNotFound")
            return
        content = path.read_bytes()
        self._send(content, body, {"ETag": f'"{hashlib.sha1(content).hexdigest()}"', "X-Repo-Commit": COMMIT})

    def _send(self, content: bytes, body: bool, headers: dict[str, str]) -> None:
        self.send_response(200)
        for name, value in (headers | {"Content-Length": str(len(content))}).items():
            self.send_header(name, value)
        self.end_headers()
        if body:
            self.wfile.write(content)


def _sibling(path: Path) -> dict[str, Any]:
    return {"rfilename": path.name, "size": path.stat().st_size}


@contextmanager
def hub_of(folder: Path) -> Iterator[tuple[str, list[tuple[str, str | None]]]]:
    """A hub that serves ``folder``: its address, and the requests it gets (path, authorization)."""
    handler = type("Handler", (Hub,), {"folder": folder, "requests": []})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", handler.requests
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
