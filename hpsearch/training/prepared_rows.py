"""Rows as the trainer and the evaluation see them: an image, a question and the answer to be learned."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from copy import copy
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hpsearch.data.images import open_image

if TYPE_CHECKING:
    from hpsearch.training.models.chat import Chat

ROWS_AT_ONCE = 32  # written together, so that only so many pictures are in memory


@dataclass(frozen=True)
class Row:
    """One prepared row: ``image`` is an encoded picture (PNG, JPEG ...), ``text`` what it reads."""

    id: str
    image: bytes
    text: str


def table_of(rows: Iterable[Row]) -> Any:
    """Rows as an Arrow table."""
    import pyarrow as pa

    return pa.Table.from_batches(_batches(rows), _schema())


def write_rows(path: Path, rows: Iterable[Row]) -> None:
    """Write rows as an Arrow stream, which trials map into memory instead of loading it."""
    import pyarrow as pa

    with pa.OSFile(str(path), "wb") as sink, pa.ipc.new_stream(sink, _schema()) as writer:
        for batch in _batches(rows):
            writer.write_batch(batch)


def _schema() -> Any:
    import pyarrow as pa

    return pa.schema([("id", pa.string()), ("image", pa.large_binary()), ("text", pa.large_string())])


def _batches(rows: Iterable[Row]) -> Iterator[Any]:
    import pyarrow as pa

    left = iter(rows)
    while chunk := list(islice(left, ROWS_AT_ONCE)):
        yield pa.RecordBatch.from_pylist([vars(row) for row in chunk], _schema())


class RowFile(Sequence[Row]):
    """The rows of a file written by ``write_rows``, or those at some ``positions`` of it, mapped into memory and read
    as they are asked for. ``table`` has all of the file."""

    def __init__(self, path: Path, positions: Sequence[int] | None = None) -> None:
        import pyarrow as pa

        self.table = pa.ipc.open_stream(pa.memory_map(str(path))).read_all()
        self._positions = range(self.table.num_rows) if positions is None else positions

    def __len__(self) -> int:
        return len(self._positions)

    def dealt(self, first: int, players: int) -> RowFile:
        """Every so-many-th of the rows, from ``first`` on."""
        share = copy(self)
        share._positions = self._positions[first::players]
        return share

    def ids(self) -> list[str]:
        """The rows' ids, without their pictures."""
        return self._column("id")

    def text_lengths(self) -> list[int]:
        """The rows' lengths in characters, without their pictures."""
        return [len(text) for text in self._column("text")]

    def _column(self, name: str) -> list[str]:
        values = self.table.column(name).to_pylist()
        return [values[position] for position in self._positions]

    def __getitem__(self, index: Any) -> Any:
        if isinstance(index, slice):
            return [self[position] for position in range(*index.indices(len(self)))]
        return Row(**self.table.slice(self._positions[index], 1).to_pylist()[0])


def training_rows(table: Any, chat: Chat) -> Any:
    """A ``datasets.Dataset`` over an Arrow table of rows, giving prompt/completion rows so that only the answer is
    learned. Texts are already as the chat template writes them: the same that the evaluation uses. Pictures are decoded
    when a batch is made."""
    from datasets import Dataset

    def as_prompts(batch: dict[str, list[Any]]) -> dict[str, list[Any]]:
        return {
            "prompt": [chat.question for _ in batch["text"]],
            "completion": [chat.answer(text) for text in batch["text"]],
            "images": [[open_image(encoded)] for encoded in batch["image"]],
        }

    # A fingerprint is given because datasets would otherwise hash every picture to make one.
    return Dataset(table, fingerprint="hpsearch").with_transform(as_prompts)
