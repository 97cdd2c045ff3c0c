"""Dealing rows out: nothing that is learned is judged, and the lot does not depend on order."""

from __future__ import annotations

import random
from dataclasses import dataclass

import pytest

from hpsearch.data.splits import SplitRows, hold_out, pick, separate


@dataclass(frozen=True)
class Page:
    picture: str
    document: str | None = None


def pages(*pictures: str, document: str | None = None) -> list[Page]:
    return [Page(picture, document) for picture in pictures]


@pytest.mark.parametrize("fraction", [0.1, 0.3, 0.5, 0.9])
def test_about_the_fraction_is_held_out(fraction: float) -> None:
    rows = pages(*map(str, range(100)))
    validation, holdout = hold_out(rows, fraction)
    assert sorted([*validation, *holdout], key=rows.index) == rows
    assert len(holdout) == pytest.approx(100 * fraction, abs=1)


def test_what_is_held_out_does_not_depend_on_the_order_of_the_rows() -> None:
    rows = pages(*map(str, range(50)))
    shuffled = rows[:]
    random.Random(5).shuffle(shuffled)
    assert set(hold_out(rows, 0.3)[1]) == set(hold_out(shuffled, 0.3)[1])


def test_a_document_and_a_repeated_picture_are_never_parted() -> None:
    rows = [Page(str(number), document=f"d{number // 7}") for number in range(70)] + pages("x", "x", "x")
    validation, holdout = hold_out(rows, 0.4)
    assert not {page.document or page.picture for page in validation} & {
        page.document or page.picture for page in holdout
    }
    assert validation
    assert holdout


def test_a_single_row_stays_where_it_is() -> None:
    assert hold_out(pages("a"), 0.5) == (pages("a"), [])


def test_two_rows_are_one_on_each_side() -> None:
    validation, holdout = hold_out(pages("a", "b"), 0.01)
    assert len(validation) == len(holdout) == 1


def test_pictures_and_documents_of_the_judged_sides_leave_train() -> None:
    division = separate(
        SplitRows(
            train=[*pages("a", "b", "c"), Page("e", "book")],
            validation=[*pages("b", "d"), Page("f", "book")],
            holdout=pages("c", "d"),
        )
    )
    assert division.train == pages("a")
    assert division.validation == [Page("b"), Page("f", "book")]
    assert division.holdout == pages("c", "d")
    assert division.warnings == (
        "1 rows left out of validation: their picture is also in the holdout set",
        "2 rows left out of train: their picture is also in validation or the holdout set",
        "1 rows left out of train: their document is also in validation or the holdout set",
    )


def test_clean_sides_are_left_alone() -> None:
    division = SplitRows(pages("a", "a"), pages("b"), pages("c"))
    assert separate(division) == SplitRows(pages("a", "a"), pages("b"), pages("c"))


def test_a_pick_is_the_same_rows_whatever_their_order() -> None:
    keys = [f"page-{number}" for number in range(40)]
    turned = list(reversed(keys))
    picked = pick(keys, 8)
    assert picked == sorted(picked)
    assert {keys[index] for index in picked} == {turned[index] for index in pick(turned, 8)}
    assert pick(keys, 100) == list(range(40))
