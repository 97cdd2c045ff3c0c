"""Tables and short texts for a terminal."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import click
from rich.console import Console, Group, RenderableType
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from hpsearch.execution.outcome import VERDICTS, Cause
from hpsearch.report.text import visible

if TYPE_CHECKING:
    from hpsearch.commands.status import StudyStatus

# Columns of a table in a file or a pipe, which have no width of their own.
UNBOUND = 200
WIDE = 100  # columns of a terminal, from which on there is room for more than the necessary
_GAP, _LEAST = 2, 6  # characters between columns, and of a shortened title


def console() -> Console:
    """Return a console as wide as the terminal."""
    return Console(width=shutil.get_terminal_size((UNBOUND, 0)).columns, highlight=False)


def say(text: str) -> None:
    """Print a sentence: at a terminal its words are kept whole, elsewhere it is one line."""
    if sys.stdout.isatty():
        console().print(Text(text))
    else:
        click.echo(text)


def plain_table(titles: Sequence[str], rows: Sequence[Sequence[str]]) -> Table:
    """Make a table of texts, none of which is markup."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    for title in titles:
        table.add_column(title, overflow="fold")
    for row in rows:
        table.add_row(*map(Text, row))
    return table


@dataclass(frozen=True)
class TableColumn:
    """A column of ``fitted_table``. An optional one may be left out; one of text has ``shorter`` cells, too."""

    title: str
    cells: Sequence[Text | ProgressBar]
    is_optional: bool = False
    shorter: Sequence[Text] = ()

    @property
    def width(self) -> int:
        """The width in which nothing is cut."""
        return max(len(self.title), _widest(self.cells))

    @property
    def least(self) -> int:
        """The width in which all cells are whole, the shorter ones of text; the title may be cut."""
        return max(_widest(self.shorter or self.cells), min(len(self.title), _LEAST))

    def fitted(self, width: int) -> list[Text | ProgressBar]:
        """Return its cells, the shorter ones where the others are wider."""
        if not self.shorter:
            return list(self.cells)
        return [
            cell if _widest([cell]) <= width else short for cell, short in zip(self.cells, self.shorter, strict=True)
        ]


def _widest(cells: Sequence[Text | ProgressBar]) -> int:
    return max((cell.cell_len if isinstance(cell, Text) else cell.width or 0 for cell in cells), default=0)


def fitted_table(columns: Sequence[TableColumn], width: int) -> RenderableType:
    """Make a table of one line a row: in a narrow terminal texts are shortened first, then titles are cut, then the
    last optional columns are left out and named below."""
    kept, hidden = list(columns), []
    while sum(column.least + _GAP for column in kept) - _GAP > width and any(column.is_optional for column in kept):
        hidden.append(next(column for column in reversed(kept) if column.is_optional))
        kept.remove(hidden[-1])
    widths = [column.width for column in kept]
    over = sum(widths) + _GAP * (len(kept) - 1) - width
    for place in sorted(range(len(kept)), key=lambda place: (not kept[place].shorter, -widths[place])):
        cut = max(0, min(over, widths[place] - (kept[place].least if over > 0 else 0)))
        widths[place], over = widths[place] - cut, over - cut
    table = Table(box=None, pad_edge=False, header_style="bold", expand=False)
    for column, size in zip(kept, widths, strict=True):
        table.add_column(
            column.title,
            justify="left" if column.shorter else "right",
            width=max(size, 1),
            no_wrap=True,
            overflow="ellipsis",
        )
    for row in zip(*(column.fitted(size) for column, size in zip(kept, widths, strict=True)), strict=True):
        table.add_row(*row)
    if not hidden:
        return table
    names = ", ".join(column.title for column in reversed(hidden))
    return Group(table, Text(f"  no room for: {names}", "dim"))


def packed(parts: Sequence[Text], width: int) -> Text:
    """Join parts of a line, two spaces apart; a part that does not fit begins a line of its own."""
    lines = [Text()]
    for part in parts:
        if lines[-1].cell_len and lines[-1].cell_len + _GAP + part.cell_len > width:
            lines.append(Text())
        lines[-1].append_text(Text("  " if lines[-1].cell_len else "") + part)
    return Text("\n").join(lines)


def status_table(statuses: Sequence[StudyStatus]) -> Table:
    """Make a table of the studies of a storage."""
    hours = "GPU-hours" if any(status.on_gpu for status in statuses) else "hours"
    titles = ("study", "finished", "trials", hours, "best", "runner")
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
        held_out = f", held out {_interval(status.heldout)}" if status.heldout else ""
        best = printable(f"{status.metric} {shown(status.best)}{held_out}, trial {status.best_trial}: {params}", 200)
    owner = f"pid {status.owner.pid} on {status.owner.host}" if status.owner else "-"
    return [printable(status.study, 200), f"{status.finished}{target}", trials, hours, best, owner]


def _interval(score: Mapping[str, Any]) -> str:
    ends = [score.get(name) for name in ("low", "high")]
    low_to_high = " to ".join(f"{end:.3g}" for end in ends if isinstance(end, float))
    return f"{score['value']:.4g}" + (f" (95 %: {low_to_high})" if " to " in low_to_high else "")


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
