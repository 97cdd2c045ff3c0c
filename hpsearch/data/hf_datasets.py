"""Rows of Hugging Face datasets: saved on disk, in a clone of a repository, or on the Hub. Pictures stay encoded, and
are read one at a time from the Arrow files that the library maps into memory."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hpsearch.data import hub
from hpsearch.data.places import read_file, refuse_special_in
from hpsearch.data.progress import ProgressReporter
from hpsearch.data.rows import (
    ORIGIN_COLUMNS,
    SOURCES_COLUMN,
    Layout,
    Picture,
    RowColumns,
    Sample,
    SampleMaker,
    picture_of,
)
from hpsearch.data.slices import split_name
from hpsearch.errors import UsageError
from hpsearch.execution.temporary import temporary_folder

ROWS_AT_ONCE = 1000  # whose texts are read together
_README = "README.md"
_POINTER = b"version https://git-lfs"  # what a clone has in place of a file that Git LFS did not fetch
_NO_SUCH_SUBSET = ("BuilderConfig", "Config name is missing")  # the beginnings of the library's messages


@dataclass(frozen=True)
class StoredPicture:
    """A picture in a row of an Arrow table; ``table`` is the column it is in."""

    table: Any
    column: str
    number: int
    folder: Path

    def read(self) -> bytes:
        """Return the encoded picture. Raises Unusable where there is none, OSError where its file cannot be read."""
        value = self.table[self.number : self.number + 1][self.column][0].as_py()
        picture = picture_of(value, self.folder, f"row {self.number}")
        return picture if isinstance(picture, bytes) else read_file(picture)


def read_saved(folder: Path) -> Mapping[str, Any]:
    """Read the splits that ``save_to_disk`` wrote; a dataset without splits is the split train.

    Raises:
        UsageError: it cannot be read.
    """
    from datasets import DatasetDict, load_from_disk

    refuse_special_in(folder)
    with _explained(str(folder), "save it again, or name other data"):
        filled = _filled_splits(folder)
        if filled is not None:
            return {split: load_from_disk(str(folder / split)) for split in filled}
        loaded = load_from_disk(str(folder))
    return dict(loaded) if isinstance(loaded, DatasetDict) else {"train": loaded}


def _filled_splits(folder: Path) -> list[str] | None:
    """List the splits of a saved dataset that have files: the library fails at one without a row. None: it has no
    splits."""
    try:
        splits = json.loads((folder / "dataset_dict.json").read_text(encoding="utf-8"))["splits"]
        states = {split: json.loads((folder / split / "state.json").read_text(encoding="utf-8")) for split in splits}
        return [split for split, state in states.items() if state["_data_files"]]
    except (OSError, ValueError, KeyError, TypeError):
        return None


def read_clone(folder: Path, subset: str | None, scratch: Path) -> Mapping[str, Any]:
    """Read the splits of a repository's folder, as its README.md or the names of its files say. Its Arrow files are
    made in ``scratch`` and needed as long as the rows: the library's own cache would not notice that a file has
    changed.

    Raises:
        UsageError: there are no data in it, it has no such subset, or a file cannot be read.
    """
    refuse_special_in(folder)
    _refuse_pointers(folder)
    shutil.rmtree(scratch, ignore_errors=True)  # an earlier job may have been killed
    with _explained(str(folder), "correct the files, or name the one with the rows"):
        builder = _builder(str(folder), str(folder), subset, cache_dir=str(scratch))
        builder.download_and_prepare()
        return dict(builder.as_dataset())


def clone_files(folder: Path, subset: str | None) -> list[Path]:
    """List the files that ``read_clone`` would read.

    Raises:
        UsageError: there are none, or no such subset.
    """
    refuse_special_in(folder)
    with _explained(str(folder), "correct the files, or name the one with the rows"), temporary_folder() as scratch:
        builder = _builder(str(folder), str(folder), subset, cache_dir=str(scratch))
    named = [Path(name) for names in (builder.config.data_files or {}).values() for name in names]
    return [folder / _README, *named]


def read_hub(
    name: str, subset: str | None, revision: str | None, progress: ProgressReporter
) -> tuple[Mapping[str, Any], str]:
    """Read the splits of a dataset on the Hub, and its commit. It is fetched once, with the token of the environment.

    Raises:
        UsageError: there is no such dataset, revision or subset, no access to it, or no way to it.
    """
    commit = hub.download(hub.DATASET, name, revision, [_README], progress).name
    progress.phase("download the data")
    with _explained(name, "correct input_data, or try again with the network"):
        builder = _builder(f"hf://datasets/{name}", name, subset, revision=commit)
        if builder.hash != commit:  # without a network the library takes whatever it has
            raise UsageError(
                f"the dataset {name} is needed at commit {commit} and cannot be downloaded; there is only an earlier "
                f"download, of {builder.hash}",
                "try again with the network",
            )
        builder.download_and_prepare()
        return dict(builder.as_dataset()), commit


def samples_of(splits: Mapping[str, Any], layout: Layout, beside: Path, name: str) -> dict[str, list[Sample]]:
    """Make samples of the rows by split. ``beside`` is the folder that their pictures' paths are relative to where the
    layout names none.

    Raises:
        UsageError: a split lacks a column that is needed.
    """
    samples: dict[str, list[Sample]] = {}
    for split, rows in splits.items():
        columns = layout.find(rows.column_names, f"the split {split} of {name}")
        maker = SampleMaker(layout, beside, columns)
        samples.setdefault(split_name(split), []).extend(_samples(split, rows, columns, maker, layout.folder(beside)))
    return samples


def _samples(split: str, rows: Any, columns: RowColumns, maker: SampleMaker, folder: Path) -> Iterator[Sample]:
    import pyarrow as pa

    wanted = {columns.text, columns.document, SOURCES_COLUMN}
    wanted |= set(ORIGIN_COLUMNS) if set(ORIGIN_COLUMNS) <= set(rows.column_names) else set()
    read = {name for name in rows.column_names if name in wanted}
    pictures: Any = rows.select_columns([columns.image]).with_format("arrow")
    if rows.features.arrow_schema.field(columns.image).type in (pa.string(), pa.large_string()):
        read.add(columns.image)  # a path is read at once, a picture only on demand
        pictures = None
    texts = rows.select_columns(sorted(read)).with_format("arrow")
    number = 0
    for batch in texts.iter(ROWS_AT_ONCE):
        for row in batch.to_pylist():
            picture: Picture | None = None
            if pictures is not None:
                picture = StoredPicture(pictures, columns.image, number, folder)
            yield maker.make(f"{split}#{number}", row, picture)
            number += 1


def _builder(path: str, name: str, subset: str | None, **options: Any) -> Any:
    """Make the library's builder of a dataset."""
    from datasets import disable_progress_bars, get_dataset_config_names, load_dataset_builder

    disable_progress_bars()
    try:
        return load_dataset_builder(path, name=subset, **options)
    except ValueError as error:
        if not str(error).startswith(_NO_SUCH_SUBSET):
            raise
        names = get_dataset_config_names(path, revision=options.get("revision"))
        raise UsageError(
            f"dataset_subset must name one of the subsets of {name}, which are {', '.join(names)}, but is "
            f"{'not given' if subset is None else repr(subset)}",
            f"set dataset_subset, as to {names[0]}",
        ) from error


def _refuse_pointers(folder: Path) -> None:
    for path in sorted(folder.rglob("*.parquet")):
        with path.open("rb") as file:
            if file.read(len(_POINTER)) == _POINTER:
                raise UsageError(
                    f"a clone must hold the files themselves, but {path} is what Git LFS has in place of one",
                    f"run `git lfs install && git lfs pull` in {folder}, or name the dataset as hub:owner/name",
                )


@contextmanager
def _explained(name: str, remedy: str) -> Iterator[None]:
    """Turn an error of the library into one that a person can act on."""
    import pyarrow as pa
    from datasets.exceptions import DatasetsError

    try:
        yield
    except (DatasetsError, OSError, ValueError, RuntimeError, pa.ArrowException) as error:
        reason = error.__cause__ or error  # where the files are made, the library says only that it went wrong
        if "gated" in f"{type(reason).__name__} {reason}".lower():
            raise hub.gated(hub.DATASET, name) from error
        raise UsageError(f"the dataset {name} cannot be read: {reason}", remedy) from error
