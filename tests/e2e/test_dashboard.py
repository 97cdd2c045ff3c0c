"""The dashboard by the user's command on a real port: what it shows, to whom, and that it changes nothing."""

from __future__ import annotations

import http.client
import json
import re
import shutil
import signal
import socket
import sqlite3
import struct
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import optuna
import optuna_dashboard
import pytest

from hpsearch.study.storage.open import StorageUrl
from tests.conftest import CommandLine
from tests.e2e.conftest import Runner
from tests.report.pages import read_page, rendered

TOKEN = "cAn4ry-of-the-tOken"
BEARER = {"Authorization": f"Bearer {TOKEN}"}
READING = ("GET", "HEAD")
METHODS = (*READING, "POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "PROPFIND", "get")
# What stands for the variable parts of optuna-dashboard's routes; there are a study and a trial with the number 1.
PARTS = {"study_id": "1", "trial_id": "1", "artifact_id": "ab", "history_id": "ab", "plot_type": "slice"}
PARTS |= {"filename": "bundle.js", "": ""}


@dataclass
class Dashboard:
    """A dashboard at work, and how it is asked."""

    runner: Runner
    address: str
    port: int = field(init=False)

    def __post_init__(self) -> None:
        self.port = int(self.address.rpartition(":")[2])

    def ask(self, method: str, path: str, **headers: str) -> tuple[http.client.HTTPResponse, str]:
        """The answer to one request, and its text."""
        with closing(http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)) as connection:
            connection.request(method, path, headers={"Accept-Encoding": "identity", **headers})
            answer = connection.getresponse()
            return answer, answer.read().decode(errors="replace")

    def names(self, **headers: str) -> set[str]:
        """Names of the studies that it shows."""
        answer, text = self.ask("GET", "/api/studies", **headers)
        assert answer.status == 200, text
        return {study["study_name"] for study in json.loads(text)["study_summaries"]}

    def end(self, number: signal.Signals = signal.SIGINT) -> str:
        """Ask it to end; all it wrote."""
        self.runner.send(number)
        code, output = self.runner.end()
        assert code == 0, output
        return output


@contextmanager
def serving(folder: Path, *words: str) -> Iterator[Dashboard]:
    """A dashboard of the studies in ``folder`` on a free port."""
    runner = Runner(folder, "dashboard", "--port", "0", *words)
    with runner.process:
        try:
            address = re.search(r"http://(\S+:\d+)/", runner.wait_for("(Ctrl-C ends it)"))
            assert address is not None
            yield Dashboard(runner, address[1])
        finally:
            runner.process.kill()


@pytest.fixture(scope="module")
def folder(finished: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the two studies, with a token in the file "token"; no dashboard may change it."""
    copy = tmp_path_factory.mktemp("dashboard") / "folder"
    shutil.copytree(finished, copy)
    words = {"id": "p1", "reference": "<b>left</b>", "prediction": "right"}
    (copy / "studies/one/trial_0/predictions.jsonl").write_text(f"{json.dumps(words)}\n")
    (copy / "token").write_text(f"{TOKEN}\n")
    return copy


@pytest.fixture(scope="module")
def local(folder: Path) -> Iterator[Dashboard]:
    """One without a token."""
    with serving(folder) as dashboard:
        yield dashboard


@pytest.fixture(scope="module")
def guarded(folder: Path) -> Iterator[Dashboard]:
    """One that others reach."""
    with serving(folder, "--host", "0.0.0.0", "--token-file", "token") as dashboard:
        yield dashboard


def routes(folder: Path) -> dict[str, set[str]]:
    """A path of each of optuna-dashboard's routes, with the methods that it has an answer to."""
    application = optuna_dashboard.wsgi(StorageUrl(f"sqlite:///{folder / 'studies/hpsearch.db'}").open())
    found: dict[str, set[str]] = {}
    for route in application.routes:
        path = re.sub(r"<(\w*)(:[^>]*)?>", lambda part: PARTS[part[1]], route.rule)
        found.setdefault(path, set()).add(route.method)
    return found


def content(folder: Path) -> str:
    """All that the storage holds."""
    with closing(sqlite3.connect(folder / "studies/hpsearch.db")) as connection:
        return "\n".join(connection.iterdump())


def test_it_serves_the_studies_on_this_machine_only(local: Dashboard) -> None:
    assert local.address == f"127.0.0.1:{local.port}"
    assert local.names() == {"one", "two"}
    with pytest.raises(OSError), socket.create_connection(("127.0.0.2", local.port), timeout=60):
        pass


def test_no_route_is_open_without_the_token_and_none_changes_anything(guarded: Dashboard, folder: Path) -> None:
    paths = routes(folder)
    assert {"GET", "DELETE"} <= paths["/api/studies/1"]
    assert len(paths) > 20
    before = content(folder)
    for path in [*paths, "/dashboard/studies/1", "/nowhere", "*"]:
        for method in METHODS:
            answer, _ = guarded.ask(method, path)
            assert answer.status == (401 if method in READING else 405), (method, path)
    assert content(folder) == before
    shows_without_changing(guarded, paths, **BEARER)
    assert content(folder) == before


def test_reading_only_holds_without_a_token_too(local: Dashboard, folder: Path) -> None:
    before = content(folder)
    shows_without_changing(local, routes(folder))
    assert content(folder) == before


def shows_without_changing(dashboard: Dashboard, paths: dict[str, set[str]], **headers: str) -> None:
    """Look whether every route for reading is open, and no other one."""
    for path, methods in paths.items():
        for method in METHODS:
            answer, text = dashboard.ask(method, path, **headers)
            if method not in READING:
                assert (answer.status, text) == (405, "This dashboard is read-only.\n"), (method, path)
            elif "GET" in methods:
                assert answer.status in (200, 302, 400, 404), (method, path, answer.status)
    assert dashboard.names(**headers) == {"one", "two"}


def test_a_name_that_is_not_this_machines_is_refused(local: Dashboard) -> None:
    wrong = ("evil.example", f"evil.example:{local.port}", "localhost.evil.example", "127.0.0.1.evil.example", "")
    for host in (*wrong, "user@127.0.0.1", "[::1", "localhost:80:80"):
        answer, _ = local.ask("GET", "/api/studies", Host=host)
        assert answer.status == 403, host
    machine = socket.gethostname()
    for host in ("localhost", f"LOCALHOST:{local.port}", "127.0.0.1:9000", f"[::1]:{local.port}", machine):
        assert local.names(Host=host) == {"one", "two"}


def test_the_token_opens_once_for_all_and_leaves_the_url(guarded: Dashboard) -> None:
    answer, _ = guarded.ask("GET", f"/dashboard/studies/1?a=b&token={TOKEN}")
    assert (answer.status, answer.headers["Location"]) == (303, "/dashboard/studies/1?a=b")
    cookie, *attributes = answer.headers["Set-Cookie"].split("; ")
    assert set(attributes) == {"Path=/", "HttpOnly", "SameSite=Strict"}
    assert TOKEN not in cookie
    assert guarded.names(Cookie=f'odd={{"a"}}; {cookie}; b=c') == {"one", "two"}
    elsewhere, _ = guarded.ask("GET", f"//evil.example/%0d%0aX:y?token={TOKEN}")
    assert elsewhere.headers["Location"] == "/evil.example/%0D%0AX%3Ay"
    name = cookie.partition("=")[0]
    wrong = [{"Cookie": f"{name}={TOKEN}"}, {"Cookie": f"{name}="}, {"Authorization": TOKEN}, {}]
    for headers in (*wrong, {"Authorization": f"Bearer {TOKEN}x"}, {"Authorization": "Bearer "}):
        assert guarded.ask("GET", "/api/studies", **headers)[0].status == 401, headers
    for query in (f"token={TOKEN[:-1]}", "token=", f"token=x&token={TOKEN}", f"tok={TOKEN}"):
        answer, text = guarded.ask("GET", f"/?{query}")
        assert (answer.status, "<input" in text, answer.headers["Set-Cookie"]) == (401, True, None), query


def test_the_token_is_nowhere(folder: Path) -> None:
    with serving(folder, "--token-file", "token") as dashboard:
        answers = [dashboard.ask("GET", "/dashboard", **BEARER)[1], dashboard.ask("GET", f"/?token={TOKEN}")[1]]
        answers += [dashboard.ask("GET", "/static/none", **BEARER)[1], dashboard.ask("GET", f"/?token={TOKEN}x")[1]]
        words = Path(f"/proc/{dashboard.runner.process.pid}/cmdline").read_text()
        with socket.create_connection(("127.0.0.1", dashboard.port), timeout=60) as gone:
            gone.sendall(f"GET /?token={TOKEN} HTTP/1.1\r\n".encode())
            gone.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))  # ended by a reset
        answers.append(dashboard.ask("GET", "/", **BEARER)[1])
        output = dashboard.end()
    assert "dashboard ended" in output
    assert "Traceback" not in output
    assert TOKEN not in "".join([*answers, words, output])
    files = [path for path in folder.rglob("*") if path.is_file() and TOKEN.encode() in path.read_bytes()]
    assert files == [folder / "token"]


def test_the_token_may_be_in_a_variable_and_guards_this_machine_too(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HPSEARCH_DASHBOARD_TOKEN", TOKEN)
    with serving(folder) as dashboard:
        assert dashboard.ask("GET", "/api/studies")[0].status == 401
        assert dashboard.names(**BEARER) == {"one", "two"}
        assert TOKEN not in dashboard.end(signal.SIGTERM)


def test_answers_keep_a_browser_from_guessing_framing_telling_and_keeping(local: Dashboard) -> None:
    for path in ("/dashboard", "/api/studies", "/csv/1", "/nowhere", "/static/bundle.js"):
        headers = local.ask("GET", path)[0].headers
        assert headers["X-Content-Type-Options"] == "nosniff"
        assert headers["X-Frame-Options"] == "DENY"
        assert headers["Referrer-Policy"] == "no-referrer"
        assert headers["Cache-Control"] == (None if path.startswith("/static") else "no-store"), path
        assert headers["Access-Control-Allow-Origin"] is None


@pytest.mark.parametrize(
    ("words", "token", "message"),
    [
        (("--host", "0.0.0.0"), None, "needs a token"),
        (("--host", "::"), None, "needs a token"),
        (("--host", "0.0.0.0", "--token-file", "short"), None, "the one in short does not (8 characters)"),
        (("--token-file", "none"), None, "none cannot be read: No such file"),
        ((), "cAn4ry of the tOken", "the one in HPSEARCH_DASHBOARD_TOKEN does not (19 characters)"),
        ((), "", "the one in HPSEARCH_DASHBOARD_TOKEN does not (0 characters)"),
        (("--host", "no-such-name.invalid"), TOKEN, "is neither an address nor a known name"),
        (("--host", "192.0.2.200"), TOKEN, "cannot listen on 192.0.2.200"),
    ],
)
def test_what_is_refused_before_it_listens(
    tmp_path: Path, command_line: CommandLine, words: tuple[str, ...], token: str | None, message: str
) -> None:
    (tmp_path / "short").write_text("cAn4ry-s")
    optuna.create_study(storage=f"sqlite:///{tmp_path / 'x.db'}")
    given = {} if token is None else {"HPSEARCH_DASHBOARD_TOKEN": token}
    refused = command_line("dashboard", "--storage", "sqlite:///x.db", *words, **given)
    assert (refused.returncode, message in refused.stderr) == (2, True), refused.stderr
    assert "cAn4ry" not in refused.stdout + refused.stderr
    if "token" in message:
        assert "secrets.token_urlsafe" in refused.stderr


def test_a_browser_shows_the_list_and_a_study(guarded: Dashboard, chromium: str, tmp_path: Path) -> None:
    profile = tmp_path / "profile"
    address = f"http://127.0.0.1:{guarded.port}"
    assert "This dashboard needs its token" in rendered(chromium, f"{address}/", profile)
    studies = read_page(rendered(chromium, f"{address}/?token={TOKEN}", profile))
    assert "1. one" in studies.text
    assert "2. two" in studies.text
    study = read_page(rendered(chromium, f"{address}/dashboard/studies/1?token={TOKEN}", profile))
    assert "one (id=1)" in study.text
    assert "Hyperparameter Importance" in study.text
    assert study.attributes.count(("svg", "class", "main-svg")) >= 2
    assert "Read-only: this dashboard shows studies" in study.text
    note = read_page(rendered(chromium, f"{address}/dashboard/studies/1/note?token={TOKEN}", profile))
    assert "has the best score" in note.text and "hpsearch analyze --study one" in note.text
    assert ("a", "href", "/hpsearch/report/1/index.html") in note.attributes
    trial = read_page(rendered(chromium, f"{address}/dashboard/studies/1/trials?numbers=0&token={TOKEN}", profile))
    assert "the default configuration" in trial.text and "predictions.csv" in trial.text
    assert "hps:outcome ok" in trial.text and "hps:metrics" not in trial.text
