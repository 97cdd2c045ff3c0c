"""G11, G17: what a search makes of configurations that diverge, and of a definition that was changed."""

from __future__ import annotations

import importlib
import json
import sys
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import optuna

from hpsearch.config.definition import StudyDefinition
from tests.conftest import run_command
from tests.e2e.conftest import QUADRATIC, trials
from tests.faults.goals import Effort, Found, Goal

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"

GOALS_OF_SPACES = {"LINE": 15, "RATES": 5}  # most that may be wasted


def measure_diverging(folder: Path, effort: Effort) -> Found:
    """Spaces of which a part diverges, by hpsearch's runner and by Optuna's ``optimize``, which tells NaN as FAIL."""
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    warnings.filterwarnings("ignore", category=optuna.exceptions.ExperimentalWarning)
    sys.path.insert(0, str(BENCHMARKS))
    try:
        gate, surrogates = importlib.import_module("gate"), importlib.import_module("surrogates")
    finally:
        sys.path.remove(str(BENCHMARKS))
    texts, beside, met = [], [], True
    for name, most in GOALS_OF_SPACES.items():
        space = getattr(surrogates, name)
        seeds = range(effort.times(8 if name == "LINE" else 6, 1))
        counts = [round(gate.search(space, "tpe", seed).wasted * space.trials) for seed in seeds]
        texts.append(f"{min(counts)} to {max(counts)} of {space.trials}")
        met = met and max(counts) <= most
        if effort.full:
            others = [_plain_wasted(space, seed) for seed in seeds]
            beside.append(f"{min(others)} to {max(others)} of {space.trials}")
    return Found("; ".join(texts), met, "; ".join(beside) or "not tried")


def _plain_wasted(space: Any, seed: int) -> int:
    study = optuna.create_study(sampler=optuna.samplers.TPESampler(seed=seed), direction=space.direction)

    def objective(trial: optuna.Trial) -> float:
        params = {name: trial._suggest(name, distribution) for name, distribution in space.space.items()}
        return float("nan") if space.diverges(params) else float(space.value(params))

    study.optimize(objective, n_trials=space.trials)
    return sum(trial.state is optuna.trial.TrialState.FAIL for trial in study.trials)


# Nine edits of a space that has trials, and a direction that is turned round.
X = {"type": "uniform", "low": 0.0, "high": 10.0}
CHOICES = {"type": "categorical", "choices": [1, 2, 3]}
EDITS: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "wider": (X, X | {"high": 20.0}),
    "narrower": (X, X | {"high": 5.0}),
    "elsewhere": (X, X | {"low": 20.0, "high": 30.0}),
    "logarithmic": (X | {"low": 1.0}, {"type": "loguniform", "low": 1.0, "high": 10.0}),
    "whole numbers": (X, {"type": "int", "low": 0, "high": 10}),
    "choices": (X, CHOICES),
    "a choice more": (CHOICES, CHOICES | {"choices": [1, 2, 3, 4]}),
    "choices in another order": (CHOICES, CHOICES | {"choices": [3, 2, 1]}),
    "a step": ({"type": "int", "low": 0, "high": 10}, {"type": "int", "low": 0, "high": 10, "step": 2}),
}


def edited(folder: Path, before: dict[str, Any], after: dict[str, Any]) -> list[str]:
    """What is wrong with a run whose definition was changed."""
    folder.mkdir()
    words = ("run", "--study", "edits", "--config", "study.json", "--n-trials")
    (folder / "study.json").write_text(json.dumps(before))
    first = run_command(folder, *words, "2")
    (folder / "study.json").write_text(json.dumps(after))
    second = run_command(folder, *words, "3")
    count = len(trials(folder, "edits"))
    good = (first.returncode, second.returncode, count) == (0, 6, 2) and " -> " in second.stderr
    return [] if good else [f"codes {first.returncode}, {second.returncode}, {count} trials: {second.stderr[-200:]}"]


def measure_edits(folder: Path, effort: Effort) -> Found:
    """Each edit by the command line."""

    def fields(space: Mapping[str, Any], direction: str = "minimize") -> dict[str, Any]:
        command = [*QUADRATIC, "--x", "{x}"]
        objective = {"metric": "score", "direction": direction}
        return {"command": command, "search_space": {"x": space}, "objective": objective}

    pairs = {name: (fields(before), fields(after)) for name, (before, after) in EDITS.items()}
    pairs["direction"] = (fields(X), fields(X, "maximize"))
    names = list(pairs) if effort.full else ["wider", "direction"]
    wrong = [f"{name}: {each}" for name in names for each in edited(folder / name, *pairs[name])]
    text = f"{len(names) - len(wrong)} of {len(names)} refused with what differs, no trial made"
    return Found(text + (f"; {wrong[0]}" if wrong else ""), not wrong, _plain_edits() if effort.full else "not tried")


def _plain_edits() -> str:
    """What Optuna does with the nine edits."""
    silent_ones = zombies = 0
    for before, after in EDITS.values():
        study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
        first, second = (
            StudyDefinition.from_flat({"command": ["true", "{x}"], "search_space": {"x": each}}).search_space["x"]
            for each in (before, after)
        )
        study.tell(study.ask({"x": first.distribution()}), 1.0)
        try:
            study.tell(study.ask({"x": second.distribution()}), 1.0)
            silent_ones += 1
        except ValueError:
            zombies += any(trial.state is optuna.trial.TrialState.RUNNING for trial in study.trials)
    return f"{silent_ones} of {len(EDITS)} accepted without a word, {zombies} leave a trial RUNNING for ever"


GOALS = [
    Goal(
        "G11",
        "A search learns to avoid the region in which training diverges",
        "at most 15 of 60 (a quarter of one dimension), 5 of 80 (a fifth of three) failed, in any seed",
        measure_diverging,
    ),
    Goal("G17", "A changed definition is refused before any trial is made", "10 of 10, exit code 6", measure_edits),
]
