"""The judged pages of a study as one offline file: picture, reference and readings, aligned.

The file stays below 15 MB: pictures to reading size for the worst, the median and the most changed pages, thumbnails
for the rest while there is room.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import chain, zip_longest
from pathlib import Path

from hpsearch.data.predictions import Prediction, read_predictions
from hpsearch.errors import UsageError
from hpsearch.execution.job import BASE_PREDICTIONS_FILE, PREDICTIONS_FILE
from hpsearch.report.alignment import Alignment, align_readings
from hpsearch.report.html import render_page
from hpsearch.report.page_pictures import PagePictures, link_to
from hpsearch.report.rows import TrialRow
from hpsearch.report.samples import trial_folder
from hpsearch.report.summary import StudySummary

READING_EDGE, THUMB_EDGE = 1600, 160  # pixels of the longest side
MOST_BYTES = 15_000_000  # of the file
_MOST_MARKUP = 5_000_000
_MOST_LARGE, _MOST_SMALL = 60, 240  # pictures; each takes up to a tenth of a second
_MOST_ROWS = 2000  # of a predictions file
_MOST_CHARACTERS = 4000  # of a text
_REPORT_EDGE, _REPORT_WORST, _REPORT_MEDIAN = 1000, 4, 2


@dataclass(frozen=True)
class PageReading:
    """A configuration whose predictions are shown: its short ``name`` in the page, and its file."""

    name: str
    file: Path


@dataclass(frozen=True)
class JudgedPage:
    """A row as several configurations read it: those that judged it, in the order of the readings."""

    order: int
    texts: tuple[Prediction, ...]
    names: tuple[str, ...]
    rates: tuple[float, ...]
    folder: Path  # of the last reading's file

    @property
    def name(self) -> str:
        """The row's id, after its split if that is not in it."""
        row = self.texts[-1]
        return row.id if row.id.startswith(row.split) else f"{row.split} {row.id}"

    @property
    def rate(self) -> float:
        """The last reading's CER."""
        return self.rates[-1]

    @property
    def change(self) -> float | None:
        """By how much the last reading is worse than the one before it; None if it has none."""
        return self.rates[-1] - self.rates[-2] if len(self.rates) > 1 else None


@dataclass(frozen=True)
class ShownPage:
    """A judged page with what the template shows of it. ``picture`` is a data URL, ``original`` a link; "" if there is
    none."""

    page: JudgedPage
    alignment: Alignment
    cut: bool  # texts too long to be shown in full
    picture: str = ""
    is_large: bool = False
    original: str = ""

    @property
    def bytes(self) -> int:
        """Estimate the size of its markup."""
        runs = chain.from_iterable(chain.from_iterable(block.rows for line in self.alignment.lines for block in line))
        rows = sum(len(block.rows) for line in self.alignment.lines for block in line)
        return 1500 + 18 * rows + sum(len(run.text.encode()) + (24 if run.kind else 0) for run in runs)


def usual_readings(summary: StudySummary, study_dir: Path) -> list[PageReading]:
    """Return the untuned base, the default configuration and the best trial, as far as their predictions are there."""
    trials = [("default", summary.default), ("best", summary.best)]
    rows = {name: score.trial for name, score in trials if score and score.trial}
    if rows.get("default") is rows.get("best"):
        rows.pop("default", None)
    readings = [PageReading("base", study_dir / BASE_PREDICTIONS_FILE)]
    readings += [
        PageReading(name, folder / PREDICTIONS_FILE)
        for name, row in rows.items()
        if (folder := trial_folder(row, study_dir))
    ]
    return [reading for reading in readings if reading.file.is_file()]


def trial_readings(summary: StudySummary, study_dir: Path, numbers: Sequence[int]) -> list[PageReading]:
    """Return the readings of the trials with these numbers.

    Raises:
        UsageError: one does not exist, is named twice, or has no predictions.
    """
    by_number: dict[int, TrialRow] = {row.number: row for row in summary.rows}
    having = {
        number: folder / PREDICTIONS_FILE
        for number, row in by_number.items()
        if (folder := trial_folder(row, study_dir)) and (folder / PREDICTIONS_FILE).is_file()
    }
    listed = ", ".join(map(str, sorted(having))) or "none"
    if len(set(numbers)) < len(numbers):
        raise UsageError(
            f"--pages compares two different trials, but both are {numbers[0]}", f"name two of these: {listed}"
        )
    for number in numbers:
        if number not in by_number:
            raise UsageError(
                f"--pages names trials of the study, but {summary.name} has no trial {number}",
                f"trials with predictions: {listed}",
            )
        if number not in having:
            raise UsageError(
                f"--pages needs the predictions of both trials, but trial {number} has none"
                f" ({by_number[number].ending.word})",
                f"trials with predictions: {listed}",
            )
    return [PageReading(f"trial {number}", having[number]) for number in numbers]


def judged_pages(readings: Sequence[PageReading]) -> list[JudgedPage]:
    """Read the rows that the last reading judged, in the order of its file, with the others' readings of them."""
    files = [
        {(text.split, text.id): text for text in read_predictions(reading.file, skip_bad=True, most=_MOST_ROWS)}
        for reading in readings
    ]
    pages = []
    for order, key in enumerate(files[-1] if files else ()):
        chosen = [(reading.name, own[key]) for reading, own in zip(readings, files, strict=True) if key in own]
        texts = tuple(text for _, text in chosen)
        rates = tuple(text.rate for text in texts)
        pages.append(JudgedPage(order, texts, tuple(name for name, _ in chosen), rates, readings[-1].file.parent))
    return pages


def worst_first(pages: Iterable[JudgedPage]) -> list[JudgedPage]:
    """Order pages by the last reading's CER."""
    return sorted(pages, key=lambda page: (-page.rate, page.order))


def broken_first(pages: Iterable[JudgedPage]) -> list[JudgedPage]:
    """Order pages by how much worse the last reading is than the one before it."""
    return sorted(pages, key=lambda page: (-(page.change or 0.0), page.order))


def around_median(pages: Iterable[JudgedPage]) -> list[JudgedPage]:
    """Order pages by their distance from the middle of the ranking."""
    order = worst_first(pages)
    middle = (len(order) - 1) / 2
    return [order[place] for place in sorted(range(len(order)), key=lambda place: (abs(place - middle), place))]


def report_pages(
    pages: Sequence[JudgedPage], pictures: PagePictures, output_dir: Path
) -> list[tuple[str, list[ShownPage]]]:
    """Return the worst pages for the report itself, and those in the middle, with pictures."""
    worst = worst_first(pages)[:_REPORT_WORST]
    median = [page for page in around_median(pages) if page not in worst][:_REPORT_MEDIAN]
    return [
        (title, [_with_picture(_shown(page, 600), pictures, output_dir, _REPORT_EDGE) for page in chosen])
        for title, chosen in (("Worst pages", worst), ("Median pages", median))
        if chosen
    ]


def pages_html(
    study: str, pages: Sequence[JudgedPage], pictures: PagePictures, output_dir: Path, *, by_change: bool
) -> str:
    """Return the file of pages. ``by_change``: the pages that the last reading broke come first, else the worst."""
    order = broken_first(pages) if by_change else worst_first(pages)
    shown: dict[int, ShownPage] = {}
    size = 0
    for page in order:
        item = _shown(page, _MOST_CHARACTERS)
        size += item.bytes
        if size > _MOST_MARKUP:
            break
        shown[page.order] = item
    _add_pictures(shown, pictures, output_dir, MOST_BYTES - min(size, _MOST_MARKUP) - 500_000)
    names = max((page.names for page in pages), key=len, default=())
    return render_page(
        "pages.html.j2",
        (),
        {
            "study": study,
            "names": names,
            "pages": list(shown.values()),
            "total": len(pages),
            "exact": sum(not page.rate for page in pages),
            "by_change": by_change,
            "large": sum(item.is_large for item in shown.values()),
            "small": sum(bool(item.picture) and not item.is_large for item in shown.values()),
        },
        script="pages.js",
    )


def _add_pictures(shown: dict[int, ShownPage], pictures: PagePictures, output_dir: Path, room: int) -> None:
    """Give the pages pictures while there is room for them: a tenth of it is for thumbnails."""
    pages = [item.page for item in shown.values()]
    orders = (worst_first(pages), [page for page in broken_first(pages) if page.change], around_median(pages))
    ranked = dict.fromkeys(page.order for page in chain.from_iterable(zip_longest(*orders)) if page is not None)
    first, rest = list(ranked)[:_MOST_LARGE], list(ranked)[_MOST_LARGE:]
    small_room = room // 10 if len(ranked) > 1 else 0
    room -= small_room
    for place, order in enumerate(first):
        item = _with_picture(shown[order], pictures, output_dir, READING_EDGE)
        if len(item.picture) > room:
            rest = [*first[place:], *rest]
            break
        room -= len(item.picture)
        shown[order] = replace(item, is_large=bool(item.picture))
    for place, order in enumerate(rest):
        edge = THUMB_EDGE if place < _MOST_SMALL else 0
        item = _with_picture(shown[order], pictures, output_dir, edge)
        small_room -= len(item.picture)
        shown[order] = item if small_room >= 0 else replace(item, picture="")


def _shown(page: JudgedPage, most: int) -> ShownPage:
    texts = [page.texts[-1].reference, *(text.prediction for text in page.texts)]
    reference, *readings = (text if len(text) <= most else f"{text[:most]}…" for text in texts)
    return ShownPage(page, align_readings(reference, readings), cut=any(len(text) > most for text in texts))


def _with_picture(item: ShownPage, pictures: PagePictures, output_dir: Path, edge: int) -> ShownPage:
    """Add the picture, of at most ``edge`` pixels a side (0: none), and the link to the original."""
    text = item.page.texts[-1]
    original = pictures.original(text, item.page.folder)
    picture = pictures.data_url(text, original, edge) if edge else ""
    return replace(item, picture=picture, original=link_to(original, output_dir) if original else "")
