"""Slice: the final value over each parameter by itself."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from hpsearch.report.figures.importance import order_of
from hpsearch.report.figures.style import Figure, Layout, Trace, axis, fade, rounded, value_axis
from hpsearch.report.rows import Parameter, TrialRow, best_and_evenly, ranked
from hpsearch.report.summary import StudySummary
from hpsearch.report.text import plot_label
from hpsearch.report.wording import value_text

_COLUMNS, _SHOWN = 3, 12
_BEST, _OTHERS = 200, 300  # points of a panel; of some thousands one sees a blot
_GAP_X, _ROW_HEIGHT = 0.045, 270


def slices(summary: StudySummary, shares: Mapping[str, float] | str) -> Figure:
    """A panel for each parameter that varies, all with the same vertical axis."""
    title, key = "Slices", "slice"
    names, left_out = order_of(summary, shares, _SHOWN)
    if len(summary.completed) < 2 or not names:
        return Figure(key, title, sentence="Slices need two completed trials that differ in a parameter.")
    vertical, note = value_axis(summary.objective, [row.value for row in summary.completed if row.value is not None])
    columns = 2 if len(names) in (2, 4) else min(len(names), _COLUMNS)
    lines = -(-len(names) // columns)
    parameters = {item.name: item for item in summary.parameters}
    layout: Layout = {}
    traces: list[Trace] = []
    for index, name in enumerate(names):
        traces += _panel_traces(summary, parameters[name], index)
        layout |= _panel_axes(parameters[name], index, columns, lines, vertical)
    drawn = _drawn(summary.completed, summary)
    part = f"Drawn are the best {_BEST} of {len(summary.completed)}, and {_OTHERS} of the others, from good to bad."
    thinned = part if len(drawn) < len(summary.completed) else ""
    caption = " ".join(filter(None, ("Completed trials only.", thinned, left_out, note)))
    return Figure(key, title, caption, tuple(traces), layout, 70 + _ROW_HEIGHT * lines, wide=True)


def _panel_traces(summary: StudySummary, parameter: Parameter, index: int) -> list[Trace]:
    rows = _drawn([row for row in summary.completed if parameter.name in row.params], summary)
    best = summary.best.trial if summary.best else None
    default = summary.default.trial if summary.default else None
    groups = [
        ("completed", "@complete", "circle", 7 if len(rows) <= 200 else 4, fade(len(rows)), rows),
        ("default", "@default", "diamond", 11, 1.0, [row for row in rows if row is default and row is not best]),
        ("best", "@best", "star", 14, 1.0, [row for row in rows if row is best]),
    ]
    return [
        _points(parameter, index, chosen, name, {"color": colour, "symbol": symbol, "size": size, "opacity": opacity})
        for name, colour, symbol, size, opacity, chosen in groups
        if chosen
    ]


def _drawn(rows: Sequence[TrialRow], summary: StudySummary) -> list[TrialRow]:
    """The rows of a panel, by number; of many the best and some of the others."""
    default = summary.default.trial if summary.default else None
    chosen = best_and_evenly(ranked(rows, summary.objective), _BEST, _OTHERS)
    numbers = {row.number for row in (*chosen, *([default] if default else []))}
    return [row for row in rows if row.number in numbers]


def _points(parameter: Parameter, index: int, rows: Sequence[TrialRow], name: str, marker: Layout) -> Trace:
    return {
        "type": "scatter",
        "mode": "markers",
        "name": name,
        "legendgroup": name,
        "showlegend": index == 0,
        "x": [_position(parameter, row) for row in rows],
        "y": [rounded(row.value or 0.0) for row in rows],
        "xaxis": f"x{_suffix(index)}",
        "yaxis": f"y{_suffix(index)}",
        "text": [f"trial {row.label}, {plot_label(value_text(row.params[parameter.name]))}" for row in rows],
        "hoverinfo": "text+y",
        "marker": marker | {"line": {"width": 0}},
    }


def _panel_axes(parameter: Parameter, index: int, columns: int, lines: int, vertical: Layout) -> Layout:
    column, line = index % columns, index // columns
    width = (1 - _GAP_X * (columns - 1)) / columns
    height, gap = _panel_height(lines)
    left, top = column * (width + _GAP_X), 1 - line * (height + gap)
    horizontal = axis(
        plot_label(parameter.name, 40), domain=[left, left + width], anchor=f"y{_suffix(index)}", nticks=5
    )
    if parameter.scale == "log":
        horizontal |= {"type": "log", "dtick": 1}
    if parameter.scale == "choice":
        shown = [plot_label(value_text(choice), 14) for choice in parameter.choices]
        horizontal |= {"tickvals": list(range(len(shown))), "ticktext": shown, "range": [-0.5, len(shown) - 0.5]}
    own = vertical | {"domain": [max(top - height, 0.0), top], "anchor": f"x{_suffix(index)}"}
    if index:
        own |= {"matches": "y"}
    if column:
        own |= {"showticklabels": False, "title": {"text": ""}}
    return {f"xaxis{_suffix(index)}": horizontal, f"yaxis{_suffix(index)}": own}


def _panel_height(lines: int) -> tuple[float, float]:
    """Height of a panel and of the gap below it, as fractions of the figure."""
    gap = 0.0 if lines == 1 else 70 / (_ROW_HEIGHT * lines)
    return (1 - gap * (lines - 1)) / lines, gap


def _position(parameter: Parameter, row: TrialRow) -> float:
    value = row.params[parameter.name]
    if parameter.scale != "choice":
        return rounded(float(value))
    return float(next(place for place, choice in enumerate(parameter.choices) if same_choice(choice, value)))


def same_choice(choice: object, value: object) -> bool:
    """Whether ``value`` is that choice: 1, 1.0 and True are three."""
    return type(choice) is type(value) and str(choice) == str(value)


def _suffix(index: int) -> str:
    return "" if index == 0 else str(index + 1)
