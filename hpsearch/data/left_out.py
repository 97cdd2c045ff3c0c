"""Which rows were left out, and why: a line of JSON for each, beside the rows that were not."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from hpsearch.execution.job import LEFT_OUT_FILE


@dataclass(frozen=True)
class LeftOut:
    """One row: its id, the side it would have been on (train, validation, holdout), and the reason."""

    row: str
    split: str
    reason: str

    @property
    def why(self) -> str:
        """The reason without what is true of this row alone: a file's name, a number of bytes."""
        return re.sub(r"\s*\([^)]*\)", "", self.reason.partition(": ")[0])


def left_out_file(folder: Path) -> Path:
    """Where a prepared folder lists them."""
    return folder / LEFT_OUT_FILE


def write_left_out(folder: Path, rows: Sequence[LeftOut]) -> None:
    """Write the list into ``folder``; without rows, take an earlier one away."""
    path = left_out_file(folder)
    path.unlink(missing_ok=True)
    if rows:
        lines = [json.dumps(asdict(row), ensure_ascii=False) for row in rows]
        path.write_text("\n".join(lines) + "\n", encoding="utf-8")
