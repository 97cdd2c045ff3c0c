"""A warm start: what a study reuses of another one, and whether that helps it.

It is stored with the study as an attribute, and never as trials of it: counts, tables, the best trial, the pruner and
every other Optuna tool see only what this study ran itself. Some of the other study's best points are tried here, as
real trials in turn with trials that know nothing of them. They must do better than those: else no more points are
tried, and the other study's values are not shown to the sampler. Whether they do follows from the stored trials alone,
so that a resumed study goes on as an undisturbed one would.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from optuna.trial import FrozenTrial, TrialState, create_trial

from hpsearch.study import attributes as attrs
from hpsearch.study.records import rank, value_of

if TYPE_CHECKING:
    from optuna import Study

    from hpsearch.config.definition import StudyDefinition

# This many reused points are compared with as many trials of the study's own.
COMPARED = 3
# Of the 9 pairs of one of each, the reused one must be better in at least this many: where it made no difference, that
# would happen in 4 of 20 studies (the number of pairs is Mann and Whitney's U).
NEEDED_PAIRS = 7


@dataclass(frozen=True)
class TransferredPoint:
    """A trial of another study: its number there, its point in this study's space, and its value there."""

    trial: int
    params: dict[str, Any]
    value: float


@dataclass(frozen=True)
class WarmStart:
    """What is reused: ``points`` to be tried here, best first, and ``prior``, trials whose values hold here too.
    ``source`` names the other study, ``source_id`` tells it from others of its name."""

    source: str
    source_id: str
    points: tuple[TransferredPoint, ...]
    prior: tuple[TransferredPoint, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """Return it as JSON values."""
        return asdict(self)

    @staticmethod
    def from_json(values: Mapping[str, Any]) -> WarmStart:
        """Read back what ``to_json`` wrote."""
        points, prior = (tuple(TransferredPoint(**point) for point in values[name]) for name in ("points", "prior"))
        return WarmStart(values["source"], values["source_id"], points, prior)

    def next_point(self, trials: Sequence[FrozenTrial], direction: str) -> TransferredPoint | None:
        """Return the point to try next; None where a trial of the study's own is due, or no point is left."""
        first = [trial for trial in trials if attrs.RETRY_OF not in trial.user_attrs]
        begun = sum(attrs.CARRIED in trial.user_attrs for trial in first)
        helps = self.helps(trials, direction)
        allowed = COMPARED if helps is None else len(self.points) if helps else 0
        if begun >= min(allowed, len(self.points)) or (helps is None and begun >= len(first) - begun):
            return None
        return self.points[begun]

    def helps(self, trials: Sequence[FrozenTrial], direction: str) -> bool | None:
        """Return True if the reused points did better than the study's own first trials; None while that is unknown."""
        reused = [trial for trial in trials if attrs.CARRIED in trial.user_attrs]
        own = [trial for trial in trials if attrs.CARRIED not in trial.user_attrs and _has_ended(trial)][:COMPARED]
        needed = min(COMPARED, len(self.points))
        begun = sum(attrs.RETRY_OF not in trial.user_attrs for trial in reused)
        is_open = any(trial.state in (TrialState.RUNNING, TrialState.WAITING) for trial in reused)
        ended = [trial for trial in reused if _has_ended(trial)][:needed]
        if begun < needed or (is_open and len(ended) < needed) or len(own) < COMPARED:
            return None
        ranks, own_ranks = ([_rank(trial, direction) for trial in group] for group in (ended, own))
        # Two alike, pruned or ended by a fault of the configuration, make half a pair.
        pairs = sum(0.5 if one == other else float(one < other) for one in ranks for other in own_ranks)
        return pairs >= NEEDED_PAIRS / COMPARED**2 * needed * COMPARED

    def verdict(self, helps: bool) -> str:
        """Return a sentence that says what follows from whether it helps."""
        if not helps:
            return f"the points of {self.source} did no better than others here: the warm start is given up"
        more = "its values are shown to the sampler from now on" if self.prior else "the others of them are tried too"
        return f"the points of {self.source} did better than others here: {more}"

    def prior_trials(self, definition: StudyDefinition, trials: Sequence[FrozenTrial]) -> list[FrozenTrial]:
        """Return the trials that the sampler sees before the study's own: none while it is not known that they help."""
        if not self.prior or not self.helps(trials, definition.objective.direction):
            return []
        ranges: dict[str, Any] = {name: axis.distribution() for name, axis in definition.search_space.items()}
        return [
            create_trial(params=point.params, distributions={n: ranges[n] for n in point.params}, value=point.value)
            for point in self.prior
        ]


def stored_warm_start(study: Study) -> WarmStart | None:
    """Read what a study reuses of another one; None where nothing."""
    values = study.user_attrs.get(attrs.WARM_START)
    return None if values is None else WarmStart.from_json(values)


def _has_ended(trial: FrozenTrial) -> bool:
    return trial.state in (TrialState.COMPLETE, TrialState.PRUNED)


def _rank(trial: FrozenTrial, direction: str) -> float:
    value = value_of(trial)
    return math.inf if value is None else rank(value, direction)
