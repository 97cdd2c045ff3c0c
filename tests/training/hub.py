"""A hub of models and datasets on this machine with as much of the Hub's protocol as a download needs."""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import unquote

COMMIT = "0123456789abcdef0123456789abcdef01234567"
TOKEN = "hf_letmein"
Requests = list[tuple[str, str | None]]  # path and authorization of each


def _digest(content: bytes) -> str:
    return hashlib.sha1(content).hexdigest()


class Hub(BaseHTTPRequestHandler):
    """Serves ``folder`` as the model and the dataset tiny/open, and as tiny/gated, whose
    files are for who shows the token and whose list anyone may see."""

    folder: Path
    requests: Requests

    def do_HEAD(self) -> None:
        self._answer(body=False)

    def do_GET(self) -> None:
        self._answer(body=True)

    def do_POST(self) -> None:
        self._answer(body=True)

    def log_message(self, *_: object) -> None:
        """Say nothing."""

    def _answer(self, body: bool) -> None:
        self.requests.append((self.path, self.headers.get("authorization")))
        sent = self.rfile.read(int(self.headers.get("content-length") or 0))
        path = unquote(self.path.partition("?")[0])
        api, words = path.startswith("/api/"), path.removeprefix("/api").strip("/").split("/")
        words = words[1:] if words[0] in ("models", "datasets") else words
        name, rest = "/".join(words[:2]), words[2:]
        if name not in ("tiny/open", "tiny/gated"):
            self._refuse(404, "RepoNotFound")
        elif name == "tiny/gated" and not api and self.headers.get("authorization") != f"Bearer {TOKEN}":
            self._refuse(403, "GatedRepo")
        elif "no-such" in rest[1:2]:
            self._refuse(404, "RevisionNotFound")
        elif api:
            self._api(rest, sent, body)
        else:
            self._file(self.folder / "/".join(rest[2:]), body)

    def _refuse(self, status: int, code: str) -> None:
        self.send_response(status)
        self.send_header("X-Error-Code", code)
        self.send_header("X-Error-Message", code)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def _api(self, rest: list[str], sent: bytes, body: bool) -> None:
        what, place = (rest[0] if rest else "revision"), self.folder / "/".join(rest[2:])
        if what == "tree" and not place.is_dir():
            self._refuse(404, "EntryNotFound")
            return
        if what == "tree":
            deep = "recursive=true" in self.path.lower()
            listed: Any = [self._entry(path) for path in sorted(place.glob("**/*" if deep else "*"))]
        elif what == "paths-info":
            asked = [self.folder / name for name in json.loads(sent)["paths"]]
            listed = [self._entry(path) for path in asked if path.exists()]
        else:
            files = [self._entry(path)["path"] for path in sorted(self.folder.rglob("*")) if path.is_file()]
            siblings = [{"rfilename": name, "size": (self.folder / name).stat().st_size} for name in files]
            listed = {"id": "tiny/open", "sha": COMMIT, "siblings": siblings}
        self._send(json.dumps(listed).encode(), body, {"Content-Type": "application/json"})

    def _entry(self, path: Path) -> dict[str, Any]:
        name = path.relative_to(self.folder).as_posix()
        if path.is_dir():
            return {"type": "directory", "path": name, "oid": "x"}
        return {"type": "file", "path": name, "size": path.stat().st_size, "oid": _digest(path.read_bytes())}

    def _file(self, path: Path, body: bool) -> None:
        if not path.is_file():
            self._refuse(404, "EntryNotFound")
            return
        content = path.read_bytes()
        self._send(content, body, {"ETag": f'"{_digest(content)}"', "X-Repo-Commit": COMMIT})

    def _send(self, content: bytes, body: bool, headers: dict[str, str]) -> None:
        self.send_response(200)
        for name, value in (headers | {"Content-Length": str(len(content))}).items():
            self.send_header(name, value)
        self.end_headers()
        if body:
            self.wfile.write(content)


@contextmanager
def hub_of(folder: Path) -> Iterator[tuple[str, Requests]]:
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
