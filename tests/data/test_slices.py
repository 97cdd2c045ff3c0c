"""Slices of a split."""

from __future__ import annotations

import pytest

from hpsearch.data.slices import Slice
from hpsearch.errors import UsageError


@pytest.mark.parametrize(
    ("text", "count", "rows"),
    [
        ("train", 10, range(10)),
        ("train[:90%]", 10, range(9)),
        ("train[90%:]", 10, range(9, 10)),
        ("train[10%:20%]", 100, range(10, 20)),
        ("train[:200]", 1000, range(200)),
        ("train[:200]", 50, range(50)),
        ("train[-50:]", 1000, range(950, 1000)),
        ("train[-10%:]", 1000, range(900, 1000)),
        ("train[:]", 7, range(7)),
        ("train[3:5]", 7, range(3, 5)),
        ("train[5:3]", 7, range(5, 3)),
        ("train[:100%]", 7, range(7)),
    ],
)
def test_which_rows_a_slice_means(text: str, count: int, rows: range) -> None:
    assert list(Slice.parse(text).rows(count)) == list(rows)


@pytest.mark.parametrize("count", [1, 2, 3, 7, 10, 99, 101, 1797])
@pytest.mark.parametrize("percent", [1, 10, 33, 50, 66, 90, 99])
def test_two_slices_that_meet_share_no_row_and_leave_none_out(count: int, percent: int) -> None:
    below = Slice.parse(f"train[:{percent}%]").rows(count)
    above = Slice.parse(f"train[{percent}%:]").rows(count)
    assert [*below, *above] == list(range(count))


@pytest.mark.parametrize(("written", "name"), [("val", "validation"), ("dev[:5]", "validation"), ("test", "test")])
def test_usual_names_of_splits(written: str, name: str) -> None:
    assert Slice.parse(written).split == name


@pytest.mark.parametrize(
    "text", ["", "train[", "train[:", "train[90%]", "train[:90.5%]", "train[:101%]", "train[a:b]", "train[:5]x", "a/b"]
)
def test_what_is_no_slice_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="a slice must be written like"):
        Slice.parse(text)
