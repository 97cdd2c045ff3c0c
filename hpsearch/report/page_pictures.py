"""The pictures of judged rows, read from where a study has them: its prepared folder, its data, or paths beside its
predictions. Where there is none, a page shows the texts alone."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote

from hpsearch.data.images import open_reduced, thumbnail
from hpsearch.data.places import read_file
from hpsearch.data.predictions import Prediction
from hpsearch.data.prepared_rows import RowFile, row_file
from hpsearch.data.rows import Layout, data_files, read_splits
from hpsearch.errors import UsageError

_MOST_BYTES = 64 * 2**20  # of one picture's file
_MOST_DATA_BYTES = 64 * 2**20  # of files of rows, read for the paths of their pictures
_SPLITS = ("validation", "holdout")


class PagePictures:
    """Finds the picture of a row by its split and id. ``own`` is False for a study that came in another's archive: its
    definition may name any file of this machine, so only files in its own folder are read."""

    def __init__(self, study_dir: Path, definition: Mapping[str, Any], own: bool = True) -> None:
        self._study_dir, self._own = study_dir, own
        self._files = {
            split: opened for split in _SPLITS if (opened := _opened(row_file(study_dir / "prepared", split)))
        }
        self._places = {
            split: {row: place for place, row in enumerate(rows.ids())} for split, rows in self._files.items()
        }
        self._paths = _picture_paths(definition) if own else {}

    def original(self, text: Prediction, folder: Path) -> Path | None:
        """Return the file of a row's picture; its path is relative to ``folder``, where its predictions are."""
        path = self._paths.get(text.id)
        if path is None and text.image_path:
            path = folder / text.image_path
            if not self._own and not path.resolve().is_relative_to(self._study_dir.resolve()):
                return None
        try:
            return path if path is not None and path.is_file() else None
        except (OSError, ValueError):  # a name that no file can have
            return None

    def data_url(self, text: Prediction, original: Path | None, edge: int) -> str:
        """Return the picture as a JPEG of at most ``edge`` pixels a side, in a data URL; "" if there is none that can
        be decoded."""
        place = self._places.get(text.split, {}).get(text.id)
        try:
            if place is not None:
                encoded = self._files[text.split][place].image
            elif original is not None and original.stat().st_size <= _MOST_BYTES:
                encoded = read_file(original)
            else:
                return ""
            return thumbnail(open_reduced(encoded, edge), edge)
        except Exception:  # noqa: BLE001 - Pillow raises whatever a broken file makes it raise; the texts remain
            return ""


def link_to(path: Path, page_folder: Path) -> str:
    """Return the address of a file, relative to the folder of the page that links to it."""
    return quote(os.path.relpath(path.absolute(), page_folder.absolute()))


def _opened(path: Path) -> RowFile | None:
    """Open a prepared file; None if it is gone, or pyarrow is not installed on the searching side."""
    if not path.is_file():
        return None
    try:
        return RowFile(path)
    except Exception:  # noqa: BLE001 - the report is written without pictures of a file that is damaged
        return None


def _picture_paths(definition: Mapping[str, Any]) -> dict[str, Path]:
    """Return the paths of the data's pictures by row id, as far as it has files of rows that name them."""
    source = definition.get("input_data")
    root = definition.get("image_root")
    if not isinstance(source, str) or source.startswith(("asset:", "hub:")) or not Path(source).exists():
        return {}
    try:
        files = [path for path in data_files(Path(source)) if path.suffix != ".parquet"]
        if sum(path.stat().st_size for path in files) > _MOST_DATA_BYTES or not files:
            return {}
        columns = {name: definition.get(name) for name in ("image_column", "text_column", "document_column")}
        layout = Layout(**columns, image_root=Path(root) if isinstance(root, str) else None)
        samples = [sample for path in files for rows in read_splits(path, layout).values() for sample in rows]
    except (UsageError, OSError, ValueError, TypeError):  # it was other data when the study began
        return {}
    return {sample.id: sample.image for sample in samples if isinstance(sample.image, Path)}
