"""Rows as the trainer and the evaluation see them: an image, a question and the answer to be learned."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

Message = dict[str, Any]


@dataclass(frozen=True)
class Row:
    """One prepared row: ``image`` is an encoded picture (PNG, JPEG ...), ``text`` what it reads."""

    id: str
    image: bytes
    text: str


def open_image(encoded: bytes) -> Any:
    """Decode a picture as RGB. Raises what Pillow raises where it is broken."""
    from PIL import Image

    with Image.open(io.BytesIO(encoded)) as picture:
        return picture.convert("RGB")


def prompt(instruction: str) -> list[Message]:
    """What the model is shown: the image, then the instruction."""
    return [{"role": "user", "content": [{"type": "image"}, {"type": "text", "text": instruction}]}]


def answer(text: str) -> list[Message]:
    """What the model is to say."""
    return [{"role": "assistant", "content": [{"type": "text", "text": text}]}]


def table_of(rows: Sequence[Row]) -> Any:
    """Rows as an Arrow table."""
    import pyarrow as pa

    return pa.table(
        {
            "id": pa.array([row.id for row in rows], pa.string()),
            "image": pa.array([row.image for row in rows], pa.large_binary()),
            "text": pa.array([row.text for row in rows], pa.large_string()),
        }
    )


def write_rows(path: Path, rows: Sequence[Row]) -> None:
    """Write rows as an Arrow stream, which trials map into memory instead of loading it."""
    import pyarrow as pa

    table = table_of(rows)
    with pa.OSFile(str(path), "wb") as sink, pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table, max_chunksize=256)


class RowFile(Sequence[Row]):
    """The rows of a file written by ``write_rows``, mapped into memory and read as they are asked for."""

    def __init__(self, path: Path) -> None:
        import pyarrow as pa

        self.table = pa.ipc.open_stream(pa.memory_map(str(path))).read_all()

    def __len__(self) -> int:
        return int(self.table.num_rows)

    def ids(self) -> list[str]:
        """The rows' ids, without their pictures."""
        return list(self.table.column("id").to_pylist())

    def text_lengths(self) -> list[int]:
        """The rows' lengths in characters, without their pictures."""
        return [len(text) for text in self.table.column("text").to_pylist()]

    def __getitem__(self, index: Any) -> Any:
        if isinstance(index, slice):
            return [self[position] for position in range(*index.indices(len(self)))]
        if not -len(self) <= index < len(self):
            raise IndexError(index)
        return Row(**self.table.slice(index % len(self), 1).to_pylist()[0])


def training_rows(table: Any, instruction: str) -> Any:
    """A ``datasets.Dataset`` over an Arrow table of rows, giving prompt/completion rows so that only the answer is
    learned. Pictures are decoded when a batch is made."""
    from datasets import Dataset

    question = prompt(instruction)

    def as_conversation(batch: dict[str, list[Any]]) -> dict[str, list[Any]]:
        return {
            "prompt": [question for _ in batch["text"]],
            "completion": [answer(text) for text in batch["text"]],
            "images": [[open_image(encoded)] for encoded in batch["image"]],
        }

    # A fingerprint is given because datasets would otherwise hash every picture to make one.
    return Dataset(table, fingerprint="hpsearch").with_transform(as_conversation)
