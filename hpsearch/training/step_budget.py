"""How many rows trials are judged on, so that judging takes a small part of their time. Pure arithmetic."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import ceil

from hpsearch.settings import TrainSettings
from hpsearch.training.schedule import planned

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
class Judging:
    """How trials are judged: at every ``stride``-th of the evaluations on ``rows`` rows, at the end on ``final`` rows
    of each set. ``share`` is the part of a trial's time that it takes."""

    stride: int
    rows: int
    final: int
    share: float


def afford(settings: TrainSettings, pace: Pace, steps: int, there: Mapping[str, int]) -> Judging:
    """The judging that fits, where the settings leave it open; what they say stands. ``steps`` are a trial's, ``there``
    the rows of each set."""
    training = steps * pace.step_s
    budget = training * JUDGING / (1 - JUDGING)
    stride, rows = _on_the_way(settings, pace, steps, there["validation"], budget * ON_THE_WAY)
    on_the_way = _made(settings, steps, stride) * pace.judging(rows)
    final = settings.final_samples or pace.affordable((budget - on_the_way) / len(FINAL_SETS), FINAL_ROWS)
    judged = on_the_way + sum(pace.judging(min(final, there[split])) for split in FINAL_SETS.values())
    return Judging(stride, rows, final, judged / (judged + training))


def share_warning(judging: Judging) -> list[str]:
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
