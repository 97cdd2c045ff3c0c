"""The assignment of a study's rows to train, validation and holdout: each picture is opened once, and no page is in two
splits."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from hpsearch.data.check_images import (
    CheckedImage,
    LeftOut,
    Opener,
    left_out_file,
    named,
    refuse_unusable,
    write_left_out,
)
from hpsearch.data.prepared_rows import PreparedRow, row_file
from hpsearch.data.progress import ProgressReporter
from hpsearch.data.rows import Sample
from hpsearch.data.slices import SLICE_KEYS, ChosenSplits, choose
from hpsearch.data.sources import DataSource
from hpsearch.data.splits import SplitRows, hold_out, separate
from hpsearch.errors import UsageError
from hpsearch.execution.files import require_space
from hpsearch.settings import TrainSettings
from hpsearch.training.models.families import Family
from hpsearch.training.prepared import SCRATCH, SPLITS, write_rows

_SHOWN_CHARACTERS = 60  # of a row's question, in a warning


@dataclass(frozen=True)
class Data:
    """Rows by split, warnings, and the commit of a dataset on the Hub. ``left_out`` are the rows that are
    in none, ``unusable`` the number of them that cannot be used."""

    rows: Mapping[str, Sequence[CheckedImage]]
    warnings: tuple[str, ...]
    revision: str | None = None
    left_out: tuple[LeftOut, ...] = ()
    unusable: int = 0

    @property
    def bytes(self) -> int:
        """Size of what ``write`` writes, without the texts."""
        return sum(checked.bytes for rows in self.rows.values() for checked in rows)

    def with_labels(
        self,
        rows: Mapping[str, Sequence[CheckedImage]],
        left_out: Sequence[LeftOut],
        settings: TrainSettings,
        folder: Path,
        warnings: Sequence[str] = (),
    ) -> Data:
        """Keep these ``rows``, and list those ``left_out`` because of their labels beside the others in ``folder``.

        Raises:
            UsageError: a split ends up empty, or too many rows are unusable.
        """
        if not left_out:
            return replace(self, rows=rows, warnings=(*self.warnings, *warnings))
        everything, unusable = (*self.left_out, *left_out), self.unusable + len(left_out)
        write_left_out(folder, everything)
        listed = left_out_file(folder)
        remedy = f"change these texts, or use a model that can write them (all are listed in {listed})"
        refuse_unusable(unusable, self.unusable + sum(map(len, self.rows.values())), named(left_out), remedy)
        _refuse_empty(rows, settings)
        text = f"{len(left_out)} rows left out because of their texts: {named(left_out)} (listed in {listed})"
        return replace(
            self, rows=rows, warnings=(*self.warnings, text, *warnings), left_out=everything, unusable=unusable
        )

    def write(self, folder: Path) -> str:
        """Write each split's rows into ``folder``. Returns a digest of every row's picture and text, by split.

        Raises:
            UsageError: there is no space for them.
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
        sample = checked.sample
        row = PreparedRow(sample.id, sample.read(), sample.text, sample.document)
        for part in (row.image, row.text.encode()):
            digest.update(f"{len(part)}\0".encode() + part)
        yield row


def gather(
    source: DataSource, settings: TrainSettings, family: Family, folder: Path, progress: ProgressReporter
) -> Data:
    """Read, choose, open and assign the rows. Those that cannot be used, or that the ``family`` cannot take, are left
    out and listed in ``folder``; the files of their pictures may be in its ``SCRATCH``.

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
    assigned = _assign(checked, settings)
    rows = {split: getattr(assigned, split) for split in SPLITS}
    _refuse_empty(rows, settings)
    separated = (LeftOut(row.row.sample.id, row.side, row.reason) for row in assigned.left_out)
    left_out = (*opener.left_out(), *separated)
    write_left_out(folder, left_out)
    warnings = (
        *opener.warnings(),
        *assigned.warnings,
        *([f"all {len(left_out)} rows left out are listed in {left_out_file(folder)}"] if left_out else []),
        *_unused(settings, choice),
        *_own_questions(assigned, settings),
        *_shared_sources(assigned),
    )
    return Data(rows, warnings, read.revision, left_out, len(opener.left_out()))


def _assign(checked: Mapping[str, Sequence[CheckedImage]], settings: TrainSettings) -> SplitRows[CheckedImage]:
    """Make all three splits; those that were not chosen are drawn: validation from train, the holdout from validation,
    or from train too where the drawn validation is a single document."""
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


def _refuse_empty(rows: Mapping[str, Sequence[CheckedImage]], settings: TrainSettings) -> None:
    for name in SPLITS:
        if not rows[name]:
            keys = (*SLICE_KEYS.values(), "val_ratio", "holdout_fraction")
            given = ", ".join(f"{key} {value!r}" for key in keys if (value := getattr(settings, key)) is not None)
            raise UsageError(
                f"train, validation and holdout must each have rows, but {name} has none ({given})",
                "widen the slices or fractions, or add rows of other documents: none is parted",
            )


def _unused(settings: TrainSettings, choice: ChosenSplits[Sample]) -> Iterator[str]:
    """Warn of splits and settings that were given and have no effect."""
    for split in choice.unused:
        yield f"the split {split} of the data is not used" + (
            f'; with "holdout_split": "{split}" the best trial is evaluated on it'
            if settings.holdout_split is None
            else ""
        )
    drawn = "validation" not in choice.rows
    if settings.val_split is None and not drawn and settings.val_ratio != TrainSettings().val_ratio:
        yield f"val_ratio {settings.val_ratio} does nothing: trials are evaluated on the data's validation split"
    samples = (sample for side in choice.rows.values() for sample in side)
    if settings.image_root is not None and not any(isinstance(sample.image, Path) for sample in samples):
        yield "image_root does nothing: no row names its picture by a path"


def _own_questions(assigned: SplitRows[CheckedImage], settings: TrainSettings) -> Iterator[str]:
    """Warn of questions that the rows have and that are not used."""
    rows = [checked.sample for side in SPLITS for checked in getattr(assigned, side)]
    asking = [row for row in rows if row.asked not in ("", settings.instruction)]
    if asking:
        example = asking[0].asked[:_SHOWN_CHARACTERS]
        yield (
            f"the questions in {len(asking)} rows are not used (as in {asking[0].id}: {example!r}): every picture is "
            "asked the instruction; to use one of them, set instruction"
        )


def _shared_sources(assigned: SplitRows[CheckedImage]) -> list[str]:
    evaluated = {source for row in (*assigned.validation, *assigned.holdout) for source in row.sample.sources}
    shared = sum(1 for row in assigned.train if not evaluated.isdisjoint(row.sample.sources))
    if not shared:
        return []
    return [f"{shared} rows of train are made of pieces that are also in validation or the holdout set: scores flatter"]
