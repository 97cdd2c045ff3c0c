"""PAGE-XML (PRImA), all versions of pagecontent: 2009 and 2010 with a Point for each corner, 2013 to 2019 with lists.

docs/converting.md lists the elements that are read and those that are not.
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
    """Read the page of a PcGts element.

    Raises:
        Unreadable: there is none, or a coordinate is no number.
    """
    page = child(root, "Page")
    if page is None:
        raise Unreadable("it has no Page")
    width, height = number(page, "imageWidth"), number(page, "imageHeight")
    size = (width, height) if width and height else None
    turn = quarters(number(page, "orientation"))
    order = child(page, "ReadingOrder")
    ranks = {name: place for place, name in enumerate(_listed(order) if order is not None else ())}
    regions = tuple(map(_region, _arranged(page, ranks)))
    return Page(page.get("imageFilename", "").strip(), size, regions, turn=turn)


def _arranged(parent: Any, ranks: dict[str, int]) -> Iterator[Any]:
    """List the text regions below an element in reading order, each followed by those inside it."""
    inner = [element for element in parent if name_of(element).endswith("Region")]
    for region in _sorted(inner, ranks):
        if name_of(region) == "TextRegion":
            yield region
        yield from _arranged(region, ranks)


def _sorted(elements: Sequence[Any], ranks: dict[str, int]) -> list[Any]:
    """Sort elements by the page's order; those it does not list keep their place behind the one they follow."""
    custom = [_CUSTOM_ORDER.search(element.get("custom") or "") for element in elements]
    own = [_rank(element, ranks) for element in elements]
    if all(rank is None for rank in own) and all(custom):
        return [element for _, element in sorted(zip(custom, elements, strict=True), key=lambda pair: int(pair[0][1]))]  # type: ignore[index]
    ranked, last = [], -1
    for element, rank in zip(elements, own, strict=True):
        last = last if rank is None else rank
        ranked.append((last, element))
    return [element for _, element in sorted(ranked, key=lambda pair: pair[0])]


def _rank(element: Any, ranks: dict[str, int]) -> int | None:
    """Return a region's rank in the page's order: its own, or else the lowest of the regions inside it."""
    own = ranks.get(element.get("id", ""))
    if own is not None:
        return own
    ids = (inner.get("id", "") for inner in element.iterdescendants())
    return min((ranks[name] for name in ids if name in ranks), default=None)


def _listed(group: Any) -> Iterator[str]:
    """List the ids of regions in the order of a ReadingOrder, or of a group in it."""
    members = list(children(group, *_GROUPS, *_REFERENCES))
    _sort_by_index(members)
    for member in members:
        if member.get("regionRef"):
            yield member.get("regionRef")
        if name_of(member) in _GROUPS:
            yield from _listed(member)


def _sort_by_index(elements: list[Any]) -> bool:
    """Sort elements by their index, if all have one. Returns whether they have."""
    indexed = all(element.get("index") is not None for element in elements)
    if indexed:
        elements.sort(key=lambda element: number(element, "index") or 0.0)
    return indexed


def _region(element: Any) -> Region:
    lines = list(children(element, "TextLine"))
    if not _sort_by_index(lines):
        lines = _sorted(lines, {})
    inner = any(name_of(part) == "TextRegion" for part in element)
    own = "" if lines or inner else _text(element)  # one that holds others repeats them
    stated = (  # its own turn, or that of the nearest element around it that has one: a table, or the page
        quarters(number(outer, "orientation"), number(outer, "readingOrientation"))
        for outer in (element, *element.iterancestors())
    )
    turn = next((turn for turn in stated if turn is not None), None)
    return Region(element.get("id", ""), _outline(element, "Coords"), tuple(map(_line, lines)), own, turn)


def _line(element: Any) -> Line:
    return Line(
        element.get("id", ""),
        " ".join(_text(element).split("\n")).strip(),
        _outline(element, "Coords"),
        _outline(element, "Baseline"),
    )


def _outline(element: Any, name: str) -> Outline:
    outline = child(element, name)
    if outline is None:
        return ()
    if outline.get("points") is not None:
        return points(outline.get("points"))
    corners = ((number(point, "x"), number(point, "y")) for point in children(outline, "Point"))
    return tuple((x, y) for x, y in corners if x is not None and y is not None)


def _text(element: Any) -> str:
    """Return the transcription: the best of its TextEquivs, or else the text of its words or glyphs."""
    equivalents = list(children(element, "TextEquiv"))
    if equivalents:
        best = min(equivalents, key=lambda equivalent: number(equivalent, "index") or 0.0)
        unicode = child(best, "Unicode")
        text = ("".join(unicode.itertext()) if unicode is not None else "").strip()
        if text:
            return text
    words = " ".join(filter(None, map(_text, children(element, "Word"))))
    return words or "".join(map(_text, children(element, "Glyph")))
