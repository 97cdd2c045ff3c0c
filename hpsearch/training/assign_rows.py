"""From the study's data to rows that every trial can trust: each picture opened once, nothing on two sides."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from hpsearch.data.check_images import CheckedImage, LeftOut, Opener, left_out_file, write_left_out
from hpsearch.data.progress import ProgressReporter
from hpsearch.data.rows import Sample
from hpsearch.data.slices import SLICE_KEYS, ChosenSplits, choose
from hpsearch.data.sources import DataSource
from hpsearch.data.splits import LeftOutRow, SplitRows, hold_out, separate
from hpsearch.errors import UsageError
from hpsearch.execution.files import require_space
from hpsearch.settings import TrainSettings
from hpsearch.training.models.families import Family
from hpsearch.training.prepared import SCRATCH, SPLITS, PreparedRow, row_file, write_rows

_SHOWN_CHARACTERS = 60  # of a row's question, in a warning


@dataclass(frozen=True)
class Data:
    """Rows by split, what was noticed on the way, and the commit of a dataset on the Hub."""

    rows: Mapping[str, Sequence[CheckedImage]]
    warnings: tuple[str, ...]
    revision: str | None = None

    @property
    def bytes(self) -> int:
        """What ``write`` takes of the disk, but for texts."""
        return sum(checked.bytes for rows in self.rows.values() for checked in rows)

    def write(self, folder: Path) -> str:
        """Write each split's rows into ``folder``; a digest of every row's picture and text, by split.

        Raises:
            UsageError: there is no room for them.
        """
        remedy = "free some space, or name another --base-output-dir"
        require_space(folder, self.bytes, "a copy of all rows", remedy, spare=0)
        digest = hashlib.sha256()
        for split in SPLITS:
            digest.update(f"{split}\0{len(self.rows[split])}\0".encode())
            write_rows(row_file(folder, split), _digested(self.rows[split], digest))
        return digest.hexdigest()


def _digested(rows: Sequence[CheckedImage], digest: hashlib._Hash) -> Iterator[PreparedRow]:
    for checked in rows:
        row = PreparedRow(checked.sample.id, checked.sample.read(), checked.sample.text)
        for part in (row.image, row.text.encode()):
            digest.update(f"{len(part)}\0".encode() + part)
        yield row


def gather(
    source: DataSource, settings: TrainSettings, family: Family, folder: Path, progress: ProgressReporter
) -> Data:
    """Read, choose, open and deal out the rows. Those that cannot be used, or that the ``family`` cannot take, are
    left out and listed in ``folder``; what their pictures are read from may be in its ``SCRATCH``.

    Raises:
        UsageError: a split is missing or ends up empty, or too many rows are unusable.
    """
    progress.phase("read")
    read = source.read(folder / SCRATCH, progress)
    choice = choose(read.splits, {side: getattr(settings, key) for side, key in SLICE_KEYS.items()}, source.name)
    progress.phase("open the pictures", fraction=0.0)
    opener = Opener(sum(map(len, choice.rows.values())), family.most_oblong, progress)
    checked = {side: opener.usable(samples, side) for side, samples in choice.rows.items()}
    write_left_out(folder, opener.left_out())
    opener.refuse_too_many(left_out_file(folder))
    division = _dealt(checked, settings)
    rows = {split: getattr(division, split) for split in SPLITS}
    _refuse_empty(rows, settings)
    left_out = (*opener.left_out(), *map(_told, division.parted))
    write_left_out(folder, left_out)
    warnings = (
        *opener.warnings(),
        *division.warnings,
        *([f"all {len(left_out)} rows left out are listed in {left_out_file(folder)}"] if left_out else []),
        *_idle(settings, choice),
        *_asked(division, settings),
        *_shared_sources(division),
    )
    return Data(rows, warnings, read.revision)


def _dealt(checked: Mapping[str, Sequence[CheckedImage]], settings: TrainSettings) -> SplitRows[CheckedImage]:
    """All three sides; those that were not chosen are drawn: validation from train, the holdout from validation, or
    from train too where what was drawn is a single document."""
    sides = dict(checked)
    drawn = "validation" not in sides
    if drawn:
        sides["train"], sides["validation"] = hold_out(sides["train"], settings.val_ratio)
    if "holdout" not in sides:
        sides["validation"], sides["holdout"] = hold_out(sides["validation"], settings.holdout_fraction)
        if drawn and not sides["holdout"]:
            fraction = settings.val_ratio * settings.holdout_fraction
            sides["train"], sides["holdout"] = hold_out(sides["train"], fraction)
    return separate(SplitRows(sides["train"], sides["validation"], sides["holdout"]))


def _told(parted: LeftOutRow[CheckedImage]) -> LeftOut:
    return LeftOut(parted.row.sample.id, parted.side, parted.reason)


def _refuse_empty(rows: Mapping[str, Sequence[CheckedImage]], settings: TrainSettings) -> None:
    for name in SPLITS:
        if not rows[name]:
            keys = (*SLICE_KEYS.values(), "val_ratio", "holdout_fraction")
            given = ", ".join(f"{key} {value!r}" for key in keys if (value := getattr(settings, key)) is not None)
            raise UsageError(
                f"train, validation and holdout must each have rows, but {name} has none ({given})",
                "widen the slices or fractions, or add rows of other documents: none is parted",
            )


def _idle(settings: TrainSettings, choice: ChosenSplits[Sample]) -> Iterator[str]:
    """What was given, in data or settings, and does nothing."""
    for split in choice.unused:
        yield f"the split {split} of the data is not used" + (
            f'; with "holdout_split": "{split}" the best trial is judged on it'
            if settings.holdout_split is None
            else ""
        )
    drawn = "validation" not in choice.rows
    if settings.val_split is None and not drawn and settings.val_ratio != TrainSettings().val_ratio:
        yield f"val_ratio {settings.val_ratio} does nothing: trials are judged by the data's validation split"
    samples = (sample for side in choice.rows.values() for sample in side)
    if settings.image_root is not None and not any(isinstance(sample.image, Path) for sample in samples):
        yield "image_root does nothing: no row names its picture by a path"


def _asked(division: SplitRows[CheckedImage], settings: TrainSettings) -> Iterator[str]:
    """A word on questions that the rows have of their own."""
    rows = [checked.sample for side in SPLITS for checked in getattr(division, side)]
    asking = [row for row in rows if row.asked not in ("", settings.instruction)]
    if asking:
        example = asking[0].asked[:_SHOWN_CHARACTERS]
        yield (
            f"the questions in {len(asking)} rows are not used (as in {asking[0].id}: {example!r}): every picture is "
            "asked the instruction; to use one of them, set instruction"
        )


def _shared_sources(division: SplitRows[CheckedImage]) -> list[str]:
    judged = {source for one in (*division.validation, *division.holdout) for source in one.sample.sources}
    shared = sum(1 for one in division.train if not judged.isdisjoint(one.sample.sources))
    if not shared:
        return []
    return [f"{shared} rows of train are made of pieces that are also in validation or the holdout set: scores flatter"]
