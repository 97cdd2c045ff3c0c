"""Optimization history of one study, and the best so far of several studies."""

from __future__ import annotations

import math
from collections.abc import Sequence

from hpsearch.report.figures.style import (
    SERIES,
    Figure,
    Layout,
    Trace,
    axis,
    counting_axis,
    fade,
    hover,
    rounded,
    time_unit,
    value_axis,
)
from hpsearch.report.rows import TrialRow
from hpsearch.report.summary import StudySummary
from hpsearch.report.text import number_text, plot_label

_WITHOUT = ("pruned", "failed", "interrupted")  # endings without a final value
_MOST_MARKS, _BARS = 500, 100  # above 500 marks below the axis, their shares are drawn in about 100 bars
_DASHES = ("solid", "dash", "dot", "dashdot")  # once the colours are used up

Point = tuple[int, float, float]  # ended trials, seconds spent, best so far


def history(summary: StudySummary) -> Figure:
    """Draw final values by trial, the best so far, and base and default as lines."""
    title, key = "Optimization history", "history"
    rows = summary.completed
    if not rows:
        return Figure(key, title, sentence="No trial has completed with a finite value yet, so there is no history.")
    levels = [score for score in (summary.base, summary.default) if score and score.value is not None]
    values = [row.value for row in rows if row.value is not None]
    vertical, note = value_axis(
        summary.objective, values + [level.value for level in levels if level.value is not None]
    )
    crowded = sum(row.ending.group in _WITHOUT for row in summary.rows) > _MOST_MARKS
    rug = _shares(summary) if crowded else _marks(summary)
    traces = [_values_trace(summary, rows), _best_so_far(summary, rows), _best_star(summary), *rug]
    last = max(row.number for row in summary.rows)
    margin = max(0.5, 0.015 * last)
    layout: Layout = {
        "xaxis": counting_axis("trial number", len(summary.rows), range=[-margin, last + margin]),
        "yaxis": vertical,
        "shapes": [_level_line(level.name, level.value) for level in levels],
        "annotations": [
            _level_label(level.name, level.value, right=level.name == "base", log=vertical.get("type") == "log")
            for level in levels
        ],
    }
    if rug:
        layout["xaxis"]["anchor"], layout["yaxis"]["domain"], layout["barmode"] = "y2", [0.1, 1], "overlay"
        ends = [0, 1] if crowded else [-1, 1]
        layout["yaxis2"] = axis("", domain=[0, 0.06], visible=False, fixedrange=True, range=ends)
    caption = "Each point is a completed trial's final value. "
    if crowded:
        caption += f"Below the axis: of each {_in_a_bar(summary)} trials, the share that was pruned or failed. "
    elif any(row.ending.group in _WITHOUT for row in summary.rows):
        caption += "Marks below the axis are trials that ended without one. "
    caption += note
    return Figure(key, title, caption.strip(), tuple(traces), layout, 420)


def _values_trace(summary: StudySummary, rows: Sequence[TrialRow]) -> Trace:
    return {
        "type": "scatter",
        "mode": "markers",
        "name": "completed",
        "x": [row.number for row in rows],
        "y": [rounded(row.value or 0.0) for row in rows],
        "hovertext": [hover(row, summary) for row in rows],
        "hoverinfo": "text",
        "marker": {"color": "@complete", "size": 8 if len(rows) <= 200 else 5, "opacity": fade(len(rows))},
    }


def _best_so_far(summary: StudySummary, rows: Sequence[TrialRow]) -> Trace:
    points: list[tuple[int, float]] = []
    for row in rows:
        if row.value is not None and (
            not points or summary.objective.rank(row.value) < summary.objective.rank(points[-1][1])
        ):
            points.append((row.number, row.value))
    points.append((summary.rows[-1].number, points[-1][1]))
    return {
        "type": "scatter",
        "mode": "lines",
        "name": "best so far",
        "x": [number for number, _ in points],
        "y": [rounded(value) for _, value in points],
        "line": {"shape": "hv", "color": "@best", "width": 2},
        "hoverinfo": "skip",
    }


def _best_star(summary: StudySummary) -> Trace:
    best = summary.best.trial if summary.best else None
    return {
        "type": "scatter",
        "mode": "markers",
        "name": "best",
        "x": [best.number] if best else [],
        "y": [rounded(best.value or 0.0)] if best else [],
        "hovertext": [hover(best, summary)] if best else [],
        "hoverinfo": "text",
        "marker": {"color": "@best", "size": 15, "symbol": "star", "line": {"color": "@panel", "width": 1.5}},
    }


def _shares(summary: StudySummary) -> list[Trace]:
    """Draw bars of the shares of consecutive trials that were pruned, failed and were interrupted."""
    count = _in_a_bar(summary)
    parts = [summary.rows[first : first + count] for first in range(0, len(summary.rows), count)]
    traces: list[Trace] = []
    below = [0.0] * len(parts)
    for name in _WITHOUT:
        shares = [sum(row.ending.group == name for row in part) / len(part) for part in parts]
        traces.append(
            {
                "type": "bar",
                "name": name,
                "x": [(part[0].number + part[-1].number) / 2 for part in parts],
                "y": [rounded(share) for share in shares],
                "base": below,
                "width": count,
                "yaxis": "y2",
                "hovertext": [
                    f"trials {part[0].number} to {part[-1].number}: {share:.0%} {name}"
                    for part, share in zip(parts, shares, strict=True)
                ],
                "hoverinfo": "text",
                "marker": {"color": f"@{name}", "line": {"width": 0}},
            }
        )
        below = [rounded(base + share) for base, share in zip(below, shares, strict=True)]
    return [trace for trace in traces if any(trace["y"])]


def _in_a_bar(summary: StudySummary) -> int:
    return -(-len(summary.rows) // _BARS)


def _marks(summary: StudySummary) -> list[Trace]:
    symbols = ("line-ns-open", "x-thin-open", "circle-open")
    traces: list[Trace] = []
    for name, symbol in zip(_WITHOUT, symbols, strict=True):
        rows = [row for row in summary.rows if row.ending.group == name]
        marker = {"symbol": symbol, "size": 8, "color": f"@{name}", "line": {"width": 1.5, "color": f"@{name}"}}
        if rows:
            traces.append(
                {
                    "opacity": fade(len(rows)),
                    "type": "scatter",
                    "mode": "markers",
                    "name": name,
                    "x": [row.number for row in rows],
                    "y": [0] * len(rows),
                    "yaxis": "y2",
                    "hovertext": [hover(row, summary) for row in rows],
                    "hoverinfo": "text",
                    "marker": marker,
                }
            )
    return traces


def _level_line(name: str, value: float | None) -> Layout:
    line = {"color": f"@{name}", "width": 1.5, "dash": "dash" if name == "base" else "dot"}
    return {"type": "line", "xref": "paper", "x0": 0, "x1": 1, "yref": "y", "y0": value, "y1": value, "line": line}


def _level_label(name: str, value: float | None, *, right: bool, log: bool) -> Layout:
    height = math.log10(value) if log and value else value
    return {
        "xref": "paper",
        "x": 1 if right else 0,
        "xanchor": "right" if right else "left",
        "yref": "y",
        "y": height,
        "yanchor": "bottom",
        "text": f"{name} {number_text(value)}",
        "showarrow": False,
        "font": {"size": 12, "color": f"@{name}"},
    }


def best_so_far(summaries: Sequence[StudySummary], key: str = "race") -> Figure:
    """Draw the best so far of studies with the same objective, over the trials that ended and over the time spent."""
    curves = {place: points for place, summary in enumerate(summaries) if (points := best_points(summary))}
    if not curves:
        return Figure(
            key,
            f"{summaries[0].objective.title}: best so far",
            sentence="No trial of these studies has completed, so there is nothing to compare.",
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
    narrow: Layout = {}
    if timed:  # one below the other
        narrow = {
            "xaxis": layout["xaxis"] | {"domain": [0, 1], "anchor": "y"},
            "yaxis": vertical | {"domain": [0.6, 1]},
            "xaxis2": layout["xaxis2"] | {"domain": [0, 1]},
            "yaxis2": vertical | {"matches": "y", "anchor": "x2", "domain": [0, 0.4]},
            "height": 640,
        }
    caption = "The best final value so far. Time is the sum of all trials' durations, also of failed ones."
    return Figure(key, f"{objective.title}: best so far", caption, tuple(traces), layout, 420, narrow=narrow)


def best_points(summary: StudySummary) -> list[Point]:
    """Return the points at which the best value changed, in the order in which trials ended, and the end; empty if no
    trial completed."""
    points: list[Point] = []
    spent, rank = 0.0, summary.objective.rank
    ended = [row for row in summary.rows if row.ending.group != "open"]
    ended.sort(key=lambda row: (row.end.isoformat() if row.end else "", row.number))
    for count, row in enumerate(ended, 1):
        spent += row.duration_s or 0.0
        if row.value is not None and (not points or rank(row.value) < rank(points[-1][2])):
            points.append((count, spent, row.value))
    return [*points, (len(ended), spent, points[-1][2])] if points else []


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
