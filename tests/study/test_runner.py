"""The one loop, with trials played by a function."""

from __future__ import annotations

import json
import os
from collections.abc import Generator
from pathlib import Path
from typing import Any

import pytest
from optuna.storages import InMemoryStorage
from optuna.trial import TrialState

from hpsearch.execution.events import Note
from hpsearch.execution.job import Job, Outcome
from hpsearch.execution.outcome import Cause
from hpsearch.study.ledger import Ledger
from hpsearch.study.loop import LoopEnding
from tests.study.played import open_ledger, run_played

pytestmark = pytest.mark.filterwarnings("ignore::optuna.exceptions.ExperimentalWarning")  # opening a storage does it

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

    ledger = open_ledger(InMemoryStorage(), STUDY | keys)
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
    ledger = run(tmp_path, [[0.5] * 2500], pruner="none")
    (trial,) = ledger.trials()
    assert trial.state is TrialState.COMPLETE
    kept = sorted(trial.intermediate_values)
    assert kept == [*range(1, 201), *range(210, 2001, 10), *range(2100, 2501, 100)]


def test_best_has_the_best_adapter_that_is_complete_and_nothing_in_the_way_ends_a_search(tmp_path: Path) -> None:
    def play(job: Job) -> Generator[dict[str, Any] | Outcome, bool, None]:
        folder = Path(job.output_dir)
        adapter, number = folder / "adapter", job.number or 0
        adapter.mkdir()
        (adapter / "weights").write_text(str(number))
        (folder / f"trial_{number}_results.json").mkdir()
        metrics = {"eval_cer": 0.5 - number / 10}
        if number == 1:  # its program was ended while it was saving
            moment = (folder / "metrics.jsonl").stat().st_mtime_ns
            os.utime(adapter / "weights", ns=(moment + 1, moment + 1))
        yield Outcome(Cause.OK, metrics, exit_code=1 if number == 1 else 0)

    ledger, notes = open_ledger(InMemoryStorage(), STUDY), []
    ending = run_played(
        ledger, tmp_path, play, 2, view=lambda event: notes.append(event.text) if isinstance(event, Note) else None
    )
    assert ending is LoopEnding.TARGET
    best = tmp_path / "a" / "best"
    assert (best / "weights").read_text() == "0"
    assert json.loads((best / "best_params.json").read_text())["trial"] == 0
    assert json.loads((tmp_path / "a" / "a_best_params.json").read_text())["trial"] == 1
    assert not (tmp_path / "a" / "trial_1" / "adapter").exists()
    assert [text for text in notes if "trial_0_results.json" in text and "Is a directory" in text]
    assert [text for text in notes if text.startswith("trial 1 is the best so far, but")]
