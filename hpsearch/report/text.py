"""Text for a person to read: text of others made safe to show, and numbers, times and sizes as text.

Study names, parameters, log lines and predicted text are never markup. HTML itself is escaped by the templates; this
module escapes for the rest: invisible characters, plotly's own markup, spreadsheet formulas, Markdown, and JSON inside
a script element.
"""

from __future__ import annotations

import json
import re
import unicodedata
from typing import Any

# Bidirectional controls (UAX #9) and the other characters that change a line without being seen. The joiners
# U+200C and U+200D are not among them: Persian, Odia and other scripts need them to be written correctly.
_INVISIBLE = frozenset(
    "\u061c\u200b\u200e\u200f\u2028\u2029\u202a\u202b\u202c\u202d\u202e\u2060\u2066\u2067\u2068\u2069\ufeff"
)
_COLOUR = re.compile(r"(\x1b\[[0-9;:]*m)")
_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ud800-\udfff]")
_PLOT_ENTITIES = str.maketrans({"&": "&amp;", "<": "&lt;", ">": "&gt;"})
_MARKUP = re.compile(r"[\\`*_\[\]<>#!|$~&]|^[-+=]")
_LINK_STARTS = re.compile(r"(?i)://|www\.|@|mailto:|xmpp:")  # GitHub's Markdown makes links of these, escaped or not
# OWASP's list for "CSV injection": a spreadsheet takes a cell that starts with one of these as a formula.
_FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r", "\n")


def visible(text: object, *, keep: str = "") -> str:
    """Write control, bidirectional and unpaired surrogate characters as ⟨U+202E⟩, except for those of ``keep``."""
    shown = str(text)
    if shown.isprintable():  # nearly all texts are, and of thousands of trials each character counts
        return shown

    def sign(character: str) -> str:
        hidden = character in _INVISIBLE or unicodedata.category(character) in ("Cc", "Cs")
        return f"⟨U+{ord(character):04X}⟩" if hidden and character not in keep else character

    return "".join(map(sign, shown))


def visible_lines(text: object) -> str:
    """Do as ``visible``, for text with lines and tabs of its own."""
    return visible(str(text).replace("\r\n", "\n"), keep="\n\t")


def terminal_text(text: str) -> str:
    """Return a program's output for a terminal: lines, tabs and colours stay, all other control characters, which may
    retitle, move, clear or question the terminal, are written as ⟨U+001B⟩. Other invisible characters stay too."""
    parts = _COLOUR.split(text)
    shown = "".join(part if _COLOUR.fullmatch(part) else _CONTROL.sub(_code, part) for part in parts)
    return f"{shown}\x1b[0m" if len(parts) > 1 else shown


def _code(match: re.Match[str]) -> str:
    return f"⟨U+{ord(match[0]):04X}⟩"


def plot_label(text: object, limit: int = 60) -> str:
    """Return ``text`` as a label of a figure: one line, at most ``limit`` characters, none of plotly's own markup."""
    shown = visible(text)
    if len(shown) > limit:
        shown = f"{shown[: limit - 1]}…"
    return shown.translate(_PLOT_ENTITIES)


def csv_cell(value: object) -> object:
    """Return ``value`` for a spreadsheet: numbers as they are, text visible and never a formula, None as ""."""
    if value is None:
        return ""
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return value
    text = visible(value)
    return f"'{text}" if str(value).startswith(_FORMULA_STARTS) else text


def script_json(value: Any) -> str:
    """Return ``value`` as JSON for a script element: it can neither end the element nor open a comment."""
    text = json.dumps(value, ensure_ascii=True, sort_keys=True, allow_nan=False, separators=(",", ":"))
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def number_text(value: float | None) -> str:
    """Return a score with four significant figures, all of them shown so that columns line up; — for None."""
    if value is None:
        return "—"
    return f"{value:#.4g}".rstrip(".") if value else "0"


def value_text(value: object) -> str:
    """Return a parameter's value; four significant figures of a float."""
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def markdown_code(text: object, limit: int = 200) -> str:
    """Return others' ``text`` as one line of Markdown's code, where nothing is markup, a formula or a link. It may be
    the cell of a table."""
    shown = visible(text).replace("|", "\uff5c")  # a table's cell ends at a bar in code too
    shown = f"{shown[: limit - 1]}…" if len(shown) > limit else shown
    fence = "`" * (1 + max(map(len, re.findall("`+", shown)), default=0))
    return f"{fence} {shown} {fence}" if "`" in shown or not shown.strip() else f"{fence}{shown}{fence}"


def markdown_text(text: object) -> str:
    """Return a sentence for Markdown: no character of it is markup, and no address in it becomes a link."""
    shown = _LINK_STARTS.sub(lambda found: f"{found[0]} ", visible(text))
    return _MARKUP.sub(lambda found: f"\\{found[0]}", shown)


def range_text(value: float, low: float | None, high: float | None) -> str:
    """Return a number with its 95 % interval, as far as it has one."""
    if low is None or high is None:
        return number_text(value)
    return f"{number_text(value)} (95 %: {low:.3g} to {high:.3g})"


def percent_text(share: float) -> str:
    """Return a share in per cent, with two figures below 10 %."""
    return f"{share:.0%}" if share >= 0.1 or not share else f"{share:.1%}"
