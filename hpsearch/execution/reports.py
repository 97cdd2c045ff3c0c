"""What a program has said over its report channel, from its first line to its last.

Both executors use it: the supervisor feeds it bytes from the FIFO, the fake one lines from a function.
"""

from __future__ import annotations

import json
import math
import os
import time
from collections.abc import Iterator

from hpsearch.execution.job import (
    MAX_LINE_BYTES,
    MAX_METRICS,
    BadLine,
    FaultLine,
    FinalLine,
    Line,
    StepLine,
    encode_values,
    parse_line,
)
from hpsearch.execution.outcome import Cause

BAD_LINES_ALLOWED = 99  # the hundredth stops the job: it does not speak this protocol (reliability, T8)
_MOST_STEPS = 100_000  # ten times the most evaluations a study may ask for
_MOST_METRIC_BYTES = 64 * 1024 * 1024


class LineSplitter:
    """Cuts a stream of bytes into lines. A line that is too long comes cut off, just long enough to be refused."""

    def __init__(self) -> None:
        self._rest = b""
        self._skipping = False

    def feed(self, data: bytes) -> Iterator[bytes]:
        """The lines that ``data`` completes. Empty ones are left out."""
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
        """The last line, where it was not ended."""
        rest, self._rest = self._rest, b""
        if rest.strip():
            yield rest


class Record:
    """The steps, the final metrics and the fault a program has reported, and what they mean for it.

    What is accepted is written to ``metrics_file``, an open descriptor.

    ``said`` is the cause the program's own words decide, with a message: a fault it named, divergence, or a broken
    protocol; the first one stands. After ``close_verdict`` nothing more is decided by what a program says.
    """

    def __init__(self, metric: str, metrics_file: int) -> None:
        self.metric = metric
        self.final: dict[str, float] = {}
        self.bad_lines = 0
        self.first_bad = ""  # why the first of them was refused
        self.said: tuple[Cause, str] | None = None
        self._last_step = -1  # the greatest step that names the objective
        self._last_metrics: dict[str, float] = {}
        self._steps: set[int] = set()
        self._metric_bytes = 0
        self._open = True
        self._file = metrics_file

    @property
    def has_result(self) -> bool:
        """Whether a final line named the objective."""
        return self.metric in self.final

    @property
    def last_metrics(self) -> dict[str, float]:
        """Metrics of the greatest step that names the objective; empty if none does."""
        return self._last_metrics

    def take(self, raw: bytes) -> Line | None:
        """Take in one line; None where it is refused, or repeats a step (the first value stands)."""
        try:
            line = parse_line(raw)
            return self._take(line, len(raw))
        except BadLine as error:
            self._count_bad(str(error))
            return None

    def close_verdict(self) -> None:
        """From here on the program's words decide nothing: it was told to end."""
        self._open = False

    def close(self) -> None:
        """Give the file back."""
        os.close(self._file)

    def _take(self, line: Line, size: int) -> Line | None:
        if isinstance(line, FaultLine):
            self._say(line.cause, line.message)
        elif isinstance(line, StepLine):
            if line.step in self._steps:
                return None
            self._take_step(line, size)
        elif isinstance(line, FinalLine):
            self._take_final(line, size)
        return line

    def _take_step(self, line: StepLine, size: int) -> None:
        if len(self._steps) >= _MOST_STEPS:
            raise BadLine(f"a job reports at most {_MOST_STEPS} steps")
        self._keep(line.step, line.metrics, size)
        self._steps.add(line.step)
        if self.metric in line.metrics and line.step > self._last_step:
            self._last_step, self._last_metrics = line.step, line.metrics
        self._watch(line.metrics, f"at step {line.step}")

    def _take_final(self, line: FinalLine, size: int) -> None:
        if len(self.final | line.metrics) > MAX_METRICS:
            raise BadLine(f"a job has at most {MAX_METRICS} final metrics")
        self._keep(None, line.metrics, size)
        self.final |= line.metrics
        self._watch(line.metrics, "as a final metric")

    def _keep(self, step: int | None, metrics: dict[str, float], size: int) -> None:
        self._metric_bytes += size
        if self._metric_bytes > _MOST_METRIC_BYTES:
            raise BadLine(f"a job reports at most {_MOST_METRIC_BYTES} bytes of metrics")
        entry = {"step": step, "time": time.time(), "metrics": encode_values(metrics)}
        try:
            os.write(self._file, json.dumps(entry).encode() + b"\n")
        except OSError:
            return  # a full disk must not end a trial; the runner has the report too

    def _watch(self, metrics: dict[str, float], where: str) -> None:
        for name, value in metrics.items():
            if not math.isfinite(value) and self._must_be_finite(name):
                self._say(Cause.DIVERGED, f"{name} is {value} {where}")

    def _must_be_finite(self, name: str) -> bool:
        return name in (self.metric, "loss") or name.endswith("_loss")

    def _count_bad(self, reason: str) -> None:
        self.bad_lines += 1
        self.first_bad = self.first_bad or reason
        if self.bad_lines > BAD_LINES_ALLOWED:
            self._say(
                Cause.PROTOCOL, f"{self.bad_lines} lines on the report channel broke its rules; the last: {reason}"
            )

    def _say(self, cause: Cause, message: str) -> None:
        if self._open and self.said is None:
            self.said = (cause, message)
