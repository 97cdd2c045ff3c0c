"""Pages of known ink at known places, and what PAGE and ALTO say of them.

`python -m tests.made_pages FOLDER PAGES LINES [FIRST]` writes some of handwritten numbers.
"""

from __future__ import annotations

import io
import random
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageDraw

from hpsearch.assets import asset_path
from hpsearch.data.rows import Sample, read_splits

PAGE_NAMESPACE = "http://schema.primaresearch.org/PAGE/gts/pagecontent/"
PAGE_VERSIONS = ("2009-03-16", "2010-03-19", "2013-07-15", "2016-07-15", "2017-07-15", "2018-07-15", "2019-07-15")
ALTO_NAMESPACES = {
    1: "http://schema.ccs-gmbh.com/ALTO",
    **{version: f"http://www.loc.gov/standards/alto/ns-v{version}#" for version in (2, 3, 4, 5)},
}
# How many units of ALTO a pixel is, where a page has 300 of them to the inch.
UNITS = {"pixel": 1.0, "mm10": 254 / 300, "inch1200": 1200 / 300}
WORDS = ("amber", "bell", "cedar", "delta", "ember", "fjord", "grove", "hill", "inlet", "jade", "keel", "lark")
Points = Sequence[tuple[int, int]]


@dataclass(frozen=True)
class MadeLine:
    """A line: its text, its outline and the line that it stands on, in pixels."""

    id: str
    text: str
    outline: Points
    baseline: Points


@dataclass(frozen=True)
class MadeRegion:
    """A region, and its lines."""

    id: str
    outline: Points
    lines: tuple[MadeLine, ...]


@dataclass(frozen=True)
class MadePage:
    """A picture and what is on it."""

    picture: Any
    regions: tuple[MadeRegion, ...]


def made_page(seed: int, lines: int = 20, size: tuple[int, int] = (1000, 1400), regions: int = 2) -> MadePage:
    """A page with paper of one colour and ink like no other's in each line, whose upper edges are slanted."""
    chance = np.random.default_rng(seed)
    picture = Image.new("RGB", size, (250, 246, 235))
    pitch = (size[1] - 100) // (lines + regions)
    made, number = [], 0
    for region in range(regions):
        share = lines // regions + (region < lines % regions)
        found = []
        for _ in range(share):
            top = 50 + pitch * (number + region)
            found.append(_line(picture, chance, f"l{number}", top, pitch, size[0]))
            number += 1
        corners = [corner for line in found for corner in line.outline]
        across, down = zip(*corners, strict=True)
        left, right = min(across), max(across)
        outline = [(left, min(down)), (right, min(down)), (right, max(down)), (left, max(down))]
        made.append(MadeRegion(f"r{region}", outline, tuple(found)))
    return MadePage(picture, tuple(made))


def _line(picture: Any, chance: Any, name: str, top: int, pitch: int, width: int) -> MadeLine:
    text = " ".join(WORDS[int(each)] for each in chance.integers(len(WORDS), size=6))
    height, slant = int(pitch * 0.7), int(pitch * 0.15)
    left, right = 60, width - 60 - int(chance.integers(200))
    outline = [(left, top + slant), (right, top), (right, top + height), (left, top + height)]
    ink = ImageDraw.Draw(picture)
    for x in range(left + 4, right - 4, 7):
        shade = tuple(map(int, chance.integers(0, 120, size=3)))
        ink.line([(x, top + slant + 2), (x + 3, top + height - 4)], fill=shade, width=2)
    baseline = [(left, top + height - 4), (right, top + height - 4)]
    return MadeLine(name, text, outline, baseline)


def page_xml(page: MadePage, name: str, version: str = "2019-07-15", order: Sequence[str] = ()) -> str:
    """The page in PAGE-XML; ``order``: ids of its regions as they are read."""
    reading = ""
    if order:
        references = "".join(f'<RegionRefIndexed index="{at}" regionRef="{each}"/>' for at, each in enumerate(order))
        reading = f'<ReadingOrder><OrderedGroup id="order">{references}</OrderedGroup></ReadingOrder>'
    regions = "".join(
        f'<TextRegion id="{region.id}" type="paragraph">{_coords(region.outline, version)}'
        + "".join(_page_line(line, version) for line in region.lines)
        + "</TextRegion>"
        for region in page.regions
    )
    width, height = page.picture.size
    made = "2020-01-01T00:00:00"
    about = f"<Metadata><Creator>test</Creator><Created>{made}</Created><LastChange>{made}</LastChange></Metadata>"
    return (
        f'<?xml version="1.0" encoding="UTF-8"?>\n<PcGts xmlns="{PAGE_NAMESPACE}{version}">{about}'
        f'<Page imageFilename="{name}" imageWidth="{width}" imageHeight="{height}">{reading}{regions}</Page></PcGts>\n'
    )


def _page_line(line: MadeLine, version: str) -> str:
    stands = "" if version < "2013" else f'<Baseline points="{_listed(line.baseline)}"/>'
    text = f"<TextEquiv><Unicode>{line.text}</Unicode></TextEquiv>"
    return f'<TextLine id="{line.id}">{_coords(line.outline, version)}{stands}{text}</TextLine>'


def _coords(outline: Points, version: str) -> str:
    if version < "2013":
        return "<Coords>" + "".join(f'<Point x="{x}" y="{y}"/>' for x, y in outline) + "</Coords>"
    return f'<Coords points="{_listed(outline)}"/>'


def _listed(points: Points, scale: float = 1.0) -> str:
    return " ".join(f"{x * scale:g},{y * scale:g}" for x, y in points)


def alto(page: MadePage, name: str, version: int = 4, unit: str = "pixel", polygons: bool = True) -> str:
    """The page in ALTO-XML, in one of its units; without ``polygons`` with rectangles alone."""
    scale = UNITS[unit]
    blocks = "".join(
        f'<TextBlock ID="{region.id}" {_box(region.outline, scale)}>{_shape(region.outline, scale, polygons)}'
        + "".join(_alto_line(line, scale, polygons) for line in region.lines)
        + "</TextBlock>"
        for region in page.regions
    )
    width, height = (round(side * scale) for side in page.picture.size)
    return (
        f'<?xml version="1.0" encoding="UTF-8"?>\n<alto xmlns="{ALTO_NAMESPACES[version]}"><Description>'
        f"<MeasurementUnit>{unit}</MeasurementUnit><sourceImageInformation><fileName>{name}</fileName>"
        f'</sourceImageInformation></Description><Layout><Page ID="p" PHYSICAL_IMG_NR="1" WIDTH="{width}" '
        f'HEIGHT="{height}"><PrintSpace HPOS="0" VPOS="0" WIDTH="{width}" HEIGHT="{height}">{blocks}</PrintSpace>'
        "</Page></Layout></alto>\n"
    )


def _alto_line(line: MadeLine, scale: float, polygons: bool) -> str:
    words = '<SP WIDTH="1" HPOS="0" VPOS="0"/>'.join(
        f'<String ID="{line.id}-{number}" CONTENT="{word}" {_box(line.outline, scale)}/>'
        for number, word in enumerate(line.text.split())
    )
    shape = _shape(line.outline, scale, polygons)
    return f'<TextLine ID="{line.id}" {_box(line.outline, scale)}>{shape}{words}</TextLine>'


def _shape(outline: Points, scale: float, polygons: bool) -> str:
    return f'<Shape><Polygon POINTS="{_listed(outline, scale)}"/></Shape>' if polygons else ""


def _box(outline: Points, scale: float) -> str:
    across, down = zip(*outline, strict=True)
    left, top = min(across), min(down)
    sides = {"HPOS": left, "VPOS": top, "WIDTH": max(across) + 1 - left, "HEIGHT": max(down) + 1 - top}
    return " ".join(f'{name}="{side * scale:g}"' for name, side in sides.items())


def write_pages(folder: Path, count: int, **made: Any) -> list[MadePage]:
    """So many pages as PNG with PAGE-XML in a folder."""
    pages = [made_page(seed, **made) for seed in range(count)]
    for number, page in enumerate(pages):
        write_page(folder, number, page)
    return pages


def write_page(folder: Path, number: int, page: MadePage) -> None:
    """A page as PNG with PAGE-XML in a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    page.picture.save(folder / f"{number:04}.png")
    (folder / f"{number:04}.xml").write_text(page_xml(page, f"{number:04}.png"), encoding="utf-8")


def write_digits(folder: Path, pages: int, lines: int, first: int = 0) -> None:
    """Pages of handwritten numbers, the demo's, as PNG with PAGE-XML in a folder, numbered from ``first`` on."""
    samples = read_splits(asset_path("asset:digits/data") / "train.parquet")["train"]
    random.Random(0).shuffle(samples)
    for number in range(first, first + pages):
        write_page(folder, number, _digits(samples[lines * number : lines * (number + 1)]))


def _digits(samples: Sequence[Sample]) -> MadePage:
    picture = Image.new("RGB", (140, 20 + 30 * len(samples)), "white")
    lines = []
    for number, sample in enumerate(samples):
        digits, left, top = Image.open(io.BytesIO(sample.read())).convert("RGB"), 20, 12 + 30 * number
        picture.paste(digits, (left, top))
        right, bottom = left + digits.width - 1, top + digits.height - 1
        outline = [(left, top), (right, top), (right, bottom), (left, bottom)]
        lines.append(MadeLine(f"l{number}", sample.text, outline, [(left, bottom), (right, bottom)]))
    corners = [(0, 0), (picture.width - 1, 0), (picture.width - 1, picture.height - 1), (0, picture.height - 1)]
    return MadePage(picture, (MadeRegion("r", corners, tuple(lines)),))


if __name__ == "__main__":
    if len(sys.argv) not in (4, 5):
        sys.exit("usage: python -m tests.made_pages FOLDER PAGES LINES [FIRST]")
    write_digits(Path(sys.argv[1]), *map(int, sys.argv[2:]))
