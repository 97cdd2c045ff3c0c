"""Reading what hpsearch wrote about trials: the counting rules in one place."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from optuna.trial import FrozenTrial, TrialState

from hpsearch.execution.job import LARGEST
from hpsearch.execution.outcome import Cause
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
