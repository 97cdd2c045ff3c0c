"""The state of a run as a board: kept from its events, drawn as a table that fits the terminal."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from statistics import median
from typing import Any

from rich.console import Console, ConsoleOptions, Group, RenderableType, RenderResult
from rich.progress_bar import ProgressBar
from rich.text import Text

from hpsearch.cli.tables import WIDE, TableColumn, fitted_table, packed, printable, shown
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
)
from hpsearch.study.records import attempt_label

# Style of a trial's state; the state is also written, so nothing depends on colours.
STYLES = {"running": "cyan", "COMPLETE": "green", "PRUNED": "yellow", "FAIL": "red", "interrupted": "yellow"}
# Causes of which no trial is to blame: it is queued again, and no failure.
INTERRUPTIONS = {"interrupted": "interrupted", "lost": "lost with its runner"}
LINE = "\n"  # kept in a text of several lines
SHOWN_ROWS = 12  # where the height is not known
_WARNINGS = 3  # shown while the run is under way; all are printed at its end


@dataclass
class TrialLine:
    """One trial in the table. ``name`` is its number, as people read it."""

    number: int
    name: str
    params: dict[str, Any]
    label: str
    started: float
    state: str = "running"
    cause: str = ""
    queued: bool = False  # again
    step: int = 0
    value: float | None = None
    seconds: float = 0.0
    live: dict[str, Any] = field(default_factory=dict)

    @property
    def ending(self) -> str:
        """The state in words."""
        again = ", queued again" if self.queued else ""
        if self.cause in INTERRUPTIONS:
            return INTERRUPTIONS[self.cause] + again
        return self.state.lower() + (f" ({self.cause})" if self.cause not in ("", "ok", "pruned") else "") + again


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
    warnings: list[str] = field(default_factory=list)

    def take(self, event: RunEvent) -> None:
        """Update the state."""
        if isinstance(event, RunStarted):
            self.run = event
            for earlier in event.earlier:
                self._take_trial(earlier)
            self.finished = event.finished
            if event.best:
                self.best = NewBest(*event.best)
        elif isinstance(event, StudyPrepared):
            self.phase = {}
            self.base = event.info.base.get(self.run.metric) if self.run else None
        elif isinstance(event, Note):
            if event.warning:
                self.warnings = [*self.warnings, event.text][-_WARNINGS:]
            else:
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
            name = attempt_label(event.root, event.attempt)
            self.rows[event.number] = TrialLine(event.number, name, event.params, ", ".join(labels), self.clock())
            return
        row = self.rows[event.number]
        if isinstance(event, TrialReported):
            row.step = event.step
            row.live |= event.metrics
            row.value = event.metrics.get(self.run.metric, row.value) if self.run else row.value
        elif isinstance(event, TrialProgress):
            row.live |= event.values
        else:
            row.state, row.cause, row.queued = event.state, event.outcome.cause.value, event.again is not None
            row.value, row.seconds, self.finished = event.value, event.outcome.duration_s, event.finished

    def name(self, number: int) -> str:
        """Return a trial's number as people read it."""
        return self.rows[number].name if number in self.rows else str(number)

    @property
    def running(self) -> list[TrialLine]:
        """The trials that run now."""
        return [row for row in list(self.rows.values()) if row.state == "running"]

    def seconds_left(self) -> float | None:
        """Estimate the time to the target in seconds, from the study's median trial; None while none ended."""
        spent = [row.seconds for row in list(self.rows.values()) if row.state in ("COMPLETE", "PRUNED")]
        if not spent or self.run is None:
            return None
        usual = median(spent)
        begun = sum(min(self.clock() - row.started, usual) for row in self.running)
        left = self.run.target - self.finished
        return max(0.0, left * usual - begun) / max(1, min(self.run.slots, left))

    def picture(self, height: int | None = None) -> RenderableType:
        """Draw the whole board for a terminal of ``height`` lines: all running trials, the best one, and the latest of
        the others."""
        return BoardPicture(self, height)

    def headline(self) -> list[Text]:
        """Return the parts of the first line."""
        if self.run is None:
            return [Text("hpsearch")]
        parts = [Text(f"study {self.run.study}", "bold"), Text(f"{self.finished}/{self.run.target} finished")]
        if self.best is not None:
            best = f"best {self.run.metric} {shown(self.best.value)} (trial {self.name(self.best.number)})"
            parts.append(Text(best, "bold green"))
        if self.base is not None:
            parts.append(Text(f"untuned {shown(self.base)}", "dim"))
        if self.run.slots > 1:
            parts.append(Text(f"{self.run.slots} at once"))
        left = self.seconds_left()
        if left:
            parts.append(Text(f"about {duration_text(left, short=True)} left"))
        return parts

    def live_lines(self) -> list[Text]:
        """Return the lines below the table: warnings, notes, progress, and a sample of a prediction."""
        lines = [Text(f"  warning: {visible(text, keep=LINE)}", "yellow") for text in self.warnings]
        lines += [Text(f"  {visible(note, keep=LINE)}", "dim") for note in self.notes]
        if self.phase:
            lines.append(Text(f"{self.phase.get('job', '')}: {_progress_text(self.phase)}", "cyan"))
        sample: list[Text] = []
        for row in self.running:
            lines.append(Text(f"trial {row.name}: {_progress_text(row.live)}", "cyan"))
            reference, prediction = row.live.get("reference"), row.live.get("prediction")
            if isinstance(reference, str) and isinstance(prediction, str):
                sample = [
                    Text(f"    reference:  {printable(reference)}", "dim"),
                    Text(f"    prediction: {printable(prediction)}", "dim"),
                ]
        return lines + sample  # of the latest trial that has one: with eight at once they would fill the screen


@dataclass(frozen=True)
class BoardPicture:
    """A board as rich draws it, fitted to the width, and to ``height`` lines if that is known."""

    board: Board
    height: int | None

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Draw it: a headline, the table, what happens now."""
        width = options.max_width
        above, below = packed(self.board.headline(), width), Group(*self.board.live_lines())
        others = sum(len(console.render_lines(part, options)) for part in (above, below))
        most = SHOWN_ROWS if self.height is None else max(3, self.height - others - 4)
        rows, hidden = self._rows(most)
        yield above
        if rows:
            yield fitted_table(self._columns(rows, width), width)
        if hidden:
            yield Text(f"  earlier trials, not shown: {hidden}", "dim")
        yield below

    def _rows(self, most: int) -> tuple[list[TrialLine], int]:
        """Choose the trials to show, and count the others."""
        every, best = list(self.board.rows.values()), self.board.best
        always = [row for row in every if row.state == "running" or (best is not None and row.number == best.number)]
        others = [row for row in every if row not in always]
        room = min(max(0, most - len(always)), len(others))
        chosen = sorted([*others[len(others) - room :], *always], key=lambda row: row.number)
        return chosen, len(others) - room

    def _columns(self, rows: list[TrialLine], width: int) -> list[TableColumn]:
        names = list(dict.fromkeys(name for row in rows for name in row.params))
        params = [
            TableColumn(name, [Text(shown(row.params.get(name, ""))) for row in rows], is_optional=True)
            for name in names
        ]
        metric = self.board.run.metric if self.board.run else "value"
        progress = [TableColumn("progress", [self._bar(row) for row in rows])] if width >= WIDE else []
        states, shorter = (
            [self._state(row, short=not progress, labelled=long) for row in rows] for long in (True, False)
        )
        return [
            TableColumn("trial", [Text(row.name) for row in rows]),
            *params,
            *progress,
            TableColumn(metric, [self._value(row) for row in rows]),
            TableColumn("time", [Text(self._time(row)) for row in rows]),
            TableColumn("state", states, shorter=shorter),
        ]

    def _value(self, row: TrialLine) -> Text:
        return Text(shown(row.value) if row.value is not None else "-", "bold" if self._is_best(row) else "")

    def _time(self, row: TrialLine) -> str:
        seconds = self.board.clock() - row.started if row.state == "running" else row.seconds
        return duration_text(seconds, short=True)

    def _state(self, row: TrialLine, *, short: bool, labelled: bool) -> Text:
        text = Text(row.ending, STYLES["interrupted" if row.cause in INTERRUPTIONS else row.state])
        if short and row.state == "running":
            text.append(f" {self._fraction(row):.0%}")
        if self._is_best(row):
            text.append(" * best", "bold green")
        return text.append(f", {row.label}") if row.label and labelled else text

    def _is_best(self, row: TrialLine) -> bool:
        return self.board.best is not None and row.number == self.board.best.number

    def _fraction(self, row: TrialLine) -> float:
        total, fraction = self.board.run.steps if self.board.run else None, row.live.get("fraction")
        if not isinstance(fraction, (int, float)) or isinstance(fraction, bool):
            fraction = row.step / total if total else 0.0
        return min(1.0, max(0.0, float(fraction)))

    def _bar(self, row: TrialLine) -> Text | ProgressBar:
        total = self.board.run.steps if self.board.run else None
        if row.state == "COMPLETE":
            return Text("")
        if row.state != "running":
            return Text(f"{row.step}/{total}" if total else f"step {row.step}", "dim")
        return ProgressBar(total=1.0, completed=self._fraction(row), width=14)


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
