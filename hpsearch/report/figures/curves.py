"""Learning curves: every trial's reports at its evaluations, pruned trials muted."""

from __future__ import annotations

from collections.abc import Sequence

from hpsearch.report.figures.style import Figure, Layout, Trace, counting_axis, rounded, value_axis
from hpsearch.report.rows import TrialRow, evenly, ranked
from hpsearch.report.summary import StudySummary
from hpsearch.report.text import plot_label

_MOST = 60  # curves of one kind; more of them are a blot


def intermediate(summary: StudySummary) -> Figure:
    """Draw completed curves, the others behind them, default and best on top."""
    title, key = "Learning curves", "intermediate"
    rows = [row for row in summary.rows if row.steps]
    if not rows:
        return Figure(key, title, sentence="No trial reported intermediate values, so there are no learning curves.")
    best = summary.best.trial if summary.best else None
    default = summary.default.trial if summary.default else None
    others = [row for row in rows if row is not best and row is not default]
    muted = [row for row in others if row.value is None]
    completed = list(ranked([row for row in others if row.value is not None], summary.objective))
    kinds = [
        ("not completed", "@pruned", 1.0, evenly(muted, _MOST)),
        ("completed", "@complete", 1.2, evenly(completed, _MOST)),
        ("default", "@default", 2.2, [default] if default in rows and default is not best else []),
        ("best", "@best", 2.6, [best] if best in rows else []),
    ]
    shown = [row for *_, chosen in kinds for row in chosen if row]
    vertical, _ = value_axis(
        summary.objective,
        [value for row in shown for _, value in row.steps],
        f"{plot_label(summary.objective.title, 30)} at the evaluation",
    )
    traces = [_curves(name, [row for row in chosen if row], colour, width) for name, colour, width, chosen in kinds]
    steps = [step for row in shown for step, _ in row.steps]
    layout: Layout = {"xaxis": counting_axis("evaluation step", max(steps) - min(steps)), "yaxis": vertical}
    part = f" {len(shown)} of {len(rows)} trials are drawn, from good to bad." if len(shown) < len(rows) else ""
    caption = (
        "Reports during training. If hpsearch measured them, they come from a small fixed subset of the validation "
        f"rows, so they are not comparable with final values.{part}"
    )
    return Figure(key, title, caption, tuple(trace for trace in traces if trace["x"]), layout, 420)


def _curves(name: str, rows: Sequence[TrialRow], colour: str, width: float) -> Trace:
    """Draw many curves in one trace, separated by gaps: a trace for each would make a large study slow to open."""
    x: list[int | None] = []
    y: list[float | None] = []
    text: list[str] = []
    for row in rows:
        x += [*(step for step, _ in row.steps), None]
        y += [*(rounded(value) for _, value in row.steps), None]
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
        "opacity": 0.8 if width < 2 else 1.0,
    }
