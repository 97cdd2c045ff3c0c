"""What trials spend of a study's GPU-hours, and when another one is not started any more."""

from __future__ import annotations

import math
from collections.abc import Generator
from pathlib import Path
from typing import Any

import pytest
from optuna.storages import InMemoryStorage
from optuna.trial import TrialState

from hpsearch.execution.job import Job, Outcome
from hpsearch.execution.outcome import Cause
from hpsearch.study import attributes as attrs
from hpsearch.study.budget import Budget, limit_of, settle_budget, spent_hours
from hpsearch.study.ledger import Ledger
from hpsearch.study.loop import LoopEnding
from tests.study.played import open_ledger, run_played

pytestmark = pytest.mark.filterwarnings("ignore::optuna.exceptions.ExperimentalWarning")  # opening a storage does it

STUDY = {
    "command": ["program"],
    "search_space": {"x": {"type": "uniform", "low": 0.0, "high": 1.0}},
    "objective": {"metric": "score", "direction": "minimize"},
    "max_retries": 1,
}
HOUR = 3600.0


def opened() -> Ledger:
    return open_ledger(InMemoryStorage(), STUDY)


def run(folder: Path, outcomes: list[Outcome], budget: Budget, slots: int = 1) -> tuple[LoopEnding, Ledger]:
    """Run trials that end as ``outcomes`` say, up to ten finished ones."""

    def play(job: Job) -> Generator[dict[str, Any] | bytes | Outcome, bool, None]:
        yield {"progress": {}}
        yield outcomes[min(job.number or 0, len(outcomes) - 1)]

    ledger = opened()
    return run_played(ledger, folder, play, 10, slots=slots, budget=budget), ledger


def took(hours: float, cause: Cause = Cause.OK) -> Outcome:
    return Outcome(cause, metrics={"score": 0.5}, duration_s=hours * HOUR)


def test_no_trial_is_started_that_would_not_fit_into_what_is_left(tmp_path: Path) -> None:
    ending, ledger = run(tmp_path, [took(1.0)], Budget(3.5))
    assert ending is LoopEnding.SCARCE
    assert len(ledger.trials()) == 3
    assert spent_hours(ledger.trials()) == pytest.approx(3.0)


def test_the_first_trial_is_started_whatever_it_may_take_and_no_other_one_once_all_is_spent(tmp_path: Path) -> None:
    ending, ledger = run(tmp_path, [took(4.0)], Budget(0.5))
    assert (ending, len(ledger.trials())) == (LoopEnding.SPENT, 1)


def test_trials_of_several_gpus_spend_them_all(tmp_path: Path) -> None:
    ending, ledger = run(tmp_path, [took(1.0)], Budget(8.0, gpus=4))
    assert (ending, len(ledger.trials())) == (LoopEnding.SPENT, 2)
    assert {trial.user_attrs[attrs.GPUS] for trial in ledger.trials()} == {4}


def test_trials_that_run_side_by_side_are_each_given_what_is_usual(tmp_path: Path) -> None:
    ending, ledger = run(tmp_path, [took(1.0)], Budget(5.0), slots=3)
    assert (ending, len(ledger.trials())) == (
        LoopEnding.SPENT,
        5,
    )  # not 6: when the fourth and fifth run, nothing is left


def test_failed_and_repeated_attempts_are_spent_too(tmp_path: Path) -> None:
    ending, ledger = run(tmp_path, [took(1.0, Cause.CRASH), took(1.0)], Budget(4.5))
    states = [trial.state for trial in ledger.trials()]
    assert states == [TrialState.FAIL, *[TrialState.COMPLETE] * 3]
    assert spent_hours(ledger.trials()) == pytest.approx(4.0)
    assert ending is LoopEnding.SCARCE


def test_without_a_budget_the_target_ends_the_run(tmp_path: Path) -> None:
    ending, ledger = run(tmp_path, [took(1e6)], Budget())
    assert (ending, len(ledger.trials())) == (LoopEnding.TARGET, 10)


def test_a_budget_stays_with_the_study_until_another_one_is_given_or_it_is_lifted() -> None:
    study = opened().study
    assert limit_of(study) == math.inf
    assert settle_budget(study, 2.5) == 2.5
    assert settle_budget(study, None) == 2.5
    assert settle_budget(study, 4.0) == 4.0
    assert settle_budget(study, math.inf) == limit_of(study) == math.inf
