"""`hpsearch plan`: the cost of a study and the time until it is done, estimated from the trials it has."""

from __future__ import annotations

import heapq
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from optuna.trial import FrozenTrial

from hpsearch.config.definition import StudyDefinition
from hpsearch.config.space import space_size
from hpsearch.study.budget import HOUR_S, limit_of, spent_hours
from hpsearch.study.forecast import Forecast, ended_trials
from hpsearch.study.open import readable_definition
from hpsearch.study.options import RunOptions
from hpsearch.study.records import finished
from hpsearch.study.resolve import existing, planned_target, resolve, with_pruner
from hpsearch.study.run import shares_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

# Totals of finished trials that a plan names, beside the study's own target.
TOTALS = (10, 20, 40)
# Trials that show the spread of their times; with fewer it is mostly assumed.
ENOUGH = 5
# Further trials beyond which a limit is as good as none.
MOST = 5000


@dataclass(frozen=True)
class Range:
    """A figure and the range that holds it in nine of ten draws."""

    middle: float
    low: float
    high: float

    @classmethod
    def of(cls, drawn: NDArray[np.float64]) -> Range:
        """Return the median, 5th and 95th percentile of the draws."""
        low, middle, high = np.quantile(drawn, (0.05, 0.5, 0.95))
        return cls(float(middle), float(low), float(high))


@dataclass(frozen=True)
class Outlook:
    """The cost of a total of finished trials: ``gpu_hours`` over the study's life, and ``seconds`` from now."""

    trials: int
    gpu_hours: Range
    seconds: Range


@dataclass(frozen=True)
class Devices:
    """The number of trials at once (``slots``) and of GPUs for each (``named``: known ones, else a slot counts as
    one)."""

    slots: int
    gpus: int
    named: bool


@dataclass(frozen=True)
class Plan:
    """A study's space, its trials so far, and the forecast. ``points`` is None where they are infinite; ``trial_s`` and
    the fields after it are None, and ``outlooks`` empty, while no trial is completed."""

    study: str
    search_mode: str
    points: int | None
    target: int
    finished: int
    whole: int  # trials that ran to their end
    cut: int  # trials that were pruned, or ended by a fault of their configuration
    spent: float  # GPU-hours
    limit: float | None  # GPU-hours
    devices: Devices
    note: str = ""
    trial_s: Range | None = None
    cut_share: Range | None = None
    outlooks: tuple[Outlook, ...] = ()
    within_limit: Range | None = None  # finished trials that the limit allows

    @property
    def is_rough(self) -> bool:
        """True while the spread of the trials' times is mostly assumed, because few have ended."""
        return self.whole < ENOUGH

    def as_json(self) -> dict[str, Any]:
        """Return the plan as JSON values; times in seconds from now."""
        return asdict(self) | {"is_rough": self.is_rough}


def as_stored(options: RunOptions) -> RunOptions:
    """Return the options for an existing study, whose stored definition counts where they name none."""
    study = existing(options, options.study) if options.study else None
    is_ours = study is not None and readable_definition(study) is not None
    return replace(options, must_exist=True) if is_ours else options


def plan_study(options: RunOptions) -> Plan:
    """Plan a study as ``run`` would go on with it. Nothing is written.

    Raises:
        UsageError: the definition or an option is wrong.
        DefinitionChanged: it differs from the one stored with the study.
        StorageError: the storage cannot be used.
    """
    resolved = resolve(options)
    name, definition = resolved.study, resolved.definition
    target, slots = planned_target(options, name, definition), shares_of(options, definition).slots
    study = existing(options, name)
    definition, _ = with_pruner(definition, study, options)
    trials = study.get_trials(deepcopy=False) if study else []
    limit = options.gpu_hours or (limit_of(study) if study else math.inf)
    gpus = len(slots[0].gpus)
    seen = ended_trials(definition, trials)
    known = Plan(
        study=name,
        search_mode=definition.search_mode,
        points=space_size(definition.search_space, grid=definition.search_mode == "grid"),
        target=target,
        finished=finished(trials),
        whole=len(seen.whole),
        cut=len(seen.cut),
        spent=spent_hours(trials),
        limit=limit if math.isfinite(limit) else None,
        devices=Devices(len(slots), max(gpus, 1), gpus > 0),
        note=resolved.note,
    )
    return foresee(known, definition, trials) if seen.whole else known


def foresee(known: Plan, definition: StudyDefinition, trials: Sequence[FrozenTrial]) -> Plan:
    """Add the forecast from the trials so far to a plan. One at least must be completed."""
    forecast = Forecast(definition, trials, definition.seed)
    most = known.points if known.search_mode == "grid" and known.points else math.inf
    totals = sorted({total for total in (*TOTALS, known.target) if known.finished < total <= most})
    share = forecast.draw(1)[1]
    return Plan(
        **vars(known)
        | {
            "trial_s": Range.of(forecast.draw_whole(1)),
            "cut_share": Range.of(share),
            "outlooks": tuple(_outlook(known, forecast, total) for total in totals),
            "within_limit": None if known.limit is None else _within(known, forecast),
        }
    )


def _outlook(known: Plan, forecast: Forecast, total: int) -> Outlook:
    seconds, _ = forecast.draw(total - known.finished)
    spans = np.asarray([makespan(draw, known.devices.slots) for draw in seconds])
    hours = known.spent + known.devices.gpus * seconds.sum(axis=1) / HOUR_S
    return Outlook(total, Range.of(hours), Range.of(spans))


def _within(known: Plan, forecast: Forecast) -> Range:
    """Forecast the number of finished trials when the limit is reached, up to ``MOST`` more than now."""
    left = max(0.0, (known.limit or 0.0) - known.spent)
    usual = float(np.median(forecast.draw(1)[0])) * known.devices.gpus / HOUR_S
    seconds, _ = forecast.draw(round(min(MOST, 20 + 3 * left / usual)))
    fits = np.cumsum(seconds, axis=1) * known.devices.gpus / HOUR_S <= left
    return Range.of(known.finished + fits.sum(axis=1).astype(np.float64))


def makespan(seconds: Sequence[float] | NDArray[np.float64], slots: int) -> float:
    """Return the seconds until all trials are done, each begun in the slot that is free first."""
    if slots == 1:
        return float(np.sum(seconds))
    ends = [0.0] * slots
    for trial_s in seconds:
        heapq.heapreplace(ends, ends[0] + float(trial_s))
    return max(ends)
