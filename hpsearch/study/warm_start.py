"""What a study takes over from another one, and whether that helps it.

It is kept with the study as an attribute, and never as trials of it: counts, tables, the best trial, the pruner and
every other Optuna tool see only what this study ran itself. Of the other study's best points some are tried here, as
real trials in turn with trials that know nothing of them. They must do better than those: else no more points are
tried, and what the other study found is not shown to the sampler. Whether they do follows from the stored trials
alone, so that a resumed study goes on as an undisturbed one would.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from optuna.trial import FrozenTrial, TrialState, create_trial

from hpsearch.study import attributes as attrs
from hpsearch.study.records import is_finite

if TYPE_CHECKING:
    from optuna import Study

    from hpsearch.config.definition import StudyDefinition

# So many carried points and as many trials of the study's own are compared.
COMPARED = 3
# Of the 9 pairs of one of each, in so many at least the carried one must be better: where it made no difference, that
# would come about in 4 of 20 studies (the number of pairs is Mann and Whitney's U).
NEEDED_PAIRS = 7


@dataclass(frozen=True)
class TransferredPoint:
    """A trial of another study: its number there, its point in this study's space, and its value there."""

    trial: int
    params: dict[str, Any]
    value: float


@dataclass(frozen=True)
class WarmStart:
    """What is taken over: ``points`` to be tried here, best first, and ``prior``, trials whose values hold here too.
    ``source`` names the other study, ``source_id`` tells it from others of its name."""

    source: str
    source_id: str
    points: tuple[TransferredPoint, ...]
    prior: tuple[TransferredPoint, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """It as JSON values."""
        return asdict(self)

    @staticmethod
    def from_json(values: Mapping[str, Any]) -> WarmStart:
        """Read back what ``to_json`` wrote."""
        points, prior = (tuple(TransferredPoint(**each) for each in values[name]) for name in ("points", "prior"))
        return WarmStart(values["source"], values["source_id"], points, prior)

    def next_point(self, trials: Sequence[FrozenTrial], direction: str) -> TransferredPoint | None:
        """The point that is to be tried next; None where the study's own turn is, or no point is left."""
        first = [trial for trial in trials if attrs.RETRY_OF not in trial.user_attrs]
        begun = sum(attrs.CARRIED in trial.user_attrs for trial in first)
        helps = self.helps(trials, direction)
        allowed = COMPARED if helps is None else len(self.points) if helps else 0
        if begun >= min(allowed, len(self.points)) or (helps is None and begun >= len(first) - begun):
            return None
        return self.points[begun]

    def helps(self, trials: Sequence[FrozenTrial], direction: str) -> bool | None:
        """Whether the carried points did better than the study's own first trials; None while that is not known."""
        carried = [trial for trial in trials if attrs.CARRIED in trial.user_attrs]
        own = [trial for trial in trials if attrs.CARRIED not in trial.user_attrs and _has_ended(trial)][:COMPARED]
        wanted = min(COMPARED, len(self.points))
        begun = sum(attrs.RETRY_OF not in trial.user_attrs for trial in carried)
        is_open = any(trial.state in (TrialState.RUNNING, TrialState.WAITING) for trial in carried)
        ended = [trial for trial in carried if _has_ended(trial)][:wanted]
        if begun < wanted or (is_open and len(ended) < wanted) or len(own) < COMPARED:
            return None
        pairs = sum(_better(one, other, direction) for one in ended for other in own)
        return pairs >= NEEDED_PAIRS / COMPARED**2 * wanted * COMPARED

    def verdict(self, helps: bool) -> str:
        """What follows from whether it helps, as a sentence."""
        if not helps:
            return f"the points of {self.source} did no better than others here: the warm start is given up"
        more = "its values are shown to the sampler from now on" if self.prior else "the others of them are tried too"
        return f"the points of {self.source} did better than others here: {more}"

    def prior_trials(self, definition: StudyDefinition, trials: Sequence[FrozenTrial]) -> list[FrozenTrial]:
        """The trials that the sampler is to see before the study's own: none while it is not known that they help."""
        if not self.prior or not self.helps(trials, definition.objective.direction):
            return []
        ranges: dict[str, Any] = {name: each.distribution() for name, each in definition.search_space.items()}
        return [
            create_trial(params=each.params, distributions={n: ranges[n] for n in each.params}, value=each.value)
            for each in self.prior
        ]


def stored_warm_start(study: Study) -> WarmStart | None:
    """What the study takes over, as stored with it; None where nothing."""
    values = study.user_attrs.get(attrs.WARM_START)
    return None if values is None else WarmStart.from_json(values)


def _has_ended(trial: FrozenTrial) -> bool:
    return trial.state in (TrialState.COMPLETE, TrialState.PRUNED)


def _better(one: FrozenTrial, other: FrozenTrial, direction: str) -> float:
    """1 where the first trial is better, 1/2 where both are alike: pruned, or ended by a fault of the configuration."""
    first, second = _rank(one, direction), _rank(other, direction)
    return 0.5 if first == second else float(first < second)


def _rank(trial: FrozenTrial, direction: str) -> float:
    if trial.state is not TrialState.COMPLETE or not is_finite(trial.value):
        return math.inf
    return float(trial.value or 0.0) * (-1.0 if direction == "maximize" else 1.0)
