"""What is known of a run while it goes on, gathered from its happenings, and drawn as tables with rich."""

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
from hpsearch.execution.events import JobProgress, Note
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

# Style of a trial's state; colours are doubled by words, so nothing hangs on them.
STYLES = {"running": "cyan", "COMPLETE": "green", "PRUNED": "yellow", "FAIL": "red"}
SHOWN_ROWS = 12


@dataclass
class TrialLine:
    """One trial as it is shown."""

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
    """The state of a run. Feed it happenings; ask it for pictures."""

    clock: Callable[[], float] = time.monotonic
    run: RunStarted | None = None
    rows: dict[int, TrialLine] = field(default_factory=dict)
    best: NewBest | None = None
    finished: int = 0
    base: float | None = None
    phase: dict[str, Any] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    def take(self, happening: RunEvent) -> None:
        """Take one happening in."""
        if isinstance(happening, RunStarted):
            self.run, self.finished = happening, happening.finished
            if happening.best:
                self.best = NewBest(*happening.best)
        elif isinstance(happening, StudyPrepared):
            self.phase = {}
            self.base = happening.info.base.get(self.run.metric) if self.run else None
        elif isinstance(happening, Note):
            if not happening.warning:  # warnings stand above the board
                self.notes = [*self.notes, happening.text][-3:]
        elif isinstance(happening, JobProgress):
            self.phase = {**self.phase, **happening.values, "job": happening.kind}
        elif isinstance(happening, NewBest):
            self.best = happening
        else:
            self._take_trial(happening)

    def _take_trial(self, happening: TrialStarted | TrialReported | TrialProgress | TrialEnded) -> None:
        if isinstance(happening, TrialStarted):
            labels = ["default configuration"] * happening.is_default
            labels += [f"point of trial {happening.carried} of the warm start"] * (happening.carried is not None)
            labels += [happening.first] * bool(happening.first)
            labels += [f"attempt {happening.attempt} of trial {happening.root}"] * (happening.attempt > 1)
            label = ", ".join(labels)
            self.rows[happening.number] = TrialLine(happening.number, happening.params, label, self.clock())
            return
        row = self.rows[happening.number]
        if isinstance(happening, TrialReported):
            row.step = happening.step
            row.live |= happening.metrics
            row.value = happening.metrics.get(self.run.metric, row.value) if self.run else row.value
        elif isinstance(happening, TrialProgress):
            row.live |= happening.values
        else:
            row.state, row.cause = happening.state, happening.outcome.cause.value
            row.value, row.seconds, self.finished = happening.value, happening.outcome.duration_s, happening.finished

    @property
    def running(self) -> list[TrialLine]:
        """Trials that run now."""
        return [row for row in self.rows.values() if row.state == "running"]

    def seconds_left(self) -> float | None:
        """Estimate of the time to the target in seconds, from the median trial of this run; None while none ended."""
        spent = [row.seconds for row in self.rows.values() if row.state in ("COMPLETE", "PRUNED")]
        if not spent or self.run is None:
            return None
        begun = sum(min(self.clock() - row.started, median(spent)) for row in self.running)
        left = self.run.target - self.finished
        return max(0.0, left * median(spent) - begun) / max(1, min(self.run.slots, left))

    def picture(self) -> RenderableType:
        """The whole board for a terminal."""
        return Group(self._headline(), self.table(self._rows_to_show()), *self._live_lines())

    def _rows_to_show(self) -> list[TrialLine]:
        """Trials that run now, and the latest of the others."""
        others = [row for row in self.rows.values() if row.state != "running"]
        room = max(0, SHOWN_ROWS - len(self.running))
        return sorted([*others[len(others) - min(room, len(others)) :], *self.running], key=lambda row: row.number)

    def table(self, rows: list[TrialLine]) -> Table:
        """A table of trials."""
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
        state = Text(_state_words(row), STYLES.get(row.state, ""))
        if is_best:
            state.append(" * best", "bold green")
        seconds = row.seconds or self.clock() - row.started
        return [
            Text(str(row.number)),
            *(Text(shown(row.params.get(name, ""))) for name in names),
            self._progress(row),
            Text(shown(row.value) if row.value is not None else "-", "bold" if is_best else ""),
            Text(duration(seconds)),
            state,
        ]

    def _progress(self, row: TrialLine) -> RenderableType:
        total = self.run.steps if self.run else None
        if row.state == "COMPLETE":
            return Text("")
        if row.state != "running":
            return Text(f"{row.step}/{total}" if total else f"step {row.step}", "dim")
        return ProgressBar(total=1.0, completed=self._fraction(row, total), width=14)

    def _fraction(self, row: TrialLine, total: int | None) -> float:
        fraction = row.live.get("fraction")
        if isinstance(fraction, (int, float)) and not isinstance(fraction, bool):
            return min(1.0, max(0.0, float(fraction)))
        return row.step / total if total else 0.0

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
            head.append(f"  about {duration(left)} left", "default")
        return head

    def _live_lines(self) -> list[Text]:
        lines = [Text(f"  {note}", "dim") for note in self.notes]
        if self.phase:
            lines.append(Text(f"{self.phase.get('job', '')}: {_live_words(self.phase) or 'starting'}", "cyan"))
        samples: list[Text] = []
        for row in self.running:
            lines.append(Text(f"trial {row.number}: {_live_words(row.live) or 'starting'}", "cyan"))
            samples = _sample_lines(row.live) or samples
        return lines + samples  # of the latest trial that has any: with eight at once they would fill the screen


def duration(seconds: float) -> str:
    """Seconds as people write them: 42s, 3m05s, 2h10m."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole}s"
    if whole < 3600:
        return f"{whole // 60}m{whole % 60:02d}s"
    return f"{whole // 3600}h{whole % 3600 // 60:02d}m"


def _state_words(row: TrialLine) -> str:
    words = "running" if row.state == "running" else row.state.lower()
    if row.cause not in ("", "ok", "pruned"):
        words += f" ({row.cause})"
    return f"{words}, {row.label}" if row.label else words


def _live_words(live: dict[str, Any]) -> str:
    parts = [str(live["phase"])[:40]] if "phase" in live else []
    if isinstance(live.get("step"), int):
        parts.append(f"step {live['step']}" + (f" of {live['steps']}" if isinstance(live.get("steps"), int) else ""))
    for key, words in (
        ("loss", "loss {}"),
        ("it_per_s", "{} it/s"),
        ("tokens_per_s", "{} tokens/s"),
    ):
        if isinstance(live.get(key), (int, float)):
            parts.append(words.format(shown(live[key])))
    if isinstance(live.get("memory_bytes"), (int, float)):
        parts.append(f"{live['memory_bytes'] / 2**30:.2f} GiB")
    return ", ".join(parts)


def _sample_lines(live: dict[str, Any]) -> list[Text]:
    if not isinstance(live.get("reference"), str) or not isinstance(live.get("prediction"), str):
        return []
    return [
        Text(f"    page says:  {printable(live['reference'])}", "dim"),
        Text(f"    model read: {printable(live['prediction'])}", "dim"),
    ]


# How a run is shown: a live table on a terminal, plain lines elsewhere.


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

        def view(happening: RunEvent) -> None:
            board.take(happening)
            if isinstance(happening, Note) and happening.warning:
                live.console.print(f"warning: {happening.text}", style="yellow", markup=False, highlight=False)
            elif isinstance(happening, StudyPrepared):
                for line in _facts(happening):
                    live.console.print(line, markup=False, highlight=False)

        yield view
    console.print(board.picture())


class Lines:
    """Prints one line for what is worth one; every line stands alone in a log."""

    def __init__(self, board: Board) -> None:
        self._board = board
        self._phase = ""

    def take(self, happening: RunEvent) -> None:
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

    def _line(self, happening: RunEvent) -> str:
        if isinstance(happening, RunStarted):
            return _started(happening)
        if isinstance(happening, Note):
            return f"{'warning: ' if happening.warning else ''}{happening.text}"
        if isinstance(happening, StudyPrepared):
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

    def _trial(self, happening: RunEvent) -> str:
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

    def _prepared(self, happening: StudyPrepared) -> str:
        info = happening.info
        counts = ", ".join(f"{count} {split}" for split, count in info.rows.items())
        parts = [f"data and model are ready: {counts} rows"]
        if self._board.run and self._board.base:
            parts.append(f"untuned {self._board.run.metric} {shown(self._board.base)}")
        if info.backend:
            parts.append(f"backend {info.backend} ({info.backend_reason}) on {info.device} in {info.precision}")
        return "\n".join(["; ".join(parts), *_facts(happening)])

    def _job(self, happening: JobProgress) -> str:
        phase = str(happening.values.get("phase", ""))
        if not phase or phase == self._phase:
            return ""
        self._phase = phase
        return f"{happening.kind}: {printable(phase)}"


def _facts(prepared: StudyPrepared) -> list[str]:
    """What the preflight found, a line for each fact."""
    return [f"  {line}" for line in facts([(what, text) for what, text in prepared.info.lines])]


def _started(run: RunStarted) -> str:
    better = "lower" if run.direction == "minimize" else "higher"
    return (
        f"study {run.study}: {run.search_mode} search for the best {run.metric} ({better} is better), "
        f"{run.finished} of {run.target} trials finished" + (f", {run.slots} at once" if run.slots > 1 else "")
    )
