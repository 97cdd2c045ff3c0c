"""What data is like, as a page to look at: `hpsearch data stats`."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from itertools import groupby
from pathlib import Path

from hpsearch.commands.merge_data import READING, data_settings
from hpsearch.config.layers import known_settings
from hpsearch.data.stats import FINDINGS, SUMMARY, DataStatistics
from hpsearch.errors import UsageError
from hpsearch.execution.files import write_json, write_text
from hpsearch.execution.run_job import run_errand
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
MOST_SPLITS = 6  # that are told apart in a figure


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
    allowed = READING | SHOWING if model else READING
    more = known_settings(sets, allowed) | ({"model_name": model} if model else {})
    settings = data_settings(data, more, allowed)
    _refuse_data_folder(target, Path(str(settings["input_data"])))
    with _writing(target):
        target.mkdir(parents=True, exist_ok=True)
        tried = target / f".{FINDINGS}"
        tried.touch()
        tried.unlink()
    try:
        text = run_errand("stats", settings, SUMMARY, view, trainer_python)
    finally:
        with suppress(OSError):  # it holds something
            target.rmdir()
    target.mkdir(exist_ok=True)
    found = DataStatistics.from_json(text)
    with _writing(target):
        write_text(target / FINDINGS, "".join(json.dumps(each, ensure_ascii=False) + "\n" for each in found.findings))
        write_json(target / SUMMARY, found.figures())
        write_text(target / PAGE, page_of(found))
    return found


def _refuse_data_folder(target: Path, data: Path) -> None:
    """What is written there would be taken for rows the next time."""
    if target.resolve() in (data.resolve(), data.resolve().parent if data.is_file() else None):
        raise UsageError(
            f"--output-dir must be another folder than the data's, but {target} holds the rows", "name another folder"
        )


@contextmanager
def _writing(target: Path) -> Iterator[None]:
    """Say in our words why a folder cannot be written."""
    try:
        yield
    except OSError as error:
        raise UsageError(
            f"--output-dir must be a folder that can be written, but {target} is none: {error.strerror}",
            "choose another --output-dir, or free some space",
        ) from error


def page_of(found: DataStatistics) -> str:
    """One HTML file that works offline."""
    examples = {why: list(some) for why, some in groupby(found.examples, key=lambda each: each.why)}
    pairs = {why: some for why, some in examples.items() if why in found.duplicates}
    values = {"found": found, "examples": {why: examples[why] for why in examples if why not in pairs}, "pairs": pairs}
    return render_page("stats.html.j2", (_lengths(found), _sizes(found)), {**values, "crowded": CROWDED})


def _lengths(found: DataStatistics) -> Figure:
    """How many texts are how long, a colour for each split."""
    labels = [f"{least} to {most}" if least < most else str(most) for least, most in _ranges(found)]
    groups: dict[str, tuple[str, ...]] = {split: (split,) for split in found.parts}
    if len(groups) > MOST_SPLITS:
        groups = {"all splits": tuple(groups)}
    traces = tuple(
        {
            "type": "bar",
            "name": plot_label(name),
            "x": labels,
            "y": [sum(counts.get(split, 0) for split in splits) for _, counts in found.lengths],
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


def _ranges(found: DataStatistics) -> list[tuple[int, int]]:
    ends = [most for most, _ in found.lengths]
    return [(last + 1, most) for last, most in zip([0, *ends], ends, strict=False)]


def _sizes(found: DataStatistics) -> Figure:
    """Pictures by width and height."""
    counts: dict[tuple[int, int], int] = defaultdict(int)
    for size in found.sizes:
        counts[size] += 1
    trace: Trace = {
        "type": "scatter",
        "mode": "markers",
        "name": "pictures",
        "x": [width for width, _ in counts],
        "y": [height for _, height in counts],
        "text": [f"{count} of {width} x {height}" for (width, height), count in counts.items()],
        "hoverinfo": "text",
        "marker": {"color": "@series0", "size": _dots(list(counts.values())), "opacity": fade(len(counts))},
    }
    total = sum(part.rows for part in found.parts.values())
    caption = f"{len(found.sizes)} of {total} pictures. " if total > len(found.sizes) else ""
    layout = {
        "xaxis": axis("width in pixels", rangemode="tozero"),
        "yaxis": axis("height in pixels", rangemode="tozero"),
        "showlegend": False,
    }
    return Figure("sizes", "Sizes of pictures", f"{caption}A larger dot is more pictures.", (trace,), layout, 360)


def _dots(counts: Sequence[int]) -> list[float]:
    """Diameters in pixels whose areas grow with the counts."""
    return [round(6 + 18 * (count / max(counts)) ** 0.5, 1) if max(counts) > 1 else 7 for count in counts]
