"""Reading rows of image and text from files, by split."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hpsearch.errors import UsageError
from hpsearch.ocr.slices import split_name

IMAGE_KEYS = ("image_path", "image")
TEXT_KEYS = ("ocr_text", "text")
Picture = bytes | Path


@dataclass(frozen=True)
class Sample:
    """One row. ``id`` says where it stands (file and row number); ``image`` is an encoded picture or its path;
    ``document`` names the document it is a part of; ``sources`` name the pieces it was made of."""

    id: str
    image: Picture
    text: str
    document: str | None = None
    sources: tuple[str, ...] = ()

    def read(self) -> bytes:
        """The encoded picture. Raises OSError where its file cannot be read."""
        return self.image if isinstance(self.image, bytes) else self.image.read_bytes()


def read_splits(source: Path) -> dict[str, list[Sample]]:
    """Rows by split: those of a file are the split "train"; in a folder each file's name says its split
    (train.parquet, validation.json, test-00000-of-00002.parquet).

    Raises:
        UsageError: nothing is there, a file has another format, or rows lack a picture's name or their text.
    """
    if source.is_dir():
        return _read_folder(source)
    return {"train": list(_read_file(source))}


def data_files(source: Path) -> list[Path]:
    """The files with rows that ``source`` means, in reading order."""
    if source.is_file():
        return [source]
    return sorted(path for path in source.iterdir() if path.suffix in _READERS) if source.is_dir() else []


def _read_folder(folder: Path) -> dict[str, list[Sample]]:
    files = data_files(folder)
    if not files:
        raise UsageError(
            f"a folder of data must hold files named by split, but {folder} has none of {', '.join(sorted(_READERS))}",
            "name them like train.parquet, validation.parquet or train.json",
        )
    splits: dict[str, list[Sample]] = {}
    for path in files:
        splits.setdefault(split_name(path.stem.split("-")[0]), []).extend(_read_file(path))
    return splits


def _read_file(path: Path) -> Iterator[Sample]:
    if not path.is_file():
        raise UsageError(
            f"input_data must be a file or folder, but {path} does not exist", "mend the path in input_data"
        )
    reader = _READERS.get(path.suffix)
    if reader is None:
        raise UsageError(
            f"a file of data must end in one of {', '.join(sorted(_READERS))}, but {path} does not",
            "convert it, for example with pandas' to_parquet",
        )
    for number, row in enumerate(reader(path)):
        yield _sample(path, number, row)


def _read_json(path: Path) -> Iterator[Any]:
    try:
        rows = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise UsageError(f"{path} must be JSON, but is not: {error}", "mend it, or name another file") from error
    if not isinstance(rows, list):
        raise UsageError(
            f"a .json file of data must hold a list of rows, but {path} holds one {type(rows).__name__}",
            'write [{"image_path": "page.png", "ocr_text": "..."}, ...]',
        )
    yield from rows


def _read_json_lines(path: Path) -> Iterator[Any]:
    with path.open(encoding="utf-8") as lines:
        for number, line in enumerate(lines, start=1):
            if not line.strip():
                continue
            try:
                yield json.loads(line)
            except ValueError as error:
                raise UsageError(
                    f"each line of {path} must be a JSON object, but line {number} is not: {error}", "mend that line"
                ) from error


def _read_parquet(path: Path) -> Iterator[Any]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        with pq.ParquetFile(path) as table:
            for batch in table.iter_batches(batch_size=256):
                yield from batch.to_pylist()
    except pa.ArrowInvalid as error:
        raise UsageError(f"{path} must be a parquet file, but cannot be read: {error}", "write it again") from error


_READERS: dict[str, Callable[[Path], Iterator[Any]]] = {
    ".json": _read_json,
    ".jsonl": _read_json_lines,
    ".parquet": _read_parquet,
}


def _sample(path: Path, number: int, row: Any) -> Sample:
    where = f"{path.name}#{number}"
    if not isinstance(row, Mapping):
        raise UsageError(f"a row must be an object, but {where} is {row!r:.60}", "write one object for each row")
    document = row.get("document")
    return Sample(
        id=where,
        image=_picture(_value(row, IMAGE_KEYS, where), path.parent, where),
        text=_text(_value(row, TEXT_KEYS, where), where),
        document=None if document is None else str(document),
        sources=tuple(str(source) for source in row.get("sources") or ()),
    )


def _value(row: Mapping[str, Any], keys: tuple[str, ...], where: str) -> Any:
    for key in keys:
        if key in row:
            return row[key]
    raise UsageError(
        f"a row must have {' or '.join(keys)}, but {where} has only {', '.join(map(str, row)) or 'nothing'}",
        "rename the column",
    )


def _picture(value: Any, folder: Path, where: str) -> Picture:
    if isinstance(value, Mapping):  # the way Hugging Face datasets store pictures
        value = value.get("bytes") or value.get("path")
    if isinstance(value, bytes):
        return value
    if isinstance(value, str) and value:
        return folder / value
    raise UsageError(
        f"a row's picture must be a path or the bytes of a picture file, but {where} has {value!r:.60}",
        "write the picture's path relative to the file it is named in",
    )


def _text(value: Any, where: str) -> str:
    if value is None or isinstance(value, str):
        return value or ""
    raise UsageError(f"a row's text must be a string, but {where} has {value!r:.60}", "write it as a string")
