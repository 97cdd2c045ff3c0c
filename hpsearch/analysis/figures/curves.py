"""Learning curves: what every trial reported at its evaluations, the pruned ones muted."""

from __future__ import annotations

from collections.abc import Sequence

from hpsearch.analysis.escaping import plot_label
from hpsearch.analysis.figures.look import Figure, Layout, Trace, axis, fade, rounded, value_axis
from hpsearch.analysis.summary import StudySummary
from hpsearch.analysis.tables import TrialRow


def intermediate(summary: StudySummary) -> Figure:
    """What every trial reported at its evaluations, the pruned ones muted."""
    title, key = "Learning curves", "intermediate"
    rows = [row for row in summary.rows if row.steps]
    if not rows:
        return Figure(key, title, sentence="No trial reported intermediate values, so there are no learning curves.")
    best = summary.best.trial if summary.best else None
    default = summary.default.trial if summary.default else None
    marked = {row.number for row in (best, default) if row}
    muted = [row for row in rows if row.value is None and row.number not in marked]
    completed = [row for row in rows if row.value is not None and row.number not in marked]
    traces = [
        _curves("not completed", muted, "@pruned", 1.0, fade(len(muted))),
        _curves("completed", completed, "@complete", 1.2, fade(len(completed))),
        *([_curves("default", [default], "@default", 2.2, 1.0)] if default in rows and default != best else []),
        *([_curves("best", [best], "@best", 2.6, 1.0)] if best in rows else []),
    ]
    values = [value for row in rows for _, value in row.steps]
    vertical, _ = value_axis(summary.objective, values, f"{plot_label(summary.objective.title)} at the evaluation")
    layout: Layout = {"xaxis": axis("evaluation step", tickformat="~d"), "yaxis": vertical}
    caption = (
        "Reports during training. Where hpsearch measured them, they come from a small fixed subset of the validation "
        "rows, so they are not comparable with final values."
    )
    return Figure(key, title, caption, tuple(trace for trace in traces if trace["x"]), layout, 420)


def _curves(name: str, rows: Sequence[TrialRow], colour: str, width: float, opacity: float) -> Trace:
    """Many curves in one trace, parted by gaps: a trace for each would make a large study slow to open."""
    x: list[int | None] = []
    y: list[float | None] = []
    text: list[str] = []
    for row in rows:
        x += [step for step, _ in row.steps] + [None]
        y += [rounded(value) for _, value in row.steps] + [None]
        text += [f"trial {row.label}"] * (len(row.steps) + 1)
    return {
        "type": "scatter",
        "mode": "lines" if all(len(row.steps) > 1 for row in rows) else "lines+markers",
        "name": name,
        "x": x,
        "y": y,
        "text": text,
        "hoverinfo": "text+y",
        "line": {"color": colour, "width": width},
        "marker": {"color": colour, "size": 4},
        "opacity": opacity,
    }
