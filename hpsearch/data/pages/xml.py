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
    """A file's root element. Nothing that the file names is opened.

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
    """An element's name without its namespace; "" for what is none, such as an entity."""
    return element.tag.rpartition("}")[2] if isinstance(element.tag, str) else ""


def children(element: Any, *names: str) -> Iterator[Any]:
    """The children of these names."""
    return (child for child in element if name_of(child) in names)


def child(element: Any, name: str) -> Any | None:
    """The first child of a name."""
    return next(children(element, name), None)


def descendants(element: Any, *names: str) -> Iterator[Any]:
    """What is below, of these names, in the file's order."""
    return (each for each in element.iterdescendants() if name_of(each) in names)


def points(text: str) -> Outline:
    """The points in "x1,y1 x2,y2" or "x1 y1 x2 y2".

    Raises:
        Unreadable: there is a number without its partner, or something that is no number.
    """
    if _NUMBER.sub("", text).strip(", \t\r\n"):
        raise Unreadable("its points are not pairs of numbers", repr(text[:40]))
    numbers = [float(each) for each in _NUMBER.findall(text)]
    if any(abs(each) > FARTHEST for each in numbers):
        raise Unreadable("its points lie beyond any picture", repr(text[:40]))
    if len(numbers) % 2:
        raise Unreadable("its points are not pairs of numbers", f"{len(numbers)} in {text[:40]!r}")
    return tuple(zip(numbers[::2], numbers[1::2], strict=True))


def number(element: Any, name: str) -> float | None:
    """An attribute that is a number; None where it is missing or empty.

    Raises:
        Unreadable: it is something else.
    """
    value = (element.get(name) or "").strip()
    if not value:
        return None
    if not _NUMBER.fullmatch(value):
        raise Unreadable(f"its {name} is no number", repr(value[:40]))
    found = float(value)
    if abs(found) > FARTHEST:
        raise Unreadable(f"its {name} lies beyond any picture", value[:40])
    return found


def quarters(*degrees: float | None) -> int | None:
    """The quarters, 0 to 3, that angles are together; None where all are missing."""
    there = [each for each in degrees if each is not None]
    return round(sum(there) / 90) % 4 if there else None
