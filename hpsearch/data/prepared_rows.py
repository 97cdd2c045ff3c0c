"""The rows of a prepared folder, one file a split: trials train on them, and the report shows their pictures."""

from __future__ import annotations

from collections.abc import Sequence
from copy import copy
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class PreparedRow:
    """One prepared row: ``image`` is an encoded picture (PNG, JPEG ...), ``text`` what it reads, ``document`` what it
    is a part of; None in a folder that an older release prepared."""

    id: str
    image: bytes
    text: str
    document: str | None = None


class RowFile(Sequence[PreparedRow]):
    """Rows of a file that ``write_rows`` wrote, mapped into memory and read when they are asked for: those at
    ``positions``, or all. ``table`` has all of the file."""

    def __init__(self, path: Path, positions: Sequence[int] | None = None) -> None:
        import pyarrow as pa

        self.table = pa.ipc.open_stream(pa.memory_map(str(path))).read_all()
        self._positions = range(self.table.num_rows) if positions is None else positions

    def __len__(self) -> int:
        return len(self._positions)

    def every(self, step: int, first: int) -> RowFile:
        """Select every ``step``-th row, from ``first`` on."""
        share = copy(self)
        share._positions = self._positions[first::step]
        return share

    def ids(self) -> list[str]:
        """Read the rows' ids, without their pictures."""
        return self._column("id")

    def text_lengths(self) -> list[int]:
        """Read the lengths of the rows' texts in characters, without their pictures."""
        return [len(text) for text in self._column("text")]

    def _column(self, name: str) -> list[str]:
        values = self.table.column(name).to_pylist()
        return [values[position] for position in self._positions]

    def __getitem__(self, index: Any) -> Any:
        if isinstance(index, slice):
            return [self[position] for position in range(*index.indices(len(self)))]
        return PreparedRow(**self.table.slice(self._positions[index], 1).to_pylist()[0])


def row_file(folder: Path, split: str) -> Path:
    """Return the path of a split's rows."""
    return folder / f"{split}.arrow"
