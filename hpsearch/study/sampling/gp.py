"""Gaussian processes: predictions of values at all points from those at some.

With a Matern 5/2 kernel and a length scale for every axis (Rasmussen and Williams, Gaussian Processes for Machine
Learning, 2006, 4.2 and 5.1). The kernel's numbers are not known, and a few dozen values leave them wide open; so there
are several processes, with numbers drawn from their posterior density: over 390 made-up searches the regret was 0.74
of that with the most probable numbers alone (geometric mean; 30 seeds of benchmarks/search.py). NumPy alone.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Any

import numpy as np

from hpsearch.study.sampling.unit_cube import Array, Cube

# Log-normal priors over the numbers of the kernel, for values of variance 1 in the unit cube: the middle and spread of
# the logarithms. More axes make each of them matter less, hence the root (Hvarfner et al., arXiv:2402.02229).
LENGTH, LENGTH_SPREAD = math.log(0.7), 0.8
SIGNAL, SIGNAL_SPREAD = 0.0, 0.7
NOISE, NOISE_SPREAD = math.log(0.01), 1.5
STARTS = (0.0, -0.8, 0.8, 1.6)  # length scales a search for the greatest density begins with, off the prior's middle
ROUNDS = 40
LEAST = 1e-6  # of variance, so that matrices can be factorised
# How many processes are drawn, and by how many steps from the most probable one: fewer where there are many points,
# which cost more and leave less open.
MOST_DRAWN, DRAWN_STEPS, LEAST_DRAWN = 32, 80, 4
POINTS_DRAWN = 1000  # points times processes
STEP = 0.35  # of the prior's spread
PRODUCT = "ij,jk,ik->i"  # of a kernel's rows, a matrix and the rows again


@dataclass(frozen=True)
class GaussianProcess:
    """A process fitted to points. ``shared``: the variance that all its values have beside their own."""

    cube: Cube
    points: Array
    lengths: Array
    signal: float
    shared: float
    weights: Array
    inverse: Array

    def predict(self, points: Array) -> tuple[Array, Array]:
        """Return mean and standard deviation of the value at each point, without noise."""
        return self.predict_at(self.cube.distances(points, self.points))

    def predict_at(self, distances: Array) -> tuple[Array, Array]:
        """Return the same for points at these distances from its own."""
        kernel = self.signal * _matern(distances, self.lengths)
        mean = kernel @ self.weights
        known = np.einsum(PRODUCT, kernel, self.inverse, kernel, optimize=_order(*kernel.shape))
        return mean, np.sqrt(np.maximum(self.signal - known, LEAST))

    @cached_property
    def least(self) -> float:
        """The least value that it expects at its own points."""
        return float(self.predict(self.points)[0].min())

    def with_points(self, points: Array, values: Array, noise: Array) -> GaussianProcess:
        """Return the same kernel with other points: ``noise`` is the variance that each value has of its own."""
        covariance = self.signal * _matern(self.cube.distances(points, points), self.lengths)
        inverse = np.linalg.inv(covariance + np.diag(noise + self.shared + LEAST)).astype(float)
        return GaussianProcess(self.cube, points, self.lengths, self.signal, self.shared, inverse @ values, inverse)


def fit(
    cube: Cube, points: Array, values: Array, noise: Array, rng: np.random.Generator
) -> tuple[GaussianProcess, ...]:
    """Fit processes to values of mean 0 and variance about 1, each with a variance of its own in ``noise`` beside that
    which all share: one process for each row of kernel numbers that ``rng`` draws."""
    density = _Posterior.of(cube, points, values, noise)
    nothing = np.zeros(len(values)), np.eye(len(values))
    return tuple(
        GaussianProcess(
            cube, points, np.exp(numbers[:-2]), math.exp(numbers[-2]), math.exp(numbers[-1]), *nothing
        ).with_points(points, values, noise)
        for numbers in _draw(density, _most_probable(density), rng)
    )


def predictions(processes: Sequence[GaussianProcess], points: Array) -> Iterator[tuple[Array, Array]]:
    """Predict the values at points by each of some processes, all of the same points: the distances are the same."""
    distances = processes[0].cube.distances(points, processes[0].points)
    return (process.predict_at(distances) for process in processes)


@lru_cache(maxsize=64)
def _order(points: int, known: int) -> Any:
    """Return the order in which NumPy takes the products of ``PRODUCT``: finding it costs as much as they do."""
    kernel = np.empty((points, known))
    return np.einsum_path(PRODUCT, kernel, np.empty((known, known)), kernel, optimize=True)[0]


def _matern(distances: Array, lengths: Array) -> Array:
    root = np.sqrt(5.0 * np.tensordot(lengths**-2.0, distances, axes=1))
    kernel: Array = (1.0 + root + root**2 / 3.0) * np.exp(-root)
    return kernel


@dataclass(frozen=True)
class _Posterior:
    """The posterior density of a kernel's numbers: the logarithms of its length scales, its variance and the shared
    noise, a row for each kernel. ``middle`` and ``spread`` are the prior's."""

    distances: Array
    values: Array
    noise: Array
    middle: Array
    spread: Array

    @staticmethod
    def of(cube: Cube, points: Array, values: Array, noise: Array) -> _Posterior:
        axes = len(cube.axes)
        middle = np.array([*[LENGTH + 0.5 * math.log(axes)] * axes, SIGNAL, NOISE])
        spread = np.array([*[LENGTH_SPREAD] * axes, SIGNAL_SPREAD, NOISE_SPREAD])
        return _Posterior(cube.distances(points, points), values, noise, middle, spread)

    def at(self, rows: Array) -> tuple[Array, Array]:
        """Return the logarithm of each row's density, up to a constant, and its gradient."""
        density, gradient = _densities(rows, self.distances, self.values, self.noise)
        away = (rows - self.middle) / self.spread
        return density - 0.5 * (away**2).sum(axis=1), gradient - away / self.spread

    def clipped(self, rows: Array) -> Array:
        """Move rows to where the prior has mass."""
        return np.clip(rows, self.middle - 4 * self.spread, self.middle + 4 * self.spread)


def _draw(posterior: _Posterior, most_probable: Array, rng: np.random.Generator) -> Array:
    """Draw rows from the density: each begins near the most probable one and takes steps up the gradient with noise,
    those it would not take back as often being refused (the Metropolis-adjusted Langevin algorithm: Roberts and
    Tweedie, Bernoulli 2(4), 1996)."""
    count = max(LEAST_DRAWN, min(MOST_DRAWN, POINTS_DRAWN // len(posterior.values)))
    spread, width = posterior.spread, STEP * posterior.spread
    at = most_probable + 0.3 * spread * rng.normal(size=(count, len(spread)))
    density, gradient = posterior.at(at)
    for _ in range(DRAWN_STEPS * count // MOST_DRAWN):
        uphill = at + 0.5 * width**2 * gradient
        to = posterior.clipped(uphill + width * rng.normal(size=at.shape))
        its_density, its_gradient = posterior.at(to)
        back = to + 0.5 * width**2 * its_gradient
        ways = ((to - uphill) / width) ** 2 - ((at - back) / width) ** 2
        taken = np.log(rng.uniform(size=count)) < its_density - density + 0.5 * ways.sum(axis=1)
        at[taken], density[taken], gradient[taken] = to[taken], its_density[taken], its_gradient[taken]
    return at


def _most_probable(posterior: _Posterior) -> Array:
    """Find the row of the greatest density, by steps that grow while a gradient keeps its sign and shrink when it turns
    (Rprop: Riedmiller and Braun, 1993), which need no scale; from several starts at once."""
    starts = [[start] * (len(posterior.middle) - 2) + [0.0, 0.0] for start in STARTS]
    at = posterior.middle + np.array(starts)
    step, before = np.full_like(at, 0.2), np.zeros_like(at)
    best: Array = at[0]
    best_density = -math.inf
    for _ in range(ROUNDS):
        density, gradient = posterior.at(at)
        if density.max() > best_density:
            best, best_density = at[int(density.argmax())].copy(), float(density.max())
        turned = np.sign(gradient) * np.sign(before)
        step = np.clip(np.where(turned > 0, 1.2 * step, np.where(turned < 0, 0.5 * step, step)), 1e-3, 1.0)
        before = np.where(turned < 0, 0.0, gradient)
        at = posterior.clipped(at + np.sign(before) * step)
    return best


def _densities(at: Array, distances: Array, values: Array, noise: Array) -> tuple[Array, Array]:
    """Return the logarithm of the likelihood of each row of kernel numbers, and its gradient."""
    axes, count = len(distances), len(values)
    weights = np.exp(-2.0 * at[:, :axes])
    signal, shared = np.exp(at[:, axes])[:, None, None], np.exp(at[:, axes + 1])[:, None, None]
    root = np.sqrt(5.0 * np.tensordot(weights, distances, axes=1))
    fading = np.exp(-root)
    kernel = signal * (1.0 + root + root**2 / 3.0) * fading
    eye = np.eye(count)
    covariance = kernel + eye * (noise + LEAST)[None, None, :] + shared * eye
    inverse = np.linalg.inv(covariance)
    _, logarithm = np.linalg.slogdet(covariance)
    solved = inverse @ values
    density = -0.5 * (solved @ values) - 0.5 * logarithm
    pull = solved[:, :, None] * solved[:, None, :] - inverse
    slope = pull * signal * (5.0 / 3.0) * (1.0 + root) * fading
    lengths = 0.5 * np.tensordot(slope, distances, axes=([1, 2], [1, 2])) * weights
    of_signal = 0.5 * (pull * kernel).sum(axis=(1, 2))
    of_noise = 0.5 * np.trace(pull, axis1=1, axis2=2) * shared[:, 0, 0]
    return density, np.concatenate([lengths, of_signal[:, None], of_noise[:, None]], axis=1)
