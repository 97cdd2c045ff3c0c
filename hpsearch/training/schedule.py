"""The schedule of a trial: the batching of its steps, the steps of its evaluations, and the rows of each evaluation.

Evaluations come at equal fractions of a trial's own training, so that trials of different lengths compare. Pure
arithmetic.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from math import ceil

from hpsearch.errors import UsageError
from hpsearch.settings import TrainSettings

# The part of a trial's time that evaluations may take; the part that is planned, as a short measurement is not exact;
# and of that the part for evaluations during training.
MOST, JUDGING, ON_THE_WAY = 0.15, 0.13, 2 / 3
FINAL_SETS = {"eval": "validation", "holdout": "holdout"}  # evaluated at the end, by the beginning of their metrics
# With fewer rows at an evaluation a curve is mostly chance; more than 64 tell a pruner little more.
EVAL_ROWS = (16, 64)
FINAL_ROWS = (32, 256)  # of each set at the end


@dataclass(frozen=True)
class Batching:
    """The rows of an optimiser step over forward passes: ``micro`` rows in a pass, ``accumulation`` passes on each of
    the ``ranks``; ``checkpointing``: activations are recomputed. ``micro * accumulation * ranks``, the effective batch,
    is what a search is about."""

    micro: int
    accumulation: int
    checkpointing: bool = False
    ranks: int = 1

    @property
    def effective(self) -> int:
        """Rows in an optimiser step."""
        return self.micro * self.accumulation * self.ranks

    def smaller(self) -> Batching | None:
        """Return the next batching that needs less memory for the same effective batch: half the rows in a pass (or the
        next smaller number that divides the effective batch), at last recomputed activations; None after that."""
        if self.micro > 1:
            own = self.effective // self.ranks
            micro = _divisor(own, self.micro // 2)
            return replace(self, micro=micro, accumulation=own // micro)
        return None if self.checkpointing else replace(self, checkpointing=True)

    def __str__(self) -> str:
        recomputed = ", activations recomputed" if self.checkpointing else ""
        gpus = f" x {self.ranks} GPUs" if self.ranks > 1 else ""
        return f"{self.micro} rows x {self.accumulation} passes{gpus} = effective batch {self.effective}{recomputed}"


def batching_of(settings: TrainSettings, ranks: int = 1) -> Batching:
    """Return the batching that the settings ask for, of the same effective batch on any number of GPUs. The rows in a
    pass are the greatest divisor of a GPU's part of at most ``per_device_train_batch_size``.

    Raises:
        UsageError: the effective batch cannot be divided evenly among the ``ranks``.
    """
    micro = settings.per_device_train_batch_size
    effective = settings.effective_batch_size or micro * settings.gradient_accumulation_steps
    if effective % ranks:
        raise UsageError(
            f"an effective batch must divide evenly among GPUs, but {effective} rows cannot be divided among {ranks}",
            f"make it a multiple of {ranks}, or give fewer --gpus-per-trial",
        )
    micro = _divisor(effective // ranks, micro)
    return Batching(micro, effective // ranks // micro, settings.gradient_checkpointing, ranks)


def _divisor(number: int, limit: int) -> int:
    """Return the greatest divisor of a number that is at most ``limit``."""
    return next(size for size in range(min(limit, number), 0, -1) if number % size == 0)


def steps_of(settings: TrainSettings, rows: int) -> int:
    """Count the optimiser steps of a fine-tune on ``rows`` rows, as transformers' trainer does: the last step of an
    epoch may have fewer rows."""
    if settings.max_steps is not None:
        return settings.max_steps
    batching = batching_of(settings)
    passes = ceil(rows / batching.micro)
    return max(1, ceil(settings.num_train_epochs * max(1, ceil(passes / batching.accumulation))))


def evaluation_steps(steps: int, evaluations: int) -> list[int]:
    """Return the step after which each evaluation k = 1..evaluations comes: the first at or past k/evaluations of
    ``steps``. With fewer steps than evaluations several of them fall on one step."""
    return [-(-k * steps // evaluations) for k in range(1, evaluations + 1)]


def evaluation_plan(steps: int, settings: TrainSettings) -> dict[int, int]:
    """Return the evaluations of a training of ``steps`` steps: the step after which each comes, by number. The last is
    always among them."""
    every, stride = settings.eval_steps, settings.eval_stride or 1
    ends = list(range(every, steps + 1, every)) if every else evaluation_steps(steps, settings.evaluations)
    return {k: step for k, step in enumerate(ends, start=1) if k % stride == 0 or k == len(ends)}


class EvaluationSchedule:
    """The evaluations that are still due in a training of ``steps`` steps: those of ``settings``, without those that an
    earlier part of the training made up to and with step ``done``."""

    def __init__(self, steps: int, settings: TrainSettings, done: int = 0) -> None:
        self._steps = evaluation_plan(steps, settings)
        self._last = max((k for k, step in self._steps.items() if step <= done), default=0)

    def due(self, step: int) -> list[int]:
        """Return the numbers of the evaluations that are due after ``step``, each of them once."""
        numbers = [k for k, due in self._steps.items() if k > self._last and due <= step]
        self._last = numbers[-1] if numbers else self._last
        return numbers


@dataclass(frozen=True)
class Pace:
    """Seconds measured on this machine with the default configuration: ``step_s`` of an optimiser step; of an
    evaluation ``batch_s`` for each batch and ``row_s`` for each row in it, of which at most ``batch_size`` fit."""

    step_s: float
    batch_s: float
    row_s: float
    batch_size: int

    def judging(self, rows: int) -> float:
        """Return the seconds of an evaluation on ``rows`` rows."""
        return ceil(rows / self.batch_size) * self.batch_s + rows * self.row_s

    def affordable(self, seconds: float, bounds: tuple[int, int]) -> int:
        """Return the most rows within ``bounds`` whose evaluation fits in the time; the lower bound where none fits."""
        return next((rows for rows in range(bounds[1], bounds[0], -1) if self.judging(rows) <= seconds), bounds[0])


def pace_of(step_s: float, batch_size: int, timed: Mapping[int, float]) -> Pace:
    """Compute the pace from the seconds that batches of two sizes took."""
    (small, small_s), (large, large_s) = sorted(timed.items())[0], sorted(timed.items())[-1]
    row_s = max((large_s - small_s) / (large - small), 0.0) if large > small else 0.0
    return Pace(step_s, max(large_s - large * row_s, 0.0), row_s, batch_size)


@dataclass(frozen=True)
class EvaluationPlan:
    """The evaluations of a trial: every ``stride``-th of those planned, on ``rows`` rows, and at the end one on
    ``final`` rows of each set. ``share`` is the part of a trial's time that they take."""

    stride: int
    rows: int
    final: int
    share: float


def afford(settings: TrainSettings, pace: Pace, steps: int, available: Mapping[str, int]) -> EvaluationPlan:
    """Choose the evaluations that fit the time, where the settings leave them open. ``steps`` are a trial's,
    ``available`` the rows of each set."""
    training = steps * pace.step_s
    budget = training * JUDGING / (1 - JUDGING)

    def count(stride: int) -> int:
        """Count a trial's evaluations during training: those that fall on one step are made once."""
        return len(set(evaluation_plan(steps, settings.model_copy(update={"eval_stride": stride})).values()))

    # As many evaluations as fit with the fewest rows that tell anything, and then as many rows as fit.
    stride, rows = 1, 0
    for stride in _strides(settings):
        seconds = budget * ON_THE_WAY / max(count(stride), 1)
        rows = min(settings.eval_samples or pace.affordable(seconds, EVAL_ROWS), available["validation"])
        if pace.judging(rows) <= seconds:
            break
    during_s = count(stride) * pace.judging(rows)
    final = settings.final_samples or pace.affordable((budget - during_s) / len(FINAL_SETS), FINAL_ROWS)
    total_s = during_s + sum(pace.judging(min(final, available[split])) for split in FINAL_SETS.values())
    return EvaluationPlan(stride, rows, final, total_s / (total_s + training))


def _strides(settings: TrainSettings) -> list[int]:
    """List the strides that reach the last evaluation and leave at least two."""
    if settings.eval_stride is not None or settings.eval_steps is not None:
        return [settings.eval_stride or 1]
    return [stride for stride in range(1, settings.evaluations // 2 + 1) if settings.evaluations % stride == 0] or [1]


def share_warning(plan: EvaluationPlan) -> list[str]:
    """Warn where evaluations take more of a trial's time than they should."""
    if plan.share <= MOST:
        return []
    return [
        f"judging will take about {plan.share:.0%} of a trial's time, with {plan.rows} rows at each evaluation "
        f"and {plan.final} at the end: set fewer (evaluations, eval_samples, final_samples), or train longer"
    ]
