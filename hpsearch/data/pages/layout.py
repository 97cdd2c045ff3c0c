"""What a transcription says of a page: its regions of text in reading order, their lines, and where each is."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from statistics import median

Point = tuple[float, float]
Outline = tuple[Point, ...]

# Where letters are beside the line they stand on, in distances between lines: ascenders above, descenders below.
ABOVE, BELOW = 0.75, 0.25


class Unreadable(ValueError):
    """A page cannot be used. ``reason`` is the same for all pages that are refused for it, ``detail`` is this one's."""

    def __init__(self, reason: str, detail: str = "") -> None:
        super().__init__(reason + (f": {detail}" if detail else ""))
        self.reason, self.detail = reason, detail


@dataclass(frozen=True)
class Line:
    """A line of text. ``outline`` and ``baseline`` are points in the page's own units, empty where there are none."""

    id: str
    text: str
    outline: Outline = ()
    baseline: Outline = ()


@dataclass(frozen=True)
class Region:
    """A paragraph, heading or the like. ``own`` is a text that is not parted into lines; ``turn`` how many quarters it
    is to be turned clockwise to be upright, None where its file does not say."""

    id: str
    outline: Outline = ()
    lines: tuple[Line, ...] = ()
    own: str = ""
    turn: int | None = None

    @property
    def text(self) -> str:
        """Its lines, one below the other."""
        return "\n".join(line.text for line in self.lines if line.text) or self.own

    def turn_of(self, line: Line) -> int:
        """How many quarters a line is to be turned clockwise to be upright: as the file says, or as it runs."""
        return _turn(line) if self.turn is None else self.turn

    @property
    def common_turn(self) -> int:
        """Its own, or that of all its lines; 0 where these differ."""
        turns = {self.turn_of(line) for line in self.lines} if self.turn is None else {self.turn}
        return turns.pop() if len(turns) == 1 else 0

    def with_outlines(self) -> Region:
        """The same, in which a line that has only a baseline lies between the lines around it."""
        return replace(self, lines=tuple(self._outlined(line) for line in self.lines))

    def _outlined(self, line: Line) -> Line:
        if len(line.outline) > 2 or len(line.baseline) < 2:
            return line
        turn = self.turn_of(line)
        beside = [turned(each.baseline, turn) for each in self.lines if self.turn_of(each) == turn]
        return replace(line, outline=turned(_between(turned(line.baseline, turn), beside), -turn))


@dataclass(frozen=True)
class Page:
    """A page: the ``picture`` it was transcribed from as its file names it ("": not at all), that picture's ``size`` in
    the units of all points, None where it is not said, and whether these ``in_pixels``; ``turn`` as of a region."""

    picture: str
    size: tuple[float, float] | None
    regions: tuple[Region, ...]
    in_pixels: bool = True
    turn: int | None = None

    @property
    def upright_turn(self) -> int:
        """Its own, or that of all its regions; 0 where these differ."""
        turns = {region.common_turn for region in self.regions} if self.turn is None else {self.turn}
        return turns.pop() if len(turns) == 1 else 0

    @property
    def text(self) -> str:
        """All of it in reading order, an empty line between regions."""
        return "\n\n".join(region.text for region in self.regions if region.text)

    def scaled(self, across: float, down: float) -> Page:
        """The same with all points multiplied."""

        def moved(outline: Outline) -> Outline:
            return tuple((x * across, y * down) for x, y in outline)

        def line_of(line: Line) -> Line:
            return replace(line, outline=moved(line.outline), baseline=moved(line.baseline))

        regions = tuple(
            replace(region, outline=moved(region.outline), lines=tuple(map(line_of, region.lines)))
            for region in self.regions
        )
        return replace(self, regions=regions)


def box(left: float, top: float, width: float, height: float) -> Outline:
    """The outline of a rectangle; its right and lower edges belong to what comes after it."""
    right, bottom = left + width - 1e-6, top + height - 1e-6
    return (left, top), (right, top), (right, bottom), (left, bottom)


def bounds(points: Iterable[Point]) -> tuple[float, float, float, float]:
    """Left, top, right and bottom of some points."""
    across, down = zip(*points, strict=True)
    return min(across), min(down), max(across), max(down)


def turned(outline: Outline, quarters: int) -> Outline:
    """Points turned clockwise about the corner where both are 0."""
    for _ in range(quarters % 4):
        outline = tuple((-y, x) for x, y in outline)
    return outline


def _turn(line: Line) -> int:
    """By where its baseline runs: upwards it is turned, and downwards too if its script is not written that way. One
    that runs along less than half of a line says nothing: a single letter's may be steep by chance."""
    if len(line.baseline) < 2:
        return 0
    (left, top), (right, bottom) = line.baseline[0], line.baseline[-1]
    first, highest, last, lowest = bounds(line.outline or line.baseline)
    height = lowest - highest
    if last - first > height or abs(bottom - top) <= max(abs(right - left), height / 2):
        return 0
    return 1 if bottom < top else 0 if written_downwards(line.text) else 3


def written_downwards(text: str) -> bool:
    """Whether it is of a script whose lines may run downwards: Chinese, Japanese, Korean, Mongolian."""
    letters = [each for each in text if each.isalpha()]
    down = sum(unicodedata.east_asian_width(each) in "WF" or "\u1800" <= each <= "\u18af" for each in letters)
    return 0 < len(letters) <= 2 * down


def _between(baseline: Outline, baselines: Sequence[Outline]) -> Outline:
    """The outline of an upright line that has only a baseline, among others; () where there is none."""
    height = _distance(baseline, baselines)
    if not height:
        return ()
    above = [(x, y - ABOVE * height) for x, y in baseline]
    below = [(x, y + BELOW * height) for x, y in reversed(baseline)]
    return tuple(above + below)


def _distance(baseline: Outline, baselines: Sequence[Outline]) -> float:
    """From a line to the next one; 0 where there is no other to tell."""
    heights = [median(y for _, y in each) for each in baselines if len(each) > 1]
    own = median(y for _, y in baseline)
    return min((abs(each - own) for each in heights if abs(each - own) > 1.0), default=0.0)
