"""Where a space holds configurations that come to nothing: they diverge, or need more memory than there is.

Such trials have no value. With a bad one in its place they would bend the process of the values, which then keeps away
from the best rates where these lie beside a cliff; so they have processes of their own (Gardner et al., Bayesian
Optimization with Inequality Constraints, ICML 2014, with labels in the place of a measured constraint).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from hpsearch.study.sampling.gp import GaussianProcess, fit
from hpsearch.study.sampling.unit_cube import Array, Cube, Mask

DOUBT = 0.02  # variance of a label, of that of all: a configuration beside a wasted one may fit
# What is less likely than this to come to a value is not tried. Without a limit 40 of 60 trials were wasted at the edge
# of a line, once its best point was found; at a half 7, here 5 (benchmarks/gate.py).
LEAST_CHANCE = 0.8


@dataclass(frozen=True)
class Limits:
    """Processes over labels, 0 for a trial that came to a value and 1 for a wasted one, brought to mean 0 and variance
    1; ``edge`` is where a half lies there. Without processes nothing was wasted."""

    processes: tuple[GaussianProcess, ...] = ()
    edge: float = 0.0

    @staticmethod
    def of(cube: Cube, points: Array, wasted: Mask, chance: np.random.Generator) -> Limits:
        """What trials at these points say, of which some were wasted."""
        if not wasted.any() or wasted.all():
            return Limits()
        labels = wasted.astype(float)
        values = (labels - labels.mean()) / labels.std()
        processes = fit(cube, points, values, np.full(len(values), DOUBT), chance)
        return Limits(processes, float((0.5 - labels.mean()) / labels.std()))

    def log_chance(self, points: Array) -> Array:
        """The logarithm of how probable it is that each configuration comes to a value; where that is less than
        ``LEAST_CHANCE``, far below all others, and the farther the less."""
        if not self.processes:
            return np.zeros(len(points))
        chances = np.mean([self._chance(process, points) for process in self.processes], axis=0)
        result: Array = np.log(chances + 1e-12) - 1e5 * np.maximum(0.0, LEAST_CHANCE - chances)
        return result

    def _chance(self, process: GaussianProcess, points: Array) -> Array:
        mean, deviation = process.predict(points)
        return np.array([0.5 * math.erfc(each / math.sqrt(2.0)) for each in (mean - self.edge) / deviation])
