"""Hubs of models and datasets on this machine, with as much of the Hub's protocol as downloads and uploads need."""

from __future__ import annotations

import base64
import hashlib
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
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
    with _serving(handler) as address:
        yield address, handler.requests


@contextmanager
def _serving(handler: type[BaseHTTPRequestHandler]) -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@dataclass
class Repository:
    """A repository of a hub that takes uploads: its files and their digests by path, and each commit's message."""

    private: bool
    files: dict[str, bytes] = field(default_factory=dict)
    digests: dict[str, str] = field(default_factory=dict)
    commits: list[str] = field(default_factory=list)


@dataclass
class Takes:
    """The state of a hub that takes uploads, and its faults. ``owners`` are those that the token may write for. Of a
    request whose method and path contain a key of ``faults``, the first of its statuses is the answer, which is then
    forgotten; status 0 breaks the connection, and status 1 waits for ``freed`` first, once it is said by ``held``.
    ``large``: files of at least this many bytes are sent by themselves."""

    owners: tuple[str, ...] = ("me",)
    large: int = 20_000
    faults: dict[str, list[int]] = field(default_factory=dict)
    repositories: dict[str, Repository] = field(default_factory=dict)
    stored: dict[str, bytes] = field(default_factory=dict)  # by digest
    said: list[str] = field(default_factory=list)  # method and path of each request
    sent: int = 0  # bytes of large files
    held: threading.Event = field(default_factory=threading.Event)
    freed: threading.Event = field(default_factory=threading.Event)
    loses: str = ""  # a file that is not there after a commit


class TakingHub(Hub):
    """A hub with as much of the protocol as an upload needs, by LFS or by chunks (xet), for who shows the token."""

    takes: Takes

    def do_PUT(self) -> None:
        self._answer(body=True)

    def _answer(self, body: bool) -> None:
        takes, path = self.takes, unquote(self.path.partition("?")[0])
        said = f"{self.command} {path}"
        takes.said.append(said)
        fault = next((statuses for part, statuses in takes.faults.items() if part in said and statuses), None)
        status = fault.pop(0) if fault else 200
        sent = self._body()
        if status == 1:
            takes.held.set()
            takes.freed.wait(60)
        if status in (0, 1):
            self.close_connection = True
            self.connection.close()
        elif status != 200:
            self._refuse(status, "" if status < 500 else "InternalError")
        elif path.startswith("/cas/"):
            self._chunks(path)
        elif path.startswith("/lfs/"):
            assert _sha256(sent) == path.rpartition("/")[2]
            takes.stored[_sha256(sent)] = sent
            takes.sent += len(sent)
            self._json({})
        elif self.headers.get("authorization") != f"Bearer {TOKEN}":
            self._refuse(401, "")
        else:
            self._asked(path, sent)

    def _body(self) -> bytes:
        return self.rfile.read(int(self.headers.get("content-length") or 0))

    def _json(self, values: Any) -> None:
        self._send(json.dumps(values).encode(), self.command != "HEAD", {"Content-Type": "application/json"})

    def _asked(self, path: str, sent: bytes) -> None:
        if path == "/api/whoami-v2":
            self._json({"type": "user", "name": "me", "orgs": [], "auth": {}})
        elif path == "/api/validate-yaml":
            self._json({"errors": [], "warnings": []})
        elif path == "/api/repos/create":
            self._create(json.loads(sent))
        elif path.endswith("/info/lfs/objects/batch"):
            self._json({"transfer": "basic", "objects": [self._object(entry) for entry in json.loads(sent)["objects"]]})
        else:
            name, _, rest = path.removeprefix("/api/models/").partition("/")
            last, _, rest = rest.partition("/")
            self._of_repository(f"{name}/{last}", rest, sent)

    def _create(self, asked: dict[str, Any]) -> None:
        owner = asked.get("organization") or "me"
        name = f"{owner}/{asked['name']}"
        if owner not in self.takes.owners:
            self._refuse(403, "")
            return
        if name in self.takes.repositories:
            self._refuse(409, "")
            return
        private = asked.get("visibility") == "private" or bool(asked.get("private"))
        self.takes.repositories[name] = Repository(private)
        self._json({"url": f"{self._address()}/{name}"})

    def _address(self) -> str:
        return f"http://{self.headers['host']}"

    def _object(self, asked: dict[str, Any]) -> dict[str, Any]:
        if asked["oid"] in self.takes.stored:
            return asked
        return {**asked, "actions": {"upload": {"href": f"{self._address()}/lfs/{asked['oid']}"}}}

    def _of_repository(self, name: str, rest: str, sent: bytes) -> None:
        repository = self.takes.repositories.get(name)
        what = rest.partition("/")[0]
        if repository is None:
            self._refuse(404, "RepoNotFound")
        elif what == "auth-check":
            self._json({}) if name.partition("/")[0] in self.takes.owners else self._refuse(403, "")
        elif what == "preupload":
            self._json({"files": [self._mode(repository, entry) for entry in json.loads(sent)["files"]]})
        elif what == "commit":
            self._commit(name, repository, [json.loads(line) for line in sent.splitlines()])
        elif what == "tree":
            listed = repository.files.items()
            self._json([{"type": "file", "path": path, "size": len(data), "oid": "x"} for path, data in listed])
        elif what == "xet-write-token":
            token = {"X-Xet-Cas-Url": f"{self._address()}/cas", "X-Xet-Access-Token": "t"}
            answer = {"casUrl": f"{self._address()}/cas", "accessToken": "t", "exp": 4_000_000_000}
            self._send(json.dumps(answer).encode(), True, token | {"X-Xet-Token-Expiration": "4000000000"})
        else:
            self._json({"id": name, "sha": COMMIT, "private": repository.private, "siblings": []})

    def _mode(self, repository: Repository, asked: dict[str, Any]) -> dict[str, Any]:
        mode = "lfs" if asked["size"] >= self.takes.large else "regular"
        there = repository.digests.get(asked["path"])
        return {"path": asked["path"], "uploadMode": mode, "shouldIgnore": False, "oid": there}

    def _commit(self, name: str, repository: Repository, lines: list[dict[str, Any]]) -> None:
        for line in lines:
            value = line["value"]
            if line["key"] == "file":
                content = base64.b64decode(value["content"])
                repository.digests[value["path"]] = _git(content)
                repository.files[value["path"]] = content
            elif line["key"] == "deletedFile":
                repository.files.pop(value["path"])
                repository.digests.pop(value["path"])
            elif line["key"] == "lfsFile":
                repository.digests[value["path"]] = value["oid"]
                # Chunks are not put together here: of what came by them only size and digest are known.
                repository.files[value["path"]] = self.takes.stored.get(value["oid"], b"\0" * value["size"])
        repository.files.pop(self.takes.loses, None)
        repository.commits.append(lines[0]["value"]["summary"])
        self._json({"commitUrl": f"{self._address()}/{name}/commit/{COMMIT}", "commitOid": COMMIT})

    def _chunks(self, path: str) -> None:
        if "/xorbs/" in path:
            self.takes.sent += int(self.headers.get("content-length") or 0)
            self._json({"was_inserted": True})
        elif "/v1/shards" in path:
            self._json({"result": 1})
        else:
            self._refuse(404, "")


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def _git(content: bytes) -> str:
    """The digest by which git knows a file."""
    return _digest(b"blob %d\0" % len(content) + content)


@contextmanager
def hub_that_takes(takes: Takes) -> Iterator[str]:
    """A hub that takes uploads into ``takes``: its address."""
    with _serving(type("Handler", (TakingHub,), {"takes": takes})) as address:
        yield address
