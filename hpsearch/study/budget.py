"""GPU-hours: those that a study's trials have spent, and whether another trial fits into the rest.

A trial spends the wall time of its process tree times the GPUs of its slot, however it ends: pruned, failed and
interrupted attempts count as finished ones do. A slot that names no GPU counts as one device. Preparing does not count.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from statistics import median
from typing import TYPE_CHECKING

from hpsearch.study import attributes as attrs
from hpsearch.study.records import is_counted, root_of

if TYPE_CHECKING:  # Optuna's import takes seconds, which --help and a report's import need not wait for
    from optuna import Study
    from optuna.trial import FrozenTrial

HOUR_S = 3600.0


@dataclass(frozen=True)
class Budget:
    """At most ``hours`` GPU-hours over a study's life. Each trial of this run has ``gpus`` GPUs; where they are not
    ``named``, its slot has none and counts as one."""

    hours: float = math.inf
    gpus: int = 1
    named: bool = True

    @property
    def is_limited(self) -> bool:
        """True if there is a limit."""
        return math.isfinite(self.hours)

    def spent(self, trials: Iterable[FrozenTrial], running_s: Iterable[float] = ()) -> float:
        """Return the GPU-hours of ended ``trials``, and of those that have run for ``running_s`` seconds."""
        return spent_hours(trials) + self.gpus * sum(running_s) / HOUR_S

    def is_spent(self, trials: Iterable[FrozenTrial], running_s: Iterable[float] = ()) -> bool:
        """Return True if nothing is left: the running trials are to stop."""
        return self.is_limited and self.spent(trials, running_s) >= self.hours

    def has_room(self, trials: Sequence[FrozenTrial], running_s: Sequence[float]) -> bool:
        """Return True if another trial of median duration fits beside those that run, or while no trial has ended."""
        usual = usual_s(trials)
        if usual is None or not self.is_limited:
            return True
        needed = [max(elapsed, usual) for elapsed in running_s]
        return self.spent(trials, [*needed, usual]) <= self.hours

    @property
    def unit(self) -> str:
        """The unit in words."""
        return hours_word(self.named)

    def text(self, hours: float) -> str:
        """Say how many hours are spent."""
        limit = f" of {self.hours:g}" if self.is_limited else ""
        return f"{hours:.3g}{limit} {self.unit} spent"


def hours_word(has_gpu: bool) -> str:
    """Return the unit of a budget in words: without a GPU, a slot counts as one device."""
    return "GPU-hours" if has_gpu else "hours of trials"


def ran_on_gpu(trials: Iterable[FrozenTrial], device: str) -> bool:
    """Return True if a trial is known to have had a GPU; ``device`` is the prepared study's, empty if unknown."""
    return device not in ("", "cpu") or any(
        attrs.DEVICE in trial.user_attrs or trial.user_attrs.get(attrs.GPUS, 1) != 1 for trial in trials
    )


def spent_hours(trials: Iterable[FrozenTrial]) -> float:
    """Return the GPU-hours of the trials that have ended."""
    return sum(gpus_of(trial) * seconds_of(trial) for trial in trials) / HOUR_S


def running_hours(trials: Iterable[FrozenTrial]) -> float:
    """Return the GPU-hours so far of the trials that run now, from their stored start."""
    seconds = 0.0
    for trial in trials:
        start = trial.datetime_start
        if trial.state.name == "RUNNING" and start:
            seconds += gpus_of(trial) * max(0.0, (datetime.now(start.tzinfo) - start).total_seconds())
    return seconds / HOUR_S


def seconds_of(trial: FrozenTrial) -> float:
    """Return the wall time of an ended trial's process tree in seconds; 0 for one that runs, or was never launched."""
    return float(trial.user_attrs.get(attrs.DURATION, 0.0))


def gpus_of(trial: FrozenTrial) -> int:
    """Return the number of GPUs of a trial's slot; 1 for one that names none, and where it was not written."""
    return int(trial.user_attrs.get(attrs.GPUS, 1))


def usual_s(trials: Sequence[FrozenTrial]) -> float | None:
    """Return the median seconds of the completed trials with all their attempts, of the pruned ones while none is
    completed; None while there is neither."""
    ended = whole_s(trials)
    complete = [seconds for trial, seconds in ended if trial.state.name == "COMPLETE"]
    return median(complete or [seconds for _, seconds in ended]) if ended else None


def whole_s(trials: Sequence[FrozenTrial]) -> list[tuple[FrozenTrial, float]]:
    """Return the trials that count as finished, each with the seconds that all attempts at its configuration took: one
    that went on from a checkpoint took those before it too."""
    spent: defaultdict[int, float] = defaultdict(float)
    for trial in trials:
        spent[root_of(trial)] += seconds_of(trial)
    return [(trial, spent[root_of(trial)]) for trial in trials if is_counted(trial)]


def settle_budget(study: Study, asked: float | None) -> float:
    """Store the GPU-hours asked for, so that they hold for later runs too; return how many the study may spend.

    ``math.inf`` lifts the limit. None leaves the stored one.
    """
    if asked is not None and asked != limit_of(study):
        study.set_user_attr(attrs.GPU_HOURS, asked if math.isfinite(asked) else None)
    return limit_of(study)


def limit_of(study: Study) -> float:
    """Return the GPU-hours that a study may spend; ``math.inf`` where no limit was given."""
    stored = study.user_attrs.get(attrs.GPU_HOURS)
    return math.inf if stored is None else float(stored)
