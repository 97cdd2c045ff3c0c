"""Values over parameters: slices, one parameter at a time, and parallel coordinates, a line for each trial. Pruned
trials are drawn apart, at the last value they reported: a value that was always pruned must not look untried.

Parallel coordinates are ordinary lines, a trace for each fifth of the ranking: plotly's own kind needs WebGL and code
made at run time, which the report's content policy forbids.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from hpsearch.report.figures.importance import order_of
from hpsearch.report.figures.style import Figure, Layout, Trace, axis, fade, is_log, near_values, rounded, value_axis
from hpsearch.report.rows import Parameter, TrialRow, best_and_evenly, evenly, ranked
from hpsearch.report.summary import StudySummary
from hpsearch.report.text import plot_label, value_text

_COLUMNS, _PANELS = 3, 12
_BEST, _OTHERS = 200, 300  # points of a panel; thousands of them are a blot
_GAP_X, _ROW_HEIGHT = 0.045, 270

_AXES, _FIFTHS, _TICKS, _MOST, _STOPPED_LINES = 8, 5, 8, 150, 40  # of parallel coordinates; lines at most
_PRUNED = "pruned, last value"
_STOPPED = "Pruned trials (of many, a part) are shown at the last value they reported, which comes from fewer rows."
_MISSING = -0.12  # height at which a line passes an axis if the trial has no such parameter


def slices(summary: StudySummary, shares: Mapping[str, float] | str) -> Figure:
    """Draw a panel for each parameter that varies, all with the same vertical axis."""
    title, key = "Slices", "slice"
    names, left_out = order_of(summary, shares, _PANELS)
    stopped = _stopped(summary)
    if len(summary.completed) + len(stopped) < 2 or not names:
        return Figure(key, title, sentence="Slices need two trials with values that differ in a parameter.")
    values = [row.last_value for row in (*summary.completed, *stopped) if row.last_value is not None]
    vertical, note = value_axis(summary.objective, values)
    columns = 2 if len(names) in (2, 4) else min(len(names), _COLUMNS)
    lines = -(-len(names) // columns)
    parameters = {item.name: item for item in summary.parameters}
    layout: Layout = {}
    narrow: Layout = {"height": 70 + _ROW_HEIGHT * len(names)}
    traces: list[Trace] = []
    for index, name in enumerate(names):
        traces += _panel_traces(summary, parameters[name], index)
        layout |= _panel_axes(parameters[name], index, columns, lines, vertical)
        narrow |= _panel_axes(parameters[name], index, 1, len(names), vertical)
    drawn = _drawn(summary.completed, summary)
    part = f"Drawn are the best {_BEST} of {len(summary.completed)}, and {_OTHERS} of the others, from good to bad."
    thinned = part if len(drawn) < len(summary.completed) else ""
    caption = " ".join(filter(None, (_STOPPED if stopped else "", thinned, left_out, note)))
    return Figure(key, title, caption, tuple(traces), layout, 70 + _ROW_HEIGHT * lines, narrow=narrow)


def _stopped(summary: StudySummary) -> list[TrialRow]:
    """Return the pruned trials that reported a value, by number; of many a part."""
    rows = [row for row in summary.rows if row.cause == "pruned" and row.last_value is not None]
    return evenly(rows, _OTHERS)


def _panel_traces(summary: StudySummary, parameter: Parameter, index: int) -> list[Trace]:
    rows = _drawn([row for row in summary.completed if parameter.name in row.params], summary)
    best = summary.best.trial if summary.best else None
    default = summary.default.trial if summary.default else None
    stopped = [row for row in _stopped(summary) if parameter.name in row.params]
    groups = [
        (_PRUNED, "@pruned", "x", 7, 0.9, stopped),
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
    """Return the rows of a panel, by number; of many only the best and a part of the others."""
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
        "y": [rounded(row.last_value or 0.0) for row in rows],
        "xaxis": f"x{_suffix(index)}",
        "yaxis": f"y{_suffix(index)}",
        "text": [f"trial {row.label}, {plot_label(value_text(row.params[parameter.name]))}" for row in rows],
        "hoverinfo": "text+y",
        "marker": marker | {"line": {"width": 0}},
    }


def _panel_axes(parameter: Parameter, index: int, columns: int, lines: int, vertical: Layout) -> Layout:
    column, line = index % columns, index // columns
    width = (1 - _GAP_X * (columns - 1)) / columns
    gap = 0.0 if lines == 1 else 70 / (_ROW_HEIGHT * lines)  # below a panel, as a fraction of the figure
    height = (1 - gap * (lines - 1)) / lines
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


def _position(parameter: Parameter, row: TrialRow) -> float:
    value = row.params[parameter.name]
    return float(_choice_place(parameter, value)) if parameter.scale == "choice" else rounded(float(value))


def _choice_place(parameter: Parameter, value: object) -> int:
    """Return the place of ``value`` among the choices: 1, 1.0 and True are three."""
    return next(
        place
        for place, choice in enumerate(parameter.choices)
        if type(choice) is type(value) and str(choice) == str(value)
    )


def _suffix(index: int) -> str:
    return "" if index == 0 else str(index + 1)


def parallel(summary: StudySummary, shares: Mapping[str, float] | str) -> Figure:
    """Draw a line for each completed trial, the stronger the better, the best on top; pruned ones dotted below them."""
    title, key = "Parallel coordinates", "parallel"
    names, left_out = order_of(summary, shares, _AXES)
    complete = ranked(summary.rows, summary.objective)
    rows, stopped = evenly(complete, _MOST), evenly(_stopped(summary), _STOPPED_LINES)
    everyone = [*rows, *stopped]
    if len(everyone) < 2 or not names:
        sentence = "Parallel coordinates need two trials with values that differ in a parameter."
        return Figure(key, title, sentence=sentence)
    parameters = {item.name: item for item in summary.parameters}
    scales = [_value_scale(summary, everyone), *(_scale(parameters[name], everyone) for name in names)]
    traces = [_stopped_lines(scales, stopped)] if stopped else []
    traces += [_lines(scales, rows[start:stop], len(rows), fifth) for fifth, (start, stop) in _cuts(len(rows))]
    traces.append(_lines(scales, rows[:1], len(rows), _FIFTHS))
    labels = [label for place, scale in enumerate(scales) for label in scale.labels(place)]
    missing = any(name not in row.params for name in names for row in everyone)
    upright = {"type": "line", "layer": "below", "y0": 0, "y1": 1, "line": {"color": "@axis", "width": 1}}
    layout: Layout = {
        "xaxis": axis("", visible=False, range=[-0.35, len(names) + 0.45]),
        "yaxis": axis("", visible=False, range=[-0.2 if missing else -0.1, 1.12]),
        "annotations": labels,
        "shapes": [upright | {"x0": place, "x1": place} for place in range(len(scales))],
        "margin": {"l": 16, "r": 16, "t": 44, "b": 16},
    }
    part = f"{len(rows)} of {len(complete)} trials are drawn, from good to bad." if len(rows) < len(complete) else ""
    gone = "A line that passes below an axis has no such parameter." if missing else ""
    caption = " ".join(
        filter(None, ("The stronger the colour, the better.", _STOPPED if stopped else "", left_out, part, gone))
    )
    narrow = _lying(scales, missing)
    return Figure(key, title, caption, tuple(traces), layout, 420, narrow=narrow, turned=True)


def _lying(scales: Sequence[_Scale], missing: bool) -> Layout:
    """Return the layout with the axes lying below each other, as a phone has room for."""
    across = {"type": "line", "layer": "below", "x0": 0, "x1": 1, "line": {"color": "@axis", "width": 1}}
    return {
        "xaxis": axis("", visible=False, range=[-0.2 if missing else -0.03, 1.03]),
        "yaxis": axis("", visible=False, range=[0.5 - len(scales), 0.6]),
        "annotations": [label for place, scale in enumerate(scales) for label in scale.lying_labels(place)],
        "shapes": [across | {"y0": -place, "y1": -place} for place in range(len(scales))],
        "height": 80 + 95 * len(scales),
    }


def _stopped_lines(scales: Sequence[_Scale], rows: Sequence[TrialRow]) -> Trace:
    look = {"name": _PRUNED, "showlegend": True, "line": {"color": "@pruned", "width": 1, "dash": "dot"}}
    return _lines(scales, rows, len(rows), 0) | look


class _Scale:
    """One vertical axis: the height of each row's value (0 at the bottom, 1 at the top), and the labels."""

    def __init__(self, title: str, ticks: Sequence[tuple[float, str]], positions: Mapping[int, float]) -> None:
        self.title = title
        self.ticks = ticks
        self.positions = positions  # by trial number

    def position(self, row: TrialRow) -> float:
        return self.positions.get(row.number, _MISSING)

    def labels(self, place: int) -> list[Layout]:
        head = {"x": place, "y": 1.04, "text": self.title, "yanchor": "bottom", "xanchor": "center"}
        beside = [{"x": place, "y": y, "text": text, "xanchor": "left", "xshift": 5} for y, text in self.ticks]
        font = {"size": 11, "color": "@soft"}
        return [head | {"showarrow": False, "font": {"size": 12, "color": "@ink"}}] + [
            tick | {"showarrow": False, "font": font, "bgcolor": "@panel", "borderpad": 1} for tick in beside
        ]

    def lying_labels(self, place: int) -> list[Layout]:
        """Return the labels of an axis that lies: its title above it, at most about five ticks below."""
        head = {"x": 0, "y": -place, "text": self.title, "yanchor": "bottom", "xanchor": "left", "yshift": 4}
        labels = [head | {"showarrow": False, "font": {"size": 12, "color": "@ink"}, "bgcolor": "@panel"}]
        for x, text in self.ticks[:: -(-len(self.ticks) // 5) or 1]:
            anchor = "left" if x < 0.05 else "right" if x > 0.95 else "center"
            tick = {"x": x, "y": -place, "text": text, "yanchor": "top", "xanchor": anchor, "yshift": -3}
            labels.append(
                tick | {"showarrow": False, "font": {"size": 11, "color": "@soft"}, "bgcolor": "@panel", "borderpad": 1}
            )
        return labels


def _value_scale(summary: StudySummary, rows: Sequence[TrialRow]) -> _Scale:
    given = {row.number: row.last_value for row in rows if row.last_value is not None}
    near = near_values(summary.objective, list(given.values())) or [0.0]
    # A pruned trial may have reported anything before its model learned.
    values = {number: min(max(value, min(near)), max(near)) for number, value in given.items()}
    log = is_log(summary.objective, list(values.values()))
    return _Scale(plot_label(summary.objective.title, 18), *_spread(values, log))


def _scale(parameter: Parameter, rows: Sequence[TrialRow]) -> _Scale:
    title = plot_label(parameter.name, 18)
    present = {row.number: row.params[parameter.name] for row in rows if parameter.name in row.params}
    if parameter.scale == "choice":
        last = max(len(parameter.choices) - 1, 1)
        ticks = [(place / last, plot_label(value_text(choice), 12)) for place, choice in enumerate(parameter.choices)]
        heights = {number: _choice_place(parameter, value) / last for number, value in present.items()}
        return _Scale(title, ticks[:: max(1, len(ticks) // 12)], heights)
    numbers = {number: float(value) for number, value in present.items()}
    return _Scale(title, *_spread(numbers, parameter.scale == "log"))


def _spread(values: Mapping[int, float], log: bool) -> tuple[list[tuple[float, str]], dict[int, float]]:
    """Return ticks and heights of numbers between their own extremes."""
    low, high = min(values.values(), default=0.0), max(values.values(), default=1.0)

    def height(value: float) -> float:
        if high == low:
            return 0.5
        return math.log(value / low) / math.log(high / low) if log else (value - low) / (high - low)

    middle = math.sqrt(low * high) if log else low / 2 + high / 2
    marks = sorted(set(values.values())) if all(float(value).is_integer() for value in values.values()) else []
    if not 0 < len(marks) <= _TICKS:
        marks = [low, middle, high] if high > low else [low]
    ticks = [(height(value), value_text(value)) for value in marks]
    return ticks, {number: rounded(height(value)) for number, value in values.items()}


def _cuts(count: int) -> list[tuple[int, tuple[int, int]]]:
    """Return the fifths of the ranking with their first and last places, the worst first, so that better ones are drawn
    over it; for a few trials only the middle fifth, with all of them."""
    if count < 2 * _FIFTHS:
        return [(2, (0, count))]
    edges = [round(count * part / _FIFTHS) for part in range(_FIFTHS + 1)]
    return list(enumerate((edges[part], edges[part + 1]) for part in reversed(range(_FIFTHS))))


def _lines(scales: Sequence[_Scale], rows: Sequence[TrialRow], total: int, fifth: int) -> Trace:
    best = fifth == _FIFTHS
    x: list[int | None] = []
    y: list[float | None] = []
    text: list[str] = []
    for row in rows:
        x += [*range(len(scales)), None]
        y += [*(scale.position(row) for scale in scales), None]
        text += [f"trial {row.label}"] * (len(scales) + 1)
    names = ["worst fifth", "", "middle fifth" if total >= 2 * _FIFTHS else "completed", "", "best fifth", "best"]
    return {
        "type": "scatter",
        "mode": "lines",
        "name": names[fifth],
        "showlegend": bool(names[fifth]),
        "x": x,
        "y": y,
        "text": text,
        "hoverinfo": "text",
        "opacity": 1.0 if best else 0.85,
        "line": {"color": "@best" if best else f"@ramp{fifth}", "width": 3 if best else 1.3 if total <= 60 else 0.9},
    }
