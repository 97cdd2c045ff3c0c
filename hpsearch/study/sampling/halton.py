"""A scrambled Halton sequence: configurations spread evenly, each new one into a gap.

Optuna's needs SciPy and counts in the storage, also where the point is not used. Here the place in the sequence is the
number of configurations so far, and the study's seed scrambles it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from optuna.distributions import BaseDistribution
from optuna.samplers import BaseSampler, RandomSampler
from optuna.trial import FrozenTrial

from hpsearch.study.sampling.unit_cube import Cube

if TYPE_CHECKING:
    from optuna import Study

DIGITS = 20  # of a place along an axis, in its base: beyond what matters for any number of trials


class HaltonSampler(BaseSampler):
    """Gives point number ``index``, from 0, of the sequence that ``seed`` scrambles."""

    def __init__(self, space: Mapping[str, BaseDistribution], seed: int, index: int) -> None:
        self._space = dict(space)
        self._cube = Cube.of(space)
        self._seed, self._index = seed, index
        self._independent = RandomSampler(seed=seed)

    def infer_relative_search_space(self, study: Study, trial: FrozenTrial) -> dict[str, BaseDistribution]:
        """Return the parameters that are chosen together: all."""
        return {name: self._space[name] for name in self._cube.names}

    def sample_relative(
        self, study: Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        """Choose the configuration to try."""
        rng = np.random.default_rng(self._seed)
        units = [scrambled(self._index, base, rng) for base in primes(len(self._cube.names))]
        return {
            name: axis.value_of_share(unit)
            for name, axis, unit in zip(self._cube.names, self._cube.axes, units, strict=True)
        }

    def sample_independent(
        self, study: Study, trial: FrozenTrial, param_name: str, param_distribution: BaseDistribution
    ) -> Any:
        """Draw a value for a parameter that is not in the space."""
        return self._independent.sample_independent(study, trial, param_name, param_distribution)


def scrambled(index: int, base: int, rng: np.random.Generator) -> float:
    """Exchange each digit of ``index`` in ``base`` for another one and read them from behind a point: 0 to below 1."""
    place, rest = 0.0, index
    for digit in range(1, DIGITS + 1):
        rest, value = divmod(rest, base)
        place += int(rng.permutation(base)[value]) / base**digit
    return min(place, 1.0 - 1e-12)


def primes(count: int) -> list[int]:
    """Return the first prime numbers."""
    numbers: list[int] = []
    number = 2
    while len(numbers) < count:
        if all(number % prime for prime in numbers):
            numbers.append(number)
        number += 1
    return numbers
