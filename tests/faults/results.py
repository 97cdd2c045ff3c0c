"""G21: a final value that was reported counts, however the program, its supervisor or its runner ends.

G22, G23: a soak, with a fault every two seconds."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

import optuna
import psutil
from optuna.trial import TrialState

from hpsearch.execution.names import SUPERVISES_VARIABLE
from hpsearch.study.storage.open import StorageUrl
from tests.conftest import run_command
from tests.e2e.conftest import Runner, alive
from tests.faults.crashes import Scene, found, tried
from tests.faults.goals import WITHIN_S, Effort, Found, Goal, until
from tests.faults.history import violations
from tests.postgres import Server, server

PROGRAM = Path(__file__).parent / "programs" / "reported.py"
EVERY_S = 2.0
RUN = ("run", "--study", "truth", "--config", "study.json", "--n-trials")


def supervisors(folder: Path) -> list[psutil.Process]:
    """The supervisors of the runs in a folder."""
    found = []
    for process in alive(folder):
        try:
            if SUPERVISES_VARIABLE in process.environ() and process.children():
                found.append(process)
        except psutil.Error:
            continue
    return found


def trials_in(url: str, study: str) -> list[optuna.trial.FrozenTrial]:
    """The trials of a study."""
    storage: Any = StorageUrl(url).open()
    try:
        return optuna.load_study(study_name=study, storage=storage).get_trials()
    finally:
        storage.engine.dispose()


# By its name, what is done to a run whose trial has reported and goes on.
STRIKES: dict[str, Callable[[Runner, Path], object]] = {
    "exit": lambda runner, folder: None,
    "segv": lambda runner, folder: None,
    "hang": lambda runner, folder: None,
    "ctrl-c": lambda runner, folder: runner.send(signal.SIGINT),
    "runner": lambda runner, folder: runner.send(signal.SIGKILL),
    "supervisor": lambda runner, folder: [process.kill() for process in supervisors(folder)],
    "both": lambda runner, folder: (
        runner.send(signal.SIGSTOP),
        [process.kill() for process in supervisors(folder)],
        runner.send(signal.SIGKILL),
    ),
}


def struck(name: str, folder: Path) -> list[str]:
    """What became of a result that was reported before a fault."""
    folder.mkdir()
    fields = {
        "command": [sys.executable, str(PROGRAM), "{x}"],
        "search_space": {"x": {"type": "uniform", "low": 0.0, "high": 1.0}},
        "objective": {"metric": "score", "direction": "minimize"},
        "exit_timeout_s": 1.0 if name == "hang" else 600.0,
        "env_pass": ["PYTHONPATH"],
    }
    (folder / "study.json").write_text(json.dumps(fields))
    (folder / "fault").write_text(name)
    words = ("run", "--study", "kept", "--config", "study.json", "--n-trials", "1")
    with Runner(folder, *words) as runner:
        until((folder / "reported").exists, "the report")
        STRIKES[name](runner, folder)
        runner.end()
    again = run_command(folder, *words)
    trials = trials_in(f"sqlite:///{folder / 'studies' / 'hpsearch.db'}", "kept")
    states = [(trial.state.name, trial.value == trial.params["x"]) for trial in trials]
    if again.returncode or states != [("COMPLETE", True)]:
        return [f"{states}, exit code {again.returncode}"]
    return []


def measure_results(folder: Path, effort: Effort) -> Found:
    """Each end, several times."""
    cases = ((name, partial(struck, name)) for _ in range(effort.times(5, 1)) for name in STRIKES)
    count, wrong = tried(folder, cases)
    return found(count, wrong, "not tried", "results lost or trained again")


def disturb(rng: random.Random, runner: subprocess.Popen[bytes], scene: Scene) -> None:
    """Let one fault happen to a run at work."""
    choice = rng.choice(["kill runner", "stop runner", "supervisors", "trials", "database"])
    if choice == "database" and scene.server is not None:
        rng.choice([scene.server.terminate, lambda: scene.server and scene.server.restart("immediate")])()
        return
    scene.kills += 1
    if choice in ("supervisors", "trials"):
        for supervisor in supervisors(scene.folder):
            with suppress(psutil.Error):
                for process in [supervisor] if choice == "supervisors" else supervisor.children():
                    process.kill()
    else:
        runner.send_signal(signal.SIGTERM if choice == "stop runner" else signal.SIGKILL)
        runner.wait(WITHIN_S)


def soaked(folder: Path, seconds: float, seed: int, running: Server | None) -> tuple[int, int, list[str]]:
    """Run a study with a fault every two seconds: the faults, the finished trials, and what is wrong in the end."""
    scene, rng, faults = Scene(folder, running), random.Random(seed), 0
    definition = json.loads((folder / "study.json").read_text()) | {"max_retries": 100}
    (folder / "study.json").write_text(json.dumps(definition))
    deadline, words = time.monotonic() + seconds, (sys.executable, "-m", "hpsearch", *RUN, "1000000")
    while time.monotonic() < deadline:
        with (folder / "said").open("ab") as said:
            runner = subprocess.Popen(
                words,
                cwd=folder,
                stdin=subprocess.DEVNULL,
                stdout=said,
                stderr=said,
                env={**os.environ, **scene.storage},
            )
            until(lambda: supervisors(folder) or runner.poll() is not None, "a trial")  # noqa: B023
            while runner.poll() is None:
                time.sleep(EVERY_S * rng.uniform(0.5, 1.5))
                if time.monotonic() >= deadline:
                    runner.terminate()
                    runner.wait(WITHIN_S)
                    scene.kills += 1
                elif runner.poll() is None:
                    disturb(rng, runner, scene)
                    faults += 1
    states = [trial.state for trial in trials_in(scene.url, "truth")]
    finished = states.count(TrialState.COMPLETE) + states.count(TrialState.PRUNED)
    done = run_command(folder, *RUN, str(finished + 3), **scene.storage)
    if done.returncode:
        return faults, finished, [f"exit code {done.returncode}: {(done.stdout + done.stderr)[-300:]}"]
    return faults, finished, violations(folder, scene.url, "truth", finished + 3, scene.kills)


def measure_soak(folder: Path, effort: Effort, *, postgres: bool) -> Found:
    """Ten minutes, or some seconds."""

    def soak(running: Server | None) -> Found:
        faults, finished, wrong = soaked(folder / "soak", effort.times(600, 8), 7, running)
        text = f"{len(wrong)} violations after {faults} faults and {finished} finished trials"
        return Found(text + (f": {wrong[0]}" if wrong else ""), not wrong)

    if not postgres:
        return soak(None)
    with server() as running:
        running.empty()
        return soak(running)


SOAK_TARGET = "0 results lost or done twice, no trial left RUNNING, no process, a whole database"
GOALS = [
    Goal(
        "G21",
        "A final value that was reported counts, however the program, its supervisor or its runner ends",
        "0 lost or trained again",
        measure_results,
    ),
    Goal(
        "G22", "Ten minutes with a fault every two seconds (SQLite)", SOAK_TARGET, partial(measure_soak, postgres=False)
    ),
    Goal(
        "G23",
        "The same on PostgreSQL, whose sessions end and which restarts",
        SOAK_TARGET,
        partial(measure_soak, postgres=True),
    ),
]
