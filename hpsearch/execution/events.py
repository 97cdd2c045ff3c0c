"""Events of a job that is not a trial (prepare, train, merge), passed to one function that shows them."""

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
    """Progress of a job that is not a trial."""

    kind: str
    values: dict[str, Any]


JobView = Callable[[Note | JobProgress], None]
