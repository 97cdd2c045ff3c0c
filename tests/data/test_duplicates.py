"""Rows that are there twice are found, and those that are not are left alone."""

from __future__ import annotations

import io
import random
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from PIL import Image, ImageDraw

from hpsearch.data.duplicates import COMPARED, Duplicate, DuplicateKind, RowFingerprint, find_duplicates
from hpsearch.data.images import look_of


def page(*places: int, size: tuple[int, int] = (400, 300)) -> Any:
    """A page with black words at these places of a grid."""
    picture = Image.new("RGB", size, "white")
    draw = ImageDraw.Draw(picture)
    for place in places:
        x, y = place % 8 * 48 + 8, place // 8 * 34 + 8
        draw.rectangle((x, y, x + 30, y + 18), fill="black")
    return picture


def row(picture: Any, text: str = "a page") -> RowFingerprint:
    pixels = f"{picture.size} {picture.tobytes()!r}"
    return RowFingerprint(text, pixels, look_of(picture), picture.size)


def stored(picture: Any, quality: int) -> Any:
    target = io.BytesIO()
    picture.save(target, "JPEG", quality=quality)
    return Image.open(target).convert("RGB")


PAGE, OTHER = page(*range(0, 60, 3)), page(*range(1, 64, 5), 4, 23, 50)
CHANGES: dict[str, Callable[[Any], Any]] = {
    "poor": lambda picture: stored(picture, 20),
    "half": lambda picture: picture.resize((200, 150)),
    "larger": lambda picture: picture.resize((523, 392)),
    "lighter": lambda picture: picture.point(lambda value: 40 + value * 0.8),
}


def test_the_same_picture_is_told_with_its_first_and_whether_the_text_is_the_same() -> None:
    rows = [row(PAGE), row(OTHER), row(PAGE, " a  page\n"), row(PAGE, "another"), row(OTHER)]
    assert find_duplicates(rows) == [
        Duplicate(2, 0, DuplicateKind.SAME),
        Duplicate(3, 0, DuplicateKind.OTHER_TEXT),
        Duplicate(4, 1, DuplicateKind.SAME),
    ]


@pytest.mark.parametrize("change", CHANGES)
def test_a_picture_that_was_saved_anew_looks_alike(change: str) -> None:
    assert find_duplicates([row(OTHER), row(PAGE), row(CHANGES[change](PAGE))]) == [
        Duplicate(2, 1, DuplicateKind.ALIKE)
    ]


def test_what_reads_otherwise_has_another_shape_or_other_ink_does_not_look_alike() -> None:
    again = CHANGES["poor"](PAGE)
    rows = [row(PAGE), row(again, "another page"), row(again.resize((400, 250))), row(OTHER)]
    assert find_duplicates(rows) == []


def test_pages_with_little_on_them_do_not_look_alike() -> None:
    """One word in another place, faint ink: there is too little to tell pages by."""
    faint = [page(*places).point(lambda value: 252 + value // 85) for places in ((0, 9), (3, 30))]
    assert find_duplicates([row(page(place)) for place in range(20)] + [row(each) for each in faint]) == []


def test_a_picture_is_told_once_however_often_it_is_there() -> None:
    again = row(CHANGES["poor"](PAGE))
    assert [each.kind for each in find_duplicates([row(PAGE), again, again])] == [
        DuplicateKind.ALIKE,
        DuplicateKind.SAME,
    ]


def test_a_text_that_stands_everywhere_is_compared_with_some_of_its_pictures_alone() -> None:
    """Or a dataset of a hundred thousand words would take hours."""
    draw = random.Random(0)
    rows = [replace(row(PAGE), picture=str(number), look=draw.getrandbits(256)) for number in range(COMPARED + 50)]
    again = [replace(rows[place], picture="again") for place in (COMPARED - 1, COMPARED)]
    assert find_duplicates([*rows, again[0]]) == [Duplicate(len(rows), COMPARED - 1, DuplicateKind.ALIKE)]
    assert find_duplicates([*rows, again[1]]) == []
