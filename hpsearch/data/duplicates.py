"""Duplicate rows: the same picture, or one that looks like another and has the same text."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum

from hpsearch.data.metrics import NORMALIZATIONS

# Of 256 bits of their looks, the number that may differ. Of made pages, smaller, larger or as JPEG, at most 12 differ,
# and two pages in 22 and more; lines of 16 pixels with one number by several hands in 10 and more (53 pairs, one below
# 13).
ALIKE_BITS = 12
ALIKE_SHARE = 0.4  # of the bits that are set in either: a nearly empty page has few, in which it is like many others
ALIKE_LEAST = 16  # bits that must be set for a look to say anything
ALIKE_SHAPE = 0.05  # by which the ratio of their sides may differ
COMPARED = 100  # rows of one text that later ones are compared with: a word may be in a thousand pictures


class DuplicateKind(StrEnum):
    """The way in which two rows are the same."""

    SAME = "the same picture and text"
    OTHER_TEXT = "the same picture with another text"
    ALIKE = "a picture that looks alike, with the same text"


@dataclass(frozen=True)
class RowFingerprint:
    """The compared parts of a row: its text, a digest of its picture's pixels, the picture's look from afar
    (``look_of``) and its size in pixels."""

    text: str
    picture: str
    look: int
    size: tuple[int, int]


@dataclass(frozen=True)
class Duplicate:
    """The row at ``index`` repeats the one at ``first``, which comes before it."""

    index: int
    first: int
    kind: DuplicateKind


def find_duplicates(rows: Sequence[RowFingerprint]) -> list[Duplicate]:
    """Find each row that an earlier one makes superfluous or doubtful, in the rows' order. Texts are compared with runs
    of white space as one."""
    texts = [" ".join(NORMALIZATIONS["nfc"].words(row.text)) for row in rows]
    return sorted((*_same_pictures(rows, texts), *_alike(rows, texts)), key=lambda duplicate: duplicate.index)


def _same_pictures(rows: Sequence[RowFingerprint], texts: Sequence[str]) -> Iterator[Duplicate]:
    firsts: dict[str, int] = {}
    for index, row in enumerate(rows):
        first = firsts.setdefault(row.picture, index)
        if first != index:
            same = texts[first] == texts[index]
            yield Duplicate(index, first, DuplicateKind.SAME if same else DuplicateKind.OTHER_TEXT)


def _alike(rows: Sequence[RowFingerprint], texts: Sequence[str]) -> Iterator[Duplicate]:
    groups: dict[str, list[int]] = defaultdict(list)
    seen: set[str] = set()
    for index, row in enumerate(rows):
        if row.picture in seen:
            continue  # the same picture is reported as that
        seen.add(row.picture)
        group = groups[texts[index]]
        first = next((earlier for earlier in group if _look_alike(rows[earlier], row)), None)
        if first is not None:
            yield Duplicate(index, first, DuplicateKind.ALIKE)
        elif len(group) < COMPARED:
            group.append(index)


def _look_alike(row: RowFingerprint, other: RowFingerprint) -> bool:
    set_bits = min(row.look.bit_count(), other.look.bit_count())
    shapes = (row.size[0] / row.size[1]) / (other.size[0] / other.size[1])
    if set_bits < ALIKE_LEAST or abs(shapes - 1) > ALIKE_SHAPE:
        return False
    return (row.look ^ other.look).bit_count() <= min(ALIKE_BITS, ALIKE_SHARE * set_bits)
