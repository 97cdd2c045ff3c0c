"""From the study's data to rows that every trial can trust: each picture opened once, nothing on two sides."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from hpsearch.assets import PREFIX, asset_path
from hpsearch.errors import UsageError
from hpsearch.ocr.samples import Sample, read_splits
from hpsearch.ocr.slices import Slice
from hpsearch.ocr.splits import Division, hold_out, separate
from hpsearch.training.pictures import open_image
from hpsearch.training.prepared import SPLITS, row_file
from hpsearch.training.progress import Progress
from hpsearch.training.rows import Row, write_rows
from hpsearch.trials.settings import TrainSettings

SLICE_KEYS = {"train": "train_split", "validation": "val_split", "holdout": "holdout_split"}
MAX_UNUSABLE = 0.1  # fraction of the rows; more of them mean a mistake, not a few bad files
NAMED = 5  # of the unusable rows, in a message
REASON_CHARACTERS = 120  # of a library's words on one of them


@dataclass(frozen=True)
class Checked:
    """A row whose picture can be opened: where it is to be read again, a digest of its pixels, and its size in them."""

    sample: Sample
    picture: str
    size: tuple[int, int]

    @property
    def document(self) -> str | None:
        """The document it is a part of."""
        return self.sample.document


@dataclass(frozen=True)
class Data:
    """Rows by split, and what was noticed on the way."""

    rows: Mapping[str, Sequence[Checked]]
    warnings: tuple[str, ...]

    def write(self, folder: Path) -> str:
        """Write each split's rows into ``folder``; a digest of every row's picture and text, by split."""
        digest = hashlib.sha256()
        for split in SPLITS:
            digest.update(f"{split}\0{len(self.rows[split])}\0".encode())
            write_rows(row_file(folder, split), _digested(self.rows[split], digest))
        return digest.hexdigest()


def _digested(rows: Sequence[Checked], digest: hashlib._Hash) -> Iterator[Row]:
    for checked in rows:
        row = Row(checked.sample.id, checked.sample.read(), checked.sample.text)
        for part in (row.image, row.text.encode()):
            digest.update(f"{len(part)}\0".encode() + part)
        yield row


def find_data(input_data: str | None) -> Path:
    """Where the data is.

    Raises:
        UsageError: no data is named, or nothing is there.
    """
    if input_data is None:
        raise UsageError("a fine-tune needs rows of image and text, but input_data is not set", "set input_data")
    source = asset_path(input_data) if input_data.startswith(PREFIX) else Path(input_data).expanduser().absolute()
    if not source.exists():
        raise UsageError(f"input_data must be a file or folder, but {source} does not exist", "mend input_data")
    return source


def gather(source: Path, settings: TrainSettings, progress: Progress) -> Data:
    """Read, slice, open and deal out the rows.

    Raises:
        UsageError: a split is missing or ends up empty, or too many rows are unusable.
    """
    progress.phase("read")
    splits = read_splits(source)
    wanted = {name: getattr(settings, key) for name, key in SLICE_KEYS.items()}
    chosen = {name: _slice(splits, name, text, source) for name, text in wanted.items() if text is not None}
    opened = _Opener(sum(map(len, chosen.values())), progress)
    checked = {name: opened.usable(samples) for name, samples in chosen.items()}
    opened.refuse_too_many()
    if settings.holdout_split is None:
        checked["validation"], checked["holdout"] = hold_out(checked["validation"], settings.holdout_fraction)
    division = separate(Division(checked["train"], checked["validation"], checked["holdout"], opened.warnings()))
    rows = {name: getattr(division, name) for name in SPLITS}
    _refuse_empty(rows, wanted)
    return Data(rows, (*division.warnings, *_shared_sources(division)))


def _slice(splits: Mapping[str, Sequence[Sample]], name: str, text: str, source: Path) -> list[Sample]:
    wanted, key = Slice.parse(text), SLICE_KEYS[name]
    if wanted.split not in splits:
        example = f"--set '{key}={sorted(splits)[0]}[90%:]'"
        raise UsageError(
            f"{key} must name a split of the data, but is {text!r}, and {source} has {', '.join(sorted(splits))}",
            f"take a part of one of these, as by {example}, or add a file of that name",
        )
    samples = splits[wanted.split]
    return [samples[index] for index in wanted.rows(len(samples))]


class _Opener:
    """Opens each picture once, and remembers which rows cannot be used and why."""

    def __init__(self, total: int, progress: Progress) -> None:
        self._bad: dict[str, str] = {}
        self._known: dict[str, Checked] = {}
        self._total = total
        self._progress = progress

    def usable(self, samples: Sequence[Sample]) -> list[Checked]:
        """The rows that can be used."""
        return [checked for sample in samples if (checked := self._check(sample)) is not None]

    def refuse_too_many(self) -> None:
        """Refuse data of which more than a tenth cannot be used."""
        if len(self._bad) > MAX_UNUSABLE * max(len(self._bad) + len(self._known), 1):
            raise UsageError(
                f"at most {MAX_UNUSABLE:.0%} of the rows may be unusable, but {len(self._bad)} of "
                f"{len(self._bad) + len(self._known)} are: {self._named()}",
                "mend these rows or their pictures' paths, which are relative to the file that names them",
            )

    def warnings(self) -> tuple[str, ...]:
        """What to say of the rows left out."""
        return (f"{len(self._bad)} rows left out: {self._named()}",) if self._bad else ()

    def _check(self, sample: Sample) -> Checked | None:
        if sample.id in self._known:
            return self._known[sample.id]
        self._progress.show(fraction=(len(self._known) + len(self._bad)) / max(self._total, 1))
        try:
            self._known[sample.id] = _open(sample)
        except Exception as error:  # noqa: BLE001 - Pillow raises many kinds for a broken file
            self._bad[sample.id] = _reason(error, sample)
            return None
        return self._known[sample.id]

    def _named(self) -> str:
        named = [f"{row} ({why})" for row, why in list(self._bad.items())[:NAMED]]
        return ", ".join(named) + (f" and {len(self._bad) - NAMED} more" if len(self._bad) > NAMED else "")


def _reason(error: Exception, sample: Sample) -> str:
    """Why a row cannot be used. A file's whole path is named: its end is what tells."""
    if isinstance(error, OSError) and error.strerror:
        return f"{error.strerror}: {error.filename}"
    if type(error).__name__ == "UnidentifiedImageError":  # Pillow names an object in memory
        return "not a picture that can be read" + (f": {sample.image}" if isinstance(sample.image, Path) else "")
    return (str(error) or type(error).__name__)[:REASON_CHARACTERS]


def _open(sample: Sample) -> Checked:
    if not sample.text.strip():
        raise ValueError("its text is empty")
    picture = open_image(sample.read())
    digest = hashlib.sha256(f"{picture.size}".encode() + picture.tobytes()).hexdigest()
    return Checked(sample, digest, picture.size)


def _refuse_empty(rows: Mapping[str, Sequence[Checked]], wanted: Mapping[str, str | None]) -> None:
    for name in SPLITS:
        if not rows[name]:
            slices = ", ".join(f"{key} {text!r}" for key, text in wanted.items() if text is not None)
            raise UsageError(
                f"train, validation and holdout must each have rows, but {name} has none (slices: {slices})",
                "widen the slices, or add rows",
            )


def _shared_sources(division: Division[Checked]) -> list[str]:
    judged = {source for one in (*division.validation, *division.holdout) for source in one.sample.sources}
    shared = sum(1 for one in division.train if not judged.isdisjoint(one.sample.sources))
    if not shared:
        return []
    return [f"{shared} rows of train are made of pieces that are also in validation or the holdout set: scores flatter"]
