"""The merge job: several datasets become one, as parquet files that the `datasets` library and the Hub read.

Every picture is opened once to find duplicates, and read once more when it is written. The job's request and result
cross the door as JSON.
"""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from hpsearch import sdk
from hpsearch.data.check_images import CheckedImage, LeftOut, Opener
from hpsearch.data.duplicates import DuplicateKind, RowFingerprint, find_duplicates
from hpsearch.data.progress import ProgressReporter
from hpsearch.data.rows import RowOrigin, Sample
from hpsearch.data.slices import usual_split
from hpsearch.data.sources import find_source
from hpsearch.data.write_dataset import write_parquet
from hpsearch.errors import UsageError
from hpsearch.execution.job import Job
from hpsearch.execution.output_folder import replacing
from hpsearch.settings import TrainSettings

ROWS, CARD, LEFT_OUT, SUMMARY = "data", "README.md", "left_out.jsonl", "merged.json"
WORK = ".merging"  # below the output folder, while it is not whole
# Of a picture that is in several splits the row of the first of these stays: judged rows are not to be learned from.
JUDGED = ("test", "holdout", "validation")
COLUMNS = ("document", "dataset", "row")  # beside picture and text


@dataclass(frozen=True)
class MergeDatasetsRequest:
    """A merge of all rows of ``datasets`` (each by settings of a study that name it and say how it is read) under
    ``names`` in ``output_dir``. ``drop_alike``: of rows that look alike with the same text only the first is kept."""

    datasets: tuple[Mapping[str, object], ...]
    names: tuple[str, ...]
    output_dir: str
    drop_alike: bool = False


@dataclass(frozen=True)
class DatasetCounts:
    """The result of one dataset: its source, the commit of one on the Hub, the merged rows by split, and those left out
    by reason."""

    data: str
    revision: str | None
    rows: Mapping[str, int]
    left_out: Mapping[str, int]


@dataclass(frozen=True)
class MergeDatasetsResult:
    """The result by dataset, and all rows by split. ``alike`` is the number of rows that look like an earlier one with
    the same text, and were kept."""

    datasets: Mapping[str, DatasetCounts]
    rows: Mapping[str, int]
    bytes: int
    alike: int = 0

    def to_json(self) -> str:
        """Return one JSON object, for people too."""
        return json.dumps(asdict(self), ensure_ascii=False, indent=2) + "\n"

    @staticmethod
    def from_json(text: str) -> MergeDatasetsResult:
        """Read what ``to_json`` wrote."""
        values = json.loads(text)
        datasets = {name: DatasetCounts(**counts) for name, counts in values["datasets"].items()}
        return MergeDatasetsResult(**{**values, "datasets": datasets})


@dataclass(frozen=True)
class ReadDataset:
    """A dataset as it was read: its name, its source, and its rows by split. Their ids begin with the name."""

    name: str
    data: str
    revision: str | None
    splits: Mapping[str, Sequence[Sample]]

    @staticmethod
    def of(name: str, settings: Mapping[str, object], scratch: Path, progress: ProgressReporter) -> ReadDataset:
        """Read it."""
        source = find_source(TrainSettings.model_validate(dict(settings)))
        rows = source.read(scratch, progress)
        splits: dict[str, list[Sample]] = {}
        for split, samples in rows.splits.items():
            renamed = (replace(sample, id=f"{name}: {sample.id}") for sample in samples)
            splits.setdefault(usual_split(split), []).extend(renamed)
        return ReadDataset(name, source.name, rows.revision, splits)


@dataclass(frozen=True)
class DatasetRow:
    """A row that can be used, and the dataset and split that it is in."""

    dataset: str
    split: str
    row: CheckedImage

    @property
    def origin(self) -> str:
        """The dataset that it comes from: of one that was merged before, the one named there."""
        return self.row.sample.origin.dataset if self.row.sample.origin else self.dataset

    def record(self) -> dict[str, Any]:
        """Return its columns in the merged dataset."""
        sample = self.row.sample
        origin = sample.origin or RowOrigin(self.dataset, sample.id.removeprefix(f"{self.dataset}: "))
        inside = sample.document is None or sample.origin is not None  # was named so when it was merged before
        return {
            "image": {"bytes": sample.read(), "path": None},
            "text": sample.text,
            "document": sample.document if inside else f"{self.dataset}/{sample.document}",
            "dataset": origin.dataset,
            "row": origin.row,
        }


def merge(job: Job) -> None:
    """Make the dataset that the job's settings request; its summary is in merged.json, here and in the job's folder.

    Raises:
        UsageError: a dataset cannot be read, no row can be used, or the output folder holds something else.
    """
    progress = ProgressReporter("read")
    request = MergeDatasetsRequest(**{**job.settings, "datasets": tuple(job.settings["datasets"])})
    with replacing(Path(request.output_dir), "merge", WORK, SUMMARY, (ROWS, CARD, LEFT_OUT)) as work:
        result = _merge(request, work, progress)
        (work / SUMMARY).write_text(result.to_json(), encoding="utf-8")
    (Path(job.output_dir) / SUMMARY).write_text(result.to_json(), encoding="utf-8")
    sdk.finish(rows=sum(result.rows.values()))


def _merge(request: MergeDatasetsRequest, work: Path, progress: ProgressReporter) -> MergeDatasetsResult:
    """Read, compare and write all rows."""
    datasets = [
        ReadDataset.of(name, settings, work / f"read-{number}", progress)
        for number, (name, settings) in enumerate(zip(request.names, request.datasets, strict=True))
    ]
    rows, left_out = _usable_rows(datasets, progress)
    if not rows:
        reason = left_out[0].reason if left_out else "they are empty"
        raise UsageError(
            f"there must be rows that can be used, but {', '.join(request.names)} have none: {reason}",
            "correct the rows, or name other data",
        )
    progress.phase("compare")
    checked = [row.row for row in rows]
    duplicates = find_duplicates([RowFingerprint(row.sample.text, row.picture, row.look, row.size) for row in checked])
    dropped = [row for row in duplicates if row.kind is not DuplicateKind.ALIKE or request.drop_alike]
    for duplicate in dropped:
        row, first = rows[duplicate.index], rows[duplicate.first]
        reason = f"{duplicate.kind.value} as {first.row.sample.id} ({first.split})"
        left_out.append(LeftOut(row.row.sample.id, row.split, reason))
    gone = {duplicate.index for duplicate in dropped}
    kept = [row for index, row in enumerate(rows) if index not in gone]
    size = _write(kept, work / ROWS, progress)
    (work / CARD).write_text(_card(kept), encoding="utf-8")
    if left_out:
        lines = (json.dumps(asdict(row), ensure_ascii=False) + "\n" for row in left_out)
        (work / LEFT_OUT).write_text("".join(lines), encoding="utf-8")
    counts = {dataset.name: _counts(dataset, kept, left_out) for dataset in datasets}
    return MergeDatasetsResult(counts, _by_split(kept), size, len(duplicates) - len(dropped))


def _usable_rows(datasets: Sequence[ReadDataset], progress: ProgressReporter) -> tuple[list[DatasetRow], list[LeftOut]]:
    """Open the pictures of all rows: the rows that can be used, judged ones first, and the others."""
    progress.phase("open the pictures", fraction=0.0)
    total = sum(len(samples) for dataset in datasets for samples in dataset.splits.values())
    opener = Opener(total, math.inf, progress, looks=True)
    rows = [
        DatasetRow(dataset.name, split, row)
        for dataset in datasets
        for split, samples in dataset.splits.items()
        for row in opener.usable(samples, split)
    ]
    rows.sort(key=lambda row: JUDGED.index(row.split) if row.split in JUDGED else len(JUDGED))
    return rows, list(opener.left_out())


def _counts(dataset: ReadDataset, kept: Sequence[DatasetRow], left_out: Sequence[LeftOut]) -> DatasetCounts:
    ids = {sample.id for samples in dataset.splits.values() for sample in samples}
    reasons = Counter[str]()
    for row in left_out:
        if row.row in ids:  # counted without row-specific details
            repeats = (kind.value for kind in DuplicateKind if row.reason.startswith(f"{kind.value} as "))
            reasons[next(repeats, row.why)] += 1
    rows = _by_split([row for row in kept if row.dataset == dataset.name])
    return DatasetCounts(dataset.data, dataset.revision, rows, dict(reasons))


def _by_split(rows: Sequence[DatasetRow]) -> dict[str, int]:
    return dict(Counter(row.split for row in rows))


def _write(rows: Sequence[DatasetRow], folder: Path, progress: ProgressReporter) -> int:
    """Write the rows, those of a split one after the other. Returns the size of the files in bytes."""
    progress.phase("write", fraction=0.0)
    folder.mkdir()
    done = 0

    def records(split: str) -> Iterator[dict[str, Any]]:
        nonlocal done
        for row in rows:
            if row.split == split:
                progress.show(fraction=done / len(rows))
                yield row.record()
                done += 1

    for split in _by_split(rows):
        write_parquet(folder, split, records(split), COLUMNS)
    return sum(path.stat().st_size for path in folder.iterdir())


def _card(rows: Sequence[DatasetRow]) -> str:
    """Write the README.md that tells the `datasets` library the splits, and people the origin of the rows."""
    files = "".join(
        f"  - split: {json.dumps(split)}\n    path: {json.dumps(f'{ROWS}/{split}-*.parquet')}\n"
        for split in _by_split(rows)
    )
    counts = Counter((row.origin, row.split) for row in rows)
    table = "".join(f"| {name} | {split} | {count} |\n" for (name, split), count in counts.items())
    return (
        f"---\nconfigs:\n- config_name: default\n  data_files:\n{files}---\n\n# Merged by hpsearch\n\n"
        f"| dataset | split | rows |\n|---|---|---|\n{table}\n"
        "The columns `dataset` and `row` say where each row is from. Their licences are those of the datasets.\n"
    )
