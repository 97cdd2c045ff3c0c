"""Writing rows as a Hugging Face dataset: one that `load_from_disk` opens, or parquet files as on the Hub.

The library's own way writes everything twice and maps it into memory in between, which grows with the data. So the
files that it reads are written here, one batch after the other.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

MORE_COLUMNS = ("document", "kind", "id", "copy")  # beside picture and text
ARROW_FILE = "data-00000-of-00001.arrow"
# Of a parquet file, what is written, and read, together: rows, and bytes of their pictures.
GROUP, GROUP_BYTES = 100, 16_000_000
FILE_BYTES = 500_000_000  # of pictures in a parquet file: the size into which the Hub cuts datasets


def save_dataset(folder: Path, splits: Mapping[str, Path], batch_size: int, question: str | None = None) -> None:
    """Save the rows listed in files of metadata, by split, ``batch_size`` of them in memory at a time. The pictures
    go into the dataset, which needs no file beside it. With a ``question``, rows have FineVision's columns: a list of
    pictures, and a list of turns in which it is asked."""
    from datasets import DatasetInfo, Features, Image, List, Value

    text = Value("string")
    columns: dict[str, Any] = {"image": Image(), "text": text}
    if question is not None:
        columns = {"images": List(Image()), "texts": List({"user": text, "assistant": text})}
    features = Features({**columns, **{name: Value("int32") if name == "copy" else text for name in MORE_COLUMNS}})
    for split, path in splits.items():
        target = folder / split
        target.mkdir(parents=True)
        digest = hashlib.sha256()
        _write_arrow(target / ARROW_FILE, features.arrow_schema, _rows(path, question, digest), batch_size)
        DatasetInfo(features=features).write_to_directory(str(target))
        # The library's own record of a dataset that was never transformed. Its cache goes by the fingerprint.
        state: dict[str, Any] = {
            "_data_files": [{"filename": ARROW_FILE}],
            "_fingerprint": digest.hexdigest()[:16],
            "_format_columns": None,
            "_format_kwargs": {},
            "_format_type": None,
            "_output_all_columns": False,
            "_split": split,
        }
        (target / "state.json").write_text(json.dumps(state, indent=2), encoding="utf-8")
    (folder / "dataset_dict.json").write_text(json.dumps({"splits": list(splits)}), encoding="utf-8")


def _write_arrow(path: Path, schema: Any, rows: Iterator[dict[str, Any]], batch_size: int) -> None:
    import pyarrow as pa

    with pa.OSFile(str(path), "wb") as sink, pa.ipc.new_stream(sink, schema) as writer:
        while batch := list(islice(rows, batch_size)):
            writer.write_batch(pa.RecordBatch.from_pylist(batch, schema))


def _rows(metadata: Path, question: str | None, digest: hashlib._Hash) -> Iterator[dict[str, Any]]:
    """The rows of a file of metadata with their pictures; all bytes of both are added to ``digest``."""
    with metadata.open(encoding="utf-8") as lines:
        for line in lines:
            row = json.loads(line)
            file = metadata.parent / row["image_path"]
            picture = {"bytes": file.read_bytes(), "path": file.name}
            digest.update(line.encode() + picture["bytes"])
            more = {name: row[name] for name in MORE_COLUMNS}
            if question is None:
                yield {"image": picture, "text": row["ocr_text"], **more}
            else:
                yield {"images": [picture], "texts": [{"user": question, "assistant": row["ocr_text"]}], **more}


def write_parquet(folder: Path, split: str, rows: Iterator[dict[str, Any]], more: Sequence[str]) -> None:
    """Write the rows of a split (image, text, and the texts ``more``) as files of about half a gigabyte, named as the
    Hub names them."""
    import pyarrow as pa
    import pyarrow.parquet as pq
    from datasets import Features, Image, Value

    texts = {name: Value("string") for name in ("text", *more)}
    schema = Features({"image": Image(), **texts}).arrow_schema
    files: list[Path] = []
    groups = _groups(rows)
    group = next(groups, None)
    while group:
        files.append(folder / f"{split}-{len(files)}.parquet")
        with pq.ParquetWriter(files[-1], schema) as writer:
            size = 0
            while group and size < FILE_BYTES:
                writer.write_batch(pa.RecordBatch.from_pylist(group, schema), row_group_size=GROUP)
                size += sum(len(row["image"]["bytes"]) for row in group)
                group = next(groups, None)
    for number, path in enumerate(files):
        path.rename(folder / f"{split}-{number:05}-of-{len(files):05}.parquet")


def _groups(rows: Iterator[dict[str, Any]]) -> Iterator[list[dict[str, Any]]]:
    """Rows that are written together: their pictures are in memory, several times over."""
    group: list[dict[str, Any]] = []
    size = 0
    for row in rows:
        group.append(row)
        size += len(row["image"]["bytes"])
        if len(group) >= GROUP or size >= GROUP_BYTES:
            yield group
            group, size = [], 0
    if group:
        yield group
