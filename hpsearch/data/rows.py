"""Rows of image and text: reading them from files by split, their columns, and the meaning of the values in them."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from hpsearch.data.places import read_file, refuse_special
from hpsearch.data.slices import split_name
from hpsearch.errors import UsageError

# The third of each are FineVision's: a list of pictures, and a list of turns of a conversation.
IMAGE_COLUMNS = ("image_path", "image", "images", "img_path")
TEXT_COLUMNS = ("ocr_text", "text", "texts", "ocr_results")
DOCUMENT_COLUMN = "document"
SOURCES_COLUMN = "sources"
ORIGIN_COLUMNS = ("dataset", "row")
SHOWN_COLUMNS = 30  # of a row's, in a message
_PICTURE_MARK = "<image>"  # the picture's place in a question
_ENCODING = "utf-8-sig"  # Windows' editors begin with a byte order mark


class StoredImage(Protocol):
    """A picture that is read from its storage on demand."""

    def read(self) -> bytes:
        """Return the encoded picture. Raises Unusable where there is none, OSError where its file cannot be read."""


Picture = bytes | Path | StoredImage


class Unusable(ValueError):
    """One row cannot be used; the others may be fine."""


@dataclass(frozen=True)
class ConversationAnswer:
    """The text of a picture, and the question that a conversation asks for it."""

    text: str
    asked: str = ""


@dataclass(frozen=True)
class RowOrigin:
    """The dataset and row from which a row of a merged dataset comes."""

    dataset: str
    row: str


@dataclass(frozen=True)
class Sample:
    """One row. ``id`` is its place (file or split, and row number); ``image`` is an encoded picture or its place;
    ``document`` names the document that it is a part of; ``sources`` name the pieces that it was made of; ``asked`` is
    the question of a conversation; ``fault`` is the reason why it cannot be used, if known already; ``origin`` is set
    in a merged dataset."""

    id: str
    image: Picture
    text: str
    document: str | None = None
    sources: tuple[str, ...] = ()
    asked: str = ""
    fault: str = ""
    origin: RowOrigin | None = None

    def read(self) -> bytes:
        """Return the encoded picture. Raises ValueError where there is none, OSError where its file cannot be read,
        UsageError where it is no file."""
        if isinstance(self.image, bytes):
            return self.image
        return read_file(self.image) if isinstance(self.image, Path) else self.image.read()


@dataclass(frozen=True)
class RowColumns:
    """The names of the columns that are read; ``document`` is None where there is none."""

    image: str
    text: str
    document: str | None


@dataclass(frozen=True)
class Layout:
    """The layout of rows. A column that is None is found by its name; ``image_root`` is the folder to which paths of
    pictures are relative, None: the folder of the file that names them."""

    image_column: str | None = None
    text_column: str | None = None
    document_column: str | None = None
    image_root: Path | None = None

    def find(self, names: Iterable[str], where: str) -> RowColumns:
        """Find the columns among these names; ``where`` names their owner in messages.

        Raises:
            UsageError: a named column is missing, a needed one is not found, or several are possible.
        """
        there = [str(name) for name in names]
        for setting in ("image_column", "text_column", "document_column"):
            name = getattr(self, setting)
            if name is not None and name not in there:
                raise UsageError(
                    f"{setting} must name a column of the data, but is {name!r}, and {where} has {_listed(there)}",
                    f"set {setting} to one of these",
                )
        return RowColumns(
            image=self.image_column or _only("image_column", IMAGE_COLUMNS, there, where),
            text=self.text_column or _only("text_column", TEXT_COLUMNS, there, where),
            document=self.document_column or (DOCUMENT_COLUMN if DOCUMENT_COLUMN in there else None),
        )

    def folder(self, beside: Path) -> Path:
        """Return the folder to which the relative paths in a file in ``beside`` are relative."""
        return beside if self.image_root is None else self.image_root


def _only(setting: str, candidates: Sequence[str], there: Sequence[str], where: str) -> str:
    names = [name for name in candidates if name in there]
    if not names:
        raise UsageError(
            f"a row must have {', '.join(candidates[:-1])} or {candidates[-1]}, but {where} has only {_listed(there)}",
            f"rename the column, or name it with {setting}",
        )
    if len(names) > 1:
        raise UsageError(
            f"{setting} must be given where several columns could be meant, but {where} has {' and '.join(names)}",
            f"set {setting} to one of them",
        )
    return names[0]


def _listed(names: Sequence[str]) -> str:
    more = f" and {len(names) - SHOWN_COLUMNS} more" if len(names) > SHOWN_COLUMNS else ""
    return (", ".join(names[:SHOWN_COLUMNS]) or "nothing") + more


AUTOMATIC_LAYOUT = Layout()


def read_splits(source: Path, layout: Layout = AUTOMATIC_LAYOUT) -> dict[str, list[Sample]]:
    """Read rows by split: a single file is the split "train"; in a folder the name of each file names its split
    (train.parquet, validation.json, test-00000-of-00002.parquet).

    Raises:
        UsageError: nothing is there, a file has another format, or rows lack a picture's name or their text.
    """
    if not source.is_dir():
        return {"train": list(_read_file(source, layout))}
    files = data_files(source)
    if not files and any(source.rglob("*.xml")):
        raise UsageError(
            f"rows are read from tables and datasets, but {source} has pages in XML",
            "make a dataset of them: hpsearch data convert",
        )
    if not files:
        raise UsageError(
            f"a folder of data must hold files named by split, but {source} has none of {', '.join(sorted(_READERS))}",
            "name them like train.parquet, validation.parquet or train.json",
        )
    splits: dict[str, list[Sample]] = {}
    for path in files:
        splits.setdefault(split_name(path.stem.split("-")[0]), []).extend(_read_file(path, layout))
    return splits


def data_files(source: Path) -> list[Path]:
    """List the files with rows of ``source``, in reading order."""
    if source.is_file():
        return [source]
    return sorted(path for path in source.iterdir() if path.suffix in _READERS) if source.is_dir() else []


def _read_file(path: Path, layout: Layout) -> Iterator[Sample]:
    refuse_special(path)
    if not path.is_file():
        raise UsageError(f"rows must be in a file or folder, but {path} does not exist", "correct its path")
    reader = _READERS.get(path.suffix)
    if reader is None:
        raise UsageError(
            f"a file of data must end in one of {', '.join(sorted(_READERS))}, but {path} does not",
            "convert it, for example with pandas' to_parquet",
        )
    maker = SampleMaker(layout, path.parent)
    for number, row in enumerate(reader(path)):
        yield maker.make(f"{path.name}#{number}", row)


def _read_json(path: Path) -> Iterator[Any]:
    try:
        rows = json.loads(path.read_text(encoding=_ENCODING))
    except ValueError as error:
        raise UsageError(
            f"{path} must be JSON in UTF-8, but is not: {error}", "correct it, or name another file"
        ) from error
    if not isinstance(rows, list):
        raise UsageError(
            f"a .json file of data must hold a list of rows, but {path} holds one {type(rows).__name__}",
            'write [{"image_path": "page.png", "ocr_text": "..."}, ...]',
        )
    yield from rows


def _read_json_lines(path: Path) -> Iterator[Any]:
    with path.open("rb") as lines:
        for number, line in enumerate(lines, start=1):
            if not line.strip():
                continue
            try:
                yield json.loads(line.decode(_ENCODING))
            except ValueError as error:
                raise UsageError(
                    f"each line of {path} must be a JSON object in UTF-8, but line {number} is not: {error}",
                    "correct that line",
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


class SampleMaker:
    """Makes samples of the rows of one file or split; relative paths of pictures are ``beside`` it. ``columns`` are
    given where all rows have the same; else they are found in each row."""

    def __init__(self, layout: Layout, beside: Path, columns: RowColumns | None = None) -> None:
        self._layout = layout
        self._folder = layout.folder(beside)
        self._columns = columns
        self._known: dict[tuple[str, ...], RowColumns] = {}

    def make(self, where: str, row: Any, image: Picture | None = None) -> Sample:
        """Make a sample of the row at ``where``; ``image`` is its picture where that is not in the row.

        Raises:
            UsageError: it is no row of image and text.
        """
        if not isinstance(row, Mapping):
            raise UsageError(f"a row must be an object, but {where} is {row!r:.60}", "write one object for each row")
        columns = self._columns or self._known.get(tuple(row))  # most files have one kind of rows
        if columns is None:
            columns = self._known[tuple(row)] = self._layout.find(row, where)
        sources = row.get(SOURCES_COLUMN)
        picture, answer, fault = image or b"", ConversationAnswer(""), ""
        try:
            answer = answer_of(row[columns.text], where)
            picture = image or picture_of(row[columns.image], self._folder, where)
        except Unusable as error:
            fault = str(error)
        dataset, number = (row.get(name) for name in ORIGIN_COLUMNS)  # set by a merge; other data may mean other things
        return Sample(
            id=where,
            image=picture,
            text=answer.text,
            document=_document(row[columns.document]) if columns.document else None,
            sources=tuple(map(str, sources)) if isinstance(sources, list) else (),  # the same holds of these
            asked=answer.asked,
            fault=fault,
            origin=RowOrigin(dataset, number) if isinstance(dataset, str) and isinstance(number, str) else None,
        )


def picture_of(value: Any, folder: Path, where: str) -> bytes | Path:
    """Return the picture in a value: the bytes of its file, a path (relative to ``folder``), both as Hugging Face
    datasets store them, or a list with one of these.

    Raises:
        Unusable: there is none, or more than one.
        UsageError: it is something else.
    """
    if isinstance(value, Sequence) and not isinstance(value, (str, bytes)):
        value = _single(value, "pictures")
    if isinstance(value, Mapping):
        value = value.get("bytes") or value.get("path")
    if value is None or value in ("", b""):
        raise Unusable("it has no picture")
    if isinstance(value, bytes):
        return value
    if isinstance(value, str):
        return folder / value
    raise UsageError(
        f"a row's picture must be a path or the bytes of a picture file, but {where} has {value!r:.60}",
        "write the picture's path relative to the file it is named in, or name another column with image_column",
    )


def answer_of(value: Any, where: str) -> ConversationAnswer:
    """Return the text in a value: the value itself, or the assistant's answer in a list of one turn
    ({"user", "assistant"}).

    Raises:
        Unusable: a conversation has another number of turns.
        UsageError: it is something else.
    """
    if value is None or isinstance(value, str):
        return ConversationAnswer(value or "")
    if isinstance(value, Mapping) and isinstance(value.get("assistant"), list):  # a column for each key, as older
        value = [dict(zip(value, turn, strict=True)) for turn in zip(*value.values(), strict=True)]  # datasets store it
    if isinstance(value, Sequence) and not isinstance(value, bytes):
        value = _single(value, "turns")
    if isinstance(value, Mapping) and "assistant" in value:
        answer, asked = value["assistant"], value.get("user")
        if isinstance(answer, (str, type(None))) and isinstance(asked, (str, type(None))):
            return ConversationAnswer(answer or "", (asked or "").replace(_PICTURE_MARK, "").strip())
    raise UsageError(
        f'a row\'s text must be a string or one turn {{"user", "assistant"}}, but {where} has {value!r:.60}',
        "write it as a string, or name another column with text_column",
    )


def _single(values: Sequence[Any], what: str) -> Any:
    if len(values) != 1:
        raise Unusable(f"it has {len(values)} {what}, and only rows with exactly one are used")
    return values[0]


def _document(value: Any) -> str | None:
    """Return a document's name; None for an empty cell, which tables also write as NaN."""
    empty = value is None or value != value or not str(value).strip()  # only NaN differs from itself
    return None if empty else str(value)
