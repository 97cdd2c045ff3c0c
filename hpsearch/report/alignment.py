"""A reference and several readings of it, aligned character by character, in blocks that wrap at any width."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby

from hpsearch.data.metrics import graphemes
from hpsearch.report.text import visible_lines

SAME, SUBSTITUTED, MISSING, EXTRA, GAP = "", "sub", "del", "ins", "gap"
_WIDEST = 16  # columns of a block
_KINDS = {"replace": SUBSTITUTED, "delete": MISSING, "insert": EXTRA}
_GAP = "·"
_SIGNS = {"\n": "↵", "\t": "⇥", " ": "␣"}

Cell = tuple[str, str]  # kind and character
Column = tuple[Cell, ...]  # the reference's cell, then one of each reading


@dataclass(frozen=True)
class AlignedRun:
    """A run of characters of one kind: "" (as in the reference), "sub", "del", "ins", or "gap" (a place where another
    text has characters)."""

    kind: str
    text: str


@dataclass(frozen=True)
class AlignedBlock:
    """Up to 16 columns: the runs of the reference, then those of each reading."""

    rows: tuple[tuple[AlignedRun, ...], ...]


@dataclass(frozen=True)
class ReadingEdits:
    """The fewest edits from the reference to a reading, in graphemes; ``length`` is the reference's."""

    substituted: int
    missing: int
    extra: int
    length: int

    @property
    def errors(self) -> int:
        """Edits of all three kinds."""
        return self.substituted + self.missing + self.extra


@dataclass(frozen=True)
class Alignment:
    """The lines of the reference, each as blocks; and the edits of each reading."""

    lines: tuple[tuple[AlignedBlock, ...], ...]
    edits: tuple[ReadingEdits, ...]


def align_readings(reference: str, readings: Sequence[str]) -> Alignment:
    """Align each reading with the reference by the fewest edits; what several readings insert at one place shares
    columns. A character is a grapheme, so that no mark is parted from its letter."""
    characters = graphemes(reference)
    paired = [_pair(characters, graphemes(reading)) for reading in readings]
    lines = [
        tuple(AlignedBlock(tuple(map(_runs, zip(*block, strict=True)))) for block in _blocks(line))
        for line in _lines(_columns(characters, [cells for cells, _, _ in paired], [extra for _, extra, _ in paired]))
    ]
    return Alignment(tuple(lines), tuple(edits for _, _, edits in paired))


def _pair(reference: Sequence[str], reading: Sequence[str]) -> tuple[list[Cell], dict[int, list[str]], ReadingEdits]:
    """Return the reading's cell at each character of the reference, its insertions before each, and the edits."""
    from rapidfuzz.distance import Levenshtein

    cells: list[Cell] = [(SAME, character) for character in reference]
    extra: dict[int, list[str]] = {}
    counts = dict.fromkeys((SUBSTITUTED, MISSING, EXTRA), 0)
    for operation in Levenshtein.editops(reference, reading):
        kind, place = _KINDS[operation.tag], operation.src_pos
        counts[kind] += 1
        if kind == EXTRA:
            extra.setdefault(place, []).append(reading[operation.dest_pos])
        else:
            cells[place] = (kind, reference[place] if kind == MISSING else reading[operation.dest_pos])
    return cells, extra, ReadingEdits(counts[SUBSTITUTED], counts[MISSING], counts[EXTRA], len(reference))


def _columns(
    reference: Sequence[str], cells: Sequence[Sequence[Cell]], extra: Sequence[dict[int, list[str]]]
) -> Iterator[Column]:
    for place in range(len(reference) + 1):
        inserted = [own.get(place, []) for own in extra]
        for column in range(max(map(len, inserted), default=0)):
            yield ((GAP, _GAP), *((EXTRA, own[column]) if column < len(own) else (GAP, _GAP) for own in inserted))
        if place < len(reference):
            yield ((SAME, reference[place]), *(own[place] for own in cells))


def _lines(columns: Iterable[Column]) -> Iterator[list[Column]]:
    """Split the columns behind the reference's line breaks."""
    line: list[Column] = []
    for column in columns:
        line.append(column)
        if column[0][1] in ("\n", "\r\n"):
            yield line
            line = []
    if line:
        yield line


def _blocks(line: Sequence[Column]) -> Iterator[list[Column]]:
    """Split a line behind spaces of the reference, and where a block is full."""
    block: list[Column] = []
    for column in line:
        block.append(column)
        if column[0][1].isspace() or len(block) == _WIDEST:
            yield block
            block = []
    if block:
        yield block


def _runs(cells: Iterable[Cell]) -> tuple[AlignedRun, ...]:
    return tuple(
        AlignedRun(kind, "".join(_shown(kind, character) for _, character in run))
        for kind, run in groupby(cells, lambda cell: cell[0])
    )


def _shown(kind: str, character: str) -> str:
    """Give white space that is an edit a sign. Other line breaks need none: the line ends there anyway."""
    plain = character.replace("\r\n", "\n")
    if kind == SAME:
        return "" if plain == "\n" else visible_lines(plain)
    return "".join(_SIGNS.get(sign, sign) for sign in visible_lines(plain))
