"""The commands of docker-compose.yml at work together, without Docker: PostgreSQL, the runner, the dashboard."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import urllib.request
from pathlib import Path

import pytest

from tests.conftest import run_command
from tests.e2e.conftest import Runner, definition
from tests.postgres import Server
from tests.services.compose import SERVICES, Desk

PASSWORD = "cAn4ry-of-the-pAssword"
TOKEN = "cAn4ry-of-the-tOken"


@pytest.fixture
def desk(running: Server, tmp_path: Path) -> Desk:
    """The folder that containers would have: secrets, and a study whose trials are small programs."""
    for name, secret in (("postgres_password", PASSWORD), ("dashboard_token", TOKEN), ("hf_token", "")):
        path = tmp_path / "secrets" / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(f"{secret}\n")
    (tmp_path / "studies").mkdir()
    definition(tmp_path / "studies", "quad.json")
    running.empty()
    user = SERVICES["postgres"]["environment"]["POSTGRES_USER"]
    return Desk(tmp_path, running.wants_password(user, PASSWORD))


def checked(words: list[str]) -> int:
    """The exit code of a health check."""
    return subprocess.run(words, capture_output=True, timeout=60, check=False).returncode


def test_the_services_work_together(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    words = desk.words("runner", STUDY="quad", N_TRIALS="2")
    ran = run_command(desk.folder, *words, **desk.environment("runner"))
    assert (ran.returncode, "2 finished trials" in ran.stdout) == (0, True), ran.stdout + ran.stderr
    again = run_command(desk.folder, *words, **desk.environment("runner"))
    assert (again.returncode, "nothing to do" in again.stdout) == (0, True), again.stdout + again.stderr
    for name, value in desk.environment("dashboard").items():
        monkeypatch.setenv(name, value)
    dashboard = Runner(desk.folder, *desk.words("dashboard", "--port", "0"))
    with dashboard.process:
        try:
            found = re.search(r"http://0\.0\.0\.0:(\d+)/", dashboard.wait_for("Ctrl-C"))
            assert found is not None
            check = [sys.executable, *desk.health_check("dashboard", "8080", found[1])[1:]]
            asking = urllib.request.Request(f"http://127.0.0.1:{found[1]}/api/studies")
            asking.add_header("Authorization", f"Bearer {TOKEN}")
            with urllib.request.urlopen(asking, timeout=60) as answer:
                assert [study["study_name"] for study in json.load(answer)["study_summaries"]] == ["quad"]
            assert checked(check) == 0
            (desk.folder / "secrets/dashboard_token").write_text("another")
            assert checked(check) == 1
            (desk.folder / "secrets/dashboard_token").write_text(TOKEN)
            dashboard.process.terminate()  # as `docker compose stop` does
            code, output = dashboard.end()
            assert code == 0
            assert checked(check) == 1
        finally:
            dashboard.process.kill()
    assert not {PASSWORD, TOKEN} & set(re.findall(r"cAn4ry-[\w-]+", "".join([ran.stdout, ran.stderr, output])))


def test_the_dashboard_waits_for_a_study_by_being_started_again(desk: Desk) -> None:
    early = run_command(desk.folder, *desk.words("dashboard", "--port", "0"), **desk.environment("dashboard"))
    assert (early.returncode, "this database holds no studies" in early.stderr) == (3, True), early.stderr
    assert SERVICES["dashboard"]["restart"] == "unless-stopped"


def test_postgres_is_found_healthy(running: Server, desk: Desk) -> None:
    socket = running.ask("SHOW unix_socket_directories")[0][0]
    program, *words = desk.health_check("postgres", "127.0.0.1", socket)
    check = [str(running.programs / program), *words]
    assert checked(check) == 0
    running.stop()
    try:
        assert checked(check) == 2
    finally:
        running.start()
