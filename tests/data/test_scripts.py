"""The script of a character."""

from __future__ import annotations

import pytest

from hpsearch.data.text_stats import script_of


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
