"""The one loop, with trials played by a function."""

from __future__ import annotations

from collections.abc import Generator
from pathlib import Path
from typing import Any

import pytest
from optuna.trial import TrialState

from hpsearch.execution.job import Job
from hpsearch.study.ledger import Ledger
from hpsearch.study.loop import LoopEnding
from tests.study.played import open_ledger, open_storage, run_played

STUDY = {
    "input_data": "/rows.json",
    "search_space": {"learning_rate": {"type": "loguniform", "low": 1e-5, "high": 1e-3}},
    "evaluations": 3,
    "pruner": {"type": "median", "n_startup_trials": 1, "n_warmup_steps": 0},
}


def run(folder: Path, curves: list[list[float]], **keys: Any) -> Ledger:
    """Run a trial for each curve: its evaluations. ``keys`` change the definition."""

    def play(job: Job) -> Generator[dict[str, Any], bool, None]:
        for step, value in enumerate(curves[job.number or 0], 1):
            if (yield {"step": step, "eval_cer": value}):
                return
        yield {"eval_cer": curves[job.number or 0][-1]}

    ledger = open_ledger(open_storage(folder / "x.db"), STUDY | keys)
    assert run_played(ledger, folder, play, len(curves)) is LoopEnding.TARGET
    return ledger


def test_a_trial_worse_than_the_median_is_pruned(tmp_path: Path) -> None:
    ledger = run(tmp_path, [[0.5, 0.4, 0.3], [0.5, 0.6, 0.2]])
    assert [trial.state for trial in ledger.trials()] == [TrialState.COMPLETE, TrialState.PRUNED]
    assert list(ledger.trial(1).intermediate_values) == [1, 2]


def test_a_trial_that_is_through_with_its_training_is_not_pruned(tmp_path: Path) -> None:
    ledger = run(tmp_path, [[0.5, 0.4, 0.3], [0.5, 0.4, 0.9]])
    assert [trial.state for trial in ledger.trials()] == [TrialState.COMPLETE, TrialState.COMPLETE]
    assert ledger.trial(1).value == 0.9


@pytest.mark.parametrize(
    "pruner",
    [
        {"type": "median", "n_startup_trials": 2, "n_warmup_steps": 1},
        {"type": "percentile", "percentile": 25, "n_startup_trials": 2, "n_warmup_steps": 1},
        {"type": "asha", "n_warmup_steps": 1},
        {"type": "hyperband", "n_warmup_steps": 1},
        {"type": "curve", "n_startup_trials": 2, "n_warmup_steps": 1},
    ],
    ids=lambda pruner: pruner["type"],
)
def test_each_pruner_stops_bad_trials_and_no_good_one(tmp_path: Path, pruner: dict[str, Any]) -> None:
    levels = [0.5, 0.9, 0.4, 0.95, 0.3, 0.9, 0.2, 0.95, 0.1, 0.9]  # the even ones, from 0, are each the best so far
    ledger = run(tmp_path, [[level] * 9 for level in levels], pruner=pruner, evaluations=9)
    states = [trial.state for trial in ledger.trials()]
    assert states[::2] == [TrialState.COMPLETE] * 5
    assert states[5::2].count(TrialState.PRUNED) >= 2
    stopped = [trial for trial in ledger.trials() if trial.state is TrialState.PRUNED]
    assert all(pruner["n_warmup_steps"] <= len(trial.intermediate_values) < 9 for trial in stopped)


def test_percentile_is_stricter_than_the_median(tmp_path: Path) -> None:
    curves = [[level] * 3 for level in (0.1, 0.2, 0.3, 0.4, 0.22)]
    counts = {}
    for kind in ("median", "percentile"):
        pruner = {"type": kind, "n_startup_trials": 4, "n_warmup_steps": 0}
        ledger = run(tmp_path / kind, curves, pruner=pruner)
        counts[kind] = len(ledger.trials(TrialState.PRUNED))
    assert counts == {"median": 0, "percentile": 1}


def test_of_many_reports_few_are_stored(tmp_path: Path) -> None:
    ledger = run(tmp_path, [[0.5] * 5000], pruner="none")
    (trial,) = ledger.trials()
    assert trial.state is TrialState.COMPLETE
    kept = sorted(trial.intermediate_values)
    assert kept == [*range(1, 201), *range(210, 2001, 10), *range(2100, 5001, 100)]
