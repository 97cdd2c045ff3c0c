"""The default search: a Gaussian process over what every trial came to, also of those that were stopped.

Optuna's own looks at COMPLETE trials alone, so that with a pruner it learns hardly anything. Here a stopped trial
stands with the final value that its curve leads to and the doubt of that, and a running one with the value that is
expected of it, so that no two trials try the same. A configuration's fault says where the space ends (limits.py).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from heapq import nsmallest
from typing import TYPE_CHECKING, Any

import numpy as np
from optuna.distributions import BaseDistribution
from optuna.samplers import BaseSampler, RandomSampler
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, TrialState

from hpsearch.study.learning_curves import Curves, Final, final_of
from hpsearch.study.records import is_finite, root_of
from hpsearch.study.sampling.gp import GaussianProcess, fit
from hpsearch.study.sampling.unit_cube import APART, Array, Conditions, Cube, Mask

if TYPE_CHECKING:
    from optuna import Study


# Where a space holds configurations that come to nothing: they diverge, or need more memory than there is.
#
# Such trials have no value. With a bad one in its place they would bend the process of the values, which then keeps
# away from the best rates where these lie beside a cliff; so they have processes of their own (Gardner et al.,
# Bayesian Optimization with Inequality Constraints, ICML 2014, with labels in the place of a measured constraint).

DOUBT = 0.02  # variance of a label, of that of all: a configuration beside a wasted one may fit
# What is less likely than this to come to a value is not tried. Without a limit 40 of 60 trials were wasted at the edge
# of a line, once its best point was found; at a half 7, here 5 (benchmarks/gate.py).
LEAST_CHANCE = 0.8


@dataclass(frozen=True)
class FeasibilityModel:
    """Processes over labels, 0 for a trial that came to a value and 1 for a wasted one, brought to mean 0 and variance
    1; ``edge`` is where a half lies there. Without processes nothing was wasted."""

    processes: tuple[GaussianProcess, ...] = ()
    edge: float = 0.0

    @staticmethod
    def of(cube: Cube, points: Array, wasted: Mask, chance: np.random.Generator) -> FeasibilityModel:
        """What trials at these points say, of which some were wasted."""
        if not wasted.any() or wasted.all():
            return FeasibilityModel()
        labels = wasted.astype(float)
        values = (labels - labels.mean()) / labels.std()
        processes = fit(cube, points, values, np.full(len(values), DOUBT), chance)
        return FeasibilityModel(processes, float((0.5 - labels.mean()) / labels.std()))

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


FIRST = 6  # trials that are spread over the space before a process is asked
MOST_POINTS = 150  # a process of more takes seconds
MOST_RECENT = 1000  # trials that it chooses them from, beside the best before
DRAWN = 1000  # configurations looked at, half of them near the best ones
CLIMBS = 4
CROWDED = 0.02  # of a range: nearer to a running trial than this there is nothing to learn beside it
SAME = 0.005  # of a range: nearer to a trial that ended than this it would be tried again


@dataclass(frozen=True)
class Observations:
    """What is known of configurations: ``finals``, less being better, None where a trial was wasted; and those of the
    trials that run."""

    points: Array
    finals: list[Final | None]
    running: Array

    @property
    def wasted(self) -> Mask:
        """Which of the configurations came to nothing."""
        return np.array([each is None for each in self.finals], dtype=np.bool_)

    @property
    def values(self) -> list[Final]:
        """What the others came to."""
        return [each for each in self.finals if each is not None]


class BayesianSampler(BaseSampler):
    """Chooses the configuration of ``space``, under the conditions ``when``, from which the greatest improvement is
    expected."""

    def __init__(
        self, space: Mapping[str, BaseDistribution], seed: int, when: Conditions | None = None, first: int = FIRST
    ) -> None:
        self._space = dict(space)
        self._cube = Cube.of(space, when)
        self._chance = np.random.default_rng(seed)
        self._independent = RandomSampler(seed=seed)
        self._first = first

    def infer_relative_search_space(self, study: Study, trial: FrozenTrial) -> dict[str, BaseDistribution]:
        """What is chosen together: all of it."""
        return {name: self._space[name] for name in self._cube.names}

    def sample_relative(
        self, study: Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        """The configuration to try."""
        if not self._cube.names:
            return {}
        others = [each for each in study.get_trials(deepcopy=False) if each.number != trial.number]
        told = self._told(others, study)
        if len(told.points) + len(told.running) < self._first or not any(told.finals):
            return self._cube.configuration(self._farthest(told))
        return self._cube.configuration(self._most_promising(told))

    def sample_independent(
        self, study: Study, trial: FrozenTrial, param_name: str, param_distribution: BaseDistribution
    ) -> Any:
        """A value for a parameter that is not in the space: drawn."""
        return self._independent.sample_independent(study, trial, param_name, param_distribution)

    def _told(self, trials: Sequence[FrozenTrial], study: Study) -> Observations:
        trials = sorted(_recent(trials, study), key=root_of)  # a retry stands where its first attempt would have
        ended = [each for each in trials if each.state in (TrialState.COMPLETE, TrialState.PRUNED)]
        running = [each for each in trials if each.state in (TrialState.RUNNING, TrialState.WAITING)]
        curves = Curves(ended, study.direction)
        finals = [final_of(each, curves) for each in ended]
        chosen = self._chosen(finals)
        return Observations(
            self._cube.points([ended[index].params for index in chosen]),
            [finals[index] for index in chosen],
            self._cube.points([{**each.system_attrs.get("fixed_params", {}), **each.params} for each in running]),
        )

    def _chosen(self, finals: list[Final | None]) -> list[int]:
        """Which of the trials a process is made of: all; of too many the best half, and some of the others."""
        if len(finals) <= MOST_POINTS:
            return list(range(len(finals)))
        ranked = sorted(range(len(finals)), key=lambda index: (_or_worst(finals[index]), index))
        rest = self._chance.permutation(ranked[MOST_POINTS // 2 :])[: MOST_POINTS - MOST_POINTS // 2]
        return sorted([*ranked[: MOST_POINTS // 2], *(int(index) for index in rest)])

    def _farthest(self, told: Observations) -> Array:
        """Of some configurations, the one farthest from all that were tried."""
        drawn = self._drawn(64)
        tried = np.concatenate([told.points, told.running])
        farthest: Array = drawn[int(self._apart(drawn, tried).argmax())]
        return farthest

    def _most_promising(self, told: Observations) -> Array:
        points, (values, noise) = told.points[~told.wasted], standardised(told.values)
        processes = fit(self._cube, points, values, noise, self._chance)
        if len(told.running):
            processes = tuple(_with_running(each, told.running, values, noise) for each in processes)
        limits = FeasibilityModel.of(self._cube, told.points, told.wasted, self._chance)
        looked_at = self._candidates(points[np.argsort(values)[:5]])
        for climb in range(CLIMBS):
            gain = log_improvement(processes, looked_at) + limits.log_chance(looked_at)
            gain -= 1e12 * self._known(looked_at, told)
            top = looked_at[np.argsort(-gain)[:8]]
            if climb < CLIMBS - 1:
                looked_at = np.concatenate([top, self._near(np.repeat(top, 25, axis=0), 0.1 * 0.4**climb)])
        chosen: Array = top[0]
        return chosen

    def _known(self, points: Array, told: Observations) -> Array:
        """1 for a point where there is a trial already, 0 elsewhere: what is known there is not tried again, even where
        an end of a range looks better than all else."""
        crowded = self._apart(points, told.running) < CROWDED**2
        same = self._apart(points, told.points) < SAME**2
        return (crowded | same).astype(float)

    def _apart(self, points: Array, tried: Array) -> Array:
        """Squared distance of each point to the nearest of those tried."""
        nearest: Array = self._cube.distances(points, tried).sum(axis=0).min(axis=1, initial=len(self._cube.axes))
        return nearest

    def _candidates(self, best: Array) -> Array:
        near = np.repeat(best, DRAWN // (2 * len(best)), axis=0)
        return np.concatenate([self._drawn(DRAWN // 2), self._near(near, 0.15)])

    def _drawn(self, count: int) -> Array:
        return self._cube.snapped(self._chance.uniform(size=(count, len(self._cube.axes))))

    def _near(self, points: Array, width: float) -> Array:
        """Configurations near some: each differs along about half the axes, and along a few anyhow."""
        moved = points + self._chance.normal(0.0, width, points.shape)
        anew = self._chance.uniform(size=points.shape)
        how = self._chance.uniform(size=points.shape)
        far = (how < 0.1) | (points == APART)
        return self._cube.snapped(np.where(far, anew, np.where(how < 0.6, moved, points)))


def _recent(trials: Sequence[FrozenTrial], study: Study) -> Sequence[FrozenTrial]:
    """All trials; of too many the last ones, and the best before them."""
    if len(trials) <= MOST_RECENT:
        return trials
    sign = -1.0 if study.direction is StudyDirection.MAXIMIZE else 1.0
    older = [each for each in trials[:-MOST_RECENT] if each.state is TrialState.COMPLETE and is_finite(each.value)]
    return [*nsmallest(MOST_POINTS // 2, older, key=lambda each: sign * (each.value or 0.0)), *trials[-MOST_RECENT:]]


def standardised(finals: Sequence[Final]) -> tuple[Array, Array]:
    """Values of mean 0 and variance 1, and the variance of each, in which what is bad is pressed together: the bad half
    of a space spans decades and would hide the differences among the good."""
    values, errors = (np.array([getattr(each, name) for each in finals]) for name in ("value", "error"))
    scale = float(np.quantile(values, 0.75) - values.min()) or float(values.std()) or 1.0

    def pressed(raw: Array) -> Array:
        away = (raw - values.min()) / scale
        result: Array = np.sign(away) * np.log1p(np.abs(away))
        return result

    middle = pressed(values)
    spread = float(middle.std()) or 1.0
    noise = ((pressed(values + errors) - pressed(values - errors)) / 2.0 / spread) ** 2
    return (middle - middle.mean()) / spread, noise


def _with_running(process: GaussianProcess, running: Array, values: Array, noise: Array) -> GaussianProcess:
    """A process for which running trials came to what it expects of them."""
    believed, _ = process.predict(running)
    return process.with_points(
        np.concatenate([process.points, running]),
        np.concatenate([values, believed]),
        np.concatenate([noise, np.full(len(believed), float(noise.min()))]),
    )


def log_improvement(processes: Sequence[GaussianProcess], points: Array) -> Array:
    """The logarithm of the improvement that is expected at each point on the best of those known, running trials' too:
    the mean of the processes' improvements, up to a constant."""
    result: Array = np.logaddexp.reduce([_log_improvement(each, points) for each in processes])
    return result


def _log_improvement(process: GaussianProcess, points: Array) -> Array:
    mean, deviation = process.predict(points)
    score = (float(process.predict(process.points)[0].min()) - mean) / deviation
    density = np.exp(-0.5 * score**2) / math.sqrt(2.0 * math.pi)
    below = 0.5 * np.array([math.erfc(-each / math.sqrt(2.0)) for each in score])
    expected = density + score * below
    # Far below the best both terms vanish; the first term of the series of Mills' ratio stands in there.
    far = -0.5 * score**2 - 0.5 * math.log(2.0 * math.pi) - 2.0 * np.log(np.maximum(np.abs(score), 1.0))
    near = np.log(np.maximum(expected, 1e-300))
    result: Array = np.where(score < -6.0, far, near) + np.log(deviation)
    return result


def _or_worst(final: Final | None) -> float:
    return math.inf if final is None else final.value
