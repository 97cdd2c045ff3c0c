"""Timeline: when each trial ran, by how it ended."""

from __future__ import annotations

from collections.abc import Sequence

from hpsearch.analysis.figures.look import Figure, Layout, Trace, axis, hover, rounded, time_unit
from hpsearch.analysis.summary import StudySummary
from hpsearch.analysis.tables import TrialRow


def timeline(summary: StudySummary) -> Figure:
    """When each trial ran, by how it ended."""
    title, key = "Timeline", "timeline"
    rows = [row for row in summary.rows if row.start and (row.end or row.ending.group == "open")]
    if not rows or summary.started is None:
        return Figure(key, title, sentence="No trial has a start time, so there is no timeline.")
    last = max((moment for row in rows for moment in (row.start, row.end) if moment), default=summary.started)
    unit, length = time_unit((last - summary.started).total_seconds())
    traces = [
        trace for group in ("complete", "pruned", "failed", "interrupted", "open")
        if (trace := _bars(summary, [row for row in rows if row.ending.group == group], group, length))["x"]
    ]  # fmt: skip
    layout: Layout = {
        "xaxis": axis(f"{unit} since the first trial started", rangemode="tozero"),
        "yaxis": axis("trial number", autorange="reversed", showgrid=False, tickformat="~d"),
        "barmode": "overlay",
    }
    return Figure(key, title, "", tuple(traces), layout, min(max(220, 90 + 14 * len(rows)), 560))


def _bars(summary: StudySummary, rows: Sequence[TrialRow], group: str, unit: float) -> Trace:
    origin, now = summary.started, summary.ended
    spans = [
        ((row.start - origin).total_seconds(), ((row.end or now or row.start) - row.start).total_seconds())
        for row in rows if row.start and origin
    ]  # fmt: skip
    words = {"complete": "completed", "open": "running", **{name: name for name in ("pruned", "failed", "interrupted")}}
    return {
        "type": "bar",
        "orientation": "h",
        "name": words[group],
        "base": [rounded(start / unit) for start, _ in spans],
        "x": [rounded(max(length, 0.0) / unit) for _, length in spans],
        "y": [row.number for row in rows],
        "hovertext": [hover(row, summary) for row in rows],
        "hoverinfo": "text",
        "width": 0.8 if len(summary.rows) < 200 else 1.0,
        "marker": {"color": f"@{group}", "line": {"width": 0}},
    }
