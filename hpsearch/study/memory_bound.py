"""A bound of a configuration's memory by the needs of others, whatever formula the memory follows.

The formulas are all those of the form

    base + a1 x1 + a2 x2 + ... + b11 x1^2 + b12 x1 x2 + ...

where the x are settings and no factor is negative: weights that are always there, LoRA matrices that grow with the
rank, activations with pictures and batches, and what grows with two of these at once. A configuration is ruled out
where some formula agrees with all measurements, and none of those lets it fit. No formula is chosen, so few trials
rule out little.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations_with_replacement

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

# A formula agrees with a trial where it is off by at most this fraction: for the allocator's rounding and for what
# kernels take for themselves. With 2.5 % the benchmark (benchmarks/gate.py) misses its goal, with 2 % it errs nowhere.
TOLERANCE = 0.02
_ROUNDS = 15  # of new weights; more change nothing that matters
_EPSILON = 1e-9


def rules_out(sizes: Sequence[Sequence[float]], taken: Sequence[float], asked: Sequence[float], limit: float) -> bool:
    """Return True if a configuration of the sizes ``asked`` needs more than ``limit`` by every formula that agrees with
    the trials: those of ``sizes`` needed what they have ``taken``."""
    shares = np.array([*taken, limit]) / limit
    rows = np.array([*sizes, asked], dtype=float)
    scaled = rows / np.where(rows.max(axis=0) > 0, rows.max(axis=0), 1.0)
    columns = [np.ones(len(scaled)), *scaled.T]
    columns += [one * other for one, other in combinations_with_replacement(scaled.T, 2)]
    terms = np.stack(columns, axis=1) / shares[:, None]
    known, spare = terms[:-1], np.zeros((len(terms), 1))
    spare[-1] = 1.0  # of the limit, what the configuration leaves free
    if _off(known)[1] > TOLERANCE:
        return False
    return _off(np.hstack([terms, spare]))[0] > TOLERANCE


def _off(terms: Array) -> tuple[float, float]:
    """Return how far a formula must be off 1 in some row at least, and how far the best one that was found is.

    The first is certain: where no column of ``terms`` has a positive sum with ``pull``, any factors f >= 0 with
    ``|1 - terms f| <= t`` in every row give ``sum(pull) <= sum(pull (1 - terms f)) <= t sum(|pull|)``. Rows that are
    far off get more weight each time (C. L. Lawson's algorithm), which brings the two together.
    """
    ones, weights = np.ones(len(terms)), np.full(len(terms), 1.0 / len(terms))
    least, best = 0.0, np.inf
    for _ in range(_ROUNDS):
        root = np.sqrt(weights)
        errors = ones - terms @ non_negative(terms * root[:, None], root)
        pull, best = weights * errors, min(best, float(np.abs(errors).max()))
        total = float(np.abs(pull).sum())
        if total <= _EPSILON:
            break
        if float((terms.T @ pull).max()) <= _EPSILON:
            least = max(least, float(pull.sum()) / total)
        weights = np.abs(pull) / total
    return least, best


def non_negative(terms: Array, wanted: Array) -> Array:
    """Find factors, none of them negative, for which ``terms @ factors`` comes nearest to ``wanted`` (least squares).

    The active-set method of C. L. Lawson and R. J. Hanson, Solving Least Squares Problems (1974), chapter 23.
    """
    factors, free = np.zeros(terms.shape[1]), np.zeros(terms.shape[1], dtype=bool)
    for _ in range(3 * terms.shape[1]):
        gain = np.where(free, -np.inf, terms.T @ (wanted - terms @ factors))
        if gain.max() <= _EPSILON:
            break
        free[int(gain.argmax())] = True
        factors = _settle(terms, wanted, factors, free)
    return factors


def _settle(terms: Array, wanted: Array, factors: Array, free: NDArray[np.bool_]) -> Array:
    """Find the best factors among the free ones; those that would become negative are bound to 0, in ``free`` too."""
    while True:
        best = np.zeros_like(factors)
        best[free] = np.linalg.lstsq(terms[:, free], wanted, rcond=None)[0]
        bad = free & (best <= 0)
        if not bad.any():
            return best
        share = float(np.min(factors[bad] / np.where(factors[bad] > best[bad], factors[bad] - best[bad], 1.0)))
        factors = factors + share * (best - factors)
        free &= factors > _EPSILON
        factors = np.where(free, factors, 0.0)
