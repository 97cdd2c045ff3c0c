"""The live view of a run, of which the board keeps the state (board.py): as a table, or as plain lines.

A terminal gets the table, drawn with rich on a screen of its own, of which a resized window leaves nothing behind; a
file or a pipe gets a line for each event worth one.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.live import Live

from hpsearch.cli.board import LINE, Board
from hpsearch.cli.tables import facts, printable, shown
from hpsearch.errors import Interrupted
from hpsearch.execution.events import JobProgress, Note
from hpsearch.execution.units import duration_text
from hpsearch.report.text import visible
from hpsearch.study.events import (
    NewBest,
    RunEvent,
    RunStarted,
    StudyPrepared,
    TrialEnded,
    TrialProgress,
    TrialReported,
    TrialStarted,
    View,
)


@contextmanager
def watching(board: Board) -> Iterator[View]:
    """Give a view that suits the output: it keeps ``board`` up to date and shows it."""
    if not sys.stdout.isatty():
        yield Lines(board).take
        return
    screen = BoardScreen(board, Console())
    try:
        yield screen.take
    except BaseException as error:
        screen.close(is_shown=isinstance(error, Interrupted) or bool(board.rows))
        raise
    screen.close()


class BoardScreen:
    """Shows a board at a terminal: jobs below what was printed before, the table of trials on a screen of its own. What
    was to be read is printed when it closes."""

    def __init__(self, board: Board, console: Console) -> None:
        self._board, self._console = board, console
        self._kept: list[tuple[str, str]] = []  # lines with their style
        self._live = self._begin(screen=False)

    def take(self, event: RunEvent) -> None:
        """Update the board, and show what must not get lost."""
        self._board.take(event)
        if isinstance(event, Note) and event.warning:
            self._keep([f"warning: {visible(event.text, keep=LINE)}"], "yellow")
        elif isinstance(event, StudyPrepared):
            self._keep(_facts(event), "")
        elif isinstance(event, TrialStarted) and not self._live.is_screen:
            self._live.stop()
            self._live = self._begin(screen=True)

    def close(self, *, is_shown: bool = True) -> None:
        """Leave the screen, and print what was on it: all trials, as far as the window has room."""
        self._live.stop()
        for text, style in self._kept:
            self._print(text, style)
        self._board.warnings = []  # these are among the lines above
        if is_shown:
            self._console.print(self._board.picture(self._console.height))

    def _keep(self, lines: list[str], style: str) -> None:
        if self._live.is_screen:
            self._kept += [(line, style) for line in lines]
            return
        for line in lines:
            self._print(line, style)

    def _print(self, text: str, style: str) -> None:
        self._console.print(text, style=style or None, markup=False, highlight=False)

    def _begin(self, *, screen: bool) -> BoardLive:
        live = BoardLive(screen, self._board, self._console)
        live.start()
        return live


class BoardLive(Live):
    """Draws a board four times a second."""

    def __init__(self, is_screen: bool, board: Board, console: Console) -> None:
        self.is_screen = is_screen
        super().__init__(
            get_renderable=lambda: board.picture(console.height),
            console=console,
            refresh_per_second=4,
            transient=True,
            screen=is_screen,
        )


class Lines:
    """Prints a line for each event worth one; every line makes sense alone in a log."""

    def __init__(self, board: Board) -> None:
        self._board = board
        self._phase = ""

    def take(self, event: RunEvent) -> None:
        """Update the board and print the event."""
        self._board.take(event)
        line = visible(self._line(event), keep=LINE)  # it may quote what a program wrote
        if not line:
            return
        try:
            print(line, flush=True)
        except OSError:  # nobody reads any more: that ends no search
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())

    def _line(self, event: RunEvent) -> str:
        if isinstance(event, RunStarted):
            better = "lower" if event.direction == "minimize" else "higher"
            slots = f", {event.slots} at once" if event.slots > 1 else ""
            what = f"{event.search_mode} search for the best" if event.search_mode else "fresh runs judged by"
            return (
                f"study {event.study}: {what} {event.metric} ({better} is better), "
                f"{event.finished} of {event.target} trials finished{slots}"
            )
        if isinstance(event, Note):
            return f"{'warning: ' if event.warning else ''}{event.text}"
        if isinstance(event, StudyPrepared):
            return self._prepared(event)
        if isinstance(event, JobProgress):
            phase = str(event.values.get("phase", ""))
            if not phase or phase == self._phase:
                return ""
            self._phase = phase
            return f"{event.kind}: {printable(phase)}"
        return self._trial_line(event)

    def _trial_line(self, event: TrialStarted | TrialReported | TrialProgress | TrialEnded | NewBest) -> str:
        trial, metric = (
            f"trial {self._board.name(event.number)}",
            self._board.run.metric if self._board.run else "value",
        )
        if isinstance(event, TrialStarted):
            params = ", ".join(f"{name}={shown(value)}" for name, value in event.params.items())
            label = self._board.rows[event.number].label
            return f"{trial} started: {params}" + (f" [{label}]" if label else "")
        if isinstance(event, NewBest):
            return f"{trial} is the best so far: {shown(event.value)}"
        if isinstance(event, TrialReported):
            value = event.metrics.get(metric)
            if value is None:
                others = ", ".join(sorted(event.metrics)) or "nothing"
                return f"{trial} step {event.step}: no {metric} reported, but {others}"
            return f"{trial} step {event.step}: {metric} {shown(value)}{' (pruned)' if event.pruned else ''}"
        if isinstance(event, TrialEnded):
            target = self._board.run.target if self._board.run else None
            value_text = f" {metric} {shown(event.value)}" if event.value is not None else ""
            why = f": {printable(event.outcome.message, 200)}" if event.outcome.message else ""
            again = ", queued again" if event.again else ""
            seconds = duration_text(event.outcome.duration_s, short=True)
            how = f"{event.outcome.cause.value}{again}{value_text} after {seconds}{why}"
            return f"{trial} ended: {how} [{event.finished}/{target}]"
        return ""

    def _prepared(self, event: StudyPrepared) -> str:
        info = event.info
        counts = ", ".join(f"{count} {split}" for split, count in info.rows.items())
        parts = [f"data and model are ready: {counts} rows"]
        if self._board.run and self._board.base:
            parts.append(f"untuned {self._board.run.metric} {shown(self._board.base)}")
        if info.backend:
            parts.append(f"backend {info.backend} ({info.backend_reason}) on {info.device} in {info.precision}")
        return "\n".join(["; ".join(parts), *_facts(event)])


def _facts(event: StudyPrepared) -> list[str]:
    """Return the preflight's findings, a line for each."""
    return [f"  {line}" for line in facts([(name, text) for name, text in event.info.lines])]
