"""Counts that are kept are those that all trials give, and finished trials are not looked at again."""

from __future__ import annotations

import random
from typing import Any

import optuna
import pytest
from optuna.trial import FrozenTrial, TrialState, create_trial

from hpsearch.execution.outcome import VERDICTS, Again, Cause
from hpsearch.study import attributes as attrs
from hpsearch.study.records import TrialCounts, best_trial, cause_of, finished, root_of

CAUSES = [Cause.OK, Cause.PRUNED, Cause.CRASH, Cause.LOST, Cause.INTERRUPTED, Cause.DIVERGED, Cause.CUDA_OOM]


class Watched(list[FrozenTrial]):
    """Trials that count how often one of them is looked at."""

    looks = 0

    def __getitem__(self, place: Any) -> Any:
        self.looks += 1
        return super().__getitem__(place)


def step(study: optuna.Study, choose: random.Random) -> None:
    """One trial more, or the end of one, as a run makes it."""
    trials = study.get_trials(deepcopy=False)
    running = [trial for trial in trials if trial.state is TrialState.RUNNING]
    if not running or choose.random() < 0.4:
        failed = [trial for trial in trials if trial.state is TrialState.FAIL]
        if failed and choose.random() < 0.7:
            former = choose.choice(failed)
            chain = {attrs.RETRY_OF: former.number, attrs.ROOT: root_of(former), attrs.ATTEMPT: 2}
            study.enqueue_trial({}, user_attrs=chain)
        elif choose.random() < 0.2:
            study.enqueue_trial({})
        else:
            study.ask()
        return
    ending, cause = choose.choice(running), choose.choice(CAUSES)
    trial = optuna.trial.Trial(study, ending._trial_id)
    trial.set_user_attr(attrs.OUTCOME, cause.value)
    if cause is Cause.CUDA_OOM:
        trial.set_user_attr(attrs.NOT_TRIED, True)
    value = choose.choice([0.5, 0.25, float("inf"), choose.random()]) if cause is Cause.OK else None
    study.tell(trial, value, state=TrialState[VERDICTS[cause].state])


@pytest.mark.parametrize("direction", ["minimize", "maximize"])
@pytest.mark.parametrize("seed", range(3))
def test_they_are_those_of_all_trials(direction: str, seed: int) -> None:
    choose, study, counts = random.Random(seed), optuna.create_study(direction=direction), TrialCounts(direction)
    for number in range(200):
        step(study, choose)
        if number % 3:
            continue
        trials = study.get_trials(deepcopy=False)
        counts.update(trials)
        assert counts.finished == finished(trials)
        best = best_trial(trials, direction)
        assert (counts.best and counts.best.number) == (best and best.number)
        assert counts.open == [trial for trial in trials if not trial.state.is_finished()]
        first = [attrs.RETRY_OF not in trial.user_attrs for trial in trials]
        assert [counts.configurations(place) for place in range(len(trials))] == [
            sum(first[:place]) for place in range(len(trials))
        ]
        assert counts.configurations() == sum(first)
        again = {trial.user_attrs.get(attrs.RETRY_OF) for trial in trials}
        assert all(counts.is_retried(trial.number) == (trial.number in again) for trial in trials)
        for root in map(root_of, trials):
            causes = [cause_of(trial) for trial in trials if root_of(trial) == root]
            spent = [cause for cause in causes if cause and VERDICTS[cause].again is Again.LIMITED]
            assert counts.spent_retries(root) == len(spent)


@pytest.mark.parametrize("count", [50, 500])
def test_a_trial_more_costs_no_look_at_those_that_are_finished(count: int) -> None:
    trials = Watched(create_trial(value=float(number)) for number in range(count))
    for number, trial in enumerate(trials):
        trial.number = number
    trials[7].state = TrialState.RUNNING
    counts = TrialCounts("minimize").update(trials)
    trials.looks = 0
    trials.append(create_trial(value=-1.0))
    list.__getitem__(trials, count).number = count
    assert counts.update(trials).best is list.__getitem__(trials, count)
    assert trials.looks <= 4
