"""Which script a character is of."""

from __future__ import annotations

import unicodedata

_NAMED = {"CJK": "Han", "KANGXI": "Han", "COMBINING": "combining marks", "FULLWIDTH": "full-width forms"}


def script_of(character: str) -> str:
    """The script of a character (of a grapheme, its first), or what else it is."""
    first = character[0]
    category = unicodedata.category(first)
    if first.isspace():
        return "white space"
    if category[0] in "PS":
        return "punctuation and symbols"
    if category == "Nd" and first.isascii():
        return "numbers"
    word = unicodedata.name(first, "OTHER").split()[0].partition("-")[0]
    return _NAMED.get(word, word.capitalize())
