"""Which script a character is of."""

from __future__ import annotations

import unicodedata

# By the first word of a character's name, where that is not the script's.
_NAMED = {
    "CJK": "Han",
    "IDEOGRAPHIC": "Han",
    "KANGXI": "Han",
    "CANADIAN": "Canadian Aboriginal",
    "COMBINING": "combining marks",
    "FULLWIDTH": "full-width forms",
    "MODIFIER": "modifier letters",
}
_OTHERS = {"Cf": "invisible signs", "Cc": "control characters"}


def script_of(character: str) -> str:
    """The script of a character (of a grapheme, its first), or what else it is."""
    first = character[0]
    category = unicodedata.category(first)
    if first.isspace():
        return "white space"
    if category in _OTHERS:
        return _OTHERS[category]
    if category[0] in "PS":
        return "punctuation and symbols"
    if category in ("Nl", "No") or (category == "Nd" and first.isascii()):
        return "numbers"
    word = _first_word(first)
    if word not in _NAMED:
        word = _first_word(unicodedata.normalize("NFKC", first)[0])  # a letter in another form
    return _NAMED.get(word, word.capitalize())


def _first_word(character: str) -> str:
    return unicodedata.name(character, "OTHER").split()[0].partition("-")[0]
