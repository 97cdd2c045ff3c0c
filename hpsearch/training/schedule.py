"""When a trial is evaluated: at equal fractions of its own training, so that trials of different lengths compare."""

from __future__ import annotations

from math import ceil

from hpsearch.settings import TrainSettings
from hpsearch.training.batches import batching_of


def steps_of(settings: TrainSettings, rows: int) -> int:
    """Optimiser steps of a fine-tune on so many rows, as transformers' trainer counts them: the last step of an epoch
    may have fewer rows."""
    if settings.max_steps is not None:
        return settings.max_steps
    batching = batching_of(settings)
    passes = ceil(rows / batching.micro)
    return max(1, ceil(settings.num_train_epochs * max(1, ceil(passes / batching.accumulation))))


def evaluation_steps(steps: int, evaluations: int) -> list[int]:
    """The optimiser step after which each evaluation k = 1..evaluations comes: the first at or past k/evaluations of
    ``steps``. With fewer steps than evaluations several of them fall on one step."""
    return [-(-k * steps // evaluations) for k in range(1, evaluations + 1)]


def planned(steps: int, settings: TrainSettings) -> dict[int, int]:
    """The evaluations of a training of so many steps: by number, the step after which each comes. The last is always
    among them."""
    every, stride = settings.eval_steps, settings.eval_stride or 1
    found = list(range(every, steps + 1, every)) if every else evaluation_steps(steps, settings.evaluations)
    return {k: at for k, at in enumerate(found, start=1) if k % stride == 0 or k == len(found)}


class EvaluationSchedule:
    """Says which evaluations are due as the steps go by: those of ``settings`` in a training of so many steps, without
    those that an earlier part of it made, up to and with step ``done``."""

    def __init__(self, steps: int, settings: TrainSettings, done: int = 0) -> None:
        self._steps = planned(steps, settings)
        self._given_out = max((k for k, at in self._steps.items() if at <= done), default=0)

    def due(self, step: int) -> list[int]:
        """Numbers of the evaluations that are due after ``step`` and were not yet given out."""
        numbers = [k for k, at in self._steps.items() if k > self._given_out and at <= step]
        self._given_out = numbers[-1] if numbers else self._given_out
        return numbers
