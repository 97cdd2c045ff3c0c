"""`hpsearch data stats`: what rows are like, as files and as a page to look at."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from itertools import groupby
from pathlib import Path

from hpsearch.commands.merge_data import READING, data_settings
from hpsearch.data.stats import FINDINGS, SUMMARY, DataStatistics
from hpsearch.errors import UsageError
from hpsearch.execution.files import write_json, write_text
from hpsearch.execution.run_job import run_standalone
from hpsearch.execution.survey_result import CROWDED
from hpsearch.report.figures.style import SERIES, Figure, Trace, axis, fade
from hpsearch.report.html import render_page
from hpsearch.report.text import plot_label
from hpsearch.study.events import View, silent

PAGE = "stats.html"
# Settings of a model that decide how many tokens its rows have.
SHOWING = frozenset(
    {"model_revision", "family", "profile", "instruction", "longest_edge", "max_pixels", "pan_and_scan"}
)
MOST_SPLITS = 6  # that a figure tells apart


def inspect_data(
    data: str,
    model: str | None,
    sets: Sequence[str],
    target: Path,
    view: View = silent,
    trainer_python: str | None = None,
) -> DataStatistics:
    """Look at data, with a model at its tokens too, and write stats.json, stats.html and findings.jsonl into a folder,
    in the place of earlier ones. ``sets`` are texts of --set.

    Raises:
        Interrupted: a stop signal came.
        UsageError: the data or the model cannot be read, no row can be used, or the folder cannot be written.
        JobFailed: it failed for another reason.
    """
    settings = data_settings(data, sets, model, READING | SHOWING if model else READING)
    rows = Path(str(settings["input_data"]))
    if target.resolve() in (rows.resolve(), rows.resolve().parent if rows.is_file() else None):
        # The files that are written would be read as rows the next time.
        raise UsageError(
            f"--output-dir must be another folder than the data's, but {target} holds the rows", "name another folder"
        )
    with _writing(target):
        target.mkdir(parents=True, exist_ok=True)
        trial = target / f".{FINDINGS}"
        trial.touch()
        trial.unlink()
    try:
        text = run_standalone("stats", settings, SUMMARY, view, trainer_python)
    finally:
        with suppress(OSError):  # it holds something
            target.rmdir()
    statistics = DataStatistics.from_json(text)
    with _writing(target):
        target.mkdir(exist_ok=True)
        lines = (json.dumps(finding, ensure_ascii=False) + "\n" for finding in statistics.findings)
        write_text(target / FINDINGS, "".join(lines))
        write_json(target / SUMMARY, statistics.figures())
        write_text(target / PAGE, page_of(statistics))
    return statistics


@contextmanager
def _writing(target: Path) -> Iterator[None]:
    """Refuse a folder that cannot be written."""
    try:
        yield
    except OSError as error:
        raise UsageError(
            f"--output-dir must be a folder that can be written, but {target} is none: {error.strerror}",
            "choose another --output-dir, or free some space",
        ) from error


def page_of(statistics: DataStatistics) -> str:
    """Render one HTML file that works offline."""
    examples = {why: list(rows) for why, rows in groupby(statistics.examples, key=lambda example: example.why)}
    pairs = {why: rows for why, rows in examples.items() if why in statistics.duplicates}
    values = {
        "found": statistics,
        "examples": {why: rows for why, rows in examples.items() if why not in pairs},
        "pairs": pairs,
        "crowded": CROWDED,
    }
    return render_page("stats.html.j2", (_lengths(statistics), _sizes(statistics)), values)


def _lengths(statistics: DataStatistics) -> Figure:
    """Draw how many texts are how long, a colour for each split."""
    ends = [most for most, _ in statistics.lengths]
    ranges = [(last + 1, most) for last, most in zip([0, *ends], ends, strict=False)]
    labels = [f"{least} to {most}" if least < most else str(most) for least, most in ranges]
    groups: dict[str, tuple[str, ...]] = {split: (split,) for split in statistics.parts}
    if len(groups) > MOST_SPLITS:
        groups = {"all splits": tuple(groups)}
    traces = tuple(
        {
            "type": "bar",
            "name": plot_label(name),
            "x": labels,
            "y": [sum(counts.get(split, 0) for split in splits) for _, counts in statistics.lengths],
            "marker": {"color": f"@series{number % SERIES}"},
            "hovertemplate": "%{y} texts of %{x} characters<extra></extra>",
        }
        for number, (name, splits) in enumerate(groups.items())
    )
    layout = {
        "barmode": "stack",
        "xaxis": axis("characters of the text", type="category"),
        "yaxis": axis("rows"),
        "showlegend": len(traces) > 1,
    }
    return Figure("lengths", "Lengths of texts", "", traces, layout, 320)


def _sizes(statistics: DataStatistics) -> Figure:
    """Draw pictures by width and height, in dots whose areas grow with the counts."""
    counts = Counter(statistics.sizes)
    largest = max(counts.values(), default=1)
    diameters = [round(6 + 18 * (count / largest) ** 0.5, 1) if largest > 1 else 7 for count in counts.values()]
    trace: Trace = {
        "type": "scatter",
        "mode": "markers",
        "name": "pictures",
        "x": [width for width, _ in counts],
        "y": [height for _, height in counts],
        "text": [f"{count} of {width} x {height}" for (width, height), count in counts.items()],
        "hoverinfo": "text",
        "marker": {"color": "@series0", "size": diameters, "opacity": fade(len(counts))},
    }
    total = sum(part.rows for part in statistics.parts.values())
    caption = f"{len(statistics.sizes)} of {total} pictures. " if total > len(statistics.sizes) else ""
    layout = {
        "xaxis": axis("width in pixels", rangemode="tozero"),
        "yaxis": axis("height in pixels", rangemode="tozero"),
        "showlegend": False,
    }
    return Figure("sizes", "Sizes of pictures", f"{caption}A larger dot is more pictures.", (trace,), layout, 360)
