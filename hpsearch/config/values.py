"""Comparing values of settings: which are equal, and which is nearest."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any


def nearest_of(values: Sequence[Any], wanted: Any, is_log: bool) -> Any:
    """The one of ``values`` nearest to ``wanted`` (the first of equals); the first where they cannot be compared."""
    if not is_number(wanted) or not all(map(is_number, values)):
        return next((value for value in values if canonical(value) == canonical(wanted)), values[0])
    if is_log and wanted > 0:
        return min(values, key=lambda value: abs(math.log(value) - math.log(wanted)))
    return min(values, key=lambda value: abs(value - wanted))


def canonical(value: Any) -> Any:
    """A value in a form in which only equal values are equal: 1.0 as 1, true marked as no number."""
    if isinstance(value, bool):
        return ["bool", value]
    if isinstance(value, float) and value.is_integer():
        return int(value)
    return value


def is_number(value: Any) -> bool:
    """Whether ``value`` is a number; true and false are not."""
    return isinstance(value, (int, float)) and not isinstance(value, bool)
