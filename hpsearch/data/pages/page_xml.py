"""PAGE-XML (PRImA), all versions of pagecontent: 2009 and 2010 with a Point for each corner, 2013 to 2019 with lists.

What is read of it, and what of the rest is not, is in docs/converting.md.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Any

from hpsearch.data.pages.layout import Line, Outline, Page, Region, Unreadable
from hpsearch.data.pages.xml import child, children, name_of, number, points, quarters

# Transkribus and eScriptorium write the order of regions and lines here.
_CUSTOM_ORDER = re.compile(r"readingOrder\s*\{[^}]*index\s*:\s*(\d+)")
_GROUPS = ("OrderedGroup", "UnorderedGroup", "OrderedGroupIndexed", "UnorderedGroupIndexed")
_REFERENCES = ("RegionRef", "RegionRefIndexed")


def read_page(root: Any) -> Page:
    """The page of a PcGts element.

    Raises:
        Unreadable: there is none, or a coordinate is no number.
    """
    page = child(root, "Page")
    if page is None:
        raise Unreadable("it has no Page")
    width, height = number(page, "imageWidth"), number(page, "imageHeight")
    size = (width, height) if width and height else None
    turn = quarters(number(page, "orientation"))
    return Page(page.get("imageFilename", "").strip(), size, tuple(_regions(page)), turn=turn)


def _regions(page: Any) -> Iterator[Region]:
    """Those with text, in reading order: as it is written there, the others after what they stand in or behind."""
    order = _order(page)
    yield from map(_region, _arranged(page, {each: place for place, each in enumerate(order)}))


def _arranged(parent: Any, ranks: dict[str, int]) -> Iterator[Any]:
    """The text regions below an element, each with those in it after itself."""
    inner = [each for each in parent if name_of(each).endswith("Region")]
    for each in _sorted(inner, ranks):
        if name_of(each) == "TextRegion":
            yield each
        yield from _arranged(each, ranks)


def _sorted(elements: Sequence[Any], ranks: dict[str, int]) -> list[Any]:
    """Elements by the page's order; those it does not list keep their place behind the one they follow."""
    custom = [_CUSTOM_ORDER.search(each.get("custom") or "") for each in elements]
    if not any(_rank(each, ranks) is not None for each in elements) and all(custom):
        return [each for _, each in sorted(zip(custom, elements, strict=True), key=lambda pair: int(pair[0][1]))]  # type: ignore[index]
    found, last = [], -1.0
    for each in elements:
        rank = _rank(each, ranks)
        last = float(rank) if rank is not None else last
        found.append((last, each))
    return [each for _, each in sorted(found, key=lambda pair: pair[0])]


def _rank(element: Any, ranks: dict[str, int]) -> int | None:
    """Where a region stands in the page's order: itself, or else the first that stands in it."""
    own = ranks.get(element.get("id", ""))
    if own is not None:
        return own
    inner = [ranks[each.get("id", "")] for each in element.iterdescendants() if each.get("id", "") in ranks]
    return min(inner, default=None)


def _order(page: Any) -> list[str]:
    """The ids of regions in the order that the page's ReadingOrder gives them."""
    order = child(page, "ReadingOrder")
    return list(_listed(order)) if order is not None else []


def _listed(group: Any) -> Iterator[str]:
    members = list(children(group, *_GROUPS, *_REFERENCES))
    if all(each.get("index") is not None for each in members):
        members.sort(key=lambda each: number(each, "index") or 0.0)
    for each in members:
        if each.get("regionRef"):
            yield each.get("regionRef")
        if name_of(each) in _GROUPS:
            yield from _listed(each)


def _region(element: Any) -> Region:
    lines = list(children(element, "TextLine"))
    if lines and all(each.get("index") is not None for each in lines):
        lines.sort(key=lambda each: number(each, "index") or 0.0)
    else:
        lines = _sorted(lines, {})
    inner = any(name_of(each) == "TextRegion" for each in element)
    own = "" if lines or inner else _text(element)  # one that holds others repeats them
    return Region(element.get("id", ""), _outline(element, "Coords"), tuple(map(_line, lines)), own, _turn(element))


def _turn(element: Any) -> int | None:
    """Its own, or that of the nearest that it stands in and that has one: a table, or the page."""
    stated = (
        quarters(number(each, "orientation"), number(each, "readingOrientation"))
        for each in (element, *element.iterancestors())
    )
    return next((each for each in stated if each is not None), None)


def _line(element: Any) -> Line:
    return Line(
        element.get("id", ""),
        " ".join(_text(element).split("\n")).strip(),
        _outline(element, "Coords"),
        _outline(element, "Baseline"),
    )


def _outline(element: Any, name: str) -> Outline:
    found = child(element, name)
    if found is None:
        return ()
    if found.get("points") is not None:
        return points(found.get("points"))
    corners = ((number(each, "x"), number(each, "y")) for each in children(found, "Point"))
    return tuple((x, y) for x, y in corners if x is not None and y is not None)


def _text(element: Any) -> str:
    """What is transcribed: the best of its TextEquivs, or else what its words or glyphs say."""
    equivalents = list(children(element, "TextEquiv"))
    if equivalents:
        best = min(equivalents, key=lambda each: number(each, "index") or 0.0)
        unicode = child(best, "Unicode")
        text = ("".join(unicode.itertext()) if unicode is not None else "").strip()
        if text:
            return text
    words = " ".join(filter(None, map(_text, children(element, "Word"))))
    return words or "".join(map(_text, children(element, "Glyph")))
