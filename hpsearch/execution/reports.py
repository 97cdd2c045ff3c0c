"""Everything that a program reports over its channel, from its first line to its last.

Both executors use it: the supervisor feeds it bytes from the FIFO, the fake one lines from a function.
"""

from __future__ import annotations

import json
import math
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from hpsearch.execution.job import (
    MAX_LINE_BYTES,
    MAX_METRICS,
    BadLine,
    FaultLine,
    FinalLine,
    Line,
    StepLine,
    decode_values,
    encode_values,
    parse_line,
)
from hpsearch.execution.names import METRICS_FILE, REPORT_FIFO
from hpsearch.execution.outcome import Cause

BAD_LINES_ALLOWED = 99  # the hundredth stops the job: it does not speak this protocol (reliability, T8)
_MOST_STEPS = 100_000  # ten times the most evaluations a study may ask for
_MOST_METRIC_BYTES = 64 * 1024 * 1024
_MOST_UNREAD_BYTES = 4 * 1024 * 1024  # the channel holds 1 MB


class LineSplitter:
    """Cuts a stream of bytes into lines. A line that is too long is cut off, just long enough to be refused."""

    def __init__(self) -> None:
        self._rest = b""
        self._skipping = False

    def feed(self, data: bytes) -> Iterator[bytes]:
        """Yield the lines that ``data`` completes, without empty ones."""
        *complete, rest = data.split(b"\n")
        for part in complete:
            line, self._rest = self._rest + part, b""
            if line.strip() and not self._skipping:
                yield line[: MAX_LINE_BYTES + 1]
            self._skipping = False
        self._rest = b"" if self._skipping else self._rest + rest
        if len(self._rest) > MAX_LINE_BYTES:
            yield self._rest[: MAX_LINE_BYTES + 1]
            self._rest, self._skipping = b"", True

    def end(self) -> Iterator[bytes]:
        """Yield the last line, where it was not ended."""
        rest, self._rest = self._rest, b""
        if rest.strip():
            yield rest


class Record:
    """The steps, the final metrics and the fault that a program has reported. Accepted metrics are written to
    ``metrics_file``, an open descriptor.

    ``verdict`` is the cause that the reports decide, with a message: a fault the program named, divergence, or a broken
    protocol; the first one holds. After ``close_verdict``, and after the final metrics, reports decide nothing more;
    ``late_fault`` is the first fault that the program named after these. ``undelivered`` says why a report that may
    have been the last one was not accepted.
    """

    def __init__(self, metric: str, metrics_file: int) -> None:
        self.metric = metric
        self.final: dict[str, float] = {}
        self.bad_lines = 0
        self.first_bad = ""  # why the first of them was refused
        self.verdict: tuple[Cause, str] | None = None
        self.late_fault = ""
        self.undelivered = ""
        self.repeated = ""
        self.last_step = -1  # the greatest step that names the objective
        self.last_metrics: dict[str, float] = {}  # of that step
        self._steps: set[int] = set()
        self._metric_bytes = 0
        self._open = True
        self._file = metrics_file

    @property
    def has_result(self) -> bool:
        """True once a final line has named the objective."""
        return self.metric in self.final

    def take(self, raw: bytes) -> Line | None:
        """Record one line; returns None where it is refused, or repeats a step (the first value is kept)."""
        try:
            line = parse_line(raw)
            if isinstance(line, StepLine) and line.step in self._steps:
                return None
            if isinstance(line, FaultLine):
                if self.has_result:
                    self.late_fault = self.late_fault or f"{line.cause.value}: {line.message}"
                self._decide(line.cause, line.message)
            elif isinstance(line, StepLine):
                self._take_step(line, len(raw))
            elif isinstance(line, FinalLine):
                self._take_final(line, len(raw))
        except BadLine as error:
            self.bad_lines += 1
            self.first_bad = self.first_bad or str(error)
            if not raw.lstrip().startswith((b'{"progress"', b'{"fault"')):
                self.undelivered = f"a report was refused: {error}"
            if self.bad_lines > BAD_LINES_ALLOWED:
                broken = f"{self.bad_lines} lines on the report channel broke its rules; the last: {error}"
                self._decide(Cause.PROTOCOL, broken)
            return None
        if isinstance(line, StepLine | FinalLine) and self.metric in line.metrics:
            self.undelivered = ""
        return line

    def close_verdict(self) -> None:
        """Let later reports decide nothing: the program was asked to end."""
        self._open = False

    def close(self) -> None:
        """Close the file."""
        os.close(self._file)

    def _take_step(self, line: StepLine, size: int) -> None:
        if len(self._steps) >= _MOST_STEPS:
            raise BadLine(f"a job reports at most {_MOST_STEPS} steps")
        self._keep(line.step, line.metrics, size)
        self._steps.add(line.step)
        if self.metric in line.metrics and line.step > self.last_step:
            self.last_step, self.last_metrics = line.step, line.metrics

    def _take_final(self, line: FinalLine, size: int) -> None:
        if len(self.final | line.metrics) > MAX_METRICS:
            raise BadLine(f"a job has at most {MAX_METRICS} final metrics")
        former, value = self.final.get(self.metric), line.metrics.get(self.metric)
        if former is not None and value is not None and value != former:
            if math.isfinite(former) and not math.isfinite(value):
                raise BadLine(f"the final {self.metric} is {former}, and {value} does not replace it")
            self.repeated = f"the final {self.metric} was reported again: {value} in the place of {former}"
        self._keep(None, line.metrics, size)
        self.final |= line.metrics

    def _keep(self, step: int | None, metrics: dict[str, float], size: int) -> None:
        """Write metrics to the file, and see whether they mean divergence."""
        self._metric_bytes += size
        if self._metric_bytes > _MOST_METRIC_BYTES:
            raise BadLine(f"a job reports at most {_MOST_METRIC_BYTES} bytes of metrics")
        entry = {"step": step, "time": time.time(), "metrics": encode_values(metrics)}
        with suppress(OSError):  # a full disk must not end a trial; the runner has the report too
            os.write(self._file, json.dumps(entry).encode() + b"\n")
        where = "as a final metric" if step is None else f"at step {step}"
        for name, value in metrics.items():
            must_be_finite = name in (self.metric, "loss") or name.endswith("_loss")
            if must_be_finite and not math.isfinite(value):
                self._decide(Cause.DIVERGED, f"{name} is {value} {where}")

    def _decide(self, cause: Cause, message: str) -> None:
        if self._open and self.verdict is None and not self.has_result:
            self.verdict = (cause, message)


@contextmanager
def unread_kept(folder: Path, metric: str) -> Iterator[None]:
    """Append to a job's metrics, once the ``with`` block has ended its frozen supervisor, what that had not read from
    the channel: it would be gone with the last process that has the channel open."""
    channel, data = -1, b""
    with suppress(OSError):
        channel = os.open(folder / REPORT_FIFO, os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW)
    try:
        yield
        with suppress(OSError):  # there is none, or nothing is left in it
            while len(data) < _MOST_UNREAD_BYTES and (read := os.read(channel, _MOST_UNREAD_BYTES)):
                data += read
    finally:
        if channel >= 0:
            os.close(channel)
    with suppress(OSError):
        record = Record(metric, os.open(folder / METRICS_FILE, os.O_WRONLY | os.O_APPEND | os.O_NOFOLLOW))
        lines = LineSplitter()
        for line in (*lines.feed(data), *lines.end()):
            record.take(line)
        record.close()


def read_reports(metrics_file: Path) -> tuple[list[StepLine], dict[str, float]]:
    """Read the reports that were accepted of a job: its steps in their order, and its final metrics. A file that is
    missing, or ends in half a line, holds what can be read of it."""
    steps: list[StepLine] = []
    final: dict[str, float] = {}
    with suppress(OSError), metrics_file.open("rb") as lines:
        for line in lines:
            with suppress(ValueError, KeyError, TypeError, AttributeError):
                entry = json.loads(line)
                metrics = decode_values(entry["metrics"])
                if entry["step"] is None:
                    final |= metrics
                else:
                    steps.append(StepLine(int(entry["step"]), metrics))
    return steps, final
