"""Classifying the end of a job: from its reports, the stop request and the exit of its program to one cause."""

from __future__ import annotations

import math
import os
import re
import signal
from dataclasses import dataclass, replace
from pathlib import Path

from hpsearch.execution.job import Job, Outcome
from hpsearch.execution.names import METRICS_FILE
from hpsearch.execution.outcome import Cause
from hpsearch.execution.reports import Record, read_reports

LOG_TAIL_BYTES = 64 * 1024  # of the log are searched for signs of what went wrong
_SHOWN_LINES = 50
_SHOWN_BYTES = 8 * 1024
_MESSAGE_CHARACTERS = 2000

# Texts with which torch, CUDA's libraries and NCCL say that the device's memory is used up. accelerate's own test
# misses the second and the third of them. HIP says "HIP out of memory", the CPU allocator names itself.
_DEVICE_OOM = re.compile(
    r"out of memory|outofmemoryerror|CUBLAS_STATUS_ALLOC_FAILED|CUDNN_STATUS_(?:ALLOC_FAILED|NOT_SUPPORTED)"
    r"|DefaultCPUAllocator",
    re.IGNORECASE,
)
_HOST_OOM = re.compile(r"^(?:[\w.]+\.)?(?:_Array)?MemoryError\b|std::bad_alloc", re.MULTILINE)
# How torchrun, a DataLoader and a shell say that a process below them was killed.
_CHILD_KILLED = re.compile(r"\bSIGKILL\b|\bsignal:? 9\b|\bkilled\b", re.IGNORECASE)
_SIGNALS = {number.value: number.name for number in signal.Signals}


@dataclass(frozen=True)
class Exit:
    """Exit of the program's own process: one of ``code`` and ``number`` (a signal's)."""

    code: int | None = None
    number: int | None = None

    @staticmethod
    def from_status(status: int) -> Exit:
        """Read a wait status. A shell exits with 128 + n when its child died of signal n: that counts as the signal."""
        code = os.waitstatus_to_exitcode(status)
        number = -code if code < 0 else code - 128
        return Exit(number=number) if number in _SIGNALS else Exit(code=code)

    @property
    def signal_name(self) -> str | None:
        """Such as "SIGSEGV"."""
        return None if self.number is None else _SIGNALS[self.number]


@dataclass(frozen=True)
class Stop:
    """Why the supervisor ended the program."""

    cause: Cause
    message: str


@dataclass(frozen=True)
class JobEnding:
    """Everything observed from outside about the end of a job."""

    exit: Exit
    duration_s: float
    log_tail: bytes = b""
    stop: Stop | None = None
    pruned_at: int | None = None  # the step after which it was asked to stop, without a final result before that
    oom_kills: int = 0  # processes the kernel killed for memory meanwhile


def classify_exit(job: Job, record: Record, ending: JobEnding) -> Outcome:
    """Return the outcome of a job whose program ran."""
    text = ending.log_tail.decode("utf-8", "replace")
    cause, message = _cause(job, record, ending, text)
    metrics = record.final
    if cause is Cause.OK and not record.has_result and job.kind == "trial":
        metrics = record.last_metrics
    outcome = Outcome(
        cause=cause,
        metrics=dict(metrics),
        message=message[:_MESSAGE_CHARACTERS],
        exit_code=ending.exit.code,
        signal=ending.exit.signal_name,
        duration_s=ending.duration_s,
        log_tail=shown_tail(text),
        bad_lines=record.bad_lines,
        first_bad=record.first_bad,
    )
    if cause is Cause.PROTOCOL and record.verdict is None and outcome.refusals:
        return replace(outcome, message=f"{message}; {outcome.refusals}"[:_MESSAGE_CHARACTERS])
    return outcome


def lost_outcome(folder: Path, job: Job, why: str, duration_s: float) -> Outcome:
    """Return the outcome of a job whose supervisor left none in its ``folder``: what its program had reported is there
    all the same, and a trial that had reported its final metrics has its result."""
    _, final = read_reports(folder / METRICS_FILE)
    if job.kind == "trial" and math.isfinite(final.get(job.metric, math.nan)):
        return Outcome(Cause.OK, final, after_result(why), duration_s=duration_s)
    return Outcome(Cause.LOST, message=why, duration_s=duration_s)


def shown_tail(text: str) -> str:
    """Return the last lines of a log, few enough to be shown."""
    return "\n".join(text[-_SHOWN_BYTES:].splitlines()[-_SHOWN_LINES:])


def after_result(how: str) -> str:
    """Say how a trial ended that had reported its final metrics, and so has its result whatever came then."""
    return f"after its final metrics: {how}"


def _cause(job: Job, record: Record, ending: JobEnding, text: str) -> tuple[Cause, str]:
    if record.verdict is not None:
        return record.verdict
    if ending.pruned_at is not None:
        return Cause.PRUNED, f"stopped by the pruner after step {ending.pruned_at}"
    if record.has_result and (job.kind == "trial" or ending.exit.code == 0):
        how = ending.stop.message if ending.stop is not None else record.late_fault
        if not how and ending.exit.code != 0:
            _, how = _bad_exit(ending, text)
        if how or job.prepared_dir is not None:  # the built-in training may leave out its last evaluations
            said = [after_result(how) if how else "", record.repeated]
        else:
            said = [_steps_left(job, record), record.repeated]
        return Cause.OK, "; ".join(text for text in said if text)
    if ending.stop is not None:
        return ending.stop.cause, ending.stop.message
    if ending.exit.code == 0:
        return _good_exit(job, record)
    return _bad_exit(ending, text)


def _good_exit(job: Job, record: Record) -> tuple[Cause, str]:
    """Return the cause of a job that exited 0 and has not reported the objective as a final metric."""
    if job.kind != "trial":
        return Cause.OK, ""
    if record.final:
        return Cause.PROTOCOL, f"exited 0 without reporting {job.metric} among its final metrics"
    if not record.last_metrics:
        return Cause.PROTOCOL, f"exited 0 without reporting {job.metric}"
    if record.undelivered:
        return Cause.PROTOCOL, f"exited 0, but its final {job.metric} is not known: {record.undelivered}"
    if left := _steps_left(job, record):
        return Cause.PROTOCOL, f"exited 0 without final metrics, and {left}"
    return Cause.OK, ""


def _steps_left(job: Job, record: Record) -> str:
    """Say that a program reported fewer steps than it was said to have; empty where it did not."""
    if job.steps is None or not record.last_metrics or record.last_step >= job.steps:
        return ""
    return f"its last report was of step {record.last_step} of {job.steps}"


def _bad_exit(ending: JobEnding, text: str) -> tuple[Cause, str]:
    how = f"died of {ending.exit.signal_name}" if ending.exit.number else f"exited with code {ending.exit.code}"
    lines = text.rstrip().splitlines()
    message = f"{how}: {lines[-1].strip()}" if lines and lines[-1].strip() else how
    nccl = re.search("unhandled cuda error", text, re.IGNORECASE) if "NCCL" in text else None
    if sign := _DEVICE_OOM.search(text) or nccl:
        start, end = text.rfind("\n", 0, sign.start()) + 1, text.find("\n", sign.start())
        return Cause.CUDA_OOM, f"{how}: {text[start : end if end >= 0 else len(text)].strip()}"
    if _HOST_OOM.search(text):
        return Cause.HOST_OOM, message
    if ending.oom_kills > 0 and (ending.exit.number == signal.SIGKILL or _CHILD_KILLED.search(text)):
        why = "the kernel killed a process, because the machine or the control group has no memory left"
        return Cause.HOST_OOM, f"{how}: {why}"
    if ending.exit.number == signal.SIGKILL:
        return Cause.SIGNAL, f"{how} that hpsearch did not send; often memory is used up: see the kernel's log"
    return (Cause.SIGNAL if ending.exit.number else Cause.CRASH), message
