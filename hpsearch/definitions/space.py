"""Search spaces: the default configuration, and the points of a grid."""

from __future__ import annotations

import hashlib
import itertools
import json
import math
from collections.abc import Mapping, Sequence
from typing import Any

from hpsearch.definitions.parameters import MAX_GRID_POINTS, Categorical, Parameter
from hpsearch.definitions.problems import show
from hpsearch.definitions.values import canonical, is_number, nearest_of
from hpsearch.errors import UsageError


def grid_axes(space: Mapping[str, Parameter]) -> dict[str, Sequence[Any]]:
    """The values a grid tries for each searched setting, in the order of their names.

    Raises:
        UsageError: a range is continuous without values or points, or the grid has more than 10,000 points.
    """
    axes: dict[str, Sequence[Any]] = {}
    for name in sorted(space):
        try:
            axes[name] = space[name].grid_values()
        except UsageError as error:
            raise UsageError(f"{show(name)}: {error.what}", error.remedy) from None
    size = math.prod(len(values) for values in axes.values())
    if size > MAX_GRID_POINTS:
        factors = " x ".join(f"{name} {len(values)}" for name, values in axes.items())
        raise UsageError(
            f"a grid has at most {MAX_GRID_POINTS:,} points, this one {size:,} ({factors})",
            "use fewer values or a larger step, or search with --search-mode bayesian",
        )
    return axes


def grid_size(space: Mapping[str, Parameter]) -> int:
    """How many points the grid of a space has. Raises as ``grid_axes``."""
    return math.prod(len(values) for values in grid_axes(space).values())


def grid_points(space: Mapping[str, Parameter]) -> list[dict[str, Any]]:
    """Every point of the grid, in an order that depends on the space alone. Raises as ``grid_axes``."""
    axes = grid_axes(space)
    return [dict(zip(axes, values, strict=True)) for values in itertools.product(*axes.values())]


def point_key(params: Mapping[str, Any]) -> str:
    """A key equal for equal parameters: 1 and 1.0 are one number, true is no number, texts stand apart."""
    text = json.dumps({name: canonical(value) for name, value in params.items()}, sort_keys=True, allow_nan=False)
    return hashlib.sha256(text.encode("ascii")).hexdigest()


def default_point(space: Mapping[str, Parameter], defaults: Mapping[str, Any]) -> dict[str, Any]:
    """The default configuration: each parameter's default, else the value nearest to ``defaults``, else the middle."""
    return {name: _default(parameter, defaults.get(name)) for name, parameter in space.items()}


def default_grid_point(space: Mapping[str, Parameter], defaults: Mapping[str, Any]) -> dict[str, Any]:
    """The grid point nearest to the default configuration. Raises as ``grid_axes``."""
    wanted = default_point(space, defaults)
    axes = grid_axes(space)
    return {name: nearest_of(axes[name], wanted[name], space[name].is_log) for name in space}


def _default(parameter: Parameter, wanted: Any) -> Any:
    if parameter.default is not None:
        wanted = parameter.default
    if isinstance(parameter, Categorical):
        comparable = parameter.contains(wanted) or (is_number(wanted) and all(map(is_number, parameter.choices)))
        return parameter.nearest(wanted) if comparable else parameter.middle()
    return parameter.nearest(wanted) if is_number(wanted) else parameter.middle()
