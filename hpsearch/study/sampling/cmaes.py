"""CMA-ES without a state of its own: the distribution is derived from the study's trials each time.

Optuna's keeps a pickled object in the storage, which anyone who can write there could replace by code.
The algorithm is that of Hansen, The CMA Evolution Strategy: A Tutorial, arXiv:1604.00772 (2016).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from optuna.distributions import BaseDistribution
from optuna.samplers import BaseSampler, RandomSampler
from optuna.trial import FrozenTrial, TrialState

from hpsearch.study.learning_curves import Curves, final_of
from hpsearch.study.records import root_of
from hpsearch.study.sampling.unit_cube import Array, Cube

if TYPE_CHECKING:
    from optuna import Study

WIDTH = 0.25  # of the first generation, in ranges; the tutorial wants the optimum within two of them
REDRAWN = 20  # times a point outside the space is drawn again before it is moved to its edge


class EvolutionSampler(BaseSampler):
    """Draws a configuration of ``space`` from a normal distribution that follows the best of each generation.

    Texts, and true and false, have no order to follow: they are drawn evenly.
    """

    def __init__(self, space: Mapping[str, BaseDistribution], seed: int) -> None:
        self._space = dict(space)
        whole = Cube.of(space)
        ordered = [(name, axis) for name, axis in zip(whole.names, whole.axes, strict=True) if not axis.unordered]
        self._cube = Cube(tuple(name for name, _ in ordered), tuple(axis for _, axis in ordered))
        self._rng = np.random.default_rng(seed)
        self._independent = RandomSampler(seed=seed)

    def infer_relative_search_space(self, study: Study, trial: FrozenTrial) -> dict[str, BaseDistribution]:
        """Return the parameters that are chosen together: those with an order."""
        return {name: self._space[name] for name in self._cube.names}

    def sample_relative(
        self, study: Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        """Choose the configuration to try."""
        if not self._cube.names:
            return {}
        strategy = Strategy(len(self._cube.names))
        ended = study.get_trials(deepcopy=False, states=(TrialState.COMPLETE, TrialState.PRUNED))
        ended = sorted(ended, key=root_of)  # a retry has the place of its first attempt
        curves = Curves(ended, study.direction)
        finals = [final_of(trial, curves) for trial in ended]
        points = self._cube.points([trial.params for trial in ended])
        values = [math.inf if final is None else final.value for final in finals]
        for start in range(0, len(ended) - strategy.size + 1, strategy.size):
            strategy.follow(points[start : start + strategy.size], values[start : start + strategy.size])
        drawn = [strategy.draw(self._rng) for _ in range(REDRAWN)]
        inside = [point for point in drawn if ((point >= 0.0) & (point <= 1.0)).all()]
        return self._cube.configuration(np.clip((inside or drawn)[0], 0.0, 1.0))

    def sample_independent(
        self, study: Study, trial: FrozenTrial, param_name: str, param_distribution: BaseDistribution
    ) -> Any:
        """Draw a value that has no order."""
        return self._independent.sample_independent(study, trial, param_name, param_distribution)


class Strategy:
    """The normal distribution and its updates; the names in brackets are the tutorial's."""

    def __init__(self, axes: int) -> None:
        self.size = 4 + math.floor(3 * math.log(axes))
        parents = self.size // 2
        weights = math.log((self.size + 1) / 2) - np.log(np.arange(1, parents + 1))
        self._weights = weights / weights.sum()
        mass = 1.0 / float((self._weights**2).sum())  # (mu_eff)
        self._mass, self._axes = mass, axes
        self._width_rate = (mass + 2) / (axes + mass + 5)  # (c_sigma)
        self._damping = 1 + 2 * max(0.0, math.sqrt((mass - 1) / (axes + 1)) - 1) + self._width_rate  # (d_sigma)
        self._path_rate = (4 + mass / axes) / (axes + 4 + 2 * mass / axes)  # (c_c)
        self._one_rate = 2 / ((axes + 1.3) ** 2 + mass)  # (c_1)
        others = 2 * (mass - 2 + 1 / mass) / ((axes + 2) ** 2 + mass)
        self._others_rate = min(1 - self._one_rate, others)  # (c_mu)
        self._usual_length = math.sqrt(axes) * (1 - 1 / (4 * axes) + 1 / (21 * axes**2))  # of a standard normal vector
        self._middle, self._width = np.full(axes, 0.5), WIDTH
        self._covariance = np.eye(axes)
        self._path, self._width_path = np.zeros(axes), np.zeros(axes)
        self._generations = 0

    def draw(self, rng: np.random.Generator) -> Array:
        """Draw a point of the distribution."""
        point: Array = self._middle + self._width * self._root() @ rng.standard_normal(self._axes)
        return point

    def follow(self, points: Array, values: Sequence[float]) -> None:
        """Move to where the best half of a generation lies."""
        self._generations += 1
        best = points[np.argsort(np.asarray(values), kind="stable")[: len(self._weights)]]
        steps = (best - self._middle) / self._width
        step = self._weights @ steps
        self._middle = self._middle + self._width * step
        rate, mass = self._width_rate, self._mass
        self._width_path = (1 - rate) * self._width_path + math.sqrt(rate * (2 - rate) * mass) * (
            np.linalg.pinv(self._root()) @ step
        )
        length = float(np.linalg.norm(self._width_path))
        short = length / math.sqrt(1 - (1 - rate) ** (2 * self._generations)) < (
            (1.4 + 2 / (self._axes + 1)) * self._usual_length
        )
        rate = self._path_rate
        self._path = (1 - rate) * self._path + short * math.sqrt(rate * (2 - rate) * mass) * step
        kept = 1 - self._one_rate - self._others_rate + (not short) * self._one_rate * rate * (2 - rate)
        self._covariance = (
            kept * self._covariance
            + self._one_rate * np.outer(self._path, self._path)
            + self._others_rate * (steps.T * self._weights) @ steps
        )
        self._width *= math.exp(min(1.0, self._width_rate / self._damping * (length / self._usual_length - 1)))
        self._width = min(self._width, 1.0)

    def _root(self) -> Array:
        lengths, directions = np.linalg.eigh(self._covariance)
        root: Array = directions @ np.diag(np.sqrt(np.maximum(lengths, 1e-12))) @ directions.T
        return root
