"""The rows of the check, as a table for the terminal and as a page. Pure functions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

HEADINGS = ("section", "what", "measured", "remark")


@dataclass(frozen=True)
class Row:
    """One line: the section, what was looked at, what came out, and what to know about it."""

    section: str
    what: str
    measured: str
    remark: str = ""

    @property
    def cells(self) -> tuple[str, str, str, str]:
        """The texts of the line."""
        return (self.section, self.what, self.measured, self.remark)


def text_table(rows: Sequence[Row]) -> str:
    """Columns as wide as they need to be; the last one is not padded."""
    lines = [HEADINGS, *(row.cells for row in rows)]
    widths = [max(len(line[column]) for line in lines) for column in range(3)]
    return "\n".join(
        "  ".join([*(cell.ljust(width) for cell, width in zip(line, widths, strict=False)), line[3]]).rstrip()
        for line in lines
    )


def markdown_page(rows: Sequence[Row], machine: Mapping[str, str], command: str) -> str:
    """A page: what was run, on what, and the table."""
    listed = "\n".join(f"- {name}: {value}" for name, value in machine.items())
    lines = [HEADINGS, ("---",) * 4, *(row.cells for row in rows)]
    table = "\n".join(f"| {' | '.join(cell.replace('|', '/') for cell in line)} |" for line in lines)
    return f"# What hpsearch does on this machine\n\n    {command}\n\n{listed}\n\n{table}\n"
