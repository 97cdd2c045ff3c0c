"""Studies whose trials are small real programs, run by the real command line."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import optuna
import psutil
import pytest

from tests.conftest import run_command

PROGRAMS = Path(__file__).parent / "programs"
QUADRATIC = [sys.executable, str(PROGRAMS / "quadratic.py"), "--seed", "{seed}", "--out", "{output_dir}"]
X = {"type": "uniform", "low": 0.0, "high": 10.0}


def definition(folder: Path, name: str = "study.json", **keys: Any) -> Path:
    """Write a definition whose trials are quadratic.py, unless ``keys`` say otherwise."""
    space = keys.pop("search_space", {"x": X})
    command = QUADRATIC + [word for key in space for word in (f"--{key}", f"{{{key}}}")]
    fields = {"command": command, "search_space": space, "objective": {"metric": "score", "direction": "minimize"}}
    path = folder / name
    path.write_text(json.dumps({**fields, **keys}))
    return path


def trials(folder: Path, study: str) -> list[optuna.trial.FrozenTrial]:
    """The trials of a study in the default storage below ``folder``."""
    url = f"sqlite:///{folder / 'studies' / 'hpsearch.db'}"
    return optuna.load_study(study_name=study, storage=url).get_trials()


def alive(folder: Path) -> list[psutil.Process]:
    """Processes whose environment, arguments or working folder name ``folder``."""
    found = []
    for process in psutil.process_iter():
        try:
            words = " ".join([*process.cmdline(), *process.environ().values(), process.cwd()])
        except (psutil.Error, OSError):
            continue
        if str(folder) in words and process.pid != os.getpid() and process.status() != psutil.STATUS_ZOMBIE:
            found.append(process)
    return found


class Runner:
    """A runner at work in the background, whose output can be waited for."""

    def __init__(self, folder: Path, *words: str, **environment: str) -> None:
        self.lines: list[str] = []
        self.process = subprocess.Popen(
            [sys.executable, "-m", "hpsearch", *words],
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env={**os.environ, "COLUMNS": "200", **environment},
        )

    def __enter__(self) -> Runner:
        """Have it ended at the end."""
        return self

    def __exit__(self, *_: object) -> None:
        """End it where it still runs, and close its output."""
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        if self.process.stdout is not None:
            self.process.stdout.close()

    def wait_for(self, text: str) -> str:
        """Read output until a line holds ``text``."""
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.lines.append(line)
            if text in line:
                return line
        raise AssertionError(f"the run ended without {text!r}:\n{''.join(self.lines)}")

    def send(self, number: signal.Signals) -> None:
        """Send a signal to the runner alone."""
        self.process.send_signal(number)

    def end(self) -> tuple[int, str]:
        """Wait for the end; exit code and all output."""
        rest, _ = self.process.communicate(timeout=120)
        return self.process.returncode, "".join(self.lines) + rest


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., Runner]]:
    """Starts runners in the test's folder, and ends those that a failed test leaves."""
    runners: list[Runner] = []

    def go(*words: str) -> Runner:
        runners.append(Runner(tmp_path, *words))
        return runners[-1]

    yield go
    for runner in runners:
        runner.__exit__()


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the finished studies one and two, to be copied."""
    folder = tmp_path_factory.mktemp("finished")
    definition(folder, pruner={"type": "none"})
    for seed, name in enumerate(("one", "two")):
        words = ("run", "--study", name, "--config", "study.json", "--n-trials", "2", "--seed", str(seed))
        assert run_command(folder, *words).returncode == 0
    return folder


@pytest.fixture
def two_studies(finished: Path, tmp_path: Path) -> Path:
    """A folder of the test's own with the finished studies one and two."""
    shutil.copytree(finished, tmp_path, dirs_exist_ok=True)
    return tmp_path
