"""Jobs on this machine, each under a supervisor process of its own.

A supervisor is a process started for its job, or forked from one that has done the job's imports (fork_client.py).

A supervisor hangs on its runner by one socket. The runner's death closes it, and the supervisor ends its whole tree;
the supervisor's death closes it too, and the executor ends what is left by the tag in its environment. A frozen
supervisor is ended from outside, with its tree. The runner may fork (the sockets are closed in the fork), and may call
``launch``, ``answer``, ``stop`` and ``wake`` from any thread.

``events`` retries its wait after a signal, as Python does (PEP 475): a signal handler that wants it to return
calls ``wake``.
"""

from __future__ import annotations

import json
import math
import os
import selectors
import signal
import socket
import subprocess
import sys
import threading
import time
import weakref
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from hpsearch.execution.bootstrap import PACKAGE, STUB
from hpsearch.execution.executors.fork_client import ForkedSupervisor, ForkServerClient, ForkServers, Process
from hpsearch.execution.executors.signs_of_life import SignsOfLife
from hpsearch.execution.exit import lost_outcome
from hpsearch.execution.files import remove_channel, replace_file
from hpsearch.execution.gpu_slots import Slot, Slots
from hpsearch.execution.job import Event, Finished, Job, Notice, Outcome, Progress, Report, decode_values
from hpsearch.execution.names import OUTCOME_FILE, SUPERVISES_VARIABLE
from hpsearch.execution.outcome import Cause
from hpsearch.execution.own_time import OwnTime
from hpsearch.execution.processes import end_below, end_tagged, make_tag, sweep

_READ_BYTES = 256 * 1024  # at once from one supervisor
_GOODBYE_S = 5.0  # for a supervisor to exit after it has closed its socket
_LOOK_S = 1.0  # supervisors are judged this often
_COUNTED_S = 2.0  # the most that one look counts for: this process may have stood still as well
_END_S = 5.0  # for the tree of a frozen supervisor to vanish
_CLOSE_S = 40.0  # for all trees to be gone; the supervisor itself gives up on one after 30 s

# Starts a supervisor without what it does not use: site-packages (-I, -S) and hpsearch/__init__.py, whose imports
# would delay the program by more than the rest of the start.
_START = ("-I", "-S", "-c", f"{STUB}from hpsearch.execution.supervisor import main; main()", PACKAGE)

_executors: weakref.WeakSet[LocalExecutor] = weakref.WeakSet()


@dataclass(eq=False)
class _Supervisor:
    """One supervisor process, as the executor sees it."""

    job: Job
    tag: str
    slot: Slot
    control: socket.socket
    process: Process
    signs: SignsOfLife
    began: float = field(default_factory=time.monotonic)
    inbox: bytes = b""
    outbox: bytearray = field(default_factory=bytearray)
    outcome: Outcome | None = None
    error: str = ""
    stopped: bool = False
    verdict: tuple[Cause, str] | None = None  # why it was ended from outside

    @property
    def is_awaited(self) -> bool:
        """True while a fork server has still to fork it."""
        return isinstance(self.process, ForkedSupervisor) and not self.process.began


class LocalExecutor:
    """Runs a job in each of its slots on this machine. Satisfies ``Executor``."""

    def __init__(self, slots: Sequence[Slot] = (Slot(),)) -> None:
        self._slots = Slots(slots, self._notify)
        self._fork_servers = ForkServers(
            lambda connection, server: self._selector.register(connection, selectors.EVENT_READ, server), self._notify
        )
        self._supervisors: dict[str, _Supervisor] = {}
        self._clock = OwnTime(_COUNTED_S)
        self._lease = ""
        self._events: list[Event] = []
        self._lock = threading.RLock()
        self._selector = selectors.DefaultSelector()
        self._woken, self._waker = os.pipe()
        os.set_blocking(self._woken, False)
        os.set_blocking(self._waker, False)
        self._selector.register(self._woken, selectors.EVENT_READ)
        self._closed = False
        if not _executors:
            os.register_at_fork(after_in_child=_close_in_fork)
        _executors.add(self)

    @property
    def slots(self) -> int:
        """Number of jobs that may run at once. See ``Executor``."""
        return self._slots.usable

    @property
    def free(self) -> int:
        """Number of jobs that can be launched now. See ``Executor``."""
        return self._slots.free

    def expect(self, job: Job) -> None:
        """Do the imports that jobs like this one share, ahead of them. See ``Executor``."""
        with self._lock:
            self._fork_servers.expect(job)

    def launch(self, job: Job) -> None:
        """Start a job in this process's working directory. See ``Executor``.

        Raises:
            ValueError: a job with this id is running.
        """
        with self._lock:
            if job.id in self._supervisors:
                raise ValueError(f"the ids of running jobs are unique, but {job.id!r} runs already")
            slot = self._slots.take()
            if slot is None:
                self._refuse(job, f"all {self.slots} slots are taken")
                return
            try:
                self._start(job, slot)
            except (OSError, ValueError) as error:  # ValueError: a NUL in an argument or a variable
                self._slots.give_back(slot)
                self._refuse(job, f"cannot start a supervisor: {error}")
        self.wake()

    def events(self, timeout_s: float) -> Sequence[Event]:
        """Return the events since the last call. See ``Executor``."""
        deadline = time.monotonic() + timeout_s
        while True:
            pause = min(deadline - time.monotonic(), _LOOK_S if self._supervisors else math.inf)
            ready = self._selector.select(0 if self._events else max(0.0, pause))
            with self._lock:
                woken = [self._serve(key, mask) for key, mask in ready]
                self._judge()
                events, self._events = self._events, []
            if events or any(woken) or time.monotonic() >= deadline:
                return events

    def answer(self, job_id: str, step: int, prune: bool) -> None:
        """Tell a job whether to stop after ``step``. See ``Executor``."""
        self._command(job_id, {"answer": {"step": step, "prune": prune}})

    def stop(self, job_id: str, grace_s: float) -> None:
        """Ask a job to end. See ``Executor``."""
        self._command(job_id, {"stop": {"grace_s": grace_s}})
        with self._lock:
            supervisor = self._supervisors.get(job_id)
            if supervisor is not None:
                supervisor.stopped = True
                supervisor.signs.stop(self._clock.now(), grace_s)
                if supervisor.is_awaited:
                    supervisor.process.kill()

    def take_over(self, study: str, lease: str) -> int:
        """End the processes that earlier holders of the study's lease left behind. See ``Executor``."""
        self._lease = lease
        return sweep(study, lease)

    def wake(self) -> None:
        """Make ``events`` return at once, now or at its next call. May be called from a signal handler."""
        if self._closed:
            return  # the descriptor may be another file's by now
        try:
            os.write(self._waker, b"\0")
        except (BlockingIOError, OSError):
            return  # it is awake already

    def close(self) -> None:
        """End all jobs and release the resources. See ``Executor``."""
        if self._closed:
            return
        for job_id in list(self._supervisors):
            self.stop(job_id, 0.0)
        deadline = time.monotonic() + _CLOSE_S
        while self._supervisors and time.monotonic() < deadline:
            self.events(deadline - time.monotonic())
        for supervisor in list(self._supervisors.values()):
            supervisor.process.kill()
            self._part(supervisor)
        with self._lock:
            self._closed = True
        self._slots.close()
        self._fork_servers.close()
        self._selector.close()
        os.close(self._woken)
        os.close(self._waker)

    # Starting

    def _start(self, job: Job, slot: Slot, *, alone: bool = False) -> None:
        """Start a job's supervisor: forked, if a fork server can, unless it is to be ``alone``."""
        Path(job.output_dir).mkdir(mode=0o700, parents=True, exist_ok=True)
        tag = make_tag(job.study, job.id, self._lease)
        ours, theirs = socket.socketpair()
        with theirs:
            try:
                forked = None if alone else self._fork_servers.fork(job, tag, slot, theirs)
                process = forked or _start_supervisor(job, tag, slot, theirs)
            except BaseException:
                ours.close()
                raise
        ours.setblocking(False)
        now = self._clock.now()
        supervisor = _Supervisor(job, tag, slot, ours, process, SignsOfLife(now, now, now))
        self._supervisors[job.id] = supervisor
        self._selector.register(ours, selectors.EVENT_READ, supervisor)
        self._send(supervisor, replace(job, environment={}, gpus=slot.gpus).to_json().replace("\n", ""))

    def _refuse(self, job: Job, reason: str) -> None:
        self._events.append(Finished(job.id, Outcome(Cause.LAUNCH, message=reason)))

    # Talking

    def _command(self, job_id: str, command: dict[str, Any]) -> None:
        with self._lock:
            supervisor = self._supervisors.get(job_id)
            if supervisor is not None:
                self._send(supervisor, json.dumps(command))

    def _send(self, supervisor: _Supervisor, line: str) -> None:
        supervisor.outbox += line.encode() + b"\n"
        self._flush(supervisor)

    def _flush(self, supervisor: _Supervisor) -> None:
        try:
            del supervisor.outbox[: supervisor.control.send(supervisor.outbox)]
        except BlockingIOError:
            pass
        except OSError:
            supervisor.outbox.clear()  # it is gone; its end of file follows
        write = selectors.EVENT_WRITE if supervisor.outbox else 0
        self._selector.modify(supervisor.control, selectors.EVENT_READ | write, supervisor)

    def _serve(self, key: selectors.SelectorKey, mask: int) -> bool:
        """Handle one ready descriptor; returns True if it was a call of ``wake``."""
        if key.fd == self._woken:
            os.read(self._woken, 4096)
            return True
        if isinstance(key.data, ForkServerClient):
            connection = key.data.connection
            if connection is not None and not self._fork_servers.serve(key.data):
                self._selector.unregister(connection)
            return False
        supervisor: _Supervisor = key.data
        if self._supervisors.get(supervisor.job.id) is supervisor:
            if mask & selectors.EVENT_WRITE:
                self._flush(supervisor)
            if mask & selectors.EVENT_READ:
                self._receive(supervisor)
        return False

    def _receive(self, supervisor: _Supervisor) -> bool:
        """Handle what a supervisor says; returns False if that was nothing."""
        try:
            data = supervisor.control.recv(_READ_BYTES)
        except BlockingIOError:
            return False
        except OSError:
            data = b""
        *lines, supervisor.inbox = (supervisor.inbox + data).split(b"\n")
        for line in lines:
            self._handle(supervisor, json.loads(line))
        if not data:
            self._part(supervisor)
        return bool(data)

    def _handle(self, supervisor: _Supervisor, message: dict[str, Any]) -> None:
        job_id = supervisor.job.id
        supervisor.signs.note(now := self._clock.now(), of_program="report" in message or "progress" in message)
        if "report" in message:
            report = message["report"]
            self._events.append(Report(job_id, report["step"], decode_values(report["metrics"])))
        elif "progress" in message:
            self._events.append(Progress(job_id, message["progress"]))
        elif "finished" in message:
            supervisor.outcome = Outcome.from_json(json.dumps(message["finished"]))
        elif isinstance(supervisor.process, ForkedSupervisor) and "supervisor" in message:
            supervisor.process.begin(message["supervisor"])
            supervisor.signs = replace(supervisor.signs, launched=now, heard_program=now)
        elif "broken" in message:
            supervisor.error = message["broken"]

    # Ending

    def _judge(self) -> None:
        """End what is frozen. What it had sent before was read by now."""
        now = self._clock.now()
        for supervisor in list(self._supervisors.values()):
            if isinstance(supervisor.process, ForkedSupervisor) and supervisor.is_awaited:
                if supervisor.process.is_late(supervisor.job, now - supervisor.signs.launched):
                    supervisor.process.kill()
                continue
            supervisor.verdict = supervisor.signs.verdict(supervisor.job, now)
            if supervisor.verdict is not None:
                end_below(supervisor.process.pid, _END_S)
                supervisor.process.kill()
                while self._receive(supervisor):
                    pass
                if supervisor.job.id in self._supervisors:
                    self._part(supervisor)

    def _part(self, supervisor: _Supervisor) -> None:
        self._selector.unregister(supervisor.control)
        supervisor.control.close()
        del self._supervisors[supervisor.job.id]
        if supervisor.is_awaited and not supervisor.stopped:
            supervisor.process.wait(_GOODBYE_S)
            try:  # its fork server died before it forked it
                self._start(supervisor.job, supervisor.slot, alone=True)
            except (OSError, ValueError) as error:
                self._slots.give_back(supervisor.slot)
                self._refuse(supervisor.job, f"cannot start a supervisor: {error}")
            return
        try:
            supervisor.process.wait(_GOODBYE_S)
        except subprocess.TimeoutExpired:
            supervisor.process.kill()
            with suppress(subprocess.TimeoutExpired):  # it hangs inside the kernel
                supervisor.process.wait(_GOODBYE_S)
        if supervisor.is_awaited:
            outcome = Outcome(Cause.INTERRUPTED, message="stopped before it began")
        else:
            outcome = supervisor.outcome or _lost(supervisor)
        needed = max(outcome.metrics.get(name, 0.0) for name in ("needed_memory_bytes", "peak_memory_bytes"))
        self._slots.give_back(supervisor.slot, supervisor.tag, needed)
        self._events.append(Finished(supervisor.job.id, outcome))

    def _notify(self, text: str) -> None:
        """Report news of a slot; called by the thread that waits for it."""
        with self._lock:
            if text:
                self._events.append(Notice(text))
            self.wake()


def _start_supervisor(job: Job, tag: str, slot: Slot, control: socket.socket) -> subprocess.Popen[bytes]:
    """Start a supervisor as a process of its own."""
    return subprocess.Popen(
        (sys.executable, *_START, str(Path(job.output_dir).absolute()), *job.command),
        stdin=control.fileno(),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        cwd=job.working_dir,
        env={**job.environment, **slot.environment, SUPERVISES_VARIABLE: tag},
        start_new_session=True,
    )


def _lost(supervisor: _Supervisor) -> Outcome:
    """End the processes that a dead supervisor left; the outcome that it had written still holds."""
    end_tagged(supervisor.tag)
    folder = Path(supervisor.job.output_dir)
    remove_channel(str(folder))
    with suppress(OSError, ValueError):
        return Outcome.from_json((folder / OUTCOME_FILE).read_text(encoding="utf-8"))
    code = supervisor.process.returncode
    if code is None:
        how = "it is gone"
    else:
        how = f"it exited with code {code}" if code >= 0 else f"it was ended by {signal.Signals(-code).name}"
    why = f"its supervisor died: {supervisor.error or how}"
    if supervisor.verdict is not None:
        why = f"{supervisor.verdict[1]}; its supervisor did not answer, and was ended"
    outcome = lost_outcome(folder, supervisor.job, why, time.monotonic() - supervisor.began)
    if supervisor.verdict is not None and outcome.cause is Cause.LOST:
        outcome = replace(outcome, cause=supervisor.verdict[0])
    try:
        replace_file(str(folder / OUTCOME_FILE), outcome.to_json().encode(), durable=True)
    except OSError:
        return replace(outcome, message=f"{outcome.message}; nor can {folder / OUTCOME_FILE} be written")
    return outcome


def _close_in_fork() -> None:
    """Close the sockets that this process, a fork of the runner, has inherited."""
    for executor in list(_executors):
        for supervisor in executor._supervisors.values():
            supervisor.control.close()
        for connection in executor._fork_servers.sockets():
            connection.close()
