"""The common style of all figures: palettes for light and dark pages, axes, legends, hover text.

A figure is plain plotly JSON whose colours are names of palette entries ("@best"), which the page's script or
``Figure.plotly`` replaces; so one file serves both colour schemes.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from hpsearch.execution.units import duration_text
from hpsearch.report.rows import StudyObjective, TrialRow
from hpsearch.report.summary import StudySummary
from hpsearch.report.text import number_text, plot_label, value_text

if TYPE_CHECKING:
    import plotly.graph_objects as go

# After Okabe and Ito's colours for all kinds of colour vision (jfly.uni-koeln.de/color), brightened for dark pages.
PALETTES: dict[str, dict[str, str]] = {
    "light": {
        "ink": "#1c2530",
        "soft": "#5a6572",
        "grid": "#e6e9ee",
        "axis": "#b4bdc8",
        "panel": "#ffffff",
        "complete": "#0072b2",
        "best": "#008a64",
        "default": "#b8529a",
        "base": "#5a6572",
        "pruned": "#a3adb9",
        "failed": "#d55e00",
        "interrupted": "#c9a227",
        "open": "#c9a227",
        "ramp0": "#cfe0ee",
        "ramp1": "#9cc3e0",
        "ramp2": "#619fcf",
        "ramp3": "#2877b3",
        "ramp4": "#08437f",
        "series0": "#0072b2",
        "series1": "#d55e00",
        "series2": "#008a64",
        "series3": "#b8529a",
        "series4": "#b08a00",
        "series5": "#3d8fc4",
        "series6": "#5a6572",
    },
    "dark": {
        "ink": "#e7ebf0",
        "soft": "#a3afbc",
        "grid": "#29323c",
        "axis": "#4c5967",
        "panel": "#161c23",
        "complete": "#5ab4ea",
        "best": "#2fd3a0",
        "default": "#e79bd0",
        "base": "#a3afbc",
        "pruned": "#5f6b78",
        "failed": "#ff8f4a",
        "interrupted": "#e8c24a",
        "open": "#e8c24a",
        "ramp0": "#21384d",
        "ramp1": "#2a587c",
        "ramp2": "#3d80ae",
        "ramp3": "#66b0de",
        "ramp4": "#c3e6ff",
        "series0": "#5ab4ea",
        "series1": "#ff8f4a",
        "series2": "#2fd3a0",
        "series3": "#e79bd0",
        "series4": "#e8c24a",
        "series5": "#8fc9f0",
        "series6": "#a3afbc",
    },
}
SERIES = 7
FONT = "system-ui, -apple-system, 'Segoe UI', Roboto, 'Noto Sans', 'Helvetica Neue', Arial, sans-serif"
HOVER_PARAMETERS = 12  # with more, the text of a point would be longer than the screen
WIDTH = 900  # of a PNG, in pixels; the page gives a figure the width it has

Trace = dict[str, Any]
Layout = dict[str, Any]


@dataclass(frozen=True)
class Figure:
    """One figure, or one sentence that says why there is none. ``height`` is in pixels."""

    key: str  # names its files and its anchor
    title: str
    caption: str = ""
    traces: tuple[Trace, ...] = ()
    layout: Layout = field(default_factory=dict)
    height: int = 380
    narrow: Layout = field(default_factory=dict)  # takes the place of parts of ``layout`` on a phone
    turned: bool = False  # on a phone x and -y of the traces change places
    sentence: str = ""

    @property
    def drawn(self) -> bool:
        """True if there is something to draw."""
        return not self.sentence

    def spec(self) -> dict[str, Any]:
        """Return the figure as plotly JSON, with palette names for colours."""
        return {"data": list(self.traces), "layout": base_layout(self.height) | self.layout}

    def painted(self, scheme: str = "light") -> dict[str, Any]:
        """Return the figure as plotly JSON in the colours of ``scheme``, on an opaque background."""
        spec = self.spec()
        spec["layout"] |= {"paper_bgcolor": "@panel", "plot_bgcolor": "@panel"}
        painted = paint(spec, PALETTES[scheme])
        return painted if isinstance(painted, dict) else {}

    def plotly(self, scheme: str = "light") -> go.Figure:
        """Return the figure as a plotly object, for a notebook."""
        import plotly.graph_objects as go

        return go.Figure(self.painted(scheme))


def paint(value: Any, palette: dict[str, str]) -> Any:
    """Replace the palette names under the colour keys of ``value``; other text is unchanged."""
    if isinstance(value, dict):
        return {
            key: palette[item[1:]]
            if key.endswith("color") and isinstance(item, str) and item.startswith("@")
            else paint(item, palette)
            for key, item in value.items()
        }
    if isinstance(value, (list, tuple)):
        return [paint(item, palette) for item in value]
    return value


def base_layout(height: int) -> Layout:
    """Return the layout that all figures share."""
    return {
        "height": height,
        "margin": {"l": 64, "r": 24, "t": 44, "b": 56},
        "font": {"family": FONT, "size": 13, "color": "@ink"},
        "paper_bgcolor": "rgba(0,0,0,0)",
        "plot_bgcolor": "rgba(0,0,0,0)",
        "hovermode": "closest",
        "showlegend": True,
        "hoverlabel": {"align": "left", "font": {"family": FONT, "size": 12}},
        "legend": {"orientation": "h", "x": 0, "xanchor": "left", "y": 1.02, "yanchor": "bottom", "font": {"size": 12}},
        "modebar": {"bgcolor": "rgba(0,0,0,0)", "color": "@soft", "activecolor": "@ink"},
        "xaxis": axis(""),
        "yaxis": axis(""),
    }


def axis(title: str, **more: Any) -> Layout:
    """Return an axis in the common style."""
    return {
        "title": {"text": title, "font": {"size": 13, "color": "@soft"}, "standoff": 8},
        "tickfont": {"size": 12, "color": "@soft"},
        "gridcolor": "@grid",
        "linecolor": "@axis",
        "zeroline": False,
        "automargin": True,
        "exponentformat": "e",
    } | more


def counting_axis(title: str, span: int, **more: Any) -> Layout:
    """Return an axis of whole numbers over ``span``: if they are few, each gets a tick, so that none is between two."""
    return axis(title, tickformat="d", **({"dtick": 1} if span <= 12 else {}), **more)


def value_axis(objective: StudyObjective, values: Sequence[float], title: str | None = None) -> tuple[Layout, str]:
    """Return the axis of the objective and a sentence about the values beyond it ("" if there are none).

    Errors that span more than a factor of 10 get a logarithmic axis, so that the good ones can be distinguished. A
    value far from the median (a penalty like 1e9) does not set the scale.
    """
    near = near_values(objective, values)
    name = plot_label(objective.title, 30) if title is None else title
    beyond = len(values) - len(near)
    note = f"{beyond} {'value lies' if beyond == 1 else 'values lie'} beyond the axis." if beyond else ""
    if is_log(objective, near):
        ticks = _log_ticks(min(near), max(near))
        more: Layout = {"type": "log", "tickvals": ticks, "ticktext": [f"{tick:g}" for tick in ticks]}
        text, ends = f"{name} ({objective.wish}, log scale)", [math.log10(value) for value in near]
    else:
        text, ends, more = f"{name} ({objective.wish})", near, {}
    return axis(text, **more, **({"range": _padded(ends)} if near else {})), note


def is_log(objective: StudyObjective, values: Sequence[float]) -> bool:
    """Return True if ``values`` are drawn on a logarithmic scale."""
    return bool(values) and objective.direction == "minimize" and min(values) > 0 and max(values) > 10 * min(values)


def hover(row: TrialRow, summary: StudySummary) -> str:
    """Return the hover text of a trial; every part is escaped."""
    lines = [f"trial {row.label}: {row.ending.word}"]
    if row.value is not None:
        lines.append(f"{plot_label(summary.objective.title)} {number_text(row.value)}")
    if row.duration_s is not None:
        lines.append(f"took {duration_text(row.duration_s)}")
    shown = sorted(row.params.items())[:HOVER_PARAMETERS]
    lines += [f"{plot_label(name, 40)} {plot_label(value_text(value), 40)}" for name, value in shown]
    return "<br>".join(lines)


def fade(count: int) -> float:
    """Return the opacity at which ``count`` overlapping marks still show their density."""
    return 0.85 if count <= 60 else 0.65 if count <= 300 else 0.45 if count <= 1500 else 0.3


def rounded(number: float) -> float:
    """Round to six significant figures: enough for any screen, and a third of the bytes."""
    return float(f"{number:.6g}")


def time_unit(seconds: float) -> tuple[str, float]:
    """Return the unit for an axis that ends at ``seconds``, and its length in seconds."""
    if seconds < 180:
        return "seconds", 1.0
    return ("minutes", 60.0) if seconds < 3 * 3600 else ("hours", 3600.0)


def _log_ticks(low: float, high: float) -> list[float]:
    """Return 1, 2 and 5 of every power of ten around the values, only the powers if there are many."""
    first, last = math.floor(math.log10(low)), math.ceil(math.log10(high))
    steps = (1, 2, 5) if last - first <= 3 else (1,)
    return [rounded(step * 10.0**power) for power in range(first, last + 1) for step in steps]


def near_values(objective: StudyObjective, values: Sequence[float]) -> list[float]:
    """Drop values that are a thousand times as far from the median as the best one or its tenth."""
    if len(values) < 4:
        return list(values)
    order = sorted(values, key=objective.rank)
    median = order[len(order) // 2]
    reach = max(abs(median - order[0]), abs(median) / 10)
    return [value for value in order if abs(value - median) <= 1000 * reach] if reach else order


def _padded(values: Sequence[float]) -> list[float]:
    low, high = min(values), max(values)
    margin = 0.06 * (high - low) or 1.0
    return [rounded(low - margin), rounded(high + margin)]
