"""GPU-hours: what a study's trials have spent, and whether one more fits into what is left.

A trial spends the wall time of its process tree times the GPUs of its slot, whatever came of it: pruned, failed and
interrupted attempts count as finished ones do. A slot that names no GPU counts as one device. Preparing does not count.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from statistics import median

from optuna import Study
from optuna.trial import FrozenTrial, TrialState

from hpsearch.study import attributes as attrs
from hpsearch.study.records import counts, root_of

HOUR_S = 3600.0


@dataclass(frozen=True)
class Budget:
    """At most so many GPU-``hours`` over a study's life; each trial of this run has so many ``gpus``, of which
    ``named`` says whether they are known, or stand for a slot without any."""

    hours: float = math.inf
    gpus: int = 1
    named: bool = True

    @property
    def is_limited(self) -> bool:
        """Whether there is a limit at all."""
        return math.isfinite(self.hours)

    def spent(self, trials: Iterable[FrozenTrial], running_s: Iterable[float] = ()) -> float:
        """GPU-hours of ended ``trials``, and of those that have run for so many seconds."""
        return spent_hours(trials) + self._hours(running_s)

    def is_spent(self, trials: Iterable[FrozenTrial], running_s: Iterable[float] = ()) -> bool:
        """Whether nothing is left: what runs is to stop."""
        return self.is_limited and self.spent(trials, running_s) >= self.hours

    def has_room(self, trials: Sequence[FrozenTrial], running_s: Sequence[float]) -> bool:
        """Whether one more trial is likely to end in time, next to those that run: each is taken to need what is usual.
        While nothing is known of that, it has."""
        usual = usual_s(trials)
        if usual is None or not self.is_limited:
            return True
        needed = [max(elapsed, usual) for elapsed in running_s]
        return self.spent(trials, [*needed, usual]) <= self.hours

    def text(self, hours: float) -> str:
        """So many GPU-hours spent, in words."""
        limit = f" of {self.hours:g}" if self.is_limited else ""
        return f"{hours:.3g}{limit} GPU-hours spent" + ("" if self.named else " (a slot without a GPU counts as one)")

    def _hours(self, seconds: Iterable[float]) -> float:
        return self.gpus * sum(seconds) / HOUR_S


def spent_hours(trials: Iterable[FrozenTrial]) -> float:
    """GPU-hours of the trials that have ended."""
    return sum(gpus_of(trial) * seconds_of(trial) for trial in trials) / HOUR_S


def running_hours(trials: Iterable[FrozenTrial]) -> float:
    """GPU-hours so far of the trials that run now, by when they were written to have begun."""
    running = [trial for trial in trials if trial.state is TrialState.RUNNING and trial.datetime_start]
    return sum(gpus_of(trial) * max(0.0, _since(trial.datetime_start)) for trial in running) / HOUR_S


def seconds_of(trial: FrozenTrial) -> float:
    """Wall time of an ended trial's process tree in seconds; 0 for one that runs, or was never launched."""
    return float(trial.user_attrs.get(attrs.DURATION, 0.0))


def gpus_of(trial: FrozenTrial) -> int:
    """GPUs of a trial's slot; 1 for one that names none, and where it was not written."""
    return int(trial.user_attrs.get(attrs.GPUS, 1))


def usual_s(trials: Sequence[FrozenTrial]) -> float | None:
    """Seconds that a trial takes, with all its attempts: the median of the completed ones, or while there is none of
    the pruned ones; None while there is neither."""
    ended = whole_s(trials)
    complete = [seconds for trial, seconds in ended if trial.state is TrialState.COMPLETE]
    return median(complete or [seconds for _, seconds in ended]) if ended else None


def whole_s(trials: Sequence[FrozenTrial]) -> list[tuple[FrozenTrial, float]]:
    """The trials that count as finished, each with the seconds that all attempts at its configuration took: one that
    went on from a checkpoint took those before it too."""
    spent: defaultdict[int, float] = defaultdict(float)
    for trial in trials:
        spent[root_of(trial)] += seconds_of(trial)
    return [(trial, spent[root_of(trial)]) for trial in trials if counts(trial)]


def _since(moment: datetime | None) -> float:
    return (datetime.now(moment.tzinfo) - moment).total_seconds() if moment else 0.0


def settle_budget(study: Study, asked: float | None) -> float:
    """Store the GPU-hours asked for, so that they hold for later runs too, and say how many the study may spend.

    ``math.inf`` lifts the limit. None leaves what was asked for before.
    """
    if asked is not None and asked != limit_of(study):
        study.set_user_attr(attrs.GPU_HOURS, asked if math.isfinite(asked) else None)
    return limit_of(study)


def limit_of(study: Study) -> float:
    """GPU-hours that a study may spend; ``math.inf`` where none was asked for."""
    stored = study.user_attrs.get(attrs.GPU_HOURS)
    return math.inf if stored is None else float(stored)
