"""A search on PostgreSQL by the user's commands: through a restart, past an outage, with its password kept."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import optuna
import pytest
from optuna.trial import TrialState

from hpsearch.study.storage.lease import lock_key
from hpsearch.study.storage.open import StorageUrl
from hpsearch.study.storage.postgres import SESSION
from tests.conftest import CommandLine
from tests.e2e.conftest import Runner, alive, definition
from tests.postgres import Server, own_server

CANARY = "cAn4ry-of-the-pAssword"
# A trial of some tenths of a second, which leaves what it can see of its surroundings, and stands still while there is
# a file "hold".
SLOW = [
    sys.executable,
    "-c",
    "import os, pathlib, sys, time; from hpsearch import sdk\n"
    "x, folder = float(sys.argv[1]), pathlib.Path(sys.argv[2])\n"
    "(folder / 'environment').write_text(repr(dict(os.environ)))\n"
    "for step in range(1, 6):\n"
    "    time.sleep(0.05); sdk.report(step, score=x + 1 / step)\n"
    "    while step == 2 and os.path.exists('hold'): time.sleep(0.01)\n"
    "sdk.finish(score=x)",
    "{x}",
    "{output_dir}",
]


@pytest.fixture
def postgres(running: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Server:
    """The server, with no studies in it, as the storage of every command; a definition lies in the folder."""
    running.empty()
    monkeypatch.setenv("HPSEARCH_STORAGE", running.url.replace("postgres:@", f"postgres:{CANARY}@"))
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[2]))
    definition(tmp_path, command=SLOW, env_pass=["PYTHONPATH"], pruner={"type": "none"})
    return running


def trials(server: Server) -> list[optuna.trial.FrozenTrial]:
    """The study's trials, read past hpsearch."""
    storage = StorageUrl(server.url).open()
    try:
        return optuna.load_study(study_name="quad", storage=storage).get_trials()
    finally:
        storage.engine.dispose()


RUN = ("run", "--study", "quad", "--config", "study.json")


@own_server
def test_a_restart_in_the_middle_costs_no_trial(
    postgres: Server, start: Callable[..., Runner], command_line: CommandLine, tmp_path: Path
) -> None:
    (tmp_path / "hold").touch()
    runner = start(*RUN, "--n-trials", "6")
    runner.wait_for("trial 0 step 2")
    refused = command_line(*RUN, "--n-trials", "6")
    assert (refused.returncode, f"owned by pid {runner.process.pid} on " in refused.stderr) == (5, True)
    postgres.stop("immediate")
    runner.wait_for("results are spooled to")
    postgres.start()
    runner.wait_for("the storage answers again and has everything")
    postgres.stop("fast")
    runner.wait_for("results are spooled to")
    (tmp_path / "hold").unlink()
    runner.wait_for("trial 1 step 2")
    postgres.start()
    code, output = runner.end()
    assert code == 0, output
    assert output.count("the storage answers again and has everything") == 2
    found = trials(postgres)
    assert [each.state for each in found] == [TrialState.COMPLETE] * 6
    assert all(each.value == each.params["x"] for each in found)
    assert all(each.intermediate_values.keys() == {1, 2, 3, 4, 5} for each in found)
    again = command_line(*RUN, "--n-trials", "6")
    assert (again.returncode, "nothing to do" in again.stdout) == (0, True)
    assert "6/6" in command_line("status").stdout


@own_server
def test_past_the_limit_the_results_are_kept_and_taken_in_by_the_next_run(
    postgres: Server, start: Callable[..., Runner], command_line: CommandLine, tmp_path: Path
) -> None:
    (tmp_path / "hold").touch()
    runner = start(*RUN, "--n-trials", "50", "--storage-timeout", "5")
    runner.wait_for("trial 0 step 2")
    postgres.stop("immediate")
    runner.wait_for("results are spooled to")
    (tmp_path / "hold").unlink()
    code, output = runner.end()
    assert code == 3, output
    assert "nothing listens at the storage's address" in output
    assert "for more than 5 s; what it lacks is spooled in" in output
    assert alive(tmp_path) == []
    done = output.count(" ended: ok")
    assert done >= 1, "trials went on meanwhile"
    away = command_line(*RUN, "--n-trials", "50")
    assert (away.returncode, "nothing listens at the storage's address" in away.stderr) == (3, True)
    postgres.start()
    again = command_line(*RUN, "--n-trials", str(done + 2))
    assert again.returncode == 0, again.stdout + again.stderr
    assert "while the storage was away" in again.stdout
    states = [each.state for each in trials(postgres)]
    assert states.count(TrialState.COMPLETE) == done + 2
    assert states.count(TrialState.RUNNING) == 0
    told = [each for each in trials(postgres) if each.state is TrialState.COMPLETE]
    assert len({each.params["x"] for each in told}) == done + 2, "nothing was run twice"


@own_server
def test_a_silent_server_ends_no_trial_and_does_not_outlast_the_limit(
    postgres: Server, start: Callable[..., Runner], command_line: CommandLine, tmp_path: Path
) -> None:
    (tmp_path / "hold").touch()
    runner = start(*RUN, "--n-trials", "50", "--storage-timeout", "7")
    runner.wait_for("trial 0 step 2")
    with postgres.frozen():
        began = time.monotonic()
        (tmp_path / "hold").unlink()
        runner.wait_for("the storage does not answer")
        runner.wait_for("trial 1 step 2")
        code, output = runner.end()
        assert time.monotonic() - began < 60
    assert code == 3, output
    assert "for more than 7 s; what it lacks is spooled in" in output
    assert alive(tmp_path) == []
    again = command_line(*RUN, "--n-trials", "3")
    assert again.returncode == 0, again.stdout + again.stderr
    assert "while the storage was away" in again.stdout
    assert [each.number for each in trials(postgres) if each.state is TrialState.COMPLETE][:2] == [0, 1]


@own_server
def test_ctrl_c_does_not_wait_for_a_silent_server(
    postgres: Server, start: Callable[..., Runner], tmp_path: Path
) -> None:
    (tmp_path / "hold").touch()
    runner = start(*RUN, "--n-trials", "50")
    runner.wait_for("trial 0 step 2")
    with postgres.frozen():
        (tmp_path / "hold").unlink()
        runner.wait_for("trial 1 started")
        began = time.monotonic()
        runner.send(signal.SIGINT)
        code, output = runner.end()
        assert time.monotonic() - began < 60
    assert code == 130, output
    assert "spooled" in output


@own_server
def test_a_runner_killed_while_the_server_is_away_loses_no_result(
    postgres: Server, start: Callable[..., Runner], command_line: CommandLine, tmp_path: Path
) -> None:
    (tmp_path / "hold").touch()
    runner = start(*RUN, "--n-trials", "50")
    runner.wait_for("trial 0 step 2")
    postgres.stop("immediate")
    runner.wait_for("results are spooled to")
    (tmp_path / "hold").unlink()
    runner.wait_for("trial 2 step 2")
    runner.send(signal.SIGKILL)
    runner.end()
    postgres.start()
    again = command_line(*RUN, "--n-trials", "4")
    assert again.returncode == 0, again.stdout + again.stderr
    assert "while the storage was away" in again.stdout
    found = trials(postgres)
    assert [each.state for each in found[:2]] == [TrialState.COMPLETE] * 2, "told during the outage"
    assert found[2].user_attrs["hps:outcome"] in ("lost", "ok")
    states = [each.state for each in found]
    assert (states.count(TrialState.COMPLETE), states.count(TrialState.RUNNING)) == (4, 0)


@own_server
def test_a_run_whose_lease_another_one_took_ends_with_code_5_and_leaves_no_process(
    postgres: Server, start: Callable[..., Runner], command_line: CommandLine, tmp_path: Path
) -> None:
    import psycopg

    (tmp_path / "hold").touch()
    runner = start(*RUN, "--n-trials", "2")
    runner.wait_for("trial 0 step 2")
    with psycopg.connect(postgres.url, autocommit=True) as other:
        while not other.execute("SELECT pg_try_advisory_lock(%s)", (lock_key("quad"),)).fetchall()[0][0]:
            postgres.terminate(f"{SESSION}/%")
        code, output = runner.end()
    assert code == 5, output
    assert "error[5]" in output
    assert alive(tmp_path) == []
    (tmp_path / "hold").unlink()
    again = command_line(*RUN, "--n-trials", "2")
    assert again.returncode == 0, again.stdout + again.stderr
    assert [each.state for each in trials(postgres)].count(TrialState.COMPLETE) == 2


@own_server
def test_stopped_while_the_server_is_away_it_ends_at_once(
    postgres: Server, start: Callable[..., Runner], command_line: CommandLine
) -> None:
    runner = start(*RUN, "--n-trials", "50")
    runner.wait_for("trial 1 step 2")
    postgres.stop("immediate")
    runner.wait_for("results are spooled to")
    began = time.monotonic()
    runner.send(signal.SIGINT)
    assert runner.end()[0] == 130
    assert time.monotonic() - began < 60
    postgres.start()
    again = command_line("resume", "--study", "quad", "--n-trials", "4")
    assert again.returncode == 0, again.stdout + again.stderr
    assert "while the storage was away" in again.stdout
    assert TrialState.RUNNING not in [each.state for each in trials(postgres)]


@own_server
def test_the_password_is_nowhere(postgres: Server, command_line: CommandLine, tmp_path: Path) -> None:
    typed = command_line(*RUN, "--storage", os.environ["HPSEARCH_STORAGE"])
    assert (typed.returncode, "put the URL into HPSEARCH_STORAGE" in typed.stderr) == (2, True)
    outputs = [typed.stdout + typed.stderr]
    for words in (
        (*RUN, "--n-trials", "2"),
        ("status",),
        ("analyze", "--study", "quad"),
        ("export", "--study", "quad", "--archive", "quad.zip"),
        ("doctor", "--study", "quad", "--config", "study.json"),
    ):
        done = command_line(*words)
        assert done.returncode == 0, done.stdout + done.stderr
        outputs.append(done.stdout + done.stderr)
    postgres.stop()
    failed = command_line("status")
    postgres.start()
    assert failed.returncode == 3
    assert CANARY not in "".join([*outputs, failed.stdout, failed.stderr])
    assert (tmp_path / "studies/quad/trial_0/environment").is_file()
    unzipped = subprocess.run(["python3", "-m", "zipfile", "-e", "quad.zip", "unzipped"], cwd=tmp_path, check=True)
    assert unzipped.returncode == 0
    hits = [path for path in tmp_path.rglob("*") if path.is_file() and CANARY.encode() in path.read_bytes()]
    assert hits == []


def test_the_password_comes_from_a_file(
    postgres: Server, command_line: CommandLine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    password = f"{CANARY} /@:%'"
    monkeypatch.setenv("HPSEARCH_STORAGE", postgres.wants_password("ocr", password))
    without = command_line(*RUN)
    assert (without.returncode, "the storage needs a password" in without.stderr) == (3, True), without.stderr
    monkeypatch.setenv("HPSEARCH_STORAGE_PASSWORD_FILE", "password")
    missing = command_line(*RUN)
    assert (missing.returncode, "password cannot be read: No such file" in missing.stderr) == (2, True), missing.stderr
    (tmp_path / "password").write_text("wrong\n")
    wrong = command_line(*RUN)
    assert (wrong.returncode, "the storage refused the password" in wrong.stderr) == (3, True), wrong.stderr
    (tmp_path / "password").write_text(f"{password}\n")
    outputs = [
        command_line(*RUN, "--n-trials", "2"),
        command_line("status"),
        command_line("analyze", "--study", "quad"),
    ]
    assert [done.returncode for done in outputs] == [0, 0, 0], outputs
    assert CANARY not in "".join(done.stdout + done.stderr for done in (without, missing, wrong, *outputs))
    assert "HPSEARCH_STORAGE" not in (tmp_path / "studies/quad/trial_0/environment").read_text()
    hits = [path for path in tmp_path.rglob("*") if path.is_file() and CANARY.encode() in path.read_bytes()]
    assert hits == [tmp_path / "password"]


def test_a_study_moves_from_sqlite_to_the_server_and_goes_on_there(
    postgres: Server, command_line: CommandLine, tmp_path: Path
) -> None:
    definition(tmp_path, pruner={"type": "none"})
    sqlite = ("--storage", "sqlite:///studies/hpsearch.db")
    assert command_line(*RUN, *sqlite, "--n-trials", "3").returncode == 0
    copied = command_line("storage", "copy", "--study", "quad")
    assert (copied.returncode, "quad: 3 trials copied to postgresql" in copied.stdout) == (0, True), copied.stderr
    again = command_line("storage", "copy", "--study", "quad")
    assert (again.returncode, "there is a study 'quad' in" in again.stderr) == (2, True)
    missing = command_line("storage", "copy", "--study", "other")
    assert (missing.returncode, "there is no study 'other'" in missing.stderr) == (2, True)
    nowhere = command_line("storage", "copy", "--study", "quad", HPSEARCH_STORAGE="")
    assert (nowhere.returncode, "--to is not given" in nowhere.stderr) == (2, True)
    gone_on = command_line("resume", "--study", "quad", "--n-trials", "5")
    assert gone_on.returncode == 0, gone_on.stdout + gone_on.stderr
    assert [each.number for each in trials(postgres)] == [0, 1, 2, 3, 4]
    there = optuna.load_study(study_name="quad", storage=f"sqlite:///{tmp_path}/studies/hpsearch.db").get_trials()
    assert [each.params for each in there] == [each.params for each in trials(postgres)][:3]
    back = command_line("storage", "copy", "--study", "quad", "--to", "sqlite:///back.db")
    assert (back.returncode, "quad: 5 trials copied to sqlite" in back.stdout) == (0, True), back.stderr
