"""What a transcription says of a page: its regions of text in reading order, their lines, and where each is."""

from __future__ import annotations

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
    """A paragraph, heading or the like. ``own`` is a text that is not parted into lines."""

    id: str
    outline: Outline = ()
    lines: tuple[Line, ...] = ()
    own: str = ""

    @property
    def text(self) -> str:
        """Its lines, one below the other."""
        return "\n".join(line.text for line in self.lines if line.text) or self.own

    def with_outlines(self) -> Region:
        """The same, in which a line that has only a baseline lies between the lines around it."""
        return replace(self, lines=tuple(_outlined(line, self.lines) for line in self.lines))


@dataclass(frozen=True)
class Page:
    """A page: the ``picture`` it was transcribed from as its file names it ("": not at all), that picture's ``size`` in
    the units of all points, None where it is not said, and whether these ``in_pixels``."""

    picture: str
    size: tuple[float, float] | None
    regions: tuple[Region, ...]
    in_pixels: bool = True

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


def _outlined(line: Line, all_lines: Sequence[Line]) -> Line:
    if len(line.outline) > 2 or len(line.baseline) < 2:
        return line
    height = _distance(line, all_lines)
    if not height:
        return line
    above = [(x, y - ABOVE * height) for x, y in line.baseline]
    below = [(x, y + BELOW * height) for x, y in reversed(line.baseline)]
    return replace(line, outline=tuple(above + below))


def _distance(line: Line, all_lines: Sequence[Line]) -> float:
    """From a line to the next one; 0 where there is no other to tell."""
    heights = [median(y for _, y in each.baseline) for each in all_lines if len(each.baseline) > 1]
    own = median(y for _, y in line.baseline)
    return min((abs(each - own) for each in heights if abs(each - own) > 1.0), default=0.0)
