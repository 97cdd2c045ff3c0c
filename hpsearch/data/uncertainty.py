"""What a score is worth: intervals of scores and of differences, over seeds and documents. docs/trust.md has the
method, why it was chosen, and its measured coverage.

A configuration's runs are judged on the same documents, so seeds and documents are crossed: one draw of documents
serves all seeds. The variance of the score is that of the seeds, of the documents and of both together
(a two-way analysis of variance of linearised ratios); the few seeds and the skewed documents each widen the interval.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache
from statistics import NormalDist
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

MOST_SKEW = (
    1.0  # that of a mean in which one document has all errors; an estimate beyond it is one of too few documents
)


@dataclass(frozen=True)
class Interval:
    """A value, and the range that holds it at the asked level (95 %, if nothing else was asked). ``low`` and ``high``
    are None if nothing can be said: all rows are of one document.

    ``this_run_only``: the range is that of the run's own adapter on other documents; another seed may lie outside,
    because there is one run and no estimate of the seeds' noise. Of a difference: that of these two runs.
    """

    value: float
    low: float | None = None
    high: float | None = None
    this_run_only: bool = False


@dataclass(frozen=True, eq=False)
class DocumentScores:
    """One configuration's runs on the same documents. A run's score is the sum of ``above`` over the sum of ``below``
    (errors and characters, for CER); the configuration's is the mean of its runs'.

    ``above`` and ``below`` have one row a run and one column a document. ``seeds`` name the runs: the runs of two
    configurations are paired only if both name the same seeds.

    Raises:
        ValueError: shapes differ, nothing is there, or a value is not finite, or a ``below`` negative.
    """

    documents: tuple[str, ...]
    above: NDArray[np.float64]
    below: NDArray[np.float64]
    seeds: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        import numpy as np

        for name in ("above", "below"):
            object.__setattr__(self, name, np.atleast_2d(np.asarray(getattr(self, name), dtype=float)))
        runs = len(self.above)
        if self.above.shape != self.below.shape or self.above.shape[1] != len(self.documents):
            raise ValueError("scores have one row a run and one column a document, above and below alike")
        if not self.above.size:
            raise ValueError("scores are of at least one run and one document")
        if self.seeds and len(self.seeds) != runs:
            raise ValueError(f"{runs} runs have {runs} seeds, not {len(self.seeds)}")
        if not (np.isfinite(self.above).all() and np.isfinite(self.below).all() and (self.below >= 0).all()):
            raise ValueError("scores are finite numbers, and no document has a negative length")

    @property
    def runs(self) -> NDArray[np.float64]:
        """Each run's score. References that are all empty count as one unit together."""
        import numpy as np

        below = self.below.sum(axis=1)
        ratios: NDArray[np.float64] = self.above.sum(axis=1) / np.where(below > 0, below, 1.0)
        return ratios

    @property
    def value(self) -> float:
        """The configuration's score."""
        return float(self.runs.mean())

    def linearised(self) -> NDArray[np.float64]:
        """Return each document's part in each run's score: parts whose mean is the score, and whose variance is the
        ratio's to first order (delta method)."""
        import numpy as np

        runs, lengths = self.runs[:, None], self.below.mean(axis=1, keepdims=True)
        parts: NDArray[np.float64] = runs + (self.above - runs * self.below) / np.where(lengths > 0, lengths, 1.0)
        return parts


@dataclass(frozen=True)
class _Part:
    """A part of a score's variance, and its degrees of freedom."""

    variance: float
    freedom: float


def interval(
    scores: DocumentScores, level: float = 0.95, seed_sd: float | None = None, seed_freedom: float = math.inf
) -> Interval:
    """Return a configuration's score and its interval over seeds and documents.

    ``seed_sd`` is the standard deviation of one run's score over seeds, in the score's units, estimated elsewhere (the
    noise floor) with ``seed_freedom`` degrees of freedom: if it can be, without what seeds and single documents have
    together, as that counts with the documents. With one run it is the only word on other seeds: without it the
    interval is of this run only. With several runs both estimates are pooled by their degrees of freedom.
    """
    parts = scores.linearised()
    seeds, documents = parts.shape
    value = scores.value
    if documents == 1:
        return Interval(value)
    alone = seeds == 1 and seed_sd is None
    variances = [*_of_seeds(parts, seed_sd, seed_freedom), _of_documents(parts)]
    low, high = _ends(value, variances, _third_moment(parts.mean(axis=0)), level)
    if not scores.above.any():
        high = max(high, _share_unseen(documents, level))
    elif (scores.above == scores.below).all():
        low = min(low, 1 - _share_unseen(documents, level))
    if (scores.above >= 0).all():
        low = max(low, 0.0)
    return Interval(value, low, high, this_run_only=alone)


def difference(
    first: DocumentScores,
    second: DocumentScores,
    level: float = 0.95,
    seed_sd: float | None = None,
    seed_freedom: float = math.inf,
) -> Interval:
    """Return the first configuration's score less the second's, and its interval. Documents are paired; runs are if
    both configurations name the same seeds.

    ``seed_sd`` is as in ``interval``, for both configurations: a relative noise floor is taken at their mean.

    Raises:
        ValueError: the documents differ.
    """
    if first.documents != second.documents:
        raise ValueError("a difference is one on the same documents, in the same order")
    ours, theirs = first.linearised(), second.linearised()
    value = first.value - second.value
    if len(first.documents) == 1:
        return Interval(value)
    single = min(len(ours), len(theirs)) == 1
    columns = ours.mean(axis=0) - theirs.mean(axis=0)
    if first.seeds and first.seeds == second.seeds:
        # The noise floor knows nothing of the pairs' correlation: only single runs need it, as if there were none.
        sd = seed_sd * math.sqrt(2) if seed_sd is not None and single else None
        variances = [*_of_seeds(ours - theirs, sd, seed_freedom), _of_documents(ours - theirs)]
    else:
        seeds = [part for parts in (ours, theirs) for part in _of_seeds(parts, seed_sd, seed_freedom)]
        variances = [*seeds, _of_paired_documents(ours, theirs)]
    low, high = _ends(value, variances, _third_moment(columns), level)
    if not (first.above.any() or second.above.any()):
        high = max(high, _share_unseen(len(columns), level))
        low = -high
    return Interval(value, low, high, this_run_only=single and seed_sd is None)


def documents_needed(scores: DocumentScores, relative: float = 0.10, level: float = 0.95) -> int | None:
    """Return with how many such documents half the interval of one run's score, as far as documents decide it, is
    ``relative`` of the score. Of two configurations that agree on documents as usual (correlation 0.5), a paired
    difference of that size is then told from none.

    Without any error the score is taken as if one document had one. None: one document says nothing of others.
    """
    import numpy as np

    documents = len(scores.documents)
    if documents == 1:
        return None
    width = NormalDist().inv_cdf(0.5 + level / 2) / relative
    if not scores.value:
        return math.ceil(width**2 * documents)
    spread = float(np.var(scores.linearised(), axis=1, ddof=1).mean())
    return max(math.ceil(width**2 * spread / scores.value**2), 2)


def together(scores: DocumentScores) -> float:
    """Return the variance of one run's score on one document beyond the run's and the document's own."""
    return _interaction(scores.linearised())


def _share_unseen(documents: int, level: float) -> float:
    """Return the largest share of documents unlike all of these, which are alike, without errors or all wrong: 3 / n
    at 95 % (rule of three). The score is off by no more, as long as a document's is within 0 and 1."""
    return 1.0 - float((1 - level) ** (1 / documents))


def _of_seeds(parts: NDArray[np.float64], seed_sd: float | None, seed_freedom: float) -> list[_Part]:
    """Return the variance of a mean over seeds, documents being what they are: none, if there is no word on it."""
    import numpy as np

    seeds, documents = parts.shape
    own, floor = 0.0, 0.0
    if seeds > 1:
        own = float(np.var(parts.mean(axis=1), ddof=1))
        # Runs differ at least by what documents and seeds have together, which is known far better.
        floor = _interaction(parts) / documents
    freedom = seeds - 1.0
    if seed_sd is not None:
        weight = 1.0 if math.isinf(seed_freedom) else seed_freedom / (freedom + seed_freedom)
        own = (1 - weight) * own + weight * (seed_sd**2 + floor)
        freedom += seed_freedom
    if not freedom:
        return []
    if own < floor:
        own, freedom = floor, freedom + (seeds - 1) * (documents - 1)
    return [_Part(own / seeds, freedom)]


def _of_documents(parts: NDArray[np.float64]) -> _Part:
    """Return the variance of a mean over documents beyond what ``_of_seeds`` has of both together. With one run, both
    cannot be told apart and all counts."""
    import numpy as np

    seeds, documents = parts.shape
    spread = float(np.var(parts.mean(axis=0), ddof=1))
    if seeds > 1:
        spread -= _interaction(parts) / seeds
    return _Part(max(spread, 0.0) / documents, documents - 1)


def _of_paired_documents(ours: NDArray[np.float64], theirs: NDArray[np.float64]) -> _Part:
    import numpy as np

    documents = ours.shape[1]
    spread = float(np.var(ours.mean(axis=0) - theirs.mean(axis=0), ddof=1))
    spread -= sum(_interaction(parts) / len(parts) for parts in (ours, theirs) if len(parts) > 1)
    return _Part(max(spread, 0.0) / documents, documents - 1)


def _interaction(parts: NDArray[np.float64]) -> float:
    """Return the variance of a run's document beyond the run's and the document's own."""
    seeds, documents = parts.shape
    rest = parts - parts.mean(axis=1, keepdims=True) - parts.mean(axis=0, keepdims=True) + parts.mean()
    return float((rest**2).sum() / ((seeds - 1) * (documents - 1)))


def _third_moment(columns: NDArray[np.float64]) -> float:
    """Return the third moment of the documents' mean about its own."""
    count = len(columns)
    if count < 3:
        return 0.0
    cubes = float(((columns - columns.mean()) ** 3).sum())
    return cubes / ((count - 1) * (count - 2) * count)


def _ends(value: float, parts: list[_Part], third: float, level: float) -> tuple[float, float]:
    """Return the ends of an interval: each part of the variance with the quantile of Student's t of its own degrees of
    freedom (Banerjee 1961), stretched to the side to which the documents' errors are skewed.

    Satterthwaite's degrees of freedom, of all parts together, cover less: few seeds that happen to agree count as many.
    """
    variance = sum(part.variance for part in parts)
    if not variance:
        return value, value
    sd = math.sqrt(variance)
    reach = math.sqrt(sum(student(0.5 + level / 2, part.freedom) ** 2 * part.variance for part in parts)) / sd
    skew = min(max(third / sd**3, -MOST_SKEW), MOST_SKEW)
    return value + sd * _stretched(-reach, skew), value + sd * _stretched(reach, skew)


def _stretched(reach: float, skew: float) -> float:
    """Return a quantile of a studentised mean, corrected to second order for the skewness of the mean: as Johnson's t
    (1978) and Hall's transformation (1992) correct it, in a form that stays monotone at any skewness.

    Only the end to which the errors are skewed is moved. Both move the other end inwards by as much, which was measured
    to cover less: documents that look skewed have by luck a high mean, and then the truth is below.
    """
    if reach * skew <= 0:
        return reach
    bend = 2 * skew / 3
    return math.expm1(bend * reach) / bend + skew / 6


@lru_cache(maxsize=1024)
def student(share: float, freedom: float) -> float:
    """Return a quantile of Student's t, for any share above one half; NumPy has none."""
    import numpy as np

    normal = NormalDist().inv_cdf(share)
    if freedom > 1e5:
        return normal
    # With t = sqrt(freedom) tan(angle) the density is cos(angle)**(freedom - 1), which is integrated.
    angles = np.linspace(0, math.pi / 2, 20_001)
    density = np.cos(angles) ** (max(freedom, 1.0) - 1)
    below = np.concatenate([[0.0], np.cumsum(density[1:] + density[:-1])])
    angle = float(np.interp(share - 0.5, below / below[-1] / 2, angles))
    return math.sqrt(max(freedom, 1.0)) * math.tan(angle)
