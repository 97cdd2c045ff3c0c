"""The live view of a run: its state, kept from its events, as a table or as plain lines.

A terminal gets the table, drawn with rich; a file or a pipe gets a line for each event worth one.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from statistics import median
from typing import Any

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from hpsearch.cli.tables import facts, printable, shown
from hpsearch.errors import Interrupted
from hpsearch.execution.events import JobProgress, Note
from hpsearch.execution.units import bytes_text, duration_text
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

# Style of a trial's state; the state is also written, so nothing depends on colours.
STYLES = {"running": "cyan", "COMPLETE": "green", "PRUNED": "yellow", "FAIL": "red"}
SHOWN_ROWS = 12
LINE = "\n"


@contextmanager
def watching(board: Board) -> Iterator[View]:
    """Give a view that suits the output: it keeps ``board`` up to date and shows it."""
    if not sys.stdout.isatty():
        yield Lines(board).take
        return
    console = Console()
    try:
        with Live(get_renderable=board.picture, console=console, refresh_per_second=4, transient=True) as live:

            def view(event: RunEvent) -> None:
                board.take(event)
                if isinstance(event, Note) and event.warning:
                    live.console.print(
                        f"warning: {visible(event.text, keep=LINE)}", style="yellow", markup=False, highlight=False
                    )
                elif isinstance(event, StudyPrepared):
                    for line in _facts(event):
                        live.console.print(line, markup=False, highlight=False)

            yield view
    except Interrupted:
        console.print(board.picture())
        raise
    console.print(board.picture())


@dataclass
class TrialLine:
    """One trial in the table."""

    number: int
    params: dict[str, Any]
    label: str
    started: float
    state: str = "running"
    cause: str = ""
    step: int = 0
    value: float | None = None
    seconds: float = 0.0
    live: dict[str, Any] = field(default_factory=dict)


@dataclass
class Board:
    """The state of a run: updated by events, drawn as a table."""

    clock: Callable[[], float] = time.monotonic
    run: RunStarted | None = None
    rows: dict[int, TrialLine] = field(default_factory=dict)
    best: NewBest | None = None
    finished: int = 0
    base: float | None = None
    phase: dict[str, Any] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    def take(self, event: RunEvent) -> None:
        """Update the state."""
        if isinstance(event, RunStarted):
            self.run, self.finished = event, event.finished
            if event.best:
                self.best = NewBest(*event.best)
        elif isinstance(event, StudyPrepared):
            self.phase = {}
            self.base = event.info.base.get(self.run.metric) if self.run else None
        elif isinstance(event, Note):
            if not event.warning:  # warnings are printed above the table
                self.notes = [*self.notes, event.text][-3:]
        elif isinstance(event, JobProgress):
            self.phase = {**self.phase, **event.values, "job": event.kind}
        elif isinstance(event, NewBest):
            self.best = event
        else:
            self._take_trial(event)

    def _take_trial(self, event: TrialStarted | TrialReported | TrialProgress | TrialEnded) -> None:
        if isinstance(event, TrialStarted):
            labels = ["default configuration"] * event.is_default
            labels += [f"point of trial {event.carried} of the warm start"] * (event.carried is not None)
            labels += [event.first] * bool(event.first)
            labels += [f"attempt {event.attempt} of trial {event.root}"] * (event.attempt > 1)
            self.rows[event.number] = TrialLine(event.number, event.params, ", ".join(labels), self.clock())
            return
        row = self.rows[event.number]
        if isinstance(event, TrialReported):
            row.step = event.step
            row.live |= event.metrics
            row.value = event.metrics.get(self.run.metric, row.value) if self.run else row.value
        elif isinstance(event, TrialProgress):
            row.live |= event.values
        else:
            row.state, row.cause = event.state, event.outcome.cause.value
            row.value, row.seconds, self.finished = event.value, event.outcome.duration_s, event.finished

    @property
    def running(self) -> list[TrialLine]:
        """The trials that run now."""
        return [row for row in self.rows.values() if row.state == "running"]

    def seconds_left(self) -> float | None:
        """Estimate the time to the target in seconds, from the median trial of this run; None while none ended."""
        spent = [row.seconds for row in self.rows.values() if row.state in ("COMPLETE", "PRUNED")]
        if not spent or self.run is None:
            return None
        begun = sum(min(self.clock() - row.started, median(spent)) for row in self.running)
        left = self.run.target - self.finished
        return max(0.0, left * median(spent) - begun) / max(1, min(self.run.slots, left))

    def picture(self) -> RenderableType:
        """Draw the whole board for a terminal: all running trials, and the latest of the others."""
        others = [row for row in self.rows.values() if row.state != "running"]
        room = min(max(0, SHOWN_ROWS - len(self.running)), len(others))
        rows = sorted([*others[len(others) - room :], *self.running], key=lambda row: row.number)
        return Group(self._headline(), self.table(rows), *self._live_lines())

    def table(self, rows: list[TrialLine]) -> Table:
        """Draw a table of trials."""
        names = list(dict.fromkeys(name for row in rows for name in row.params))
        metric = self.run.metric if self.run else "value"
        table = Table(box=None, pad_edge=False, header_style="bold", expand=False)
        table.add_column("trial", justify="right")
        for name in names:
            table.add_column(name, justify="right", overflow="fold")
        for title in ("progress", metric, "time"):
            table.add_column(title, justify="right")
        table.add_column("state")
        for row in rows:
            table.add_row(*self._cells(row, names))
        return table

    def _cells(self, row: TrialLine, names: list[str]) -> list[RenderableType]:
        is_best = self.best is not None and row.number == self.best.number
        cause = f" ({row.cause})" if row.cause not in ("", "ok", "pruned") else ""
        label = f", {row.label}" if row.label else ""
        state = Text(f"{row.state.lower()}{cause}{label}", STYLES.get(row.state, ""))
        if is_best:
            state.append(" * best", "bold green")
        return [
            Text(str(row.number)),
            *(Text(shown(row.params.get(name, ""))) for name in names),
            self._progress(row),
            Text(shown(row.value) if row.value is not None else "-", "bold" if is_best else ""),
            Text(duration_text(row.seconds or self.clock() - row.started, short=True)),
            state,
        ]

    def _progress(self, row: TrialLine) -> RenderableType:
        total = self.run.steps if self.run else None
        if row.state == "COMPLETE":
            return Text("")
        if row.state != "running":
            return Text(f"{row.step}/{total}" if total else f"step {row.step}", "dim")
        fraction = row.live.get("fraction")
        if not isinstance(fraction, (int, float)) or isinstance(fraction, bool):
            fraction = row.step / total if total else 0.0
        return ProgressBar(total=1.0, completed=min(1.0, max(0.0, float(fraction))), width=14)

    def _headline(self) -> Text:
        if self.run is None:
            return Text("hpsearch")
        head = Text(f"study {self.run.study}", "bold")
        head.append(f"  {self.finished}/{self.run.target} finished", "default")
        if self.best is not None:
            head.append(f"  best {self.run.metric} {shown(self.best.value)} (trial {self.best.number})", "bold green")
        if self.base is not None:
            head.append(f"  untuned {shown(self.base)}", "dim")
        if self.run.slots > 1:
            head.append(f"  {self.run.slots} at once", "default")
        left = self.seconds_left()
        if left:
            head.append(f"  about {duration_text(left, short=True)} left", "default")
        return head

    def _live_lines(self) -> list[Text]:
        lines = [Text(f"  {visible(note, keep=LINE)}", "dim") for note in self.notes]
        if self.phase:
            lines.append(Text(f"{self.phase.get('job', '')}: {_progress_text(self.phase)}", "cyan"))
        sample: list[Text] = []
        for row in self.running:
            lines.append(Text(f"trial {row.number}: {_progress_text(row.live)}", "cyan"))
            reference, prediction = row.live.get("reference"), row.live.get("prediction")
            if isinstance(reference, str) and isinstance(prediction, str):
                sample = [
                    Text(f"    reference:  {printable(reference)}", "dim"),
                    Text(f"    prediction: {printable(prediction)}", "dim"),
                ]
        return lines + sample  # of the latest trial that has one: with eight at once they would fill the screen


def _progress_text(live: dict[str, Any]) -> str:
    """Return the latest progress values as text: phase, step, loss, speed, memory."""
    parts = [printable(str(live["phase"]), 40)] if "phase" in live else []
    if isinstance(live.get("step"), int):
        parts.append(f"step {live['step']}" + (f" of {live['steps']}" if isinstance(live.get("steps"), int) else ""))
    numbers = {key: value for key, value in live.items() if isinstance(value, (int, float))}
    for key, form in (("loss", "loss {}"), ("it_per_s", "{} it/s"), ("tokens_per_s", "{} tokens/s")):
        if key in numbers:
            parts.append(form.format(shown(numbers[key])))
    if "memory_bytes" in numbers:
        parts.append(bytes_text(numbers["memory_bytes"]))
    return ", ".join(parts) or "starting"


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
            return (
                f"study {event.study}: {event.search_mode} search for the best {event.metric} ({better} is better), "
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
        trial, metric = f"trial {event.number}", self._board.run.metric if self._board.run else "value"
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
            again = f"; queued again (attempt {event.again})" if event.again else ""
            seconds = duration_text(event.outcome.duration_s, short=True)
            return (
                f"{trial} ended: {event.outcome.cause.value}{value_text} after {seconds}{why}{again} "
                f"[{event.finished}/{target}]"
            )
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
