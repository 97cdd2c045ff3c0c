"""When a trial is evaluated: at equal fractions of its own training, so that trials of different lengths compare."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from math import ceil

from hpsearch.errors import UsageError
from hpsearch.settings import TrainSettings

# How the rows of one optimiser step are dealt out over forward passes, and what is given up when memory runs out.


@dataclass(frozen=True)
class Batching:
    """``micro`` rows in a forward pass, ``accumulation`` passes in an optimiser step on each of the ``ranks``, and
    whether activations are recomputed (``checkpointing``). ``micro * accumulation * ranks``, the effective batch, is
    what a search is about."""

    micro: int
    accumulation: int
    checkpointing: bool = False
    ranks: int = 1

    @property
    def effective(self) -> int:
        """Rows in an optimiser step."""
        return self.micro * self.accumulation * self.ranks

    def smaller(self) -> Batching | None:
        """The next one that needs less memory for the same effective batch: half the rows in a pass (or the next
        smaller number that divides the effective batch), at last recomputed activations; None where nothing is left."""
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
    """The batching that the settings ask for, of the same effective batch on any number of GPUs. The rows in a pass are
    the greatest divisor of a GPU's part of at most ``per_device_train_batch_size``.

    Raises:
        UsageError: the effective batch cannot be dealt out evenly.
    """
    micro = settings.per_device_train_batch_size
    effective = settings.effective_batch_size or micro * settings.gradient_accumulation_steps
    if effective % ranks:
        raise UsageError(
            f"an effective batch is dealt out evenly, but {effective} rows cannot be to {ranks} GPUs",
            f"make it a multiple of {ranks}, or give fewer --gpus-per-trial",
        )
    micro = _divisor(effective // ranks, micro)
    return Batching(micro, effective // ranks // micro, settings.gradient_checkpointing, ranks)


def _divisor(number: int, limit: int) -> int:
    """The greatest divisor of a number that is at most ``limit``."""
    return next(size for size in range(min(limit, number), 0, -1) if number % size == 0)


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


# How many rows trials are judged on, so that judging takes a small part of their time. Pure arithmetic.

# The part of a trial's time that judging may take; what is aimed at, as a short measurement is not exact; and of that
# what the evaluations on the way take.
MOST, JUDGING, ON_THE_WAY = 0.15, 0.13, 2 / 3
# With fewer rows on the way a curve is mostly chance; more than 64 tell a pruner little more.
FINAL_SETS = {"eval": "validation", "holdout": "holdout"}  # judged at the end, by the beginning of their metrics
EVAL_ROWS = (16, 64)
FINAL_ROWS = (32, 256)  # of each set at the end


@dataclass(frozen=True)
class Pace:
    """Measured on this machine with the default configuration: seconds of an optimiser step; of judging, those of a
    batch whatever it holds and those of each of its rows, at most ``batch_size`` of which fit in one."""

    step_s: float
    batch_s: float
    row_s: float
    batch_size: int

    def judging(self, rows: int) -> float:
        """Seconds of judging so many rows."""
        return ceil(rows / self.batch_size) * self.batch_s + rows * self.row_s

    def affordable(self, seconds: float, bounds: tuple[int, int]) -> int:
        """The most rows within ``bounds`` that can be judged in the time; the lower bound where not even that can."""
        return next((rows for rows in range(bounds[1], bounds[0], -1) if self.judging(rows) <= seconds), bounds[0])


def pace_of(step_s: float, batch_size: int, timed: Mapping[int, float]) -> Pace:
    """The pace from the seconds that batches of two sizes took."""
    (small, small_s), (large, large_s) = sorted(timed.items())[0], sorted(timed.items())[-1]
    row_s = max((large_s - small_s) / (large - small), 0.0) if large > small else 0.0
    return Pace(step_s, max(large_s - large * row_s, 0.0), row_s, batch_size)


@dataclass(frozen=True)
class EvaluationPlan:
    """How trials are judged: at every ``stride``-th of the evaluations on ``rows`` rows, at the end on ``final`` rows
    of each set. ``share`` is the part of a trial's time that it takes."""

    stride: int
    rows: int
    final: int
    share: float


def afford(settings: TrainSettings, pace: Pace, steps: int, there: Mapping[str, int]) -> EvaluationPlan:
    """The judging that fits, where the settings leave it open; what they say stands. ``steps`` are a trial's, ``there``
    the rows of each set."""
    training = steps * pace.step_s
    budget = training * JUDGING / (1 - JUDGING)
    stride, rows = _on_the_way(settings, pace, steps, there["validation"], budget * ON_THE_WAY)
    on_the_way = _made(settings, steps, stride) * pace.judging(rows)
    final = settings.final_samples or pace.affordable((budget - on_the_way) / len(FINAL_SETS), FINAL_ROWS)
    judged = on_the_way + sum(pace.judging(min(final, there[split])) for split in FINAL_SETS.values())
    return EvaluationPlan(stride, rows, final, judged / (judged + training))


def share_warning(judging: EvaluationPlan) -> list[str]:
    """What to say where judging takes more than it should."""
    if judging.share <= MOST:
        return []
    return [
        f"judging will take about {judging.share:.0%} of a trial's time, with {judging.rows} rows at each evaluation "
        f"and {judging.final} at the end: set fewer (evaluations, eval_samples, final_samples), or train longer"
    ]


def _on_the_way(settings: TrainSettings, pace: Pace, steps: int, there: int, budget: float) -> tuple[int, int]:
    """Stride and rows of the evaluations on the way: as many evaluations as fit with the fewest rows that tell
    anything, and then as many rows as fit."""
    stride, rows = 1, 0
    for stride in _strides(settings):
        seconds = budget / max(_made(settings, steps, stride), 1)
        rows = min(settings.eval_samples or pace.affordable(seconds, EVAL_ROWS), there)
        if pace.judging(rows) <= seconds:
            break
    return stride, rows


def _made(settings: TrainSettings, steps: int, stride: int) -> int:
    """How often a trial is judged on the way: evaluations that fall on one step are made once."""
    return len(set(planned(steps, settings.model_copy(update={"eval_stride": stride})).values()))


def _strides(settings: TrainSettings) -> list[int]:
    """Strides that reach the last evaluation and leave at least two."""
    if settings.eval_stride is not None or settings.eval_steps is not None:
        return [settings.eval_stride or 1]
    return [stride for stride in range(1, settings.evaluations // 2 + 1) if settings.evaluations % stride == 0] or [1]
