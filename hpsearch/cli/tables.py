"""Tables and short texts for a terminal."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from hpsearch.execution.outcome import VERDICTS, Cause
from hpsearch.report.text import visible

if TYPE_CHECKING:
    from hpsearch.commands.status import StudyStatus

# Columns of a table in a file or a pipe, which have no width of their own.
UNBOUND = 200


def console() -> Console:
    """Return a console as wide as the terminal."""
    return Console(width=shutil.get_terminal_size((UNBOUND, 0)).columns, highlight=False)


def plain_table(titles: Sequence[str], rows: Sequence[Sequence[str]]) -> Table:
    """Make a table of texts, none of which is markup."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    for title in titles:
        table.add_column(title, overflow="fold")
    for row in rows:
        table.add_row(*map(Text, row))
    return table


def status_table(statuses: Sequence[StudyStatus]) -> Table:
    """Make a table of the studies of a storage."""
    titles = ("study", "finished", "trials", "GPU-hours", "best", "runner")
    return plain_table(titles, [_cells(status) for status in statuses])


def reasons(rows: Sequence[tuple[str, str, str]]) -> Table:
    """Make a table of settings with their values and the reasons for them."""
    return plain_table(("setting", "value or range", "why"), [[printable(cell, 1_000) for cell in row] for row in rows])


def facts(lines: Sequence[tuple[str, str]]) -> list[str]:
    """Return facts as lines with their names in a column."""
    width = max((len(name) for name, _ in lines), default=0)
    return [f"{name:<{width}}  {visible(text)}" for name, text in lines]


def shown(value: Any) -> str:
    """Return a value as the tables show it: four significant digits, at most 40 characters, no control characters."""
    if isinstance(value, float):
        return f"{value:.4g}"
    return printable(str(value), 40)


def printable(text: str, limit: int = 60) -> str:
    """Return ``text`` on one line without control characters, shortened to ``limit`` characters."""
    clean = visible(text.replace("\n", "\N{SYMBOL FOR NEWLINE}"))
    return clean if len(clean) <= limit else clean[: limit - 1] + "\N{HORIZONTAL ELLIPSIS}"


def _cells(status: StudyStatus) -> list[str]:
    target = f"/{status.target}" if status.target is not None else ""
    trials = ", ".join(f"{count} {word}" for word, count in _trial_counts(status).items() if count) or "none"
    limit = f"/{status.gpu_hours_limit:g}" if status.gpu_hours_limit is not None else ""
    hours = f"{status.gpu_hours:.3g}{limit}" if status.ours else "-"
    best = "-"
    if status.best is not None:
        params = ", ".join(f"{name}={shown(value)}" for name, value in status.best_params.items())
        best = printable(f"{status.metric} {shown(status.best)}, trial {status.best_trial}: {params}", 200)
    owner = f"pid {status.owner.pid} on {status.owner.host}" if status.owner else "-"
    return [printable(status.study, 200), f"{status.finished}{target}", trials, hours, best, owner]


def _trial_counts(status: StudyStatus) -> dict[str, int]:
    """Count trials by state, the failed and the pruned ones by cause."""
    counts = {state.lower(): count for state, count in status.states.items()}
    for cause, count in status.causes.items():
        recorded = Cause.CUDA_OOM if cause == "not_tried" else Cause(cause)
        state = VERDICTS[recorded].state.lower()
        if state in ("fail", "pruned") and cause != state:
            counts |= {state: counts[state] - count, cause: count}
    if status.ours and status.owner is None and "running" in counts:
        counts["lost (hpsearch resume runs it again)"] = counts.pop("running")
    return counts
