"""From an XML file to its page, and to the picture it is of."""

from __future__ import annotations

import os
import unicodedata
from collections import defaultdict
from collections.abc import Iterable, Sequence
from pathlib import Path, PureWindowsPath
from typing import Any
from urllib.parse import unquote

from hpsearch.data.pages import alto, page_xml
from hpsearch.data.pages.layout import Page, Unreadable
from hpsearch.data.pages.xml import name_of, parsed

PICTURES = (".png", ".jpg", ".jpeg", ".tif", ".tiff", ".webp", ".bmp", ".gif", ".jp2", ".pnm", ".ppm", ".pgm")
UPRIGHT, TRANSPOSING = 1, (5, 6, 7, 8)  # values of the EXIF orientation: not turned; turned so that sides are exchanged
LIKE = 0.02  # how much sides may differ in their proportions: a picture that was made smaller has rounded sides


def read_page(path: Path) -> Page | None:
    """Read the page of a PAGE or ALTO file; None for XML of another kind, such as METS.

    Raises:
        Unreadable: it is no XML, or not one page.
        OSError: it cannot be read.
    """
    root = parsed(path)
    kind = name_of(root)
    if kind == "PcGts":
        return page_xml.read_page(root)
    return alto.read_page(root) if kind.lower() == "alto" else None


class Pictures:
    """The pictures below a folder. A page's picture is looked for among them alone, whatever path its file names."""

    def __init__(self, files: Iterable[Path]) -> None:
        self._named: dict[str, list[Path]] = defaultdict(list)
        self._stems: dict[str, list[Path]] = defaultdict(list)
        for path in files:
            if path.suffix.lower() in PICTURES:
                self._named[_key(path.name)].append(path)
                self._stems[_key(path.stem)].append(path)

    def of(self, page: Page, file: Path) -> Path:
        """Find the picture of the page in ``file``: by the name given there, or else with another ending, or else by
        the file's own name; of several the nearest.

        Raises:
            Unreadable: there is none, or several are as near.
        """
        name = PureWindowsPath(page.picture).name  # takes both kinds of slashes
        stem = PureWindowsPath(name).stem
        wanted = ((self._named, name), (self._named, unquote(name)), (self._stems, stem), (self._stems, file.stem))
        for known, key in wanted:
            paths = known.get(_key(key), []) if key else []
            if paths:
                return _nearest([path for path in paths if path.name == key] or paths, file)
        raise Unreadable("there is no picture of it", name or f"{file.stem}.*")


def _key(name: str) -> str:
    """Return a name without its case and its form of accents, which differ between machines."""
    return unicodedata.normalize("NFC", name).casefold()


def _nearest(paths: Sequence[Path], file: Path) -> Path:
    def steps(path: Path) -> int:
        common = len(Path(os.path.commonpath([path.parent, file.parent])).parts)
        return len(path.parts) - 1 + len(file.parent.parts) - 2 * common

    ranked = sorted(paths, key=lambda path: (steps(path), str(path)))
    if len(ranked) > 1 and steps(ranked[0]) == steps(ranked[1]):
        raise Unreadable("several pictures may be meant", f"{ranked[0]} and {ranked[1]}")
    return ranked[0]


def fitted(page: Page, picture: Any) -> tuple[Page, bool]:
    """Convert all points of a page to pixels of its picture (an open Pillow image). Returns the page, and whether the
    picture must be turned as its camera says (EXIF) to be the one that was transcribed.

    Raises:
        Unreadable: it is a picture of another shape, or nothing says how large the page's units are.
    """
    if getattr(picture, "n_frames", 1) > 1:
        raise Unreadable("its picture has several pages", f"{picture.n_frames}: save each as a file of its own")
    orientation = int(picture.getexif().get(0x0112, UPRIGHT))
    stored = (float(picture.width), float(picture.height))
    turned = (stored[1], stored[0]) if orientation in TRANSPOSING else stored
    if page.size is None:
        if page.in_pixels:
            return page, True
        raise Unreadable("its units are not pixels, and it does not say how many of them the page has")
    if _like(page.size, turned):
        return page.scaled(turned[0] / page.size[0], turned[1] / page.size[1]), True
    if _like(page.size, stored):
        return page.scaled(stored[0] / page.size[0], stored[1] / page.size[1]), False
    there, here = (f"{width:g}x{height:g}" for width, height in (page.size, turned))
    raise Unreadable("its picture has another shape", f"{there} there, {here} pixels here")


def _like(first: tuple[float, float], second: tuple[float, float]) -> bool:
    return abs(first[0] * second[1] / (first[1] * second[0]) - 1.0) < LIKE
