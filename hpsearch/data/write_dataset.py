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

MORE = ("document", "kind", "id", "copy")  # columns beside picture and text
ROWS = "data-00000-of-00001.arrow"
# Of a parquet file, what is written, and read, together: rows, and bytes of their pictures.
GROUP, GROUP_BYTES = 100, 16_000_000
FILE_BYTES = 500_000_000  # of pictures in a parquet file: what the Hub cuts datasets into


def save_dataset(folder: Path, splits: Mapping[str, Path], batch_size: int, instruction: str | None) -> None:
    """Save the rows that files of metadata name, by split, ``batch_size`` of them in memory at once.

    With an ``instruction`` each row is a turn of FineVision's form, else an image and a text. Picture files go into the
    dataset, which needs nothing beside it.
    """
    from datasets import DatasetInfo

    features = _features(instruction)
    for split, path in splits.items():
        place = folder / split
        place.mkdir(parents=True)
        digest = hashlib.sha256()
        _write_rows(place / ROWS, features.arrow_schema, _rows(path, instruction, digest), batch_size)
        DatasetInfo(features=features).write_to_directory(str(place))
        (place / "state.json").write_text(
            json.dumps(_state(split, digest.hexdigest()[:16]), indent=2), encoding="utf-8"
        )
    (folder / "dataset_dict.json").write_text(json.dumps({"splits": list(splits)}), encoding="utf-8")


def write_parquet(folder: Path, split: str, rows: Iterator[dict[str, Any]], more: Sequence[str]) -> None:
    """Write the rows of a split (image, text, and the texts ``more``) as files of about half a gigabyte, named as the
    Hub names them."""
    import pyarrow as pa
    import pyarrow.parquet as pq
    from datasets import Features, Image, Value

    schema = Features(
        {"image": Image(), "text": Value("string"), **{name: Value("string") for name in more}}
    ).arrow_schema
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


def _write_rows(path: Path, schema: Any, rows: Iterator[dict[str, Any]], at_once: int) -> None:
    import pyarrow as pa

    with pa.OSFile(str(path), "wb") as sink, pa.ipc.new_stream(sink, schema) as writer:
        while batch := list(islice(rows, at_once)):
            writer.write_batch(pa.RecordBatch.from_pylist(batch, schema))


def _state(split: str, fingerprint: str) -> dict[str, Any]:
    """What the library writes of a dataset that nothing was done to. By its fingerprint it knows what it has cached."""
    return {
        "_data_files": [{"filename": ROWS}],
        "_fingerprint": fingerprint,
        "_format_columns": None,
        "_format_kwargs": {},
        "_format_type": None,
        "_output_all_columns": False,
        "_split": split,
    }


def _rows(path: Path, instruction: str | None, digest: hashlib._Hash) -> Iterator[dict[str, Any]]:
    with path.open(encoding="utf-8") as lines:
        for line in lines:
            row = json.loads(line)
            file = path.parent / row["image_path"]
            picture = {"bytes": file.read_bytes(), "path": file.name}
            digest.update(line.encode() + picture["bytes"])
            more = {name: row[name] for name in MORE}
            if instruction is not None:
                turn = {"user": instruction, "assistant": row["ocr_text"]}
                yield {"images": [picture], "texts": [turn], **more}
            else:
                yield {"image": picture, "text": row["ocr_text"], **more}


def _features(instruction: str | None) -> Any:
    from datasets import Features, Image, List, Value

    text = Value("string")
    more = {name: Value("int32") if name == "copy" else text for name in MORE}
    if instruction is not None:
        return Features({"images": List(Image()), "texts": List({"user": text, "assistant": text}), **more})
    return Features({"image": Image(), "text": text, **more})
