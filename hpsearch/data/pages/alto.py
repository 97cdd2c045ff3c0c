"""ALTO-XML (Library of Congress), versions 1 to 5, in pixels, tenths of millimetres or 1/1200 inches."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from hpsearch.data.pages.layout import Line, Outline, Page, Region, Unreadable, box
from hpsearch.data.pages.xml import child, children, descendants, name_of, number, points, quarters

# The file has the margins before the print space; this is how a page is read.
_SPACES = ("TopMargin", "LeftMargin", "PrintSpace", "RightMargin", "BottomMargin")
_SOFT_HYPHEN = "\u00ad"  # what some write for the hyphen at a line's end, which is there to be read


def read_page(root: Any) -> Page:
    """The page of an alto element.

    Raises:
        Unreadable: there is none or more than one, or a coordinate is no number.
    """
    pages = list(descendants(root, "Page"))
    if len(pages) != 1:
        raise Unreadable("it has not one Page", f"but {len(pages)}")
    width, height = number(pages[0], "WIDTH"), number(pages[0], "HEIGHT")
    size = (width, height) if width and height else None
    unit = _value(root, "MeasurementUnit") or "pixel"
    ranks = {each: place for place, each in enumerate(_order(root))}
    turn = quarters(number(pages[0], "ROTATION"))
    return Page(_value(root, "fileName"), size, tuple(_regions(pages[0], ranks)), unit == "pixel", turn)


def _value(root: Any, name: str) -> str:
    found = next(descendants(root, name), None)
    return (found.text or "").strip() if found is not None else ""


def _order(root: Any) -> list[str]:
    """The ids in ReadingOrder (since 4.3): of blocks, lines or strings."""
    order = child(root, "ReadingOrder")
    if order is None:
        return []
    return [
        name for each in descendants(order, "ElementRef", "OrderedGroup") for name in (each.get("REF") or "").split()
    ]


def _regions(page: Any, ranks: Mapping[str, int]) -> Iterator[Region]:
    spaces = sorted(children(page, *_SPACES), key=lambda each: _SPACES.index(name_of(each)))
    blocks = [block for space in spaces or [page] for block in _chained(list(_blocks(space)))]
    return (_region(block, ranks) for block in _sorted(blocks, ranks))


def _blocks(space: Any) -> Iterator[Any]:
    """Text blocks, through those that are composed."""
    for each in children(space, "TextBlock", "ComposedBlock"):
        if name_of(each) == "TextBlock":
            yield each
        else:
            yield from _blocks(each)


def _chained(blocks: Sequence[Any]) -> list[Any]:
    """Blocks in the order in which each names the next, those that no other names in the file's order."""
    place = {block.get("ID"): at for at, block in reversed(list(enumerate(blocks))) if block.get("ID")}
    following = [place.get(block.get("IDNEXT") or "") for block in blocks]
    found: dict[int, Any] = {}
    for start in [*(at for at in range(len(blocks)) if at not in following), *range(len(blocks))]:  # last, rings
        at: int | None = start
        while at is not None and at not in found:
            found[at] = blocks[at]
            at = following[at]
    return list(found.values())


def _sorted(elements: Sequence[Any], ranks: Mapping[str, int]) -> list[Any]:
    """Elements by the page's order; those it does not list stay behind the one they follow."""
    found, last = [], -1
    for each in elements:
        own = [ranks[name] for name in (each.get("ID"), *(below.get("ID") for below in each.iter())) if name in ranks]
        last = min(own, default=last)
        found.append((last, each))
    return [each for _, each in sorted(found, key=lambda pair: pair[0])]


def _region(block: Any, ranks: Mapping[str, int]) -> Region:
    lines = _sorted(list(children(block, "TextLine")), ranks)
    return Region(block.get("ID", ""), _outline(block), tuple(map(_line, lines)), turn=_turn(block))


def _turn(block: Any) -> int | None:
    """Its own rotation, or that of what it stands in: counterclockwise, so it is undone clockwise."""
    stated = (quarters(number(each, "ROTATION")) for each in (block, *block.iterancestors()))
    return next((each for each in stated if each is not None), None)


def _line(element: Any) -> Line:
    baseline = element.get("BASELINE") or ""
    several = points(baseline) if len(baseline.replace(",", " ").split()) > 1 else ()
    return Line(element.get("ID", ""), _text(element), _outline(element), several)


def _outline(element: Any) -> Outline:
    """Its polygon, or else its rectangle, or that of what stands in it."""
    shape = child(element, "Shape")
    polygon = child(shape, "Polygon") if shape is not None else None
    if polygon is not None and len(found := points(polygon.get("POINTS", ""))) > 2:
        return found
    sides = [number(element, name) for name in ("HPOS", "VPOS", "WIDTH", "HEIGHT")]
    if None not in sides and all(sides[2:]):
        return box(*sides)  # type: ignore[arg-type]
    corners = [corner for each in children(element, "String", "HYP", "TextLine") for corner in _outline(each)]
    if not corners:
        return ()
    across, down = zip(*corners, strict=True)
    return (min(across), min(down)), (max(across), min(down)), (max(across), max(down)), (min(across), max(down))


def _text(line: Any) -> str:
    """Its strings with the spaces between them. Where a line has none at all, words are parted all the same, but for
    those of scripts that are written without."""
    parts = list(children(line, "String", "SP", "HYP"))
    spaced = any(name_of(each) == "SP" for each in parts)
    text = ""
    for each in parts:
        content = "" if name_of(each) == "SP" else each.get("CONTENT", "")
        if name_of(each) == "HYP":
            text += content.replace(_SOFT_HYPHEN, "-")
        elif name_of(each) == "SP" or (text and not spaced and not (_is_wide(text[-1]) and _is_wide(content[:1]))):
            text += " " + content
        else:
            text += content
    return " ".join(text.split())


def _is_wide(character: str) -> bool:
    """Whether it is of a script that is written without spaces: Korean is as wide, but has them."""
    if not character or unicodedata.east_asian_width(character) not in "WF":
        return False
    return not unicodedata.name(character, "").startswith("HANGUL")
