"""The values of a row: pictures, and answers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from hpsearch.data.rows import ConversationAnswer, Unusable, answer_of, picture_of
from hpsearch.errors import UsageError

FOLDER = Path("/pages")


@pytest.mark.parametrize(
    ("value", "picture"),
    [
        (b"x", b"x"),
        ("a.png", FOLDER / "a.png"),
        ("/other/a.png", Path("/other/a.png")),
        ({"bytes": b"x", "path": "a.png"}, b"x"),
        ({"bytes": None, "path": "a.png"}, FOLDER / "a.png"),
        ([{"bytes": b"x", "path": None}], b"x"),
        (["a.png"], FOLDER / "a.png"),
    ],
)
def test_a_picture_in_each_way_it_is_stored(value: Any, picture: bytes | Path) -> None:
    assert picture_of(value, FOLDER, "row 1") == picture


@pytest.mark.parametrize(
    ("value", "why"),
    [
        (None, "it has no picture"),
        ("", "it has no picture"),
        (b"", "it has no picture"),
        ({"bytes": None, "path": None}, "it has no picture"),
        ([None], "it has no picture"),
        ([], "it has 0 pictures"),
        ([b"x", b"y"], "it has 2 pictures"),
    ],
)
def test_a_row_without_its_one_picture_is_unusable(value: Any, why: str) -> None:
    with pytest.raises(Unusable, match=why):
        picture_of(value, FOLDER, "row 1")


@pytest.mark.parametrize(
    ("value", "answer"),
    [
        ("hello", ConversationAnswer("hello")),
        (None, ConversationAnswer("")),
        ([{"user": "", "assistant": "hello"}], ConversationAnswer("hello")),
        ([{"user": " Read! ", "assistant": "hello"}], ConversationAnswer("hello", "Read!")),
        ([{"user": "<image>\n", "assistant": "hello"}], ConversationAnswer("hello")),
        ([{"user": None, "assistant": None}], ConversationAnswer("")),
        ({"user": "Read!", "assistant": "hello"}, ConversationAnswer("hello", "Read!")),
        ({"user": ["Read!"], "assistant": ["hello"]}, ConversationAnswer("hello", "Read!")),
    ],
)
def test_an_answer_in_each_way_it_is_written(value: Any, answer: ConversationAnswer) -> None:
    assert answer_of(value, "row 1") == answer


@pytest.mark.parametrize(
    ("value", "turns"),
    [([], 0), ([{"assistant": "a"}, {"assistant": "b"}], 2), ({"user": ["a", "b"], "assistant": ["c", "d"]}, 2)],
)
def test_a_talk_with_other_than_one_turn_is_unusable(value: Any, turns: int) -> None:
    with pytest.raises(Unusable, match=f"it has {turns} turns"):
        answer_of(value, "row 1")


@pytest.mark.parametrize("value", [5, [5], [{"user": "a"}], {"assistant": 5}, b"text", ["hello"]])
def test_another_kind_of_value_is_refused_for_all_rows(value: Any) -> None:
    with pytest.raises(UsageError, match="but row 1 has") as text:
        answer_of(value, "row 1")
    assert "text_column" in text.value.remedy


def test_another_kind_of_picture_is_refused_for_all_rows() -> None:
    with pytest.raises(UsageError, match="but row 1 has 5") as refusal:
        picture_of(5, FOLDER, "row 1")
    assert "image_column" in refusal.value.remedy
