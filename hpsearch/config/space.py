"""Search spaces: the default configuration and its variations, and the points of a grid."""

from __future__ import annotations

import hashlib
import itertools
import json
import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from hpsearch.config.conditions import active, in_order, is_active, needs, parents
from hpsearch.config.json import canonical, is_number
from hpsearch.config.parameters import (
    MAX_GRID_POINTS,
    Categorical,
    IntRange,
    LogUniform,
    Parameter,
    Uniform,
    nearest_of,
)
from hpsearch.config.problems import show
from hpsearch.errors import UsageError


def grid_axes(space: Mapping[str, Parameter]) -> dict[str, Sequence[Any]]:
    """Return the values that a grid tries for each searched setting, in the order of their names.

    Raises:
        UsageError: a range is continuous without values or points.
    """
    axes: dict[str, Sequence[Any]] = {}
    for name in sorted(space):
        try:
            axes[name] = space[name].grid_values()
        except UsageError as error:
            raise UsageError(f"{show(name)}: {error.what}", error.remedy) from None
    return axes


def grid_size(space: Mapping[str, Parameter]) -> int:
    """Count the points of a space's grid.

    Raises:
        UsageError: as ``grid_axes``, or there are more than 10,000.
    """
    axes = grid_axes(space)
    size, is_known = _count(space, axes)
    if size > MAX_GRID_POINTS:
        factors = " x ".join(f"{name} {len(values)}" for name, values in axes.items())
        conditions = ", less what conditions leave out" if any(parameter.when for parameter in space.values()) else ""
        known = f"{size:,}" if is_known else f"more than {MAX_GRID_POINTS:,}"
        raise UsageError(
            f"a grid has at most {MAX_GRID_POINTS:,} points, this one {known} ({factors}{conditions})",
            "use fewer values or a larger step, or search with --search-mode bayesian",
        )
    return size


def space_size(space: Mapping[str, Parameter], *, grid: bool) -> int | None:
    """Count the points of a space, or with ``grid`` of its grid (raises as ``grid_axes``); None for infinitely many."""
    if grid:
        return grid_size(space)
    if any(isinstance(own, (LogUniform, Uniform)) and own.low < own.high for own in space.values()):
        return None
    lists = {
        name: own.grid_values() if isinstance(own, (IntRange, Categorical)) else [own.low]
        for name, own in space.items()
    }
    return _count(space, lists)[0]


def _count(space: Mapping[str, Parameter], axes: Mapping[str, Sequence[Any]]) -> tuple[int, bool]:
    """Count the combinations of active settings. Returns the number, and whether it is complete: there are more, where
    those that others depend on make more than 10,000 by themselves."""
    stems = list(itertools.islice(_stems(space, axes), MAX_GRID_POINTS + 1))
    size = sum(math.prod(len(axes[name]) for name in _leaves(space, stem)) for stem in stems)
    return size, len(stems) <= MAX_GRID_POINTS


def grid_points(space: Mapping[str, Parameter]) -> list[dict[str, Any]]:
    """Return every point of the grid, each with only the settings that are active there, in an order that depends on
    the space alone. Raises as ``grid_size``."""
    grid_size(space)
    axes = grid_axes(space)
    points: list[dict[str, Any]] = []
    for stem in _stems(space, axes):
        choices = {name: axes[name] for name in _leaves(space, stem)} | {name: [stem[name]] for name in stem}
        names = sorted(choices)
        points += [
            dict(zip(names, values, strict=True)) for values in itertools.product(*(choices[name] for name in names))
        ]
    return points


def _stems(space: Mapping[str, Parameter], axes: Mapping[str, Sequence[Any]]) -> Iterator[dict[str, Any]]:
    """List the combinations of the settings that others depend on, without the inactive ones; an empty one where none
    do."""
    above = {parent for name in space for parent in parents(space, name)}
    return _combined(space, axes, [name for name in in_order(space) if name in above], {})


def _combined(
    space: Mapping[str, Parameter], axes: Mapping[str, Sequence[Any]], names: Sequence[str], chosen: dict[str, Any]
) -> Iterator[dict[str, Any]]:
    if not names:
        yield chosen
    elif not is_active(space[names[0]], chosen):
        yield from _combined(space, axes, names[1:], chosen)
    else:
        for value in axes[names[0]]:
            yield from _combined(space, axes, names[1:], {**chosen, names[0]: value})


def _leaves(space: Mapping[str, Parameter], stem: Mapping[str, Any]) -> list[str]:
    """Return the active settings that no other depends on, in the order of their names."""
    above = {parent for name in space for parent in parents(space, name)}
    return sorted(name for name in active(space, stem) if name not in above)


def point_key(params: Mapping[str, Any]) -> str:
    """Return a key that is equal for equal parameters: 1 and 1.0 are one number, true and texts are no numbers."""
    text = json.dumps({name: canonical(value) for name, value in params.items()}, sort_keys=True, allow_nan=False)
    return hashlib.sha256(text.encode("ascii")).hexdigest()


def default_point(space: Mapping[str, Parameter], defaults: Mapping[str, Any]) -> dict[str, Any]:
    """Return the default configuration: each active parameter's default, else the value nearest to ``defaults``, else
    the middle."""
    return active_part(space, every_default(space, defaults))


def every_default(space: Mapping[str, Parameter], defaults: Mapping[str, Any]) -> dict[str, Any]:
    """Return each parameter's default as in ``default_point``, whether it is active or not."""
    points: dict[str, Any] = {}
    for name, parameter in space.items():
        wanted: Any = defaults.get(name) if parameter.default is None else parameter.default
        comparable = is_number(wanted)
        if isinstance(parameter, Categorical):
            comparable = parameter.contains(wanted) or (comparable and all(map(is_number, parameter.choices)))
        points[name] = parameter.nearest(wanted) if comparable else parameter.middle()
    return points


def default_grid_point(space: Mapping[str, Parameter], defaults: Mapping[str, Any]) -> dict[str, Any]:
    """Return the grid point nearest to the default configuration. Raises as ``grid_axes``."""
    axes = grid_axes(space)
    wanted = every_default(space, defaults)
    return active_part(space, {name: nearest_of(axes[name], wanted[name], space[name].is_log) for name in space})


def every_value(
    space: Mapping[str, Parameter], params: Mapping[str, Any], defaults: Mapping[str, Any]
) -> dict[str, Any]:
    """Return a value for each searched setting: that in ``params``, else that of the default configuration where it is
    active beside them, else its inactive value (null: not known)."""
    wanted = every_default(space, defaults) | dict(params)
    inactive = {name: inactive_value(parameter, defaults.get(name)) for name, parameter in space.items()}
    return inactive | active_part(space, wanted) | dict(params)


def inactive_value(parameter: Parameter, default: Any) -> Any:
    """Return the value of a searched setting in a trial in which it is inactive; ``default`` is the setting's own."""
    return default if parameter.otherwise is None else parameter.otherwise


def variations(space: Mapping[str, Parameter], defaults: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return configurations that between them have each choice of each searched setting and both ends of its range:
    each once, with the values that make the setting active, and the rest as in the default configuration."""
    start, varied = default_point(space, defaults), []
    for name, allowed in needs(space).items():
        asked = {above: start[above] if start.get(above) in values else values[0] for above, values in allowed.items()}
        points = ({**asked, name: value} for value in space[name].extremes())
        varied += [point for point in points if start | point != start]
    return varied


def active_part(space: Mapping[str, Parameter], values: Mapping[str, Any]) -> dict[str, Any]:
    """Return the values of the settings that are active beside each other."""
    names = set(active(space, values))
    return {name: values[name] for name in space if name in names}
