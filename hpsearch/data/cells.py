"""What the values of a row mean: a picture in one of the ways it is stored, and an answer in one of the ways it is
written. What makes one row unusable is told apart from what is wrong with all of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from hpsearch.errors import UsageError

_PLACE = "<image>"  # where in a question the picture stands


class Stored(Protocol):
    """A picture that is read where it is kept, when it is asked for."""

    def read(self) -> bytes:
        """The encoded picture. Raises Unusable where there is none, OSError where its file cannot be read."""


Picture = bytes | Path | Stored


class Unusable(ValueError):
    """One row cannot be used; the others may."""


@dataclass(frozen=True)
class Answer:
    """What a picture reads, and what a row of a talk asked for it."""

    text: str
    asked: str = ""


def picture_of(value: Any, folder: Path, where: str) -> bytes | Path:
    """The picture in a value: the bytes of its file, a path (relative to ``folder``), both as Hugging Face datasets
    store them, or a list with one of these.

    Raises:
        Unusable: there is none, or more than one.
        UsageError: it is something else.
    """
    if isinstance(value, Sequence) and not isinstance(value, (str, bytes)):
        value = _single(value, "pictures")
    if isinstance(value, Mapping):
        value = value.get("bytes") or value.get("path")
    if value is None or value in ("", b""):
        raise Unusable("it has no picture")
    if isinstance(value, bytes):
        return value
    if isinstance(value, str):
        return folder / value
    raise UsageError(
        f"a row's picture must be a path or the bytes of a picture file, but {where} has {value!r:.60}",
        "write the picture's path relative to the file it is named in, or name another column with image_column",
    )


def answer_of(value: Any, where: str) -> Answer:
    """The text in a value: itself, or what the assistant says in a list of one turn ({"user", "assistant"}).

    Raises:
        Unusable: a talk has another number of turns.
        UsageError: it is something else.
    """
    if value is None or isinstance(value, str):
        return Answer(value or "")
    if isinstance(value, Mapping) and isinstance(value.get("assistant"), list):  # a column for each key, as older
        value = [dict(zip(value, turn, strict=True)) for turn in zip(*value.values(), strict=True)]  # datasets store it
    if isinstance(value, Sequence) and not isinstance(value, bytes):
        value = _single(value, "turns")
    if isinstance(value, Mapping) and "assistant" in value:
        answer, asked = value["assistant"], value.get("user")
        if isinstance(answer, (str, type(None))) and isinstance(asked, (str, type(None))):
            return Answer(answer or "", (asked or "").replace(_PLACE, "").strip())
    raise UsageError(
        f'a row\'s text must be a string or one turn {{"user", "assistant"}}, but {where} has {value!r:.60}',
        "write it as a string, or name another column with text_column",
    )


def _single(values: Sequence[Any], what: str) -> Any:
    if len(values) != 1:
        raise Unusable(f"it has {len(values)} {what}, and only rows with exactly one are used")
    return values[0]
