"""What a job without a trial (prepare, train, merge) shows of itself: plain values, handed to one function."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Note:
    """A sentence worth showing; ``warning`` where the user may want to act."""

    text: str
    warning: bool = False


@dataclass(frozen=True)
class JobProgress:
    """How far a job without a trial is."""

    kind: str
    values: dict[str, Any]


JobView = Callable[[Note | JobProgress], None]
