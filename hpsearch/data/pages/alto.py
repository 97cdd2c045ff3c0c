"""ALTO-XML (Library of Congress), versions 1 to 5, in pixels, tenths of millimetres or 1/1200 inches."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from hpsearch.data.pages.layout import Line, Outline, Page, Region, Unreadable, around, box
from hpsearch.data.pages.xml import child, children, descendants, name_of, number, points, quarters

# The file has the margins before the print space; this is the order in which a page is read.
_SPACES = ("TopMargin", "LeftMargin", "PrintSpace", "RightMargin", "BottomMargin")
_SOFT_HYPHEN = "\u00ad"  # written by some for a line's last hyphen, which is visible


def read_page(root: Any) -> Page:
    """Read the page of an alto element.

    Raises:
        Unreadable: there is none or more than one, or a coordinate is no number.
    """
    pages = list(descendants(root, "Page"))
    if len(pages) != 1:
        raise Unreadable("it has not one Page", f"but {len(pages)}")
    width, height = number(pages[0], "WIDTH"), number(pages[0], "HEIGHT")
    size = (width, height) if width and height else None
    unit = _value(root, "MeasurementUnit") or "pixel"
    order = child(root, "ReadingOrder")  # since 4.3: the ids of blocks, lines or strings
    references = descendants(order, "ElementRef", "OrderedGroup") if order is not None else ()
    names = (name for reference in references for name in (reference.get("REF") or "").split())
    ranks = {name: place for place, name in enumerate(names)}
    spaces = sorted(children(pages[0], *_SPACES), key=lambda space: _SPACES.index(name_of(space)))
    blocks = [block for space in spaces or [pages[0]] for block in _chained(list(_blocks(space)))]
    regions = tuple(_region(block, ranks) for block in _sorted(blocks, ranks))
    turn = quarters(number(pages[0], "ROTATION"))
    return Page(_value(root, "fileName"), size, regions, unit == "pixel", turn)


def _value(root: Any, name: str) -> str:
    element = next(descendants(root, name), None)
    return (element.text or "").strip() if element is not None else ""


def _blocks(space: Any) -> Iterator[Any]:
    """List the text blocks, also inside composed ones."""
    for block in children(space, "TextBlock", "ComposedBlock"):
        if name_of(block) == "TextBlock":
            yield block
        else:
            yield from _blocks(block)


def _chained(blocks: Sequence[Any]) -> list[Any]:
    """Order blocks as each names the next; those that no other names stay in the file's order."""
    place = {block.get("ID"): at for at, block in reversed(list(enumerate(blocks))) if block.get("ID")}
    following = [place.get(block.get("IDNEXT") or "") for block in blocks]
    chained: dict[int, Any] = {}
    for start in [*(at for at in range(len(blocks)) if at not in following), *range(len(blocks))]:  # last, rings
        at: int | None = start
        while at is not None and at not in chained:
            chained[at] = blocks[at]
            at = following[at]
    return list(chained.values())


def _sorted(elements: Sequence[Any], ranks: Mapping[str, int]) -> list[Any]:
    """Sort elements by the page's order; those it does not list stay behind the one they follow."""
    ranked, last = [], -1
    for element in elements:
        last = min((ranks[name] for inner in element.iter() if (name := inner.get("ID")) in ranks), default=last)
        ranked.append((last, element))
    return [element for _, element in sorted(ranked, key=lambda pair: pair[0])]


def _region(block: Any, ranks: Mapping[str, int]) -> Region:
    lines = _sorted(list(children(block, "TextLine")), ranks)
    # Its own rotation, or that of the element around it: counterclockwise, so it is undone clockwise.
    stated = (quarters(number(element, "ROTATION")) for element in (block, *block.iterancestors()))
    turn = next((turn for turn in stated if turn is not None), None)
    return Region(block.get("ID", ""), _outline(block), tuple(map(_line, lines)), turn=turn)


def _line(element: Any) -> Line:
    baseline = element.get("BASELINE") or ""
    several = points(baseline) if len(baseline.replace(",", " ").split()) > 1 else ()
    return Line(element.get("ID", ""), _text(element), _outline(element), several)


def _outline(element: Any) -> Outline:
    """Return its polygon, or else its rectangle, or that of its contents."""
    shape = child(element, "Shape")
    polygon = child(shape, "Polygon") if shape is not None else None
    if polygon is not None and len(corners := points(polygon.get("POINTS", ""))) > 2:
        return corners
    sides = [number(element, name) for name in ("HPOS", "VPOS", "WIDTH", "HEIGHT")]
    if None not in sides and all(sides[2:]):
        return box(*sides)  # type: ignore[arg-type]
    return around(corner for part in children(element, "String", "HYP", "TextLine") for corner in _outline(part))


def _text(line: Any) -> str:
    """Join its strings with the spaces between them. Where a line has none at all, words are separated all the same,
    except in scripts that are written without spaces."""
    parts = list(children(line, "String", "SP", "HYP"))
    spaced = any(name_of(part) == "SP" for part in parts)
    text = ""
    for part in parts:
        content = "" if name_of(part) == "SP" else part.get("CONTENT", "")
        if name_of(part) == "HYP":
            text += content.replace(_SOFT_HYPHEN, "-")
        elif name_of(part) == "SP" or (text and not spaced and not (_is_wide(text[-1]) and _is_wide(content[:1]))):
            text += " " + content
        else:
            text += content
    return " ".join(text.split())


def _is_wide(character: str) -> bool:
    """Return whether it is of a script that is written without spaces: Korean is as wide, but has them."""
    if not character or unicodedata.east_asian_width(character) not in "WF":
        return False
    return not unicodedata.name(character, "").startswith("HANGUL")
