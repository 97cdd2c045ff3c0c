"""Splits and slices of them, written as in ``train[:90%]``, ``train[90%:]``, ``train[:200]``, ``train[-50:]`` or
``train``, and the choice of the rows that are trained on, judged by and held out."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from hpsearch.errors import UsageError

_SLICE = re.compile(r"(?P<split>[A-Za-z0-9_.-]+)(?:\[(?P<start>-?\d+%?)?:(?P<stop>-?\d+%?)?\])?")
TEST_NAMES = ("test", "testing")
_NAME = re.compile(r"\w+(\.\w+)*")  # the names that the `datasets` library takes
_KNOWN_WORDS = {
    "train": {"train", "training", "non"},  # ocr_non_test holds the rows that are not for the test
    "test": {*TEST_NAMES},
    "holdout": {"holdout"},
    "validation": {"validation", "val", "valid", "dev", "eval"},
}
_OTHER_NAMES = {"val": "validation", "valid": "validation", "dev": "validation"}
# The setting with each side's slice, and the split that a side has where no slice is given.
SLICE_KEYS = {"train": "train_split", "validation": "val_split", "holdout": "holdout_split"}
AUTOMATIC = {"train": "train", "validation": "validation"}

T = TypeVar("T")


def split_name(name: str) -> str:
    """Return a split's usual name: val, valid and dev are validation."""
    return _OTHER_NAMES.get(name, name)


def usual_split(name: str) -> str:
    """Return the usual name of a split by the words in its name, however it is written: ocr_test and TEST are test,
    ocr_non_test and Training train, eval and Validation validation. Any other name stays.

    Raises:
        UsageError: it is no name of a split: letters, numbers and _, in parts with . between.
    """
    words = set(re.split(r"[^a-z]+", name.lower()))
    for usual, known in _KNOWN_WORDS.items():
        if words & known:
            return usual
    if not _NAME.fullmatch(name):
        raise UsageError(
            f"a split's name is letters, numbers and _, but one is called {name!r}", "rename it, or its file"
        )
    return name


@dataclass(frozen=True)
class Slice:
    """A run of a split's rows. Bounds are row numbers or percentages ("90%"), negative ones from the end."""

    split: str
    start: str | None = None
    stop: str | None = None

    @staticmethod
    def parse(text: str) -> Slice:
        """Read a slice.

        Raises:
            UsageError: it is not written as one, or a percentage lies outside -100..100.
        """
        match = _SLICE.fullmatch(text.strip())
        bounds = match.group("start", "stop") if match else ()
        if match is None or any(bound and bound.endswith("%") and abs(int(bound[:-1])) > 100 for bound in bounds):
            raise UsageError(
                f"a slice must be written like train, train[:90%], train[90%:] or train[-50:], not {text!r}",
                "percentages are whole numbers of at most 100",
            )
        return Slice(split_name(match["split"]), match["start"], match["stop"])

    def rows(self, count: int) -> range:
        """Return the numbers of its rows in a split of ``count``; percentages are rounded to the nearest row."""
        return range(count)[slice(_bound(self.start, count), _bound(self.stop, count))]


def _bound(bound: str | None, count: int) -> int | None:
    if bound is None:
        return None
    if not bound.endswith("%"):
        return int(bound)
    percent = int(bound[:-1])
    nearest = (abs(percent) * count + 50) // 100
    return nearest if percent >= 0 else count - nearest


def searched_slice(text: str) -> Slice:
    """Read a slice of rows to train on or to validate by.

    Raises:
        UsageError: it is not written as one, or is of a test split, which would then say nothing of unseen rows.
    """
    wanted = Slice.parse(text)
    if wanted.split.lower() in TEST_NAMES:
        raise UsageError(
            f"a test split is neither learned from nor searched on, but {text!r} is a slice of one: the score of the "
            "best trial, on rows it was chosen by, would say nothing of unseen ones",
            "name a slice of another split; holdout_split may name the test split",
        )
    return wanted


@dataclass(frozen=True)
class ChosenSplits(Generic[T]):
    """Rows by side. A missing side is to be taken from another one. ``unused`` are splits of no side."""

    rows: Mapping[str, Sequence[T]]
    unused: tuple[str, ...]


def choose(splits: Mapping[str, Sequence[T]], slices: Mapping[str, str | None], where: str) -> ChosenSplits[T]:
    """Choose each side's rows: its slice, or the rest, after the other sides' slices, of the split of its name.
    ``where`` names the owner of the splits in messages.

    Raises:
        UsageError: a slice is of a missing split, of a test split where it may not be, or badly written; or there is
            nothing to train on.
    """
    wanted = {side: _parse(side, text) for side, text in slices.items() if text is not None}
    numbers = {side: _numbers(splits, side, part, where) for side, part in wanted.items()}
    taken: dict[str, set[int]] = {}
    for side, part in wanted.items():
        taken.setdefault(part.split, set()).update(numbers[side])
    rows = {side: [splits[part.split][number] for number in numbers[side]] for side, part in wanted.items()}
    for side, split in AUTOMATIC.items():
        rest = [row for number, row in enumerate(splits.get(split, ())) if number not in taken.get(split, ())]
        if side not in rows and rest:
            rows[side] = rest
            taken.setdefault(split, set())
    if "train" not in rows:
        raise _no_train(splits, wanted, where)
    return ChosenSplits(rows, tuple(sorted(set(splits) - set(taken))))


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


def _no_train(splits: Mapping[str, Sequence[T]], wanted: Mapping[str, Slice], where: str) -> UsageError:
    if splits.get("train") is not None and not splits["train"]:
        return UsageError(
            f"train must have rows, but the split train of {where} is empty", "write rows of image and text"
        )
    if "train" in splits:
        named = ", ".join(SLICE_KEYS[side] for side in wanted)
        return UsageError(f"train must have rows, but {named} leaves none of the split train", "set train_split")
    return UsageError(
        f"the data must have a split train where train_split is not given, but {where} has {', '.join(sorted(splits))}",
        f"name the rows to train on, as by --set 'train_split={_example(splits)}'",
    )


def _example(splits: Mapping[str, Sequence[T]]) -> str:
    names = sorted(splits)
    return next((name for name in names if name.lower() not in TEST_NAMES), names[0] if names else "train")
