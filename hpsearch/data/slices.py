"""Slices of a split, written as in ``train[:90%]``, ``train[90%:]``, ``train[:200]``, ``train[-50:]`` or ``train``."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from hpsearch.errors import UsageError

_SLICE = re.compile(r"(?P<split>[A-Za-z0-9_.-]+)(?:\[(?P<start>-?\d+%?)?:(?P<stop>-?\d+%?)?\])?")
TEST_NAMES = ("test", "testing")
_NAME = re.compile(r"\w+(\.\w+)*")  # what the `datasets` library takes
_KNOWN_WORDS = {
    "train": {"train", "training", "non"},  # ocr_non_test is what is not for the test
    "test": {*TEST_NAMES},
    "holdout": {"holdout"},
    "validation": {"validation", "val", "valid", "dev", "eval"},
}
_OTHER_NAMES = {"val": "validation", "valid": "validation", "dev": "validation"}


def split_name(name: str) -> str:
    """A split's usual name: val, valid and dev are validation."""
    return _OTHER_NAMES.get(name, name)


def usual_split(name: str) -> str:
    """What a split is by the words of its name, however it is written: ocr_test and TEST are test, ocr_non_test and
    Training train, eval and Validation validation. Any other name stays.

    Raises:
        UsageError: it is no name of a split: letters, numbers and _, in parts with . between.
    """
    words = set(re.split(r"[^a-z]+", name.lower()))
    for usual, known in _KNOWN_WORDS.items():
        if words & known:
            return usual
    if not _NAME.fullmatch(name):
        raise UsageError(
            f"a split's name is letters, numbers and _, but one is called {name!r}", "rename it, or the file it is"
        )
    return name


def searched_slice(text: str) -> Slice:
    """Read a slice of rows to learn from or to choose by.

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
        if match is None or any(not _fits(bound) for bound in match.group("start", "stop")):
            raise UsageError(
                f"a slice must be written like train, train[:90%], train[90%:] or train[-50:], not {text!r}",
                "percentages are whole numbers of at most 100",
            )
        return Slice(split_name(match["split"]), match["start"], match["stop"])

    def rows(self, count: int) -> range:
        """Which of a split's ``count`` rows it means; percentages are rounded to the nearest row."""
        return range(count)[slice(_bound(self.start, count), _bound(self.stop, count))]


def _fits(bound: str | None) -> bool:
    return bound is None or not bound.endswith("%") or abs(int(bound[:-1])) <= 100


def _bound(bound: str | None, count: int) -> int | None:
    if bound is None:
        return None
    if not bound.endswith("%"):
        return int(bound)
    percent = int(bound[:-1])
    nearest = (abs(percent) * count + 50) // 100
    return nearest if percent >= 0 else count - nearest


# Which rows of which split are learned from, judged by and held out, where slices say so and where they do not.

T = TypeVar("T")

# The setting with each side's slice, and the split whose rows it has where that is not given.
SLICE_KEYS = {"train": "train_split", "validation": "val_split", "holdout": "holdout_split"}
AUTOMATIC = {"train": "train", "validation": "validation"}


@dataclass(frozen=True)
class ChosenSplits(Generic[T]):
    """Rows by side. A side that is not in it is to be drawn from another one. ``unused`` are splits of no side."""

    rows: Mapping[str, Sequence[T]]
    unused: tuple[str, ...]


def choose(splits: Mapping[str, Sequence[T]], slices: Mapping[str, str | None], where: str) -> ChosenSplits[T]:
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
