"""A promise as something that can be measured: few times in the tests, often by ``make faults``."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

WITHIN_S = 60.0  # a guard against hanging


@dataclass(frozen=True)
class Effort:
    """How often a fault is tried; the full effort also tries it on what a user would write with Optuna alone."""

    full: bool

    def times(self, full: int, quick: int) -> int:
        """One of the two numbers."""
        return full if self.full else quick


@dataclass(frozen=True)
class Found:
    """What was measured: of hpsearch, whether that meets the target, and of plain Optuna under the same fault."""

    hpsearch: str
    met: bool
    plain: str = "not tried"


@dataclass(frozen=True)
class Goal:
    """One promise in plain words, its target, and how it is measured in an empty folder."""

    name: str
    promise: str
    target: str
    measure: Callable[[Path, Effort], Found]


def until(condition: Callable[[], Any], what: str) -> Any:
    """Wait for a condition; its value."""
    deadline = time.monotonic() + WITHIN_S
    while not (value := condition()):
        if time.monotonic() > deadline:
            raise TimeoutError(f"waited in vain for {what}")
        time.sleep(0.01)
    return value
