"""Slices of a split, and the rows of each side: by a slice, or by the splits of the data."""

from __future__ import annotations

from typing import Any

import pytest

from hpsearch.data.slices import ChosenSplits, Slice, choose
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


ROWS = {"train": list(range(10)), "validation": [20, 21, 22, 23], "test": [30, 31]}


def chosen(splits: dict[str, list[int]], **slices: str) -> ChosenSplits[int]:
    sides: dict[str, str | None] = {"train": None, "validation": None, "holdout": None}
    return choose(splits, {**sides, **slices}, "rows.json")


@pytest.mark.parametrize(
    ("splits", "slices", "sides"),
    [
        ("train", {}, {"train": list(range(10))}),
        ("train validation", {}, {"train": list(range(10)), "validation": [20, 21, 22, 23]}),
        ("train test", {"holdout": "test"}, {"train": list(range(10)), "holdout": [30, 31]}),
        ("train", {"train": "train[:50%]"}, {"train": [0, 1, 2, 3, 4]}),
        ("train", {"validation": "train[90%:]"}, {"train": list(range(9)), "validation": [9]}),
        ("train", {"holdout": "train[-2:]"}, {"train": list(range(8)), "holdout": [8, 9]}),
        (
            "train validation",
            {"holdout": "validation[50%:]"},
            {"train": list(range(10)), "validation": [20, 21], "holdout": [22, 23]},
        ),
        ("train validation", {"holdout": "dev"}, {"train": list(range(10)), "holdout": [20, 21, 22, 23]}),
        ("train validation", {"validation": "train[:1]"}, {"train": list(range(1, 10)), "validation": [0]}),
        ("train", {"train": "train", "validation": "train[:1]"}, {"train": list(range(10)), "validation": [0]}),
    ],
)
def test_a_side_is_its_slice_or_what_the_others_leave(
    splits: str, slices: dict[str, str], sides: dict[str, list[int]]
) -> None:
    assert chosen({name: ROWS[name] for name in splits.split()}, **slices).rows == sides


def test_splits_of_no_side_are_named() -> None:
    assert chosen(ROWS).unused == ("test",)
    assert chosen(ROWS, holdout="test").unused == ()
    assert chosen(ROWS, holdout="test", validation="train[:2]").unused == ("validation",)
    assert chosen(ROWS, holdout="validation").unused == ("test",)


@pytest.mark.parametrize(
    ("splits", "slices", "what", "remedy"),
    [
        ("train", {"holdout": "test"}, "holdout_split must name a split of the data, but names 'test'", "train[90%:]"),
        ("train test", {"validation": "test"}, "val_split: a test split is neither learned", "holdout_split may name"),
        ("train test", {"train": "testing[:9]"}, "train_split: a test split is neither learned", "another split"),
        ("validation test", {}, "must have a split train where train_split is not given", "train_split=validation"),
        ("test", {}, "must have a split train where train_split is not given, but rows.json has test", ""),
        ("train", {"holdout": "train"}, "train must have rows, but holdout_split leaves none", "set train_split"),
        ("train", {"train": "train[x]"}, "train_split: a slice must be written like", ""),
    ],
)
def test_what_cannot_be_chosen_is_refused(splits: str, slices: dict[str, Any], what: str, remedy: str) -> None:
    with pytest.raises(UsageError) as refusal:
        chosen({name: ROWS[name] for name in splits.split()}, **slices)
    assert what in refusal.value.what
    assert remedy in refusal.value.remedy


def test_data_without_rows_are_refused() -> None:
    with pytest.raises(UsageError, match=r"but the split train of rows\.json is empty"):
        choose({"train": []}, {}, "rows.json")
