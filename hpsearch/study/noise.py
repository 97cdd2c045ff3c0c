"""The noise floor: how far one run's score lies from its configuration's, because of its seed.

Estimated from all repeats in a study, and shrunk to a prior; docs/trust.md has the prior's sources and the reasons.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from statistics import NormalDist
from typing import TYPE_CHECKING

from hpsearch.data.uncertainty import DocumentScores, student, together
from hpsearch.study import attributes as attrs
from hpsearch.study.records import value_of

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from optuna.trial import FrozenTrial

PRIOR = 0.10  # the median sd of an error rate over seeds, as a share of it
PRIOR_OF_LOSS = 0.015  # of a loss: published ones have 1 to 2 %
SPREAD = 1.0  # the sd of the prior's logarithm: 95 % of studies within a factor of 7
FEWEST = 3.0  # degrees of freedom: what the prior alone is worth
FARTHEST = 3.0  # factor by which the noise at other scores may differ from that at the reference


@dataclass(frozen=True)
class NoiseFloor:
    """The standard deviation of one run's score over seeds, for a configuration whose score is ``at``; ``low`` and
    ``high`` hold it at 95 %. ``repeats`` counts the runs it was measured on, beyond each configuration's first; with
    none it is the prior alone. ``freedom``: its degrees of freedom, for uncertainty.interval.
    """

    sd: float
    low: float
    high: float
    freedom: float
    at: float
    repeats: int
    direction: str = "minimize"

    def sd_at(self, score: float) -> float:
        """Return the sd at another score: it grows with the root of the errors, as counts do."""
        unit = _errors(self.at, self.direction)
        return self.sd * math.sqrt(_ratio(_errors(score, self.direction), unit))

    @property
    def sentence(self) -> str:
        """Say what it is in words."""
        whence = (
            f"measured on {self.repeats} repeat{'s' * (self.repeats != 1)}, shrunk to what is usual"
            if self.repeats
            else "no configuration was repeated: this is what is usual"
        )
        return f"one run's score varies over seeds by {self.sd:.2g} (95 %: {self.low:.2g} to {self.high:.2g}; {whence})"


def noise_floor(
    groups: Sequence[Sequence[float] | DocumentScores],
    at: float | None = None,
    direction: str = "minimize",
    prior: float = PRIOR,
) -> NoiseFloor:
    """Estimate the noise floor from repeated configurations: the scores of their runs, or better their scores by
    document, from which the part of the documents is taken out.

    ``at`` is the score for which it is wanted, such as the best trial's; else the mean of the repeated ones.
    ``prior`` is the usual sd as a share of the errors.
    """
    import numpy as np

    scores = [np.asarray(group.runs if isinstance(group, DocumentScores) else group, dtype=float) for group in groups]
    pairs = [(runs, group) for runs, group in zip(scores, groups, strict=True) if len(runs) > 1]
    if at is None:
        at = float(np.mean([runs.mean() for runs, _ in pairs])) if pairs else 0.0
    errors = [_errors(float(runs.mean()), direction) for runs, _ in pairs]
    unit = _errors(at, direction) or max(errors, default=0.0)
    repeats = sum(len(runs) - 1 for runs, _ in pairs)
    if not unit:
        return NoiseFloor(0.0, 0.0, 0.0, FEWEST, at, repeats, direction)
    # The posterior of the sd as a share of the unit, on a grid of its logarithm.
    shares = np.geomspace(prior * 1e-3, prior * 1e2, 401)
    weights = -0.5 * (np.log(shares / prior) / SPREAD) ** 2
    for (runs, group), error in zip(pairs, errors, strict=True):
        scale = unit**2 * _ratio(error, unit)
        beside = together(group) / len(group.documents) if isinstance(group, DocumentScores) else 0.0
        variances = shares**2 * scale + beside
        weights -= (len(runs) - 1) / 2 * (np.log(variances) + runs.var(ddof=1) / variances)
    weights = np.exp(weights - weights.max())
    weights /= weights.sum()
    below = np.cumsum(weights)
    low, high = (float(np.interp(share, below, shares)) for share in (0.025, 0.975))
    spread = float(np.average(np.log(shares) ** 2, weights=weights) - np.average(np.log(shares), weights=weights) ** 2)
    freedom = max(1 / (2 * spread), FEWEST)
    sd = _reach(shares, weights) / student(0.975, freedom)
    return NoiseFloor(unit * sd, unit * low, unit * high, freedom, at, repeats, direction)


def repeats_of(trials: Iterable[FrozenTrial]) -> list[list[FrozenTrial]]:
    """Return the trials that ran one configuration with several seeds, a list for each configuration: those of the
    same parameters, and those that repeat another trial by its number. One trial a seed: another attempt with it is the
    same run.
    """
    trials = list(trials)
    parameters = {trial.number: tuple(sorted(trial.params.items())) for trial in trials}
    groups: dict[object, dict[object, FrozenTrial]] = defaultdict(dict)
    for trial in trials:
        if value_of(trial) is not None:
            repeated = trial.user_attrs.get(attrs.REPEATS, trial.number)
            configuration = parameters.get(repeated, parameters[trial.number])
            seed = trial.user_attrs.get(attrs.SEED, ("of trial", trial.number))
            groups[configuration].setdefault(seed, trial)
    return [list(runs.values()) for runs in groups.values() if len(runs) > 1]


def _errors(score: float, direction: str) -> float:
    """Return how far a score is from perfect: noise grows with the errors, and a share of 0.99 has few."""
    return 1 - score if direction == "maximize" and 0 <= score <= 1 else abs(score)


def _ratio(errors: float, unit: float) -> float:
    """Return by what a variance differs from that at the unit."""
    return min(max(errors / unit, FARTHEST**-2), FARTHEST**2) if unit else 1.0


def _reach(shares: NDArray[np.float64], weights: NDArray[np.float64]) -> float:
    """Return the 97.5 % quantile of a run's deviation, whose sd is one of ``shares``."""
    import numpy as np

    normal, places = NormalDist(), np.linspace(0, 8, 161)
    reaches = np.geomspace(shares[0], shares[-1] * 3, 80)
    below = np.interp(reaches[:, None] / shares, places, [normal.cdf(place) for place in places]) @ weights
    return float(np.interp(0.975, below, reaches))
