"""Assigning rows to train, validation and holdout so that no row is both learned from and judged by."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Generic, Protocol, TypeVar


class SplittableRow(Protocol):
    """The parts of a row that decide its side."""

    @property
    def picture(self) -> str:
        """A digest of the picture's pixels."""

    @property
    def document(self) -> str | None:
        """The document it is a part of."""


Row = TypeVar("Row", bound=SplittableRow)


@dataclass(frozen=True)
class LeftOutRow(Generic[Row]):
    """A row that was left out of a side (train, validation), and why."""

    row: Row
    side: str
    reason: str


@dataclass(frozen=True)
class SplitRows(Generic[Row]):
    """Rows of the three sides. ``left_out`` are the rows that were left out, and ``warnings`` sum them up."""

    train: Sequence[Row]
    validation: Sequence[Row]
    holdout: Sequence[Row]
    warnings: tuple[str, ...] = ()
    left_out: tuple[LeftOutRow[Row], ...] = ()


def hold_out(rows: Sequence[Row], fraction: float) -> tuple[list[Row], list[Row]]:
    """Split rows into (validation, holdout), about ``fraction`` of them in the second and at least one in each where
    there are two documents or pictures. The split depends on the rows alone, not on their order or on a seed, and never
    divides a document."""
    groups: dict[str, list[int]] = {}
    for index, row in enumerate(rows):
        groups.setdefault(row.document or row.picture, []).append(index)
    held: set[int] = set()
    for key in sorted(groups, key=_digest)[: len(groups) - 1]:
        if held and len(held) + len(groups[key]) / 2 > fraction * len(rows):
            break
        held.update(groups[key])
    return [row for index, row in enumerate(rows) if index not in held], [rows[index] for index in sorted(held)]


def separate(division: SplitRows[Row]) -> SplitRows[Row]:
    """Leave out of train the rows that are also in validation or holdout, and out of validation those also in holdout:
    the same picture, or a part of the same document."""
    holdout = division.holdout
    validation, first = _without(division.validation, holdout, "validation", "the holdout set")
    train, second = _without(division.train, [*validation, *holdout], "train", "validation or the holdout set")
    left_out = (*division.left_out, *first, *second)
    warnings = (*division.warnings, *_summed(first), *_summed(second))
    return replace(division, train=train, validation=validation, warnings=warnings, left_out=left_out)


def pick(keys: Sequence[str], count: int) -> list[int]:
    """Return the positions, in order, of a random sample of at most ``count`` keys, which depends on the keys alone;
    larger samples contain the smaller ones."""
    shuffled = sorted(range(len(keys)), key=lambda index: _digest(keys[index]))
    return sorted(shuffled[:count])


def _without(
    rows: Sequence[Row], other: Sequence[Row], name: str, others: str
) -> tuple[list[Row], list[LeftOutRow[Row]]]:
    left_out = []
    for what, key in _KEYS.items():
        taken = {key(row) for row in other} - {None}
        left_out += [LeftOutRow(row, name, f"{what} is also in {others}") for row in rows if key(row) in taken]
        rows = [row for row in rows if key(row) not in taken]
    return list(rows), left_out


def _summed(left_out: Sequence[LeftOutRow[Row]]) -> list[str]:
    counts = Counter((row.side, row.reason) for row in left_out)
    return [f"{count} rows left out of {side}: {reason}" for (side, reason), count in counts.items()]


_KEYS: dict[str, Callable[[SplittableRow], str | None]] = {
    "their picture": lambda row: row.picture,
    "their document": lambda row: row.document,
}


def _digest(key: str) -> str:
    return hashlib.sha256(key.encode()).hexdigest()
