"""Reading trials: why each ended, which count towards the target, which is best. All rules of counting are here."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from operator import itemgetter
from typing import TYPE_CHECKING, Any

from hpsearch.execution.job import LARGEST
from hpsearch.execution.outcome import VERDICTS, Again, Cause
from hpsearch.study import attributes as attrs

if TYPE_CHECKING:  # Optuna's import takes seconds, which --help and a report's import need not wait for
    from optuna.trial import FrozenTrial

_CAUSES = {cause.value: cause for cause in Cause}


def cause_of(trial: FrozenTrial) -> Cause | None:
    """Return why a trial ended; None while it runs, or where another program ended it."""
    value = trial.user_attrs.get(attrs.OUTCOME)
    return _CAUSES.get(value) if isinstance(value, str) else None


def root_of(trial: FrozenTrial) -> int:
    """Return the number of a trial's first attempt."""
    return int(trial.user_attrs.get(attrs.ROOT, trial.number))


def attempt_of(trial: FrozenTrial) -> int:
    """Return which attempt at its configuration a trial is, from 1."""
    return int(trial.user_attrs.get(attrs.ATTEMPT, 1))


def attempt_label(root: int, attempt: int) -> str:
    """Return a trial as people read it: 5, and 5 (2nd attempt) for one that repeats it."""
    ending = {1: "st", 2: "nd", 3: "rd"}.get(0 if attempt % 100 in (11, 12, 13) else attempt % 10, "th")
    return str(root) if attempt == 1 else f"{root} ({attempt}{ending} attempt)"


def metrics_of(trial: FrozenTrial) -> dict[str, float]:
    """Return the final metrics of a trial."""
    metrics: dict[str, Any] = trial.user_attrs.get(attrs.METRICS, {})
    return {name: float(value) for name, value in metrics.items()}


def is_counted(trial: FrozenTrial) -> bool:
    """Return True if a trial counts towards the study's target: it was launched, and completed or pruned."""
    return trial.state.name in ("COMPLETE", "PRUNED") and attrs.NOT_TRIED not in trial.user_attrs


def finished(trials: Iterable[FrozenTrial]) -> int:
    """Count the trials that count towards the target."""
    return sum(map(is_counted, trials))


def is_finite(value: float | None) -> bool:
    """Return True if ``value`` is a finite number of at most 1e300: scripts write larger ones for infinite."""
    return value is not None and abs(value) <= LARGEST


def value_of(trial: FrozenTrial) -> float | None:
    """Return the final value of a completed trial where it is finite; else None: the trial has no rank."""
    return trial.value if trial.state.name == "COMPLETE" and is_finite(trial.value) else None


def rank(value: float, direction: str) -> float:
    """Return a number that is lower for a better value; ``direction`` is "minimize" or "maximize"."""
    return -value if direction == "maximize" else value


def best_first(trials: Iterable[FrozenTrial], direction: str) -> list[FrozenTrial]:
    """Return the completed trials with a finite value, best first; the earlier one first where two are equal."""
    ranked = [
        (rank(value, direction), trial.number, trial) for trial in trials if (value := value_of(trial)) is not None
    ]
    return [trial for *_, trial in sorted(ranked, key=itemgetter(0, 1))]


def best_trial(trials: Iterable[FrozenTrial], direction: str) -> FrozenTrial | None:
    """Return the first of ``best_first``; None where no trial has a value."""
    return next(iter(best_first(trials, direction)), None)


class TrialCounts:
    """Counts over the trials of one study, kept while they come and end.

    A finished trial never changes and trials are only added, so that of many thousands only the open and the new ones
    are read each time. All counts follow from the stored trials: nothing is lost with the runner. ``direction`` is the
    objective's.
    """

    def __init__(self, direction: str) -> None:
        self._direction = direction
        self._trials: Sequence[FrozenTrial] = ()
        self._open: list[int] = []
        self._before: list[int] = [0]  # configurations among the trials before each number
        self._spent: Counter[int] = Counter()
        self._retried: set[int] = set()
        self.finished = 0
        self.best: FrozenTrial | None = None

    def update(self, trials: Sequence[FrozenTrial]) -> TrialCounts:
        """Count what has changed in ``trials``, all of the study's in order of number."""
        fresh = range(len(self._before) - 1, len(trials))
        self._trials = trials
        for number in fresh:
            former = trials[number].user_attrs.get(attrs.RETRY_OF)
            self._before.append(self._before[-1] + (former is None))
            if former is not None:
                self._retried.add(former)
        changed = [trials[number] for number in (*self._open, *fresh)]
        ended = [trial for trial in changed if trial.state.is_finished()]
        self._open = [trial.number for trial in changed if not trial.state.is_finished()]
        self.finished += finished(ended)
        for trial in ended:
            cause = cause_of(trial)
            if cause is not None and VERDICTS[cause].again is Again.LIMITED:
                self._spent[root_of(trial)] += 1
        self.best = best_trial([*([self.best] if self.best else []), *ended], self._direction)
        return self

    @property
    def open(self) -> list[FrozenTrial]:
        """The trials that run or wait, in order of number."""
        return [self._trials[number] for number in self._open]

    def configurations(self, before: int | None = None) -> int:
        """Count the configurations, without retries; only those of trials ``before`` a number where one is given."""
        return self._before[-1 if before is None else min(before, len(self._before) - 1)]

    def spent_retries(self, root: int) -> int:
        """Count the attempts at a configuration that ended with a cause that spends ``max_retries``."""
        return self._spent[root]

    def is_retried(self, number: int) -> bool:
        """Return True if a trial's configuration was queued again."""
        return number in self._retried
