"""Findings as text: one line each, wrapped below itself where a terminal is narrow. Pure functions."""

from __future__ import annotations

import json
import textwrap
from collections.abc import Sequence

from hpsearch.execution.doctor_question import Finding, Level
from hpsearch.report.text import visible

SYMBOLS = {Level.OK: "✓", Level.WARNING: "!", Level.RED: "✗"}
PLAIN_SYMBOLS = {Level.OK: "+", Level.WARNING: "!", Level.RED: "x"}  # where the terminal's encoding has no others
COLOURS = {Level.OK: "32", Level.WARNING: "33", Level.RED: "31"}  # SGR: green, yellow, red (ECMA-48)
_LEAST_WIDTH = 40


def render(
    findings: Sequence[Finding], *, width: int | None = None, colour: bool = False, symbols: bool = True
) -> list[str]:
    """The lines to print: one for each finding, and a summary. ``width`` wraps them; None leaves each in one line."""
    column = max((len(finding.check) for finding in findings), default=0)
    lines = [line for finding in findings for line in _lines(finding, column, width, colour, symbols)]
    return [*lines, _summary(findings)]


def to_json(findings: Sequence[Finding]) -> str:
    """The findings as one JSON object, with the counts."""
    counts = {level.value: sum(finding.level is level for finding in findings) for level in Level}
    return json.dumps(
        {"findings": [finding.to_json() for finding in findings], "counts": counts}, indent=2, ensure_ascii=False
    )


def _lines(finding: Finding, column: int, width: int | None, colour: bool, symbols: bool) -> list[str]:
    symbol = (SYMBOLS if symbols else PLAIN_SYMBOLS)[finding.level]
    mark = f"{symbol} {finding.level.value:7}"
    head = f"{finding.check:{column}}  "
    text = visible(finding.text + (f"; {finding.remedy}" if finding.remedy else ""))
    indent = len(mark) + 1 + len(head)
    if width is None:
        wrapped = [text]
    else:  # a path or a command is never broken: it could not be copied
        wrapped = textwrap.wrap(
            text, max(width - indent, _LEAST_WIDTH), break_long_words=False, break_on_hyphens=False
        ) or [""]
    painted = f"\x1b[{COLOURS[finding.level]}m{mark}\x1b[0m" if colour else mark
    return [f"{painted} {head}{wrapped[0]}".rstrip(), *(" " * indent + line for line in wrapped[1:])]


def _summary(findings: Sequence[Finding]) -> str:
    red, warned = (sum(finding.level is level for finding in findings) for level in (Level.RED, Level.WARNING))
    counted = f"{red} red, {warned} warning{'' if warned == 1 else 's'}"
    if red:
        return f"not ready: {counted}"
    return f"ready: {counted}" if warned else "ready"
