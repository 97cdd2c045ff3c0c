"""Timeline: the times at which each trial ran, coloured by its ending."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from datetime import datetime

from hpsearch.report.figures.style import Figure, Layout, Trace, axis, counting_axis, hover, rounded, time_unit
from hpsearch.report.rows import TrialRow
from hpsearch.report.summary import StudySummary

_GROUPS = {
    "complete": "completed",
    "pruned": "pruned",
    "failed": "failed",
    "interrupted": "interrupted",
    "open": "running",
}
_LEAST, _LEAST_SHARED = 5, 2  # lines at least, so that a few bars are not thick
_MOST_LINES = 120  # above this, trials that do not overlap share a line
_MOST_BARS, _SPANS = 500, 100  # above 500 trials, the number that ran at once is drawn, over 100 spans


def timeline(summary: StudySummary) -> Figure:
    """Draw a bar for each trial, on its own line or on shared lines; for thousands, the number that ran at once."""
    title, key = "Timeline", "timeline"
    rows = [row for row in summary.rows if row.start and (row.end or row.ending.group == "open")]
    if not rows or summary.started is None:
        return Figure(key, title, sentence="No trial has a start time, so there is no timeline.")
    if len(rows) > _MOST_BARS and any(_end(row, summary) > row.start for row in rows if row.start):
        return _crowd(summary, rows)
    shared = len(rows) > _MOST_LINES
    lines = _lanes(rows) if shared else {row.number: row.number for row in rows}
    unit, length = time_unit((max(_end(row, summary) for row in rows) - summary.started).total_seconds())
    traces = [
        _bars(summary, [row for row in rows if row.ending.group == group], group, lines, length) for group in _GROUPS
    ]
    first = min(lines.values())
    last = max(max(lines.values()), first + (_LEAST_SHARED if shared else _LEAST) - 1)
    upright = counting_axis("trials at once" if shared else "trial number", last - first)
    ticks = {"tickvals": sorted(set(lines.values()))} if last - first <= _LEAST else {}
    layout: Layout = {
        "xaxis": axis(f"{unit} since the first trial started", rangemode="tozero"),
        "yaxis": upright | ticks | {"showgrid": False, "range": [last + 0.5, first - 0.5]},
        "barmode": "overlay",
    }
    if not any(extent for trace in traces for extent in trace["x"]):
        return Figure(key, title, sentence="The trials' start and end times are the same, so there is no timeline.")
    caption = "Trials that did not overlap share a line." if shared else ""
    height = 110 + (44 if shared else 14) * (last - first + 1)
    return Figure(key, title, caption, tuple(trace for trace in traces if trace["x"]), layout, min(height, 620))


def _crowd(summary: StudySummary, rows: Sequence[TrialRow]) -> Figure:
    """Draw the number of trials that ran at once, on average over each span of time, by their endings."""
    origin = min(row.start for row in rows if row.start)
    whole = (max(_end(row, summary) for row in rows) - origin).total_seconds()
    unit, length = time_unit(whole)
    span = whole / _SPANS
    traces: list[Trace] = []
    for group, name in _GROUPS.items():
        ran = [0.0] * _SPANS
        for row in rows:
            if row.ending.group == group and row.start:
                _spread(
                    (row.start - origin).total_seconds() / span,
                    (_end(row, summary) - origin).total_seconds() / span,
                    ran,
                )
        traces.append(
            {
                "type": "bar",
                "name": name,
                "x": [rounded((place + 0.5) * span / length) for place in range(_SPANS)],
                "y": [rounded(share) for share in ran],
                "width": rounded(span / length),
                "hovertext": [f"{share:.2g} {name} at once" for share in ran],
                "hoverinfo": "text",
                "marker": {"color": f"@{group}", "line": {"width": 0}},
            }
        )
    layout: Layout = {
        "xaxis": axis(f"{unit} since the first trial started", rangemode="tozero"),
        "yaxis": axis("trials at once", rangemode="tozero"),
        "barmode": "stack",
        "bargap": 0,
    }
    caption = (
        f"How many of {len(rows)} trials ran at once, on average over each hundredth of the time, by their endings."
    )
    drawn = tuple(trace for trace in traces if any(trace["y"]))
    return Figure("timeline", "Timeline", caption, drawn, layout, 260)


def _spread(start: float, end: float, ran: list[float]) -> None:
    """Add to each span of time its share between ``start`` and ``end``, which are counted in spans."""
    for place in range(int(start), min(len(ran), math.ceil(end))):
        ran[place] += max(min(end, place + 1.0) - max(start, float(place)), 0.0)


def _end(row: TrialRow, summary: StudySummary) -> datetime:
    """Return the time a trial ended; for a running one, the study's last known event."""
    end = row.end or summary.ended or row.start
    return max(moment for moment in (end, row.start) if moment)


def _lanes(rows: Sequence[TrialRow]) -> dict[int, int]:
    """Assign each trial the lowest line, from 1, that is free when it starts."""
    ends: list[datetime] = []
    lanes: dict[int, int] = {}
    for row in sorted(rows, key=lambda row: (row.start or datetime.min, row.number)):
        start = row.start or datetime.min
        lane = next((place for place, end in enumerate(ends) if end <= start), len(ends))
        ends[lane : lane + 1] = [row.end or datetime.max]
        lanes[row.number] = lane + 1
    return lanes


def _bars(summary: StudySummary, rows: Sequence[TrialRow], group: str, lines: Mapping[int, int], unit: float) -> Trace:
    spans = [(row.start, _end(row, summary)) for row in rows if row.start]
    origin = summary.started or datetime.min
    return {
        "type": "bar",
        "orientation": "h",
        "name": _GROUPS[group],
        "base": [rounded((start - origin).total_seconds() / unit) for start, _ in spans],
        "x": [rounded((end - start).total_seconds() / unit) for start, end in spans],
        "y": [lines[row.number] for row in rows],
        "width": 0.75,
        "hovertext": [hover(row, summary) for row in rows],
        "hoverinfo": "text",
        "marker": {"color": f"@{group}", "line": {"width": 0}},
    }
