"""Tables that commands print."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from hpsearch.commands.status import StudyStatus
from hpsearch.execution.outcome import VERDICTS, Cause
from hpsearch.report.text import visible

# Columns of a table in a file or a pipe, which have no width of their own.
UNBOUND = 200


def console() -> Console:
    """A console as wide as the terminal."""
    return Console(width=shutil.get_terminal_size((UNBOUND, 0)).columns, highlight=False)


def status_table(statuses: Sequence[StudyStatus]) -> Table:
    """The studies of a storage, a line each."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    for title in ("study", "finished", "trials", "GPU-hours", "best", "runner"):
        table.add_column(title, overflow="fold")
    for status in statuses:
        table.add_row(*map(Text, _cells(status)))
    return table


def reasons(rows: Sequence[tuple[str, str, str]]) -> Table:
    """Settings with their values and why they have them."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    for title in ("setting", "value or range", "why"):
        table.add_column(title, overflow="fold")
    for row in rows:
        table.add_row(*(Text(printable(cell, 1_000)) for cell in row))
    return table


def _words(status: StudyStatus) -> dict[str, int]:
    """Trials by how they stand: the failed and the pruned ones by cause."""
    words = {state.lower(): count for state, count in status.states.items()}
    for cause, count in status.causes.items():
        told = Cause.CUDA_OOM if cause == "not_tried" else Cause(cause)
        state = VERDICTS[told].state.lower()
        if state in ("fail", "pruned") and cause != state:
            words |= {state: words[state] - count, cause: count}
    if status.ours and status.owner is None and "running" in words:
        words["lost (hpsearch resume runs it again)"] = words.pop("running")
    return words


def _cells(status: StudyStatus) -> list[str]:
    target = f"/{status.target}" if status.target is not None else ""
    trials = ", ".join(f"{count} {word}" for word, count in _words(status).items() if count) or "none"
    owner = f"pid {status.owner.pid} on {status.owner.host}" if status.owner else "-"
    return [printable(status.study, 200), f"{status.finished}{target}", trials, _hours(status), _best(status), owner]


def _hours(status: StudyStatus) -> str:
    limit = f"/{status.gpu_hours_limit:g}" if status.gpu_hours_limit is not None else ""
    return f"{status.gpu_hours:.3g}{limit}" if status.ours else "-"


def _best(status: StudyStatus) -> str:
    if status.best is None:
        return "-"
    params = ", ".join(f"{name}={shown(value)}" for name, value in status.best_params.items())
    return printable(f"{status.metric} {shown(status.best)}, trial {status.best_trial}: {params}", 200)


def facts(lines: Sequence[tuple[str, str]]) -> list[str]:
    """Facts as lines with their names in a column."""
    width = max((len(what) for what, _ in lines), default=0)
    return [f"{what:<{width}}  {visible(text)}" for what, text in lines]


def shown(value: Any) -> str:
    """A value as the tables show it: four significant digits, no control characters, at most 40 characters."""
    if isinstance(value, float):
        return f"{value:.4g}"
    return printable(str(value), 40)


def printable(text: str, limit: int = 60) -> str:
    """``text`` on one line without control characters, shortened to ``limit`` characters."""
    clean = visible(text.replace("\n", "\N{SYMBOL FOR NEWLINE}"))
    return clean if len(clean) <= limit else clean[: limit - 1] + "\N{HORIZONTAL ELLIPSIS}"
