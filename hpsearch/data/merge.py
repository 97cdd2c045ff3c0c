"""The join job: several datasets become one, as parquet files that the `datasets` library and the Hub read.

Every picture is opened once to find what is there twice, and read once more when it is written.
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
from hpsearch.data.duplicates import Duplicate, DuplicateKind, RowFingerprint, find_duplicates
from hpsearch.data.progress import ProgressReporter
from hpsearch.data.rows import RowOrigin, Sample
from hpsearch.data.slices import usual_split
from hpsearch.data.sources import find_source
from hpsearch.data.write_dataset import write_parquet
from hpsearch.errors import UsageError
from hpsearch.execution.job import Job
from hpsearch.execution.output_folder import replacing
from hpsearch.settings import TrainSettings

# Making one dataset of several: what is wanted, and what came of it. Both cross the door as JSON.

ROWS, CARD, LEFT_OUT, SUMMARY = "data", "README.md", "left_out.jsonl", "merged.json"
WORK = ".merging"  # below the output folder, while it is not whole


@dataclass(frozen=True)
class MergeDatasetsRequest:
    """What is wanted: of each of ``datasets`` (settings of a study that say where it is and how it is read) all rows,
    in ``output_dir``, under ``names``. ``drop_alike``: of rows that look alike and read the same only the first."""

    datasets: tuple[Mapping[str, object], ...]
    names: tuple[str, ...]
    output_dir: str
    drop_alike: bool = False


@dataclass(frozen=True)
class DatasetCounts:
    """What came of one dataset: where it was read from, the commit of one on the Hub, rows by split that are taken, and
    those that are not, by reason."""

    data: str
    revision: str | None
    rows: Mapping[str, int]
    left_out: Mapping[str, int]


@dataclass(frozen=True)
class MergeDatasetsResult:
    """What came of it, by dataset, and rows by split in all. ``alike`` rows look like an earlier one and read the same,
    and were kept."""

    datasets: Mapping[str, DatasetCounts]
    rows: Mapping[str, int]
    bytes: int
    alike: int = 0

    def to_json(self) -> str:
        """One JSON object, for people too."""
        return json.dumps(asdict(self), ensure_ascii=False, indent=2) + "\n"

    @staticmethod
    def from_json(text: str) -> MergeDatasetsResult:
        """What ``to_json`` wrote."""
        found = json.loads(text)
        return MergeDatasetsResult(
            **{**found, "datasets": {name: DatasetCounts(**each) for name, each in found["datasets"].items()}}
        )


# Of a picture that is in several splits the row of the first of these stays: what is judged is not to be learned from.
JUDGED = ("test", "holdout", "validation")
COLUMNS = ("document", "dataset", "row")  # beside picture and text


@dataclass(frozen=True)
class ReadDataset:
    """A dataset as it was read: its name, where it is, and its rows by split. Their ids begin with the name."""

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
            splits.setdefault(usual_split(split), []).extend(replace(each, id=f"{name}: {each.id}") for each in samples)
        return ReadDataset(name, source.name, rows.revision, splits)


@dataclass(frozen=True)
class DatasetRow:
    """A row that can be used, and the dataset and split that it is in."""

    dataset: str
    split: str
    row: CheckedImage

    @property
    def origin(self) -> str:
        """The dataset that it is from: of one that was merged before, what is said there."""
        return self.row.sample.origin.dataset if self.row.sample.origin else self.dataset

    def record(self) -> dict[str, Any]:
        """Its columns in the new dataset."""
        sample = self.row.sample
        own = RowOrigin(self.dataset, sample.id.removeprefix(f"{self.dataset}: "))
        origin = sample.origin or own
        inside = sample.document is None or sample.origin is not None  # was named so when it was merged before
        return {
            "image": {"bytes": sample.read(), "path": None},
            "text": sample.text,
            "document": sample.document if inside else f"{self.dataset}/{sample.document}",
            "dataset": origin.dataset,
            "row": origin.row,
        }

    def comparable(self) -> RowFingerprint:
        """What is compared of it."""
        row = self.row
        return RowFingerprint(row.sample.text, row.picture, row.look, row.size)


def join(job: Job) -> None:
    """Make the dataset that the job's settings want; its summary is in merged.json, here and in the job's folder.

    Raises:
        UsageError: a dataset cannot be read, no row can be used, or the output folder is one of something else.
    """
    progress = ProgressReporter("read")
    wanted = MergeDatasetsRequest(**{**job.settings, "datasets": tuple(job.settings["datasets"])})
    with replacing(Path(wanted.output_dir), "merge", WORK, SUMMARY, (ROWS, CARD, LEFT_OUT)) as work:
        found = _join(wanted, work, progress)
        (work / SUMMARY).write_text(found.to_json(), encoding="utf-8")
    (Path(job.output_dir) / SUMMARY).write_text(found.to_json(), encoding="utf-8")
    sdk.finish(rows=sum(found.rows.values()))


def _join(wanted: MergeDatasetsRequest, work: Path, progress: ProgressReporter) -> MergeDatasetsResult:
    """Read, compare and write all rows."""
    read = [
        ReadDataset.of(name, settings, work / f"read-{number}", progress)
        for number, (name, settings) in enumerate(zip(wanted.names, wanted.datasets, strict=True))
    ]
    given, left_out = _opened(read, progress)
    if not given:
        reason = left_out[0].reason if left_out else "they are empty"
        raise UsageError(
            f"there must be rows that can be used, but {', '.join(wanted.names)} have none: {reason}",
            "mend the rows, or name other data",
        )
    progress.phase("compare")
    doubles = find_duplicates([each.comparable() for each in given])
    dropped = [each for each in doubles if each.kind is not DuplicateKind.ALIKE or wanted.drop_alike]
    left_out += [_double(each, given) for each in dropped]
    gone = {each.index for each in dropped}
    kept = [each for index, each in enumerate(given) if index not in gone]
    size = _write(kept, work / ROWS, progress)
    (work / CARD).write_text(_card(kept), encoding="utf-8")
    if left_out:
        lines = (json.dumps(asdict(each), ensure_ascii=False) + "\n" for each in left_out)
        (work / LEFT_OUT).write_text("".join(lines), encoding="utf-8")
    taken = {each.name: _taken(each, kept, left_out) for each in read}
    return MergeDatasetsResult(taken, _by_split(kept), size, len(doubles) - len(dropped))


def _opened(read: Sequence[ReadDataset], progress: ProgressReporter) -> tuple[list[DatasetRow], list[LeftOut]]:
    """Every row that can be used, those that are judged by first, and those that cannot."""
    progress.phase("open the pictures", fraction=0.0)
    total = sum(len(samples) for each in read for samples in each.splits.values())
    opener = Opener(total, math.inf, progress, looks=True)
    given = [
        DatasetRow(each.name, split, row)
        for each in read
        for split, samples in each.splits.items()
        for row in opener.usable(samples, split)
    ]
    given.sort(key=lambda each: JUDGED.index(each.split) if each.split in JUDGED else len(JUDGED))
    return given, list(opener.left_out())


def _double(duplicate: Duplicate, given: Sequence[DatasetRow]) -> LeftOut:
    one, first = given[duplicate.index], given[duplicate.first]
    return LeftOut(one.row.sample.id, one.split, f"{duplicate.kind.value} as {first.row.sample.id} ({first.split})")


def _taken(read: ReadDataset, kept: Sequence[DatasetRow], left_out: Sequence[LeftOut]) -> DatasetCounts:
    ids = {each.id for samples in read.splits.values() for each in samples}
    reasons = dict(Counter(_reason(each) for each in left_out if each.row in ids))
    return DatasetCounts(
        read.data, read.revision, _by_split([each for each in kept if each.dataset == read.name]), reasons
    )


def _reason(left: LeftOut) -> str:
    """Why, without what is true of this row alone."""
    return next((kind.value for kind in DuplicateKind if left.reason.startswith(f"{kind.value} as ")), left.why)


def _by_split(rows: Sequence[DatasetRow]) -> dict[str, int]:
    return dict(Counter(each.split for each in rows))


def _write(rows: Sequence[DatasetRow], folder: Path, progress: ProgressReporter) -> int:
    """Write the rows, those of a dataset one after the other; how many bytes that takes."""
    progress.phase("write", fraction=0.0)
    folder.mkdir()
    done = 0
    for split in _by_split(rows):
        some = [each for each in rows if each.split == split]
        write_parquet(folder, split, _records(some, progress, done / len(rows), 1 / len(rows)), COLUMNS)
        done += len(some)
    return sum(path.stat().st_size for path in folder.iterdir())


def _records(
    rows: Sequence[DatasetRow], progress: ProgressReporter, before: float, each_is: float
) -> Iterator[dict[str, Any]]:
    for number, row in enumerate(rows):
        progress.show(fraction=before + number * each_is)
        yield row.record()


def _card(rows: Sequence[DatasetRow]) -> str:
    """What the `datasets` library reads to know the splits, and a person to know where rows are from."""
    files = "".join(
        f"  - split: {json.dumps(split)}\n    path: {json.dumps(f'{ROWS}/{split}-*.parquet')}\n"
        for split in _by_split(rows)
    )
    counts = Counter((each.origin, each.split) for each in rows)
    table = "".join(f"| {name} | {split} | {count} |\n" for (name, split), count in counts.items())
    return (
        f"---\nconfigs:\n- config_name: default\n  data_files:\n{files}---\n\n# Merged by hpsearch\n\n"
        f"| dataset | split | rows |\n|---|---|---|\n{table}\n"
        "The columns `dataset` and `row` say where each row is from. Their licences are those of the datasets.\n"
    )
