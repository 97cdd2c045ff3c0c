"""Making text of others safe to show: study names, parameters, log lines and predicted text are never markup.

HTML itself is escaped by the templates; here is what a template engine does not know about: characters that no one can
see, the markup of plotly's labels, spreadsheet formulas, and JSON inside a script element.
"""

from __future__ import annotations

import json
import unicodedata
from typing import Any

# Bidirectional controls (UAX #9) and the other characters that change a line without being seen. The joiners
# U+200C and U+200D are not among them: Persian, Odia and other scripts need them to be written correctly.
_INVISIBLE = frozenset(
    "\u061c\u200b\u200e\u200f\u2028\u2029\u202a\u202b\u202c\u202d\u202e\u2060\u2066\u2067\u2068\u2069\ufeff"
)
_PLOT_ENTITIES = str.maketrans({"&": "&amp;", "<": "&lt;", ">": "&gt;"})
# OWASP's list for "CSV injection": a spreadsheet takes a cell that starts with one of these as a formula.
_FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r", "\n")


def visible(text: object, *, keep: str = "") -> str:
    """``text`` with control, bidirectional and unpaired surrogate characters written as ⟨U+202E⟩, save for ``keep``."""
    shown = str(text)
    if shown.isprintable():  # nearly all texts are, and of thousands of trials each character counts
        return shown
    return "".join(_visible_character(character, keep) for character in shown)


def visible_lines(text: object) -> str:
    """``visible``, for text that has lines and tabs of its own."""
    return visible(str(text).replace("\r\n", "\n"), keep="\n\t")


def plot_label(text: object, limit: int = 60) -> str:
    """``text`` as a label of a figure: one line, at most ``limit`` characters, and none of plotly's own markup."""
    shown = visible(text)
    if len(shown) > limit:
        shown = f"{shown[: limit - 1]}…"
    return shown.translate(_PLOT_ENTITIES)


def csv_cell(value: object) -> object:
    """``value`` for a spreadsheet: numbers as they are, text visible and never a formula, None as an empty cell."""
    if value is None:
        return ""
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return value
    text = visible(value)
    return f"'{text}" if str(value).startswith(_FORMULA_STARTS) else text


def script_json(value: Any) -> str:
    """``value`` as JSON that may stand inside a script element: it can neither end the element nor open a comment."""
    text = json.dumps(value, ensure_ascii=True, sort_keys=True, allow_nan=False, separators=(",", ":"))
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def _visible_character(character: str, keep: str) -> str:
    if character in keep:
        return character
    if character in _INVISIBLE or unicodedata.category(character) in ("Cc", "Cs"):
        return f"⟨U+{ord(character):04X}⟩"
    return character


# How numbers, times and values are written for a person.


def number_text(value: float | None) -> str:
    """A score as a person reads it: four significant figures, all of them shown so that columns line up; — for None."""
    if value is None:
        return "—"
    return f"{value:#.4g}".rstrip(".") if value else "0"


def duration_text(seconds: float | None) -> str:
    """Seconds as a person reads them: 12 s, 3 min 20 s, 2 h 05 min."""
    if seconds is None:
        return "—"
    whole = round(seconds)
    if whole < 60:
        return f"{seconds:.1f} s" if seconds < 10 else f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    return f"{whole // 3600:,} h {whole % 3600 // 60:02d} min"


def value_text(value: object) -> str:
    """A parameter's value as a person reads it."""
    return f"{value:.4g}" if isinstance(value, float) else str(value)
