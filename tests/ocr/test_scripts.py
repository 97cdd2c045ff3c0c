"""The script of a character."""

from __future__ import annotations

import pytest

from hpsearch.ocr.scripts import script_of


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
        ("\ue000", "Other"),
    ],
)
def test_scripts_by_name(character: str, script: str) -> None:
    assert script_of(character) == script
