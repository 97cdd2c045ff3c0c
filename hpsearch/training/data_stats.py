"""The stats job: what data is like. Every picture is opened once, and nothing refused that a row less would mend."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
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
from hpsearch.training.preflight.lengths import Measure, Shape, sizings
from hpsearch.training.prepared import SCRATCH

EDGE = 480  # pixels of an example's picture
SIZES = 1000  # pictures that are drawn as points
USUAL, EXTREME, DOUBLE = 8, 3, 6  # examples of each kind
SHOWN_CHARACTERS = 600  # of an example's text


@dataclass(frozen=True)
class ScannedRows:
    """Usable rows by split, those that are not, and which are there twice, as positions in ``rows``."""

    rows: Sequence[tuple[str, CheckedImage]]
    unusable: Sequence[LeftOut]
    duplicates: Sequence[Duplicate]

    def texts(self) -> list[str]:
        """Every row's."""
        return [row.sample.text for _, row in self.rows]


def stats(job: Job) -> None:
    """Look at the job's data, and write what it is like to stats.json in the job's folder.

    Raises:
        UsageError: the data or the model cannot be read, or no row can be used.
    """
    progress, folder = ProgressReporter("look for the data"), Path(job.output_dir)
    settings = TrainSettings.model_validate(job.settings)
    source = find_source(settings)
    base = find_base(settings, progress, weights=False) if "model_name" in settings.model_fields_set else None
    progress.phase("read")
    read = source.read(folder / SCRATCH, progress)
    looked = _looked(read, progress)
    if not looked.rows:
        reasons = ", ".join(f"{reason} ({count})" for reason, count in _reasons(looked.unusable).most_common(3))
        raise UsageError(
            f"data must have rows that can be used, but {source.name} has none: {reasons or 'it is empty'}",
            "mend the rows, or name other data",
        )
    found = _found(source.name, read, looked, base, settings, progress)
    (folder / SUMMARY).write_text(found.to_json(), encoding="utf-8")
    sdk.finish(rows=len(looked.rows))


def _looked(read: Rows, progress: ProgressReporter) -> ScannedRows:
    progress.phase("open the pictures", fraction=0.0)
    opener = Opener(sum(map(len, read.splits.values())), math.inf, progress, looks=True)
    rows = [(split, row) for split, samples in read.splits.items() for row in opener.usable(samples, split)]
    progress.phase("compare")
    known = [RowFingerprint(row.sample.text, row.picture, row.look, row.size) for _, row in rows]
    return ScannedRows(rows, opener.left_out(), find_duplicates(known))


def _reasons(unusable: Sequence[LeftOut]) -> Counter[str]:
    """How often each reason is given."""
    return Counter(each.why for each in unusable)


def _measured(
    base: BaseCheckpoint | None, settings: TrainSettings, looked: ScannedRows, progress: ProgressReporter
) -> tuple[int, tuple[Sizing, ...]]:
    """Tokens of the usual text, and of rows at sizes of pictures; none without a model."""
    if base is None:
        return 0, ()
    progress.phase("measure lengths", fraction=0.0)
    shapes = [Shape(row.sample.id, row.sample.text, row.size) for _, row in looked.rows]
    measure = Measure(base, shapes, lambda done: progress.show(fraction=done))
    return round(median(measure.lengths(settings).answers)), tuple(sizings(base, measure, settings))


def _found(
    name: str,
    read: Rows,
    looked: ScannedRows,
    base: BaseCheckpoint | None,
    settings: TrainSettings,
    progress: ProgressReporter,
) -> DataStatistics:
    text_tokens, sizes = _measured(base, settings, looked, progress)
    progress.phase("sum up")
    by_split = {split: [row for each, row in looked.rows if each == split] for split in read.splits}
    sides = Counter(each.split for each in looked.unusable)
    texts = looked.texts()
    size, rare, shown_rare = alphabet(texts)
    return DataStatistics(
        data=name,
        revision=read.revision,
        parts={split: _part(rows, sides[split]) for split, rows in by_split.items()},
        unusable=dict(_reasons(looked.unusable)),
        duplicates=dict(Counter(each.kind.value for each in looked.duplicates)),
        crossing=dict(Counter(each.kind.value for each in looked.duplicates if _crosses(each, looked))),
        shared_documents=_shared(by_split),
        scripts=scripts(texts),
        alphabet=size,
        rare=rare,
        shown_rare=shown_rare,
        not_composed=not_composed(texts),
        lengths=by_length({split: [row.sample.text for row in rows] for split, rows in by_split.items()}),
        sizes=tuple(row.size for _, row in looked.rows[:: max(1, len(looked.rows) // SIZES)][:SIZES]),
        model=settings.model_name if base else "",
        text_tokens=text_tokens,
        sizings=sizes,
        examples=tuple(_examples(looked)),
        findings=tuple(_findings(looked)),
    )


def _part(rows: Sequence[CheckedImage], unusable: int) -> Part:
    return Part(
        rows=len(rows),
        unusable=unusable,
        documents=len({row.document for row in rows} - {None}),
        characters=spread(len(row.sample.text) for row in rows),
        words=spread(len(row.sample.text.split()) for row in rows),
        widths=spread(row.size[0] for row in rows),
        heights=spread(row.size[1] for row in rows),
        bytes=spread(row.bytes for row in rows),
    )


def _crosses(duplicate: Duplicate, looked: ScannedRows) -> bool:
    return looked.rows[duplicate.index][0] != looked.rows[duplicate.first][0]


def _shared(by_split: Mapping[str, Sequence[CheckedImage]]) -> int:
    """How many documents are in more than one split."""
    splits = Counter(name for rows in by_split.values() for name in {row.document for row in rows} - {None})
    return sum(count > 1 for count in splits.values())


def _examples(looked: ScannedRows) -> Iterator[Example]:
    """Some rows as they come (drawn by what they show), the longest and shortest texts, the most oblong picture, and
    rows that are there twice."""
    rows = looked.rows
    places = sorted(range(len(rows)), key=lambda place: rows[place][1].picture)
    long = sorted(range(len(rows)), key=lambda place: -len(rows[place][1].sample.text))
    oblong = sorted(range(len(rows)), key=lambda place: -max(rows[place][1].size) / min(rows[place][1].size))
    chosen = {
        "drawn by lot": places[:USUAL],
        "longest text": long[:EXTREME],
        "shortest text": long[::-1][:EXTREME],
        "most oblong": oblong[:EXTREME],
    }
    for why, some in chosen.items():
        for place in some:
            yield _example(why, looked, place)
    for kind in DuplicateKind:
        for each in [one for one in looked.duplicates if one.kind is kind][:DOUBLE]:
            yield _example(kind.value, looked, each.first)
            yield _example(kind.value, looked, each.index, rows[each.first][1].sample.id)


def _example(why: str, looked: ScannedRows, place: int, beside: str = "") -> Example:
    split, row = looked.rows[place]
    text = row.sample.text
    shown = text if len(text) <= SHOWN_CHARACTERS else f"{text[:SHOWN_CHARACTERS]}…"
    picture = thumbnail(open_image(row.sample.read()), EDGE)
    return Example(why, row.sample.id, split, shown, row.size, picture, beside)


def _findings(looked: ScannedRows) -> Iterator[dict[str, str]]:
    yield from (asdict(each) for each in looked.unusable)
    for each in looked.duplicates:
        (split, row), (other, first) = looked.rows[each.index], looked.rows[each.first]
        where = {"row": row.sample.id, "split": split}
        yield {**where, "reason": each.kind.value, "first": first.sample.id, "first_split": other}
