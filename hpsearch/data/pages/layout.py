"""The layout of a transcribed page: its regions of text in reading order, their lines, and their outlines."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from statistics import median

Point = tuple[float, float]
Outline = tuple[Point, ...]

# Letters around their baseline, in distances between lines: ascenders above, descenders below.
ABOVE, BELOW = 0.75, 0.25


class Unreadable(ValueError):
    """A page cannot be used. ``reason`` is the same for all such pages, ``detail`` is this one's."""

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
    """A paragraph, heading or the like. ``own`` is a text that is not divided into lines; ``turn`` the quarters by
    which it must be turned clockwise to be upright, None where its file does not say."""

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
        """Return the quarters by which a line must be turned clockwise to be upright: as the file says, or as it
        runs."""
        return _turn(line) if self.turn is None else self.turn

    @property
    def common_turn(self) -> int:
        """Its own, or that of all its lines; 0 where these differ."""
        turns = {self.turn_of(line) for line in self.lines} if self.turn is None else {self.turn}
        return turns.pop() if len(turns) == 1 else 0

    def with_outlines(self) -> Region:
        """Return the same region, in which a line that has only a baseline gets an outline between its neighbours."""
        return replace(self, lines=tuple(self._outlined(line) for line in self.lines))

    def _outlined(self, line: Line) -> Line:
        if len(line.outline) > 2 or len(line.baseline) < 2:
            return line
        turn = self.turn_of(line)
        beside = [turned(other.baseline, turn) for other in self.lines if self.turn_of(other) == turn]
        return replace(line, outline=turned(_between(turned(line.baseline, turn), beside), -turn))


@dataclass(frozen=True)
class Page:
    """A page: the ``picture`` it was transcribed from as its file names it ("": not named), that picture's ``size`` in
    the units of all points, None where it is not given, and whether these are pixels; ``turn`` as of a region."""

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
        """Return the same page with all points multiplied."""

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
    """Return the outline of a rectangle, without its right and lower edges."""
    right, bottom = left + width - 1e-6, top + height - 1e-6
    return (left, top), (right, top), (right, bottom), (left, bottom)


def bounds(points: Iterable[Point]) -> tuple[float, float, float, float]:
    """Return the left, top, right and bottom of points."""
    across, down = zip(*points, strict=True)
    return min(across), min(down), max(across), max(down)


def around(points: Iterable[Point]) -> Outline:
    """Return the outline of the rectangle around points; () around none."""
    corners = list(points)
    if not corners:
        return ()
    left, top, right, bottom = bounds(corners)
    return (left, top), (right, top), (right, bottom), (left, bottom)


def turned(outline: Outline, quarters: int) -> Outline:
    """Turn points clockwise about the corner where both coordinates are 0."""
    for _ in range(quarters % 4):
        outline = tuple((-y, x) for x, y in outline)
    return outline


def _turn(line: Line) -> int:
    """Return a line's turn by the direction of its baseline: upwards it is turned, and downwards too if its script is
    not written that way. A baseline along less than half of a line says nothing: a single letter's may be steep."""
    if len(line.baseline) < 2:
        return 0
    (left, top), (right, bottom) = line.baseline[0], line.baseline[-1]
    first, highest, last, lowest = bounds(line.outline or line.baseline)
    height = lowest - highest
    if last - first > height or abs(bottom - top) <= max(abs(right - left), height / 2):
        return 0
    return 1 if bottom < top else 0 if written_downwards(line.text) else 3


def written_downwards(text: str) -> bool:
    """Return whether a text is of a script whose lines may run downwards: Chinese, Japanese, Korean, Mongolian."""
    letters = [letter for letter in text if letter.isalpha()]
    down = sum(unicodedata.east_asian_width(sign) in "WF" or "\u1800" <= sign <= "\u18af" for sign in letters)
    return 0 < len(letters) <= 2 * down


def _between(baseline: Outline, baselines: Sequence[Outline]) -> Outline:
    """Return the outline of an upright line that has only a baseline, by its distance from the next of the others; ()
    where there is no other."""
    heights = [median(y for _, y in other) for other in baselines if len(other) > 1]
    own = median(y for _, y in baseline)
    height = min((abs(other - own) for other in heights if abs(other - own) > 1.0), default=0.0)
    if not height:
        return ()
    above = [(x, y - ABOVE * height) for x, y in baseline]
    below = [(x, y + BELOW * height) for x, y in reversed(baseline)]
    return tuple(above + below)
