"""The configurations that a definition names to begin with."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from hpsearch.config.parameters import Parameter
from hpsearch.config.problems import Problem, nearest_names, show


def first_problems(first: Iterable[Mapping[str, Any]], space: Mapping[str, Parameter]) -> Iterable[Problem]:
    """What is wrong with ``try_first``: names that are not searched, values outside their ranges."""
    for index, values in enumerate(first):
        for name, value in values.items():
            path = ("try_first", index, name)
            if name not in space:
                rule = "try_first gives values of searched settings, but {} is none"
                yield Problem(path, rule.format(show(name)), nearest_names(name, space))
            elif not space[name].contains(value):
                known = ", ".join(map(str, space[name].extremes()))
                rule = f"try_first gives values that may be tried, but {show(name)} is {show(value)}, not of {known}"
                yield Problem(path, rule, "move it there, or widen the range")
