"""How a run is shown: a live table on a terminal, plain lines elsewhere."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.live import Live

from hpsearch.cli.live import Board, duration, printable, shown
from hpsearch.cli.tables import facts
from hpsearch.execution.events import JobProgress, Note
from hpsearch.study.events import (
    Happening,
    NewBest,
    Prepared,
    RunStarted,
    TrialEnded,
    TrialReported,
    TrialStarted,
    View,
)


@contextmanager
def watching(board: Board) -> Iterator[View]:
    """A view that suits the output: it keeps ``board`` up to date and shows it."""
    if sys.stdout.isatty():
        with _live(board) as view:
            yield view
    else:
        yield Lines(board).take


@contextmanager
def _live(board: Board) -> Iterator[View]:
    console = Console()
    with Live(get_renderable=board.picture, console=console, refresh_per_second=4, transient=True) as live:

        def view(happening: Happening) -> None:
            board.take(happening)
            if isinstance(happening, Note) and happening.warning:
                live.console.print(f"warning: {happening.text}", style="yellow", markup=False, highlight=False)
            elif isinstance(happening, Prepared):
                for line in _facts(happening):
                    live.console.print(line, markup=False, highlight=False)

        yield view
    console.print(board.picture())


class Lines:
    """Prints one line for what is worth one; every line stands alone in a log."""

    def __init__(self, board: Board) -> None:
        self._board = board
        self._phase = ""

    def take(self, happening: Happening) -> None:
        """Show one happening."""
        self._board.take(happening)
        line = self._line(happening)
        if line:
            self._print(line)

    def _print(self, line: str) -> None:
        """Print, unless nobody reads any more: that ends no search."""
        try:
            print(line, flush=True)
        except OSError:
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())

    def _line(self, happening: Happening) -> str:
        if isinstance(happening, RunStarted):
            return _started(happening)
        if isinstance(happening, Note):
            return f"{'warning: ' if happening.warning else ''}{happening.text}"
        if isinstance(happening, Prepared):
            return self._prepared(happening)
        if isinstance(happening, JobProgress):
            return self._job(happening)
        if isinstance(happening, TrialStarted):
            params = ", ".join(f"{name}={shown(value)}" for name, value in happening.params.items())
            label = self._board.rows[happening.number].label
            return f"trial {happening.number} started: {params}" + (f" [{label}]" if label else "")
        if isinstance(happening, NewBest):
            return f"trial {happening.number} is the best so far: {shown(happening.value)}"
        return self._trial(happening)

    def _trial(self, happening: Happening) -> str:
        metric = self._board.run.metric if self._board.run else "value"
        if isinstance(happening, TrialReported):
            value = happening.metrics.get(metric)
            if value is None:
                others = ", ".join(sorted(happening.metrics)) or "nothing"
                return f"trial {happening.number} step {happening.step}: no {metric} reported, but {others}"
            pruned = " (pruned)" if happening.pruned else ""
            return f"trial {happening.number} step {happening.step}: {metric} {shown(value)}{pruned}"
        if isinstance(happening, TrialEnded):
            return self._ended(happening, metric)
        return ""

    def _ended(self, happening: TrialEnded, metric: str) -> str:
        target = self._board.run.target if self._board.run else None
        value = f" {metric} {shown(happening.value)}" if happening.value is not None else ""
        why = f": {printable(happening.outcome.message, 200)}" if happening.outcome.message else ""
        again = f"; queued again (attempt {happening.again})" if happening.again else ""
        return (
            f"trial {happening.number} ended: {happening.outcome.cause.value}{value} after "
            f"{duration(happening.outcome.duration_s)}{why}{again} [{happening.finished}/{target}]"
        )

    def _prepared(self, happening: Prepared) -> str:
        rows = happening.info.get("rows", {})
        counts = ", ".join(f"{count} {split}" for split, count in rows.items())
        parts = [f"data and model are ready: {counts} rows"]
        if self._board.run and self._board.base:
            parts.append(f"untuned {self._board.run.metric} {shown(self._board.base)}")
        if "backend" in happening.info:
            parts.append("backend {backend} ({backend_reason}) on {device} in {precision}".format(**happening.info))
        return "\n".join(["; ".join(parts), *_facts(happening)])

    def _job(self, happening: JobProgress) -> str:
        phase = str(happening.values.get("phase", ""))
        if not phase or phase == self._phase:
            return ""
        self._phase = phase
        return f"{happening.kind}: {printable(phase)}"


def _facts(prepared: Prepared) -> list[str]:
    """What the preflight found, a line for each fact."""
    return [f"  {line}" for line in facts([(what, text) for what, text in prepared.info.get("lines", [])])]


def _started(run: RunStarted) -> str:
    better = "lower" if run.direction == "minimize" else "higher"
    return (
        f"study {run.study}: {run.search_mode} search for the best {run.metric} ({better} is better), "
        f"{run.finished} of {run.target} trials finished" + (f", {run.slots} at once" if run.slots > 1 else "")
    )
