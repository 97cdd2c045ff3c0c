"""The forms in which data comes (files, saved datasets, clones, the Hub), and reading rows from them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from mimetypes import guess_type
from pathlib import Path

from hpsearch.assets import PREFIX, asset_path
from hpsearch.data.convert import DATASET, SUMMARY
from hpsearch.data.places import hub_id, refuse_special
from hpsearch.data.progress import ProgressReporter
from hpsearch.data.rows import Layout, Sample, data_files, read_splits
from hpsearch.errors import UsageError
from hpsearch.settings import TrainSettings

# Files of Hugging Face datasets that are no split: lists of a folder's pictures, and descriptions of the columns.
_ABOUT = {"metadata", "dataset_infos", "dataset_info"}


class SourceKind(Enum):
    """The form of the data."""

    FILES = "a file, or a folder of files named by split"
    SAVED = "a dataset that was saved to disk"
    CLONE = "a dataset repository's folder"
    HUB = "a dataset on the Hub"


@dataclass(frozen=True)
class Rows:
    """Rows by split, and the commit of a dataset on the Hub."""

    splits: Mapping[str, Sequence[Sample]]
    revision: str | None = None


@dataclass(frozen=True)
class DataSource:
    """The source of rows: ``name`` is a path, or an id on the Hub."""

    kind: SourceKind
    name: str
    layout: Layout
    subset: str | None = None
    revision: str | None = None

    def read(self, scratch: Path, progress: ProgressReporter) -> Rows:
        """Read the rows; their pictures may be read from ``scratch`` later.

        Raises:
            UsageError: they cannot be read, or are no rows of image and text.
        """
        if self.kind is SourceKind.FILES:
            return Rows(read_splits(Path(self.name), self.layout))
        from hpsearch.data import hf_datasets

        revision = None
        if self.kind is SourceKind.SAVED:
            splits = hf_datasets.read_saved(Path(self.name))
        elif self.kind is SourceKind.CLONE:
            splits = hf_datasets.read_clone(Path(self.name), self.subset, scratch)
        else:
            splits, revision = hf_datasets.read_hub(self.name, self.subset, self.revision, progress)
        return Rows(hf_datasets.samples_of(splits, self.layout, Path(self.name), self.name), revision)

    def files(self) -> Iterator[Path]:
        """List the files that the rows depend on, pictures that they may name included; of a dataset on the Hub only
        these.

        Raises:
            UsageError: they cannot be read.
        """
        if self.kind is SourceKind.FILES:
            for path in data_files(Path(self.name)):
                yield path
                if path.suffix != ".parquet":
                    samples = (sample for split in read_splits(path, self.layout).values() for sample in split)
                    yield from (sample.image for sample in samples if isinstance(sample.image, Path))
        elif self.kind is SourceKind.SAVED:
            yield from Path(self.name).glob("**/*.arrow")
            yield from Path(self.name).glob("**/state.json")  # says which of these files, in which order
        elif self.kind is SourceKind.CLONE:
            from hpsearch.data.hf_datasets import clone_files

            yield from clone_files(Path(self.name), self.subset)
        if self.kind is not SourceKind.FILES:
            # every picture in the folder of the paths: which of them are named is known only after reading
            folder = self.layout.image_root or (None if self.kind is SourceKind.HUB else Path(self.name))
            for path in folder.rglob("*") if folder else ():
                if (guess_type(path.name)[0] or "").startswith("image/"):
                    yield path


def find_source(settings: TrainSettings) -> DataSource:
    """Find the data that the settings name.

    Raises:
        UsageError: no data is named, nothing is there, or a setting does not fit it.
    """
    if settings.input_data is None:
        raise UsageError("a fine-tune needs rows of image and text, but input_data is not set", "set input_data")
    name = hub_id(settings.input_data)
    place = None if name else _place(settings.input_data)
    kind = _kind(place, settings.dataset_subset)
    allowed = {"dataset_subset": (SourceKind.CLONE, SourceKind.HUB), "dataset_revision": (SourceKind.HUB,)}
    for setting, kinds in allowed.items():
        if getattr(settings, setting) is not None and kind not in kinds:
            raise UsageError(
                f"{setting} goes with {' or '.join(form.value for form in kinds)}, but input_data "
                f"{settings.input_data!r} is {kind.value}",
                f"set {setting} to null, or name other data",
            )
    root = None if settings.image_root is None else Path(settings.image_root).expanduser().absolute()
    if root is not None and not root.is_dir():
        raise UsageError(f"image_root must be a folder, but {root} is none", "correct image_root")
    layout = Layout(settings.image_column, settings.text_column, settings.document_column, root)
    return DataSource(kind, name or str(place), layout, settings.dataset_subset, settings.dataset_revision)


def _place(input_data: str) -> Path:
    place = asset_path(input_data) if input_data.startswith(PREFIX) else Path(input_data).expanduser().absolute()
    if (place / SUMMARY).is_file() and (place / DATASET).is_dir():  # a conversion's folder
        place = place / DATASET
    if not place.exists():
        raise UsageError(
            f"rows must be in a file or folder, but {place} does not exist",
            "correct its path (a dataset on the Hub is written hub:owner/name)",
        )
    refuse_special(place)
    refuse_special(place / "README.md")
    return place


def _kind(place: Path | None, subset: str | None) -> SourceKind:
    if place is None:
        return SourceKind.HUB
    if not place.is_dir():
        return SourceKind.FILES
    if (place / "dataset_dict.json").is_file() or (place / "state.json").is_file():
        return SourceKind.SAVED
    flat = {path.stem for path in data_files(place)}
    has_folders = any(path.is_dir() and not path.name.startswith(".") for path in place.iterdir())
    named_by_split = bool(flat - _ABOUT) or not (flat or has_folders)
    return SourceKind.FILES if named_by_split and subset is None and not _has_card(place) else SourceKind.CLONE


def _has_card(place: Path) -> bool:
    """Return whether a README.md names the files of each split, as that of a dataset repository."""
    try:
        with (place / "README.md").open(encoding="utf-8", errors="replace") as card:
            return card.readline().strip() == "---" and "configs:" in card.read().partition("\n---")[0]
    except OSError:
        return False
