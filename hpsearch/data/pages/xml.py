"""XML elements by their local names, whatever their namespace's version."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from hpsearch.data.pages.layout import Outline, Unreadable

FARTHEST = 1e7  # of any unit: a picture of ten million pixels across, or a kilometre in tenths of millimetres
_NUMBER = re.compile(r"[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?")


def parsed(path: Path) -> Any:
    """Parse a file. Returns its root element; no file that it names is opened.

    Raises:
        Unreadable: it is no XML.
        OSError: it cannot be read.
    """
    from lxml import etree

    parser = etree.XMLParser(
        resolve_entities="internal", no_network=True, load_dtd=False, remove_comments=True, remove_pis=True
    )
    try:
        return etree.fromstring(path.read_bytes(), parser)
    except etree.XMLSyntaxError as error:
        raise Unreadable("it is no well-formed XML", str(error.msg)) from error


def name_of(element: Any) -> str:
    """Return an element's name without its namespace; "" for a node that has none, such as an entity."""
    return element.tag.rpartition("}")[2] if isinstance(element.tag, str) else ""


def children(element: Any, *names: str) -> Iterator[Any]:
    """List the children of these names."""
    return (child for child in element if name_of(child) in names)


def child(element: Any, name: str) -> Any | None:
    """Return the first child of a name."""
    return next(children(element, name), None)


def descendants(element: Any, *names: str) -> Iterator[Any]:
    """List the descendants of these names, in the file's order."""
    return (inner for inner in element.iterdescendants() if name_of(inner) in names)


def points(text: str) -> Outline:
    """Read the points in "x1,y1 x2,y2" or "x1 y1 x2 y2".

    Raises:
        Unreadable: a number has no partner, or there is something else.
    """
    if _NUMBER.sub("", text).strip(", \t\r\n"):
        raise Unreadable("its points are not pairs of numbers", repr(text[:40]))
    numbers = list(map(float, _NUMBER.findall(text)))
    if any(abs(value) > FARTHEST for value in numbers):
        raise Unreadable("its points lie beyond any picture", repr(text[:40]))
    if len(numbers) % 2:
        raise Unreadable("its points are not pairs of numbers", f"{len(numbers)} in {text[:40]!r}")
    return tuple(zip(numbers[::2], numbers[1::2], strict=True))


def number(element: Any, name: str) -> float | None:
    """Read an attribute that is a number; None where it is missing or empty.

    Raises:
        Unreadable: it is something else.
    """
    text = (element.get(name) or "").strip()
    if not text:
        return None
    if not _NUMBER.fullmatch(text):
        raise Unreadable(f"its {name} is no number", repr(text[:40]))
    value = float(text)
    if abs(value) > FARTHEST:
        raise Unreadable(f"its {name} lies beyond any picture", text[:40])
    return value


def quarters(*degrees: float | None) -> int | None:
    """Return the sum of angles in quarters, 0 to 3; None where all are missing."""
    given = [angle for angle in degrees if angle is not None]
    return round(sum(given) / 90) % 4 if given else None
