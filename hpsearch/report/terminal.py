"""A summary for the terminal: rich tables in which no text of the study is markup or an escape sequence."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from rich.console import Console, ConsoleOptions, RenderableType, RenderResult
from rich.table import Table
from rich.text import Text

from hpsearch.execution.units import duration_text
from hpsearch.report.hours import uses_text
from hpsearch.report.rows import ENDINGS
from hpsearch.report.summary import StudySummary, gain
from hpsearch.report.text import number_text, value_text, visible
from hpsearch.study.budget import hours_word

# As many as fit 80 columns; the page has the rest.
_COMPARED = ("study", "best", "held out", "default", "base", "finished", "time in trials")
_PARAMETERS = 4
_STYLES = {"good": "green", "bad": "bold red", "warning": "yellow", "note": "dim"}
_UNBOUND = 10_000  # columns, to measure what a table would take


def summary_tables(summary: StudySummary) -> tuple[RenderableType, ...]:
    """Say the verdicts; then make tables of base, default and best, and of the best trials; then counts and
    statistics."""
    parts = (_verdicts(summary), _scores(summary), _top(summary), _facts(summary))
    return tuple(part for part in parts if part is not None)


def comparison_tables(summaries: Sequence[StudySummary]) -> tuple[RenderableType, ...]:
    """Make a table of the studies side by side, and say which is best."""
    from hpsearch.report.compare import COLUMNS, cells, verdict

    places = [COLUMNS.index(name) for name in _COMPARED]
    rows = [[cells(summary)[place] for place in places] for summary in summaries]
    grid = table("Studies compared", _COMPARED, rows)
    return grid, Text(visible("\n".join(verdict(summaries)), keep="\n"))


def render(parts: Sequence[RenderableType], width: int = 100) -> list[str]:
    """Return ``parts`` as plain lines of at most ``width`` characters."""
    console = Console(width=width, color_system=None, force_terminal=False, highlight=False, legacy_windows=False)
    with console.capture() as capture:
        for part in parts:
            console.print(part)
    return [line.rstrip() for line in capture.get().splitlines()]


def table(title: str, columns: Sequence[str], rows: Sequence[Sequence[str]]) -> Table:
    """Make a table of plain text; numbers to the right."""
    grid = Table(title=Text(visible(title)), title_justify="left", header_style="bold")
    for name in columns:
        numeric = all(_is_numeric(row[columns.index(name)]) for row in rows)
        grid.add_column(Text(visible(name)), justify="right" if numeric else "left", overflow="fold")
    for row in rows:
        grid.add_row(*(Text(visible(cell)) for cell in row))
    return grid


def _verdicts(summary: StudySummary) -> Table | None:
    if not summary.verdicts:
        return None
    grid = Table.grid(padding=(0, 2, 0, 0))
    grid.add_column(no_wrap=True)
    grid.add_column(overflow="fold")
    for verdict in summary.verdicts:
        grid.add_row(Text(verdict.kind, style=_STYLES[verdict.kind]), Text(visible(verdict.text)))
    return grid


def _scores(summary: StudySummary) -> Table | Text:
    scores = [score for score in (summary.base, summary.default, summary.best) if score]
    metric = summary.objective.title
    title = f"{summary.name}: {metric} ({summary.objective.wish})"
    if not scores:
        return Text(visible(title), style="bold")
    first, rows, evidence = scores[0], [], summary.evidence
    held_out = all(score.holdout is not None for score in scores)
    for score in scores:
        before, after = (first.holdout, score.holdout) if held_out else (first.value, score.value)
        better = gain(summary.objective, before, after)
        percent = "—" if better is None or better[1] is None else f"{better[1]:+.0%}"
        trial = score.trial.label if score.trial else "—"
        judged = evidence.heldout.get(score.name) if evidence else None
        known = judged is not None and judged.low is not None and judged.high is not None
        ends = f"{judged.low:.3g} to {judged.high:.3g}" if judged and known else "—"
        values = (number_text(score.value), number_text(score.holdout), ends)
        rows.append([score.name, trial, *values, "" if score is first else percent])
    than = f"{'held out, ' if held_out else ''}better than {first.name}"
    return table(title, ["", "trial", f"searched {metric}", f"held-out {metric}", "95 %", than], rows)


def _top(summary: StudySummary) -> TopTrials | None:
    return TopTrials(summary) if summary.top else None


@dataclass(frozen=True)
class TopTrials:
    """The table of the best trials, with as many parameters as have room."""

    summary: StudySummary

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Draw it."""
        tables = (self._table(count) for count in range(_PARAMETERS, 0, -1))
        unbound = options.update(width=_UNBOUND)
        fitting = (grid for grid in tables if console.measure(grid, options=unbound).maximum <= options.max_width)
        yield next(fitting, self._table(0))

    def _table(self, parameters: int) -> Table:
        summary = self.summary
        names = [parameter.name for parameter in summary.parameters if parameter.varies][:parameters]
        intervals = summary.intervals
        rows = [
            [
                str(place),
                f"{row.label}, {row.first}" if row.first else row.label,
                number_text(row.value),
                *([intervals.get(row.number, "—")] if intervals else []),
                number_text(row.holdout_value),
                *(value_text(row.params.get(name, "—")) for name in names),
                duration_text(row.duration_s),
            ]
            for place, row in enumerate(summary.top, 1)
        ]
        ends = ["95 %"] if intervals else []
        head = ["", "trial", summary.objective.title, *ends, "held out", *names, "time"]
        return table(f"Best {len(rows)} of {len(summary.completed)} completed trials", head, rows)


def _facts(summary: StudySummary) -> Text:
    counts = ", ".join(f"{count} {ENDINGS[cause].word}" for cause, count in summary.counts.items()) or "no trials yet"
    lines = [f"Trials: {counts}. Time in trials: {duration_text(summary.time_total_s)}."]
    if summary.gpu_hours is not None and summary.on_gpu:
        lines[0] += f" GPU-hours: {summary.gpu_hours:.3g}."
    if summary.hours_by_use:
        unit = hours_word(summary.on_gpu)
        lines.append(f"{unit[0].upper()}{unit[1:]} by use: {uses_text(summary.hours_by_use)}.")
    lines += [f"{text}." for text in summary.failing]
    if summary.time_saved_s is not None:
        lines.append(f"Pruning saved about {duration_text(summary.time_saved_s)}.")
    if summary.statistics:
        numbers = summary.statistics
        lines.append(
            f"{summary.objective.title}: median {number_text(numbers.median)}, middle half "
            f"{number_text(numbers.lower_quartile)} to {number_text(numbers.upper_quartile)}."
        )
    return Text(visible("\n".join(lines), keep="\n"))


def _is_numeric(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return cell in ("", "—")
    return True
