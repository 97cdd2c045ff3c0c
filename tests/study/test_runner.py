"""The one loop, with trials played by a function."""

from __future__ import annotations

from collections.abc import Generator
from pathlib import Path
from typing import Any

from optuna.trial import TrialState

from hpsearch.definitions.definition import StudyDefinition
from hpsearch.study.folders import study_folders
from hpsearch.study.interruption import Interruption
from hpsearch.study.jobs import JobMaker
from hpsearch.study.ledger import Ledger
from hpsearch.study.opening import open_study
from hpsearch.study.runner import Ending, Runner
from hpsearch.study.storage import open_storage
from hpsearch.study.view import silent
from hpsearch.trials.executors.fake import FakeExecutor
from hpsearch.trials.job import Job

STUDY = {
    "input_data": "/rows.json",
    "search_space": {"learning_rate": {"type": "loguniform", "low": 1e-5, "high": 1e-3}},
    "evaluations": 3,
    "pruner": {"type": "median", "n_startup_trials": 1, "n_warmup_steps": 0},
}


def run(folder: Path, curves: list[list[float]]) -> Ledger:
    """Run a trial for each curve: its evaluations."""

    def play(job: Job) -> Generator[dict[str, Any], bool, None]:
        for step, value in enumerate(curves[job.number or 0], 1):
            if (yield {"step": step, "eval_cer": value}):
                return
        yield {"eval_cer": curves[job.number or 0][-1]}

    definition = StudyDefinition.from_flat(STUDY)
    storage = open_storage(f"sqlite:///{folder / 'x.db'}", create=True)
    ledger, folders = open_study(storage, "a", definition), study_folders(folder, "a")
    maker, executor = JobMaker(definition, folders, {}), FakeExecutor(play)
    runner = Runner(ledger, folders, maker, executor, silent, Interruption(), target=len(curves))
    assert runner.run() is Ending.TARGET
    return ledger


def test_a_trial_worse_than_the_median_is_pruned(tmp_path: Path) -> None:
    ledger = run(tmp_path, [[0.5, 0.4, 0.3], [0.5, 0.6, 0.2]])
    assert [trial.state for trial in ledger.trials()] == [TrialState.COMPLETE, TrialState.PRUNED]
    assert list(ledger.trial(1).intermediate_values) == [1, 2]


def test_a_trial_that_is_through_with_its_training_is_not_pruned(tmp_path: Path) -> None:
    ledger = run(tmp_path, [[0.5, 0.4, 0.3], [0.5, 0.4, 0.9]])
    assert [trial.state for trial in ledger.trials()] == [TrialState.COMPLETE, TrialState.COMPLETE]
    assert ledger.trial(1).value == 0.9
