"""The default sampler: a Gaussian process over the values of all trials, pruned ones included.

Optuna's own uses COMPLETE trials alone, so that with a pruner it learns hardly anything. Here a pruned trial has the
final value that its curve leads to, with the error of that prediction, and a running one the value that is expected of
it, so that no two trials try the same. Trials that fail by their configuration show which regions are infeasible, and
crashes where fewer trials are worth it.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from optuna.distributions import BaseDistribution
from optuna.samplers import BaseSampler, RandomSampler
from optuna.trial import FrozenTrial, TrialState

from hpsearch.study.failures import FAILED
from hpsearch.study.learning_curves import Curves, Final, final_of
from hpsearch.study.records import attempt_of, best_first, cause_of, root_of
from hpsearch.study.sampling.gp import GaussianProcess, fit, predictions
from hpsearch.study.sampling.unit_cube import APART, Array, Conditions, Cube, Mask

if TYPE_CHECKING:
    from optuna import Study

FIRST = 6  # trials that are spread over the space before a process is asked
MOST_POINTS = 150  # a process of more takes seconds
MOST_RECENT = 1000  # trials that it chooses them from, beside the best before
DRAWN = 1000  # configurations considered, half of them near the best ones
CLIMBS = 4
CROWDED = 0.02  # of a range: nearer to a running trial than this there is nothing to learn beside it
SAME = 0.005  # of a range: nearer to a trial that ended than this it would be tried again
DOUBT = 0.02  # variance of a label, of that of all: a configuration beside a failed one may fit
# A configuration is not tried if it is less likely than this to be feasible. Without a limit 40 of 60 trials failed at
# the edge of a line, once its best point was found; at a half 7, here 5 (benchmarks/gate.py).
LEAST_CHANCE = 0.8


@dataclass(frozen=True)
class Observations:
    """What is known of configurations: ``finals``, less being better, None where a trial failed; and the points of the
    trials that run, and of those that crashed."""

    points: Array
    finals: list[Final | None]
    running: Array
    crashed: Array

    @property
    def failed(self) -> Mask:
        """Which of the configurations failed."""
        return np.array([final is None for final in self.finals], dtype=np.bool_)


class BayesianSampler(BaseSampler):
    """Chooses the configuration of ``space``, under the conditions ``when``, with the greatest expected improvement;
    none with a value to be ``avoided``. Where that is None, crashes teach it nothing."""

    def __init__(
        self,
        space: Mapping[str, BaseDistribution],
        seed: int,
        when: Conditions | None = None,
        first: int = FIRST,
        avoided: Mapping[str, Collection[Any]] | None = None,
    ) -> None:
        self._space = dict(space)
        self._cube = Cube.of(space, when)
        self._rng = np.random.default_rng(seed)
        self._independent = RandomSampler(seed=seed)
        self._first = first
        self._avoided = avoided or {}
        self._learns_crashes = avoided is not None

    def infer_relative_search_space(self, study: Study, trial: FrozenTrial) -> dict[str, BaseDistribution]:
        """Return the parameters that are chosen together: all."""
        return {name: self._space[name] for name in self._cube.names}

    def sample_relative(
        self, study: Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        """Choose the configuration to try."""
        if not self._cube.names:
            return {}
        others = [other for other in study.get_trials(deepcopy=False) if other.number != trial.number]
        observed = self._observe(others, study)
        if len(observed.points) + len(observed.running) < self._first or not any(observed.finals):
            # Of some configurations, the one farthest from all that were tried.
            drawn = self._draw(64)
            tried = np.concatenate([observed.points, observed.running, observed.crashed])
            apart = self._apart(drawn, tried) - 1e12 * self._is_avoided(drawn)
            return self._cube.configuration(drawn[int(apart.argmax())])
        return self._cube.configuration(self._most_promising(observed))

    def sample_independent(
        self, study: Study, trial: FrozenTrial, param_name: str, param_distribution: BaseDistribution
    ) -> Any:
        """Draw a value for a parameter that is not in the space."""
        return self._independent.sample_independent(study, trial, param_name, param_distribution)

    def _observe(self, trials: Sequence[FrozenTrial], study: Study) -> Observations:
        if len(trials) > MOST_RECENT:  # the last ones, and the best before them
            older = best_first(trials[:-MOST_RECENT], study.direction.name.lower())
            trials = [*older[: MOST_POINTS // 2], *trials[-MOST_RECENT:]]
        trials = sorted(trials, key=root_of)  # a retry has the place of its first attempt
        ended = [trial for trial in trials if trial.state in (TrialState.COMPLETE, TrialState.PRUNED)]
        running = [trial for trial in trials if trial.state in (TrialState.RUNNING, TrialState.WAITING)]
        curves = Curves(ended, study.direction)
        finals = [final_of(trial, curves) for trial in ended]
        chosen = self._choose(finals)
        return Observations(
            self._cube.points([ended[index].params for index in chosen]),
            [finals[index] for index in chosen],
            self._cube.points([{**trial.system_attrs.get("fixed_params", {}), **trial.params} for trial in running]),
            self._cube.points([trial.params for trial in (_crashed(trials) if self._learns_crashes else ())]),
        )

    def _choose(self, finals: list[Final | None]) -> list[int]:
        """Choose the trials that a process is made of: all; of too many the best half, and some of the others."""
        if len(finals) <= MOST_POINTS:
            return list(range(len(finals)))
        values = [math.inf if final is None else final.value for final in finals]
        ranked = sorted(range(len(finals)), key=lambda index: (values[index], index))
        rest = self._rng.permutation(ranked[MOST_POINTS // 2 :])[: MOST_POINTS - MOST_POINTS // 2]
        return sorted([*ranked[: MOST_POINTS // 2], *(int(index) for index in rest)])

    def _most_promising(self, observed: Observations) -> Array:
        """Climb to the greatest expected improvement: each time from the best configurations to others near them."""
        points = observed.points[~observed.failed]
        values, noise = standardised([final for final in observed.finals if final is not None])
        processes = fit(self._cube, points, values, noise, self._rng)
        if len(observed.running):
            processes = tuple(_with_running(process, observed.running, values, noise) for process in processes)
        feasibility = FeasibilityModel.of(self._cube, observed.points, observed.failed, self._rng)
        crashes = self._crashes(observed)
        best = points[np.argsort(values)[:5]]
        near = np.repeat(best, DRAWN // (2 * len(best)), axis=0)
        candidates = np.concatenate([self._draw(DRAWN // 2), self._near(near, 0.15)])
        for climb in range(CLIMBS):
            gain = log_improvement(processes, candidates) + feasibility.log_chance(candidates)
            gain += crashes.log_chance(candidates, least=0.0)
            gain -= 1e12 * (self._is_known(candidates, observed) + self._is_avoided(candidates))
            top = candidates[np.argsort(-gain)[:8]]
            if climb < CLIMBS - 1:
                candidates = np.concatenate([top, self._near(np.repeat(top, 25, axis=0), 0.1 * 0.4**climb)])
        chosen: Array = top[0]
        return chosen

    def _crashes(self, observed: Observations) -> FeasibilityModel:
        """Fit where trials crash. That makes a configuration less promising and excludes none: a program that crashes
        at random would exclude half of the space."""
        points = np.concatenate([observed.points, observed.crashed])
        return FeasibilityModel.of(self._cube, points, np.arange(len(points)) >= len(observed.points), self._rng)

    def _is_known(self, points: Array, observed: Observations) -> Array:
        """Return 1 for a point where there is a trial already, else 0: it is not tried again, even where an end of a
        range looks better than all else."""
        crowded = self._apart(points, observed.running) < CROWDED**2
        same = self._apart(points, np.concatenate([observed.points, observed.crashed])) < SAME**2
        return (crowded | same).astype(float)

    def _is_avoided(self, points: Array) -> Array:
        """Return 1 for a point with a value to be avoided, else 0."""
        avoided = np.zeros(len(points), dtype=np.bool_)
        for name, axis, units in zip(self._cube.names, self._cube.axes, points.T, strict=True):
            if name in self._avoided:
                avoided |= axis.among(units, self._avoided[name])
        return avoided.astype(float)

    def _apart(self, points: Array, tried: Array) -> Array:
        """Return the squared distance of each point to the nearest of those tried."""
        nearest: Array = self._cube.distances(points, tried).sum(axis=0).min(axis=1, initial=len(self._cube.axes))
        return nearest

    def _draw(self, count: int) -> Array:
        return self._cube.snapped(self._rng.uniform(size=(count, len(self._cube.axes))))

    def _near(self, points: Array, width: float) -> Array:
        """Draw a configuration near each point: along about half the axes it is moved a little, along a few far."""
        moved = points + self._rng.normal(0.0, width, points.shape)
        drawn = self._rng.uniform(size=points.shape)
        how = self._rng.uniform(size=points.shape)
        far = (how < 0.1) | (points == APART)
        return self._cube.snapped(np.where(far, drawn, np.where(how < 0.6, moved, points)))


def _crashed(trials: Sequence[FrozenTrial]) -> list[FrozenTrial]:
    """Return the last trials that crashed, or failed in a like way as FAIL; of several attempts only the last, and none
    if one succeeded."""
    failed = {root_of(trial): trial for trial in trials if trial.state is TrialState.FAIL and cause_of(trial) in FAILED}
    for trial in trials:
        if attempt_of(trial) > 1 and trial.state in (TrialState.COMPLETE, TrialState.PRUNED):
            failed.pop(root_of(trial), None)
    return list(failed.values())[-MOST_POINTS // 2 :]


@dataclass(frozen=True)
class FeasibilityModel:
    """Learns which regions of the space are infeasible: those that diverge, or need more memory than there is.

    Such trials have no value. With a bad one in its place they would bend the process of the values, which then keeps
    away from the best rates where these lie beside a cliff; so they have processes of their own (Gardner et al.,
    Bayesian Optimization with Inequality Constraints, ICML 2014, with labels in the place of a measured constraint).

    The ``processes`` are over labels, 0 for a trial with a value and 1 for a failed one, brought to mean 0 and variance
    1; ``edge`` is where a half lies there. Without processes nothing has failed.
    """

    processes: tuple[GaussianProcess, ...] = ()
    edge: float = 0.0

    @staticmethod
    def of(cube: Cube, points: Array, failed: Mask, rng: np.random.Generator) -> FeasibilityModel:
        """Fit the model to trials at these points, of which some have failed."""
        if not failed.any() or failed.all():
            return FeasibilityModel()
        labels = failed.astype(float)
        values = (labels - labels.mean()) / labels.std()
        processes = fit(cube, points, values, np.full(len(values), DOUBT), rng)
        return FeasibilityModel(processes, float((0.5 - labels.mean()) / labels.std()))

    def log_chance(self, points: Array, least: float = LEAST_CHANCE) -> Array:
        """Return the logarithm of the probability that each configuration is feasible; where that is less than
        ``least``, far below all others, and the farther the less."""
        if not self.processes:
            return np.zeros(len(points))
        chances = []
        for mean, deviation in predictions(self.processes, points):
            chances.append(0.5 * _erfc((mean - self.edge) / deviation / math.sqrt(2.0)))
        chance = np.mean(chances, axis=0)
        result: Array = np.log(chance + 1e-12) - 1e5 * np.maximum(0.0, least - chance)
        return result


def standardised(finals: Sequence[Final]) -> tuple[Array, Array]:
    """Return values of mean 0 and variance 1, and the variance of each. Bad ones are pressed together: the bad half of
    a space spans decades and would hide the differences among the good."""
    values, errors = np.array([final.value for final in finals]), np.array([final.error for final in finals])
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
    """Return a process for which running trials have the values that it expects of them."""
    believed, _ = process.predict(running)
    return process.with_points(
        np.concatenate([process.points, running]),
        np.concatenate([values, believed]),
        np.concatenate([noise, np.full(len(believed), float(noise.min()))]),
    )


def log_improvement(processes: Sequence[GaussianProcess], points: Array) -> Array:
    """Return the logarithm of the improvement expected at each point over the best known one, running trials' included:
    the mean of the processes' improvements, up to a constant."""
    predicted = zip(processes, predictions(processes, points), strict=True)
    result: Array = np.logaddexp.reduce([_log_improvement(process.least, *found) for process, found in predicted])
    return result


def _log_improvement(least: float, mean: Array, deviation: Array) -> Array:
    score = (least - mean) / deviation
    density = np.exp(-0.5 * score**2) / math.sqrt(2.0 * math.pi)
    below = 0.5 * _erfc(-score / math.sqrt(2.0))
    expected = density + score * below
    # Far below the best both terms vanish; the first term of the series of Mills' ratio is used there.
    far = -0.5 * score**2 - 0.5 * math.log(2.0 * math.pi) - 2.0 * np.log(np.maximum(np.abs(score), 1.0))
    near = np.log(np.maximum(expected, 1e-300))
    result: Array = np.where(score < -6.0, far, near) + np.log(deviation)
    return result


def _erfc(values: Array) -> Array:
    """Return the complementary error function, which NumPy lacks."""
    return np.array([math.erfc(value) for value in values.tolist()])
