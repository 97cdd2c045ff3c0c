"""The supervisor's loop while its job's program runs, over four descriptors and three clocks.

    control   the executor's commands in, events out; its end means that the runner died
    report    the program's lines (a FIFO)
    output    what the program prints
    program   readable once the program has ended (a pidfd)

The job ends when its program does, even if another process still holds a pipe open. Messages are JSON objects, one a
line:

    executor -> supervisor   {"answer": {"step": 3, "prune": false}}, {"stop": {"grace_s": 10}}
    supervisor -> executor   {"report": {"step": 3, "metrics": {...}}}, {"progress": {...}}, {"finished": {...}};
                             {"alive": true} after a second without another message
"""

from __future__ import annotations

import json
import os
import selectors
import signal
import stat
import sys
import time
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from hpsearch.execution.exit import LOG_TAIL_BYTES, Exit, JobEnding, Stop, classify_exit
from hpsearch.execution.files import remove_channel, replace_file, sync, sync_tree
from hpsearch.execution.job import FinalLine, Job, Outcome, ProgressLine, StepLine, encode_values
from hpsearch.execution.log import CappedLog
from hpsearch.execution.names import ANSWER_FILE, JOB_FILE, OUTCOME_FILE, REPORT_FIFO
from hpsearch.execution.outcome import Cause
from hpsearch.execution.processes import ProcessTree
from hpsearch.execution.program import Program, oom_kills
from hpsearch.execution.reports import LineSplitter, Record

_READ_BYTES = 1024 * 1024  # at once from one descriptor, so that a flood on one does not starve the others
_TICK_S = 1.0  # adopted children are collected at least this often
_TICK_WITHOUT_PIDFD_S = 0.05
_OWN_GRACE_S = 2.0  # between TERM and KILL, where the supervisor itself decides that the job is over
_PROGRESS_EVERY_S = 0.1
_PATIENCE_S = 30.0  # for killed processes to vanish; a GPU's memory is freed before they do
_REPLACED_BYTES = 64 * 1024 * 1024  # of a file that a program put in the place of its channel
_WAITING_BYTES = 1024 * 1024  # of events not read by the runner, before the program's reports have to wait
_FOREVER = float("inf")


class Supervision:
    """Looks after one started program until nothing of it is left."""

    def __init__(self, job: Job, program: Program, control: int, early: bytes) -> None:
        self._job = job
        self._program = program
        self._control = control
        self._commands = LineSplitter()
        self._outbox = bytearray()
        self._said_at = 0.0  # when the executor last got something
        self._gone = False  # the runner
        self._tree = ProcessTree(program.pid)
        self._lines = LineSplitter()
        self._record = Record(job.metric, program.metrics)
        self._log = CappedLog(program.log, job.log_limit_bytes)
        self._stop: Stop | None = None
        self._kill_at = _FOREVER
        self._timeout_at = _FOREVER if job.timeout_s is None else program.began + job.timeout_s
        self._exit_at = _FOREVER
        self._pruned_at: int | None = None
        self._last_sign = program.began
        self._progress: dict[str, Any] | None = None
        self._progress_at = 0.0
        self._selector = selectors.DefaultSelector()
        self._pidfd = _open_pidfd(program.pid)
        os.set_blocking(control, False)
        self._obey(early)

    def run(self) -> None:
        """Look after the program; returns when the runner has got the job's outcome, or is gone."""
        for descriptor in (self._control, self._program.report, self._program.output, self._pidfd):
            if descriptor >= 0:
                self._selector.register(descriptor, selectors.EVENT_READ)
        self._tree.reap()
        while self._tree.status is None:
            self._wait()
            self._check_limits()
            self._tree.reap()
        self._finish()

    def _wait(self) -> None:
        self._send_progress()
        self._show_alive()
        self._choose_watched()
        for key, mask in self._selector.select(self._pause()):
            if key.fd == self._control:
                self._serve_control(mask)
            elif key.fd == self._program.report:
                self._read_report()
            elif key.fd == self._program.output:
                self._read_output()

    def _choose_watched(self) -> None:
        if not self._gone:
            write = selectors.EVENT_WRITE if self._outbox else 0
            self._selector.modify(self._control, selectors.EVENT_READ | write)
        full = self._is_full()
        watched = self._program.report in self._selector.get_map()
        if full and watched:
            self._selector.unregister(self._program.report)
        elif watched is full:
            self._selector.register(self._program.report, selectors.EVENT_READ)

    def _is_full(self) -> bool:
        """True while the runner has not read so much that the program has to wait as well."""
        return len(self._outbox) > _WAITING_BYTES

    def _pause(self) -> float:
        now = time.monotonic()
        tick = _TICK_S if self._pidfd >= 0 else _TICK_WITHOUT_PIDFD_S
        progress = self._progress_at if self._progress else _FOREVER
        return max(
            0.0, min(tick, min(self._kill_at, self._timeout_at, self._exit_at, self._stall_at(), progress) - now)
        )

    # Talking with the executor

    def _serve_control(self, mask: int) -> None:
        if mask & selectors.EVENT_WRITE:
            self._flush()
        if mask & selectors.EVENT_READ:
            data = _read(self._control)
            if data == b"":
                self._lose_runner()
            elif data:
                self._obey(data)

    def _obey(self, data: bytes) -> None:
        for line in self._commands.feed(data):
            command = json.loads(line)
            if "answer" in command:
                self._answer(command["answer"])
            elif "stop" in command:
                self._end_program(Cause.INTERRUPTED, "stopped on request", command["stop"]["grace_s"])

    def _answer(self, answer: dict[str, Any]) -> None:
        if answer["prune"] and self._pruned_at is None and not self._record.has_result:
            self._pruned_at = answer["step"]
        with suppress(OSError):  # without an answer the program goes on, and the runner stops it after a grace
            replace_file(self._program.path(ANSWER_FILE), json.dumps(answer).encode())

    def _lose_runner(self) -> None:
        self._gone = True
        self._outbox.clear()
        self._selector.unregister(self._control)
        self._end_program(Cause.LOST, "its runner died", 0.0)

    def _send(self, message: dict[str, Any]) -> None:
        if not self._gone:
            self._outbox += json.dumps(message).encode() + b"\n"
            self._said_at = time.monotonic()

    def _show_alive(self) -> None:
        """Show the executor that this process is not frozen, unless it has something else to read."""
        if time.monotonic() - self._said_at >= _TICK_S and not self._outbox and not self._gone:
            self._send({"alive": True})
            with suppress(OSError):  # what the loss of the runner means is decided elsewhere
                del self._outbox[: os.write(self._control, self._outbox)]

    def _flush(self) -> None:
        try:
            del self._outbox[: os.write(self._control, self._outbox)]
        except BlockingIOError:
            return
        except OSError:
            self._lose_runner()

    def _send_progress(self) -> None:
        now = time.monotonic()
        if self._progress and now >= self._progress_at:
            self._send({"progress": self._progress})
            self._progress, self._progress_at = None, now + _PROGRESS_EVERY_S

    # Listening to the program

    def _read_output(self) -> bool:
        data = _read(self._program.output)
        if data == b"":
            self._selector.unregister(self._program.output)
        self._log.write(data or b"")
        return bool(data)

    def _read_report(self) -> bool:
        data = _read(self._program.report)
        for line in self._lines.feed(data or b""):
            self._take(line)
        return bool(data)

    def _take(self, raw: bytes) -> None:
        line = self._record.take(raw)
        if line is not None:
            self._last_sign = time.monotonic()
        if isinstance(line, StepLine):
            self._send({"report": {"step": line.step, "metrics": encode_values(line.metrics)}})
        elif isinstance(line, ProgressLine):
            self._progress = line.values
        elif isinstance(line, FinalLine) and self._record.has_result:
            if self._job.exit_timeout_s is not None:
                self._exit_at = time.monotonic() + self._job.exit_timeout_s
            self._secure_reports()
        if self._record.verdict and self._record.verdict[0] in (Cause.DIVERGED, Cause.PROTOCOL):
            self._end_program(*self._record.verdict, _OWN_GRACE_S)

    def _secure_reports(self) -> None:
        """Have the reports on the disk, and the job, without which recovery could not tell whose they are."""
        with suppress(OSError):  # a full or broken disk is reported by those who need the files
            os.fsync(self._program.metrics)
            sync(self._program.path(JOB_FILE))
            sync(self._program.output_dir)

    # Ending

    def _stall_at(self) -> float:
        """When the program has been silent for too long; with its final metrics it has nothing more to say."""
        silent = self._job.stall_s is None or self._record.has_result
        return _FOREVER if silent else self._last_sign + (self._job.stall_s or 0.0)

    def _check_limits(self) -> None:
        now = time.monotonic()
        if self._is_full():
            self._last_sign = now  # the program cannot report, so its silence says nothing
        if self._stop is None and now >= self._timeout_at:
            self._end_program(Cause.TIMEOUT, f"ran past its limit of {self._job.timeout_s:g} s", _OWN_GRACE_S)
        elif self._stop is None and now >= self._exit_at:
            message = f"did not exit within {self._job.exit_timeout_s:g} s (exit_timeout_s)"
            self._end_program(Cause.TIMEOUT, message, _OWN_GRACE_S)
        elif self._stop is None and now >= self._stall_at():
            self._end_program(Cause.STALLED, f"reported nothing for {self._job.stall_s:g} s", _OWN_GRACE_S)
        if now >= self._kill_at and self._tree.end(_PATIENCE_S, self._show_alive) and self._tree.status is None:
            self._tree.status = signal.SIGKILL  # it hangs inside the kernel; the outcome says that it is still there

    def _end_program(self, cause: Cause, message: str, grace_s: float) -> None:
        self._kill_at = min(self._kill_at, time.monotonic() + grace_s)
        if self._stop is None:
            self._stop = Stop(cause, message)
            self._record.close_verdict()
            if grace_s > 0:
                self._tree.ask_to_end()

    def _read_replaced(self) -> str:
        """Take the reports that the program wrote into a file in the place of its channel; returns what to say."""
        data = b""
        with suppress(OSError):
            there = os.open(self._program.path(REPORT_FIFO), os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW)
            try:
                if os.path.sameopenfile(there, self._program.report):
                    return ""
                if stat.S_ISREG(os.fstat(there).st_mode):
                    data = os.read(there, _REPLACED_BYTES)
            finally:
                os.close(there)
        said = "its report channel was removed or replaced; a file in its place is read only at the end"
        lines = LineSplitter()
        for line in (*lines.feed(data), *lines.end()):
            self._take(line)
        if not self._record.has_result:
            self._record.undelivered = said
        return said

    def _is_homeless(self) -> bool:
        """Return True if a trial's folder is gone: its reports had no place to go, which is no fault of the program."""
        return self._job.kind == "trial" and not Path(self._program.output_dir).is_dir()

    def _finish(self) -> None:
        left = self._tree.end(_PATIENCE_S, self._show_alive)
        while self._read_report():
            pass
        for line in self._lines.end():
            self._take(line)
        replaced = self._read_replaced() if self._job.kind == "trial" else ""
        while self._program.output in self._selector.get_map() and self._read_output():
            pass
        ending = JobEnding(
            exit=Exit.from_status(self._tree.status or 0),
            duration_s=time.monotonic() - self._program.began,
            log_tail=self._log.tail(LOG_TAIL_BYTES),
            stop=self._stop,
            pruned_at=self._pruned_at,
            oom_kills=oom_kills() - self._program.oom_kills,
        )
        outcome = classify_exit(self._job, self._record, ending)
        if self._is_homeless() and outcome.cause in (Cause.PROTOCOL, Cause.CRASH):
            why = "its folder was removed or moved away under it"
            outcome, replaced = replace(outcome, cause=Cause.LOST, message=f"{why}: {outcome.message}"), ""
        replaced = replaced if replaced not in outcome.message else ""
        notes = [
            outcome.message,
            replaced,
            self._log.error,
            f"{left} of its processes could not be ended" if left else "",
        ]
        outcome = replace(outcome, message="; ".join(note for note in notes if note))
        self._progress_at = 0.0
        self._send_progress()
        self._secure_reports()
        if outcome.cause is Cause.OK:  # an outcome on the disk promises the adapter, which the program did not flush
            with suppress(OSError):
                sync_tree(self._program.path("adapter"), self._show_alive)
        write_outcome(self._program, outcome)
        self._send(finished_message(outcome))
        os.set_blocking(self._control, True)
        while self._outbox:
            self._flush()


def write_outcome(program: Program, outcome: Outcome) -> None:
    """Write the outcome durably into the job's folder, and remove the channel."""
    remove_channel(program.output_dir)
    with suppress(OSError):  # the runner gets it all the same; it decides what a full disk means
        replace_file(program.path(OUTCOME_FILE), outcome.to_json().encode(), durable=True)


def finished_message(outcome: Outcome) -> dict[str, Any]:
    """Make the message for the executor when nothing of the job is left."""
    return {"finished": json.loads(outcome.to_json())}


def _read(descriptor: int) -> bytes | None:
    """Read what is there; None if nothing is, b"" at the end."""
    try:
        return os.read(descriptor, _READ_BYTES)
    except BlockingIOError:
        return None
    except OSError:
        return b""


def _open_pidfd(pid: int) -> int:
    if sys.platform == "linux":
        with suppress(OSError):
            return os.pidfd_open(pid)
    return -1
