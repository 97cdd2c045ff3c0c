"""A search space as a unit cube: the point of a configuration, and the configuration at a point."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution

Array = NDArray[np.float64]
Mask = NDArray[np.bool_]
# For a parameter that not every trial has, the values that some others have in those that do; in such an order that
# each comes after what it depends on.
Conditions = Mapping[str, Mapping[str, Collection[Any]]]

# An int range of this many values or fewer is a list of levels; of a longer one the steps between do not matter.
MOST_LEVELS = 1000
ABSENT = 0.5  # where a trial lies along a parameter it does not have;
APART = -1.0  # where there is no order, as one more choice


@dataclass(frozen=True)
class Axis:
    """One parameter between 0 and 1. With ``levels``, only these values of it are there, ``places`` says where; an
    ``unordered`` one has no distances but equal and different."""

    low: float = 0.0
    high: float = 1.0
    log: bool = False
    levels: tuple[Any, ...] = ()
    places: tuple[float, ...] = ()
    unordered: bool = False
    whole: bool = False

    @property
    def absent(self) -> float:
        """The place of a trial without this parameter."""
        return APART if self.unordered else ABSENT

    def place(self, value: Any) -> float:
        """Return the place of a value; one outside the range lies at its nearer end."""
        if self.levels and value in self.levels:
            return self.places[self.levels.index(value)]
        if self.unordered or isinstance(value, str):
            return self.absent
        low, high, at = (math.log(number) if self.log else number for number in (self.low, self.high, float(value)))
        return 0.0 if high <= low else min(1.0, max(0.0, (at - low) / (high - low)))

    def snapped(self, units: Array) -> Array:
        """Return the nearest places at which there is a value."""
        if not self.levels:
            return np.clip(units, 0.0, 1.0)
        places = np.asarray(self.places)
        nearest: Array = places[np.abs(units[:, None] - places[None, :]).argmin(axis=1)]
        return nearest

    def among(self, units: Array, values: Collection[Any]) -> Mask:
        """Tell at which places there is one of these values."""
        return np.array([unit != self.absent and self.value(float(unit)) in values for unit in units], dtype=np.bool_)

    def value(self, unit: float) -> Any:
        """Return the value at a place."""
        if self.levels:
            return self.levels[int(np.abs(np.asarray(self.places) - unit).argmin())]
        if self.log:
            value = math.exp(math.log(self.low) + unit * (math.log(self.high) - math.log(self.low)))
        else:
            value = self.low + unit * (self.high - self.low)
        value = min(self.high, max(self.low, value))
        return round(value) if self.whole else value

    def value_of_share(self, share: float) -> Any:
        """Return the value below which this share of the axis lies, from 0 to below 1: levels have equal shares."""
        return self.levels[int(share * len(self.levels))] if self.levels else self.value(share)


def axis_of(distribution: BaseDistribution) -> Axis:
    """Return the axis of a parameter. Choices that are numbers keep their order, evenly spaced, as in 8, 16, 32."""
    if isinstance(distribution, CategoricalDistribution):
        return _choices(distribution.choices)
    if not isinstance(distribution, (FloatDistribution, IntDistribution)):
        raise ValueError(f"a parameter is a float, an int or one of some choices, but is {distribution}")
    low, high, log = float(distribution.low), float(distribution.high), distribution.log
    plain = Axis(low, high, log, whole=isinstance(distribution, IntDistribution))
    if not distribution.step or (high - low) / distribution.step >= MOST_LEVELS:
        return plain
    count = round((high - low) / distribution.step) + 1
    levels = tuple(distribution.low + index * distribution.step for index in range(count))
    return Axis(low, high, log, levels, tuple(plain.place(level) for level in levels))


def _choices(choices: Sequence[Any]) -> Axis:
    count = len(choices)
    if any(isinstance(choice, bool) or not isinstance(choice, (int, float)) for choice in choices):
        places = tuple((index + 0.5) / count for index in range(count))
        return Axis(levels=tuple(choices), places=places, unordered=True)
    levels = tuple(sorted(choices))
    return Axis(
        low=levels[0], high=levels[-1], levels=levels, places=tuple(i / max(1, count - 1) for i in range(count))
    )


@dataclass(frozen=True)
class Cube:
    """A search space as the unit cube: ``names`` and ``axes`` in one order. ``needs``: for an axis that not every
    configuration has, where it has to lie along others to have it."""

    names: tuple[str, ...]
    axes: tuple[Axis, ...]
    needs: tuple[tuple[int, Mapping[int, Collection[Any]]], ...] = ()

    @staticmethod
    def of(space: Mapping[str, BaseDistribution], when: Conditions | None = None) -> Cube:
        """Return the cube of a space; parameters with one value only are left out."""
        names = tuple(name for name, distribution in space.items() if not distribution.single())
        needs = tuple(
            (names.index(name), {names.index(other): values for other, values in needed.items() if other in names})
            for name, needed in (when or {}).items()
            if name in names
        )
        return Cube(names, tuple(axis_of(space[name]) for name in names), needs)

    def points(self, configurations: Sequence[Mapping[str, Any]]) -> Array:
        """Return the points of configurations, a row for each."""
        rows = [
            [
                axis.place(params[name]) if name in params else axis.absent
                for name, axis in zip(self.names, self.axes, strict=True)
            ]
            for params in configurations
        ]
        return np.asarray(rows, dtype=float).reshape(len(rows), len(self.names))

    def snapped(self, units: Array) -> Array:
        """Return the nearest points at which there is a configuration."""
        columns = [axis.snapped(units[:, index]) for index, axis in enumerate(self.axes)]
        for index, needed in self.needs:
            active = [self.axes[other].among(columns[other], values) for other, values in needed.items()]
            columns[index] = np.where(np.all(active, axis=0), columns[index], self.axes[index].absent)
        return np.stack(columns, axis=1) if columns else units

    def configuration(self, point: Array) -> dict[str, Any]:
        """Return the configuration at a point."""
        return {name: axis.value(float(unit)) for name, axis, unit in zip(self.names, self.axes, point, strict=True)}

    def distances(self, first: Array, second: Array) -> Array:
        """Return squared distances, an array of axes, rows and columns; along an unordered axis they are 0 or 1."""
        apart = first.T[:, :, None] - second.T[:, None, :]
        unordered = np.asarray([axis.unordered for axis in self.axes], dtype=bool)
        squared: Array = np.where(unordered[:, None, None], np.abs(apart) > 1e-9, apart**2)
        return squared
