"""Which rows of which split are learned from, judged by and held out, where slices say so and where they do not."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from hpsearch.data.slices import TEST_NAMES, Slice, searched_slice
from hpsearch.errors import UsageError

T = TypeVar("T")

# The setting with each side's slice, and the split whose rows it has where that is not given.
SLICE_KEYS = {"train": "train_split", "validation": "val_split", "holdout": "holdout_split"}
AUTOMATIC = {"train": "train", "validation": "validation"}


@dataclass(frozen=True)
class Choice(Generic[T]):
    """Rows by side. A side that is not in it is to be drawn from another one. ``unused`` are splits of no side."""

    rows: Mapping[str, Sequence[T]]
    unused: tuple[str, ...]


def choose(splits: Mapping[str, Sequence[T]], slices: Mapping[str, str | None], where: str) -> Choice[T]:
    """Choose each side's rows: its slice, or what the other sides' slices leave of the split of its name. ``where``
    says in messages whose splits they are.

    Raises:
        UsageError: a slice is of a split that is not there, of a test split where it may not be, or badly written; or
            there is nothing to train on.
    """
    wanted = {side: _parse(side, text) for side, text in slices.items() if text is not None}
    numbers = {side: _numbers(splits, side, each, where) for side, each in wanted.items()}
    taken: dict[str, set[int]] = {}
    for side, each in wanted.items():
        taken.setdefault(each.split, set()).update(numbers[side])
    rows = {side: [splits[each.split][number] for number in numbers[side]] for side, each in wanted.items()}
    for side, split in AUTOMATIC.items():
        rest = [row for number, row in enumerate(splits.get(split, ())) if number not in taken.get(split, ())]
        if side not in rows and rest:
            rows[side] = rest
            taken.setdefault(split, set())
    if "train" not in rows:
        _refuse_no_train(splits, wanted, where)
    return Choice(rows, tuple(sorted(set(splits) - set(taken))))


def _parse(side: str, text: str) -> Slice:
    try:
        return Slice.parse(text) if side == "holdout" else searched_slice(text)
    except UsageError as error:
        raise UsageError(f"{SLICE_KEYS[side]}: {error.what}", error.remedy) from error


def _numbers(splits: Mapping[str, Sequence[T]], side: str, wanted: Slice, where: str) -> range:
    if wanted.split in splits:
        return wanted.rows(len(splits[wanted.split]))
    key = SLICE_KEYS[side]
    raise UsageError(
        f"{key} must name a split of the data, but names {wanted.split!r}, and {where} has {', '.join(sorted(splits))}",
        f"take a part of one of these, as by --set '{key}={_example(splits)}[90%:]', or add a file of that name",
    )


def _refuse_no_train(splits: Mapping[str, Sequence[T]], wanted: Mapping[str, Slice], where: str) -> None:
    if splits.get("train") is not None and not splits["train"]:
        raise UsageError(
            f"train must have rows, but the split train of {where} is empty", "write rows of image and text"
        )
    if "train" in splits:
        named = ", ".join(SLICE_KEYS[side] for side in wanted)
        raise UsageError(f"train must have rows, but {named} leaves none of the split train", "set train_split")
    raise UsageError(
        f"the data must have a split train where train_split is not given, but {where} has {', '.join(sorted(splits))}",
        f"name what to train on, as by --set 'train_split={_example(splits)}'",
    )


def _example(splits: Mapping[str, Sequence[T]]) -> str:
    names = sorted(splits)
    return next((name for name in names if name.lower() not in TEST_NAMES), names[0] if names else "train")
