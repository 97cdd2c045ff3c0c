"""A Gaussian process: what values at some points say of all others.

With a Matern 5/2 kernel, a length scale for every axis (Rasmussen and Williams, Gaussian Processes for Machine
Learning, 2006, 4.2 and 5.1), and kernel numbers of the greatest posterior density, found from several starts at once.
NumPy alone: the few dozen points of a search take some milliseconds.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from hpsearch.study.samplers.axes import Array, Cube

# Log-normal priors over what the kernel is made of, for values of variance 1 in the unit cube: the middle and spread of
# the logarithms. More axes make each of them matter less, hence the root (Hvarfner et al., arXiv:2402.02229).
LENGTH, LENGTH_SPREAD = math.log(0.7), 0.8
SIGNAL, SIGNAL_SPREAD = 0.0, 0.7
NOISE, NOISE_SPREAD = math.log(0.01), 1.5
STARTS = (0.0, -0.8, 0.8, 1.6)  # length scales a search for the greatest density begins with, off the prior's middle
ROUNDS = 40
LEAST = 1e-6  # of variance, so that matrices can be factorised


@dataclass(frozen=True)
class GaussianProcess:
    """A process fitted to points."""

    cube: Cube
    points: Array
    lengths: Array
    signal: float
    weights: Array
    inverse: Array

    def predict(self, points: Array) -> tuple[Array, Array]:
        """Mean and standard deviation of the value at each point, without noise."""
        kernel = self.signal * _matern(self.cube.distances(points, self.points), self.lengths)
        mean = kernel @ self.weights
        variance = self.signal - np.einsum("ij,jk,ik->i", kernel, self.inverse, kernel, optimize=True)
        return mean, np.sqrt(np.maximum(variance, LEAST))

    def with_points(self, points: Array, values: Array, noise: Array) -> GaussianProcess:
        """The same kernel with other points: ``noise`` is the variance of each value."""
        covariance = self.signal * _matern(self.cube.distances(points, points), self.lengths)
        inverse = np.linalg.inv(covariance + np.diag(noise + LEAST)).astype(float)
        return GaussianProcess(self.cube, points, self.lengths, self.signal, inverse @ values, inverse)


def fit(cube: Cube, points: Array, values: Array, noise: Array) -> tuple[GaussianProcess, float]:
    """A process fitted to values of mean 0 and variance about 1, each with a variance of its own in ``noise`` beside
    that which all share; and the variance that all share."""
    distances = cube.distances(points, points)
    axes = len(cube.axes)
    middle = np.array([*[LENGTH + 0.5 * math.log(axes)] * axes, SIGNAL, NOISE])
    spread = np.array([*[LENGTH_SPREAD] * axes, SIGNAL_SPREAD, NOISE_SPREAD])
    starts = np.stack([middle + np.array([*[start] * axes, 0.0, 0.0]) for start in STARTS])
    best = _climbed(starts, distances, values, noise, middle, spread)
    lengths: Array = np.exp(best[:axes])
    signal, shared = math.exp(best[axes]), math.exp(best[axes + 1])
    process = GaussianProcess(cube, points, lengths, signal, values, np.eye(len(values)))
    return process.with_points(points, values, noise + shared), shared


def _matern(distances: Array, lengths: Array) -> Array:
    root = np.sqrt(5.0 * np.tensordot(lengths**-2.0, distances, axes=1))
    kernel: Array = (1.0 + root + root**2 / 3.0) * np.exp(-root)
    return kernel


def _climbed(starts: Array, distances: Array, values: Array, noise: Array, middle: Array, spread: Array) -> Array:
    """The numbers of the greatest posterior density, by steps that grow while a gradient keeps its sign and shrink when
    it turns (Rprop: Riedmiller and Braun, 1993), which need no scale."""
    at, step, before = starts.copy(), np.full_like(starts, 0.2), np.zeros_like(starts)
    best: Array = starts[0]
    best_density = -math.inf
    for _ in range(ROUNDS):
        density, gradient = _densities(at, distances, values, noise)
        density = density - 0.5 * (((at - middle) / spread) ** 2).sum(axis=1)
        gradient = gradient - (at - middle) / spread**2
        if density.max() > best_density:
            best, best_density = at[int(density.argmax())].copy(), float(density.max())
        turned = np.sign(gradient) * np.sign(before)
        step = np.clip(np.where(turned > 0, 1.2 * step, np.where(turned < 0, 0.5 * step, step)), 1e-3, 1.0)
        before = np.where(turned < 0, 0.0, gradient)
        at = np.clip(at + np.sign(before) * step, middle - 4 * spread, middle + 4 * spread)
    return best


def _densities(at: Array, distances: Array, values: Array, noise: Array) -> tuple[Array, Array]:
    """The logarithm of the likelihood of each row of kernel numbers, and its gradient."""
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
