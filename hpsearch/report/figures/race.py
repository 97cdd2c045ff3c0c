"""Best so far of several studies: over the trials that ended, and over the time spent in them."""

from __future__ import annotations

from collections.abc import Sequence

from hpsearch.report.figures.style import SERIES, Figure, Layout, Trace, axis, rounded, time_unit, value_axis
from hpsearch.report.rows import TrialRow
from hpsearch.report.summary import StudySummary
from hpsearch.report.text import plot_label

_DASHES = ("solid", "dash", "dot", "dashdot")  # once the colours are used up
Point = tuple[int, float, float]  # ended trials, seconds spent, best so far


def race(summaries: Sequence[StudySummary], key: str = "race") -> Figure:
    """Two panels for studies that have one objective in common; the sooner a line is good, the better the search."""
    curves = {place: points for place, summary in enumerate(summaries) if (points := best_so_far(summary))}
    if not curves:
        return Figure(
            key,
            f"{summaries[0].objective.title}: best so far",
            sentence="No trial of these studies has completed, so there is no race.",
        )
    objective = summaries[0].objective
    vertical, _ = value_axis(objective, [value for points in curves.values() for _, _, value in points])
    unit, length = time_unit(max(points[-1][1] for points in curves.values()))
    timed = any(points[-1][1] > 0 for points in curves.values())
    traces: list[Trace] = []
    for place, points in curves.items():
        traces += _curves(summaries[place].name, place, points, length, timed)
    layout: Layout = {
        "xaxis": axis("trials that ended", rangemode="tozero", domain=[0, 0.48] if timed else [0, 1]),
        "yaxis": vertical,
        "showlegend": True,
    }
    if timed:
        layout |= {
            "xaxis2": axis(f"{unit} spent in trials", rangemode="tozero", domain=[0.52, 1], anchor="y2"),
            "yaxis2": vertical | {"matches": "y", "anchor": "x2", "showticklabels": False, "title": {"text": ""}},
        }
    caption = "The best final value found so far. Time is the sum of all trials' durations, also of failed ones."
    return Figure(key, f"{objective.title}: best so far", caption, tuple(traces), layout, 420, wide=True)


def best_so_far(summary: StudySummary) -> list[Point]:
    """Where the best value changed, in the order in which trials ended, and the end; empty where none completed."""
    points: list[Point] = []
    spent, ended = 0.0, 0
    for row in sorted((row for row in summary.rows if row.ending.group != "open"), key=_order):
        spent += row.duration_s or 0.0
        ended += 1
        if row.value is not None and _improves(summary, row.value, points):
            points.append((ended, spent, row.value))
    return [*points, (ended, spent, points[-1][2])] if points else []


def _improves(summary: StudySummary, value: float, points: Sequence[Point]) -> bool:
    return not points or summary.objective.rank(value) < summary.objective.rank(points[-1][2])


def _order(row: TrialRow) -> tuple[str, int]:
    return (row.end.isoformat() if row.end else "", row.number)


def _curves(name: str, place: int, points: Sequence[Point], unit: float, timed: bool) -> list[Trace]:
    shared: Trace = {
        "type": "scatter",
        "mode": "lines",
        "name": plot_label(name, 40),
        "legendgroup": str(place),
        "y": [rounded(value) for _, _, value in points],
        "hoverinfo": "name+x+y",
        "line": {
            "shape": "hv",
            "width": 2.2,
            "color": f"@series{place % SERIES}",
            "dash": _DASHES[place // SERIES % len(_DASHES)],
        },
    }
    over_trials = shared | {"x": [ended for ended, _, _ in points]}
    over_time = shared | {"x": [rounded(spent / unit) for _, spent, _ in points], "showlegend": False}
    return [over_trials, over_time | {"xaxis": "x2", "yaxis": "y2"}] if timed else [over_trials]
