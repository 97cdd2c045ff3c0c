"""Reading what hpsearch wrote about trials: the counting rules in one place."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

from optuna.trial import FrozenTrial, TrialState

from hpsearch.execution.job import LARGEST
from hpsearch.execution.outcome import VERDICTS, Again, Cause
from hpsearch.study import attributes as attrs

_CAUSES = {cause.value: cause for cause in Cause}


def cause_of(trial: FrozenTrial) -> Cause | None:
    """Why a trial ended; None while it runs, or where another program told it."""
    value = trial.user_attrs.get(attrs.OUTCOME)
    return _CAUSES.get(value) if isinstance(value, str) else None


def root_of(trial: FrozenTrial) -> int:
    """Number of the first attempt of a trial."""
    return int(trial.user_attrs.get(attrs.ROOT, trial.number))


def attempt_of(trial: FrozenTrial) -> int:
    """Which attempt at its configuration a trial is, from 1."""
    return int(trial.user_attrs.get(attrs.ATTEMPT, 1))


def counts(trial: FrozenTrial) -> bool:
    """Whether a trial counts towards the study's target of finished trials: not one that was never launched."""
    return trial.state in (TrialState.COMPLETE, TrialState.PRUNED) and attrs.NOT_TRIED not in trial.user_attrs


def finished(trials: Iterable[FrozenTrial]) -> int:
    """How many trials count towards the target."""
    return sum(counts(trial) for trial in trials)


def best_trial(trials: Iterable[FrozenTrial], direction: str) -> FrozenTrial | None:
    """The completed trial with the best finite value; the earlier one where two are equal."""
    complete = [trial for trial in trials if trial.state == TrialState.COMPLETE and is_finite(trial.value)]
    sign = -1.0 if direction == "maximize" else 1.0
    return min(complete, key=lambda trial: (sign * float(trial.value or 0.0), trial.number), default=None)


def is_finite(value: float | None) -> bool:
    """Whether ``value`` is a finite number, and not beyond 1e300: that is some script's word for infinite."""
    return value is not None and abs(value) <= LARGEST


def metrics_of(trial: FrozenTrial) -> dict[str, float]:
    """The final metrics of a trial."""
    metrics: dict[str, Any] = trial.user_attrs.get(attrs.METRICS, {})
    return {name: float(value) for name, value in metrics.items()}


# What a run asks of all trials of its study again and again, counted as they come and end.
#
# A trial that is finished never changes, and trials are only added; so of many thousands only those that were open, and
# the new ones, are looked at each time. All of it follows from the stored trials, so nothing is lost with the runner.


class TrialCounts:
    """Counts over the trials of one study, whose best has the least value, or the greatest: ``direction``."""

    def __init__(self, direction: str) -> None:
        self._direction = direction
        self._trials: Sequence[FrozenTrial] = ()
        self._open: list[int] = []
        self._before: list[int] = [0]  # configurations among the trials before each number
        self._spent: Counter[int] = Counter()
        self._again: set[int] = set()
        self.finished = 0
        self.best: FrozenTrial | None = None

    def take(self, trials: Sequence[FrozenTrial]) -> TrialCounts:
        """Count what has changed in ``trials``, all of the study's in order of number."""
        fresh = range(len(self._before) - 1, len(trials))
        self._trials = trials
        for number in fresh:
            self._add(trials[number])
        looked = [trials[number] for number in (*self._open, *fresh)]
        ended = [trial for trial in looked if trial.state.is_finished()]
        self._open = [trial.number for trial in looked if not trial.state.is_finished()]
        for trial in ended:
            self._end(trial)
        self.best = best_trial([*([self.best] if self.best else []), *ended], self._direction)
        return self

    @property
    def open(self) -> list[FrozenTrial]:
        """The trials that run or wait, in order of number."""
        return [self._trials[number] for number in self._open]

    def configurations(self, before: int | None = None) -> int:
        """How many configurations there are, retries not counted; those of trials ``before`` a number."""
        return self._before[-1 if before is None else min(before, len(self._before) - 1)]

    def spent_retries(self, root: int) -> int:
        """How many attempts at a configuration ended with a cause that spends ``max_retries``."""
        return self._spent[root]

    def is_repeated(self, number: int) -> bool:
        """Whether a trial's configuration was queued again."""
        return number in self._again

    def _add(self, trial: FrozenTrial) -> None:
        former = trial.user_attrs.get(attrs.RETRY_OF)
        self._before.append(self._before[-1] + (former is None))
        if former is not None:
            self._again.add(former)

    def _end(self, trial: FrozenTrial) -> None:
        cause = cause_of(trial)
        self.finished += counts(trial)
        if cause is not None and VERDICTS[cause].again is Again.LIMITED:
            self._spent[root_of(trial)] += 1
