"""The stats job: statistics of data. Every picture is opened once, and nothing is refused that one row less would
fix."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median

from hpsearch import sdk
from hpsearch.data.check_images import CheckedImage, LeftOut, Opener
from hpsearch.data.duplicates import Duplicate, DuplicateKind, RowFingerprint, find_duplicates
from hpsearch.data.images import open_image, thumbnail
from hpsearch.data.progress import ProgressReporter
from hpsearch.data.sources import Rows, find_source
from hpsearch.data.stats import SUMMARY, DataStatistics, Example, Part
from hpsearch.data.text_stats import alphabet, by_length, not_composed, scripts, spread
from hpsearch.errors import UsageError
from hpsearch.execution.job import Job
from hpsearch.execution.survey_result import Sizing
from hpsearch.settings import TrainSettings
from hpsearch.training.models.base import BaseCheckpoint, find_base
from hpsearch.training.preflight.lengths import Measure, sizings
from hpsearch.training.prepared import SCRATCH

EDGE = 480  # pixels of an example's picture
SIZES = 1000  # pictures that are drawn as points
USUAL, EXTREME, DOUBLE = 8, 3, 6  # examples of each kind
SHOWN_CHARACTERS = 600  # of an example's text


@dataclass(frozen=True)
class ScannedRows:
    """Usable rows with their splits, unusable ones, and ``duplicates`` as indices into ``rows``."""

    rows: Sequence[tuple[str, CheckedImage]]
    unusable: Sequence[LeftOut]
    duplicates: Sequence[Duplicate]

    @property
    def reasons(self) -> Counter[str]:
        """Count the rows that cannot be used, by reason."""
        return Counter(row.why for row in self.unusable)

    def crosses(self, duplicate: Duplicate) -> bool:
        """Return True if a duplicate and its first row are in different splits."""
        return self.rows[duplicate.index][0] != self.rows[duplicate.first][0]


def stats(job: Job) -> None:
    """Compute the statistics of the job's data, and write them to stats.json in the job's folder.

    Raises:
        UsageError: the data or the model cannot be read, or no row can be used.
    """
    progress, folder = ProgressReporter("look for the data"), Path(job.output_dir)
    settings = TrainSettings.model_validate(job.settings)
    source = find_source(settings)
    base = find_base(settings, progress, weights=False) if "model_name" in settings.model_fields_set else None
    progress.phase("read")
    read = source.read(folder / SCRATCH, progress)
    scanned = _scan(read, progress)
    if not scanned.rows:
        reasons = ", ".join(f"{reason} ({count})" for reason, count in scanned.reasons.most_common(3))
        raise UsageError(
            f"data must have rows that can be used, but {source.name} has none: {reasons or 'it is empty'}",
            "fix the rows, or name other data",
        )
    statistics = _statistics(source.name, read, scanned, base, settings, progress)
    (folder / SUMMARY).write_text(statistics.to_json(), encoding="utf-8")
    sdk.finish(rows=len(scanned.rows))


def _scan(read: Rows, progress: ProgressReporter) -> ScannedRows:
    progress.phase("open the pictures", fraction=0.0)
    opener = Opener(sum(map(len, read.splits.values())), math.inf, progress, looks=True)
    rows = [(split, row) for split, samples in read.splits.items() for row in opener.usable(samples, split)]
    progress.phase("compare")
    fingerprints = [RowFingerprint(row.sample.text, row.picture, row.look, row.size) for _, row in rows]
    return ScannedRows(rows, opener.left_out(), find_duplicates(fingerprints))


def _statistics(
    name: str,
    read: Rows,
    scanned: ScannedRows,
    base: BaseCheckpoint | None,
    settings: TrainSettings,
    progress: ProgressReporter,
) -> DataStatistics:
    text_tokens, sizes = _token_counts(base, settings, scanned, progress)
    progress.phase("sum up")
    by_split = {split: [row for own, row in scanned.rows if own == split] for split in read.splits}
    unusable = Counter(row.split for row in scanned.unusable)
    texts = [row.sample.text for _, row in scanned.rows]
    size, rare, shown_rare = alphabet(texts)
    splits_of_document = Counter(document for rows in by_split.values() for document in _documents(rows))
    return DataStatistics(
        data=name,
        revision=read.revision,
        parts={split: _part(rows, unusable[split]) for split, rows in by_split.items()},
        unusable=dict(scanned.reasons),
        duplicates=dict(Counter(pair.kind.value for pair in scanned.duplicates)),
        crossing=dict(Counter(pair.kind.value for pair in scanned.duplicates if scanned.crosses(pair))),
        shared_documents=sum(count > 1 for count in splits_of_document.values()),
        scripts=scripts(texts),
        alphabet=size,
        rare=rare,
        shown_rare=shown_rare,
        not_composed=not_composed(texts),
        lengths=by_length({split: [row.sample.text for row in rows] for split, rows in by_split.items()}),
        sizes=tuple(row.size for _, row in scanned.rows[:: max(1, len(scanned.rows) // SIZES)][:SIZES]),
        model=settings.model_name if base else "",
        text_tokens=text_tokens,
        sizings=sizes,
        examples=tuple(_examples(scanned)),
        findings=tuple(_findings(scanned)),
    )


def _token_counts(
    base: BaseCheckpoint | None, settings: TrainSettings, scanned: ScannedRows, progress: ProgressReporter
) -> tuple[int, tuple[Sizing, ...]]:
    """Count the tokens of the median text, and of rows at sizes of pictures; none without a model."""
    if base is None:
        return 0, ()
    measure = Measure.of_rows(base, (row for _, row in scanned.rows), progress)
    return round(median(measure.lengths(settings).answers)), tuple(sizings(base, measure, settings))


def _documents(rows: Sequence[CheckedImage]) -> set[str]:
    return {row.document for row in rows if row.document is not None}


def _part(rows: Sequence[CheckedImage], unusable: int) -> Part:
    return Part(
        rows=len(rows),
        unusable=unusable,
        documents=len(_documents(rows)),
        characters=spread(len(row.sample.text) for row in rows),
        words=spread(len(row.sample.text.split()) for row in rows),
        widths=spread(row.size[0] for row in rows),
        heights=spread(row.size[1] for row in rows),
        bytes=spread(row.bytes for row in rows),
    )


def _examples(scanned: ScannedRows) -> Iterator[Example]:
    """Yield ordinary rows (chosen by what they show), the longest and shortest texts, the most oblong pictures, and
    duplicates."""
    rows = scanned.rows
    by_picture = sorted(range(len(rows)), key=lambda index: rows[index][1].picture)
    longest = sorted(range(len(rows)), key=lambda index: -len(rows[index][1].sample.text))
    oblong = sorted(range(len(rows)), key=lambda index: -max(rows[index][1].size) / min(rows[index][1].size))
    chosen = {
        "random sample": by_picture[:USUAL],
        "longest text": longest[:EXTREME],
        "shortest text": longest[::-1][:EXTREME],
        "most oblong": oblong[:EXTREME],
    }
    for why, indices in chosen.items():
        for index in indices:
            yield _example(why, scanned, index)
    for kind in DuplicateKind:
        for pair in [pair for pair in scanned.duplicates if pair.kind is kind][:DOUBLE]:
            yield _example(kind.value, scanned, pair.first)
            yield _example(kind.value, scanned, pair.index, rows[pair.first][1].sample.id)


def _example(why: str, scanned: ScannedRows, index: int, beside: str = "") -> Example:
    split, row = scanned.rows[index]
    text = row.sample.text
    shown = text if len(text) <= SHOWN_CHARACTERS else f"{text[:SHOWN_CHARACTERS]}…"
    picture = thumbnail(open_image(row.sample.read()), EDGE)
    return Example(why, row.sample.id, split, shown, row.size, picture, beside)


def _findings(scanned: ScannedRows) -> Iterator[dict[str, str]]:
    yield from (asdict(row) for row in scanned.unusable)
    for pair in scanned.duplicates:
        (split, row), (other, first) = scanned.rows[pair.index], scanned.rows[pair.first]
        finding = {"row": row.sample.id, "split": split, "reason": pair.kind.value}
        yield {**finding, "first": first.sample.id, "first_split": other}
