"""Statistics of texts, and the script of a character."""

from __future__ import annotations

import pytest

from hpsearch.data.stats import Script, Spread
from hpsearch.data.text_stats import alphabet, by_length, not_composed, script_of, scripts, spread


def test_values_are_spread_between_the_least_and_the_most() -> None:
    assert spread([]) == Spread()
    assert spread([7]) == Spread(7, 7, 7, 7, 7, 7)
    assert spread(range(101)) == Spread(0, 5, 50, 95, 100, 5050)


def test_scripts_count_characters_and_the_rows_they_are_in() -> None:
    assert scripts(["ab 中", "cd", "ক"]) == (
        Script("Latin", 4, 2),
        Script("white space", 1, 1),
        Script("Han", 1, 1),
        Script("Bengali", 1, 1),
    )


def test_characters_that_are_seen_too_seldom_are_named() -> None:
    assert alphabet(["aab", "aba c", "b\n"]) == (5, 1, {"c": 1})


def test_of_many_rare_characters_all_are_counted_and_some_named() -> None:
    different, rare, named = alphabet([chr(0x4E00 + number) for number in range(500)])
    assert (different, rare) == (500, 500) and len(named) == 60


def test_texts_that_are_not_composed_are_counted() -> None:
    assert not_composed(["e\u0301", "\u00e9", "abc"]) == 1


def test_lengths_are_grouped_up_to_the_longest_and_without_gaps() -> None:
    found = by_length({"train": ["", "a", "ab", "x" * 8], "test": ["a" * 10, "a" * 11]})
    assert [most for most, _ in found] == [1, 2, 3, 5, 7, 10, 20]
    assert [counts for _, counts in found if counts] == [
        {"train": 2},
        {"train": 1},
        {"train": 1, "test": 1},
        {"test": 1},
    ]
    assert by_length({"train": ["a" * 100, "b" * 101]})[-1] == (200, {"train": 1})
    assert by_length({}) == ()


@pytest.mark.parametrize(
    ("character", "script"),
    [
        ("a", "Latin"),
        ("\u00e9", "Latin"),
        ("\u09be", "Bengali"),
        ("\u09e8", "Bengali"),
        ("\u6f22", "Han"),
        ("\u3042", "Hiragana"),
        ("7", "numbers"),
        ("\uff0c", "punctuation and symbols"),
        ("\u0301", "combining marks"),
        ("\u3000", "white space"),
        ("\u00aa", "Latin"),
        ("\u00b5", "Greek"),
        ("\u2163", "numbers"),
        ("\u00bd", "numbers"),
        ("\u09ea", "Bengali"),
        ("\u3005", "Han"),
        ("\u200d", "invisible signs"),
        ("\x00", "control characters"),
        ("\ue000", "Other"),
    ],
)
def test_scripts_by_name(character: str, script: str) -> None:
    assert script_of(character) == script
