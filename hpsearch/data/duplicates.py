"""Rows that are there twice: the same picture, or one that looks like another and reads the same."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum

from hpsearch.data.metrics import NORMALIZATIONS

# Of 256 bits of their looks, how many may differ. Of made pages, smaller, larger or as JPEG, at most 12 differ, and two
# pages in 22 and more; lines of 16 pixels with one number by several hands in 10 and more (53 pairs, one below 13).
ALIKE_BITS = 12
ALIKE_SHARE = 0.4  # of the bits that are set in either: a nearly empty page has few, in which it is like many others
ALIKE_LEAST = 16  # bits that must be set for a look to say anything
ALIKE_SHAPE = 0.05  # by which the ratio of their sides may differ
COMPARED = 100  # rows of one text that later ones are compared with: a word may stand in a thousand pictures


class DuplicateKind(StrEnum):
    """How two rows are the same."""

    SAME = "the same picture and text"
    OTHER_TEXT = "the same picture with another text"
    ALIKE = "a picture that looks alike, with the same text"


@dataclass(frozen=True)
class RowFingerprint:
    """What must be known of a row: its text, a digest of its picture's pixels, what that looks like from afar
    (``look_of``) and its size in pixels."""

    text: str
    picture: str
    look: int
    size: tuple[int, int]


@dataclass(frozen=True)
class Duplicate:
    """The row at ``index`` is, in a way, that at ``first``, which comes before it."""

    index: int
    first: int
    kind: DuplicateKind


def find_duplicates(rows: Sequence[RowFingerprint]) -> list[Duplicate]:
    """Each row that an earlier one makes superfluous or doubtful, in the rows' order. Texts are compared with runs of
    white space as one."""
    texts = [" ".join(NORMALIZATIONS["nfc"].words(row.text)) for row in rows]
    return sorted((*_same_pictures(rows, texts), *_alike(rows, texts)), key=lambda each: each.index)


def _same_pictures(rows: Sequence[RowFingerprint], texts: Sequence[str]) -> Iterator[Duplicate]:
    firsts: dict[str, int] = {}
    for index, row in enumerate(rows):
        first = firsts.setdefault(row.picture, index)
        if first != index:
            yield Duplicate(
                index, first, DuplicateKind.SAME if texts[first] == texts[index] else DuplicateKind.OTHER_TEXT
            )


def _alike(rows: Sequence[RowFingerprint], texts: Sequence[str]) -> Iterator[Duplicate]:
    groups: dict[str, list[int]] = defaultdict(list)
    seen: set[str] = set()
    for index, row in enumerate(rows):
        if row.picture in seen:
            continue  # the same picture is told as that
        seen.add(row.picture)
        group = groups[texts[index]]
        first = next((each for each in group if _look_alike(rows[each], row)), None)
        if first is not None:
            yield Duplicate(index, first, DuplicateKind.ALIKE)
        elif len(group) < COMPARED:
            group.append(index)


def _look_alike(one: RowFingerprint, other: RowFingerprint) -> bool:
    told = min(one.look.bit_count(), other.look.bit_count())
    if told < ALIKE_LEAST or abs(_shape(one) / _shape(other) - 1) > ALIKE_SHAPE:
        return False
    return (one.look ^ other.look).bit_count() <= min(ALIKE_BITS, ALIKE_SHARE * told)


def _shape(row: RowFingerprint) -> float:
    return row.size[0] / row.size[1]
