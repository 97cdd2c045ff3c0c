"""Plain Optuna under the same faults, for the table's column beside hpsearch's."""

from __future__ import annotations

import os
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import optuna
from optuna.trial import FrozenTrial, TrialState

PROGRAM = Path(__file__).parent / "programs" / "plain.py"
# A trial that prints two steps and its value, some hundredths of a second apart.
STEPS = (
    "import sys, time\n"
    "x = float(sys.argv[1])\n"
    "for step in (1, 2):\n"
    "    print(step, x + 1 / step, flush=True); time.sleep(0.02)\n"
    "print(x, flush=True)"
)


def url_in(folder: Path) -> str:
    """A SQLite file in the folder."""
    return f"sqlite:///{folder / 'plain.db'}"


def command(url: str, trials: int, *trial: str, grid: int = 0) -> list[str]:
    """The program's words."""
    words = trial or (sys.executable, "-c", STEPS)
    return [
        *(sys.executable, str(PROGRAM), "--storage", url, "--n-trials", str(trials), "--grid", str(grid), "--"),
        *words,
    ]


def start(folder: Path, words: list[str], **keys: Any) -> subprocess.Popen[str]:
    """Start it in the background."""
    return subprocess.Popen(
        words, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=os.environ, **keys
    )


def run(folder: Path, words: list[str], **keys: Any) -> tuple[int, str]:
    """Run it to its end: exit code and output."""
    process = start(folder, words, **keys)
    said, _ = process.communicate(timeout=300)
    return process.returncode, said


def trials(url: str) -> list[FrozenTrial]:
    """What is stored; nothing where there is no study."""
    storage = optuna.storages.RDBStorage(url)
    try:
        return optuna.load_study(study_name="plain", storage=storage).get_trials()
    except KeyError:
        return []
    finally:
        storage.remove_session()
        storage.engine.dispose()


def states(url: str) -> Counter[str]:
    """How many trials are in which state."""
    return Counter(trial.state.name for trial in trials(url))


def wasted(url: str) -> int:
    """How many trials finished a point that another had finished."""
    points = [tuple(sorted(one.params.items())) for one in trials(url) if one.state is TrialState.COMPLETE]
    return len(points) - len(set(points))
