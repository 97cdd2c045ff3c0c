"""The executor's side of starters (execution/fork_server.py): one for each interpreter, environment and working folder.

Where jobs must not be forked after their imports (``Job.fork``), it is one for each job: it does them while the job
before is at work.

A starter is asked to fork, never waited for: it obeys once it has done its imports. If it dies, the jobs it had not
begun are started by themselves; so are all others when it has died three times in a row.
"""

from __future__ import annotations

import errno
import json
import os
import select
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Hashable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from hpsearch.execution import processes as leftovers
from hpsearch.execution.gpu_slots import Slot
from hpsearch.execution.job import SUPERVISES_VARIABLE, Job
from hpsearch.execution.python_program import PythonProgram, parse

_PROGRAM = Path(__file__).resolve().parents[1] / "fork_server.py"
_ROOM_BYTES = 1024  # for a tag: a study's name and a job's, both of at most 128 characters, three bytes each
_ORDER_BYTES = 1 << 20
_GOODBYE_S = 5.0  # for a starter to exit after its socket was closed
_MOST_DEATHS = 3  # in a row, before any fork


class Process(Protocol):
    """A supervisor's process."""

    def wait(self, timeout: float | None = None) -> object:
        """Wait for its end.

        Raises:
            subprocess.TimeoutExpired: it did not end in time.
        """

    def kill(self) -> None:
        """End it at once."""

    @property
    def returncode(self) -> int | None:
        """Its exit code, below 0 for a signal; None where that cannot be known."""


class ForkedSupervisor:
    """A supervisor that a starter forks, or turns into; it says its ``pid`` itself, as the first thing."""

    def __init__(self, starter: ForkServerClient) -> None:
        self.starter = starter
        self.began = False  # it has said that it is there
        self._pidfd = -1

    @property
    def returncode(self) -> int | None:
        """None where the starter is its parent. See ``Process``."""
        own = self.starter.process if self.starter.once else None
        return own.returncode if own is not None else None

    def begin(self, pid: int) -> None:
        """Take it for the process with this number, which has just spoken."""
        self.starter.deaths = 0
        self.began = True
        with suppress(ProcessLookupError):  # it has already ended
            self._pidfd = os.pidfd_open(pid)

    def wait(self, timeout: float | None = None) -> object:
        """Wait for its end. See ``Process``."""
        if self._pidfd >= 0:
            if not select.select([self._pidfd], [], [], timeout)[0]:
                raise subprocess.TimeoutExpired("supervisor", timeout or 0.0)
            os.close(self._pidfd)
            self._pidfd = -1
        if self.starter.once:
            self.starter.close()
        return None

    def kill(self) -> None:
        """End it at once, or the starter that has not come to it yet."""
        if not self.began:
            self.starter.kill()
            return
        with suppress(OSError):
            signal.pidfd_send_signal(self._pidfd, signal.SIGKILL)


@dataclass(eq=False)
class ForkServerClient:
    """One starter: its connection and its process, none where it is not running; ``unfit`` says why its forks are not
    what they should be. ``once``: it does not fork, but turns into the supervisor of one job."""

    program: PythonProgram
    environment: dict[str, str]
    study: str
    once: bool = False
    connection: socket.socket | None = None
    process: subprocess.Popen[bytes] | None = None
    inbox: bytes = b""
    unfit: str = ""
    deaths: int = 0
    asked: set[str] = field(default_factory=set)

    def run(self, working_dir: str | None) -> socket.socket:
        """Start it; its socket.

        Raises:
            OSError: it cannot be started.
        """
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        ours.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _ORDER_BYTES)
        tag = leftovers.make_tag(self.study, "starter")
        with theirs:
            try:
                self.process = subprocess.Popen(
                    (
                        *(self.program.interpreter, *self.program.options, str(_PROGRAM), self.program.place),
                        *(("--once",) if self.once else ()),
                    ),
                    stdin=theirs.fileno(),
                    stdout=subprocess.DEVNULL,
                    stderr=subprocess.DEVNULL,
                    cwd=working_dir,
                    env={**self.environment, SUPERVISES_VARIABLE: tag.ljust(_ROOM_BYTES)},
                    start_new_session=True,
                )
            except BaseException:
                ours.close()
                raise
        ours.setblocking(False)
        self.connection, self.asked = ours, set()
        return ours

    def import_for(self, job: Job) -> None:
        """Have imported what the job's preload names."""
        if not set(job.preload or ()) <= self.asked:
            self._order(job, {}, [])

    def fork(self, job: Job, tag: str, slot: Slot, control: socket.socket) -> None:
        """Have the job's supervisor forked, with this end of its control socket.

        Raises:
            OSError: the order could not be sent.
        """
        own = {
            "tag": tag,
            "output_dir": str(Path(job.output_dir).absolute()),
            "command": job.command,
            "working_dir": job.working_dir or str(Path.cwd()),
            "environment": slot.environment,
        }
        self._order(job, own, [control.fileno()])

    def receive(self) -> bool:
        """Take in what it says; whether it is still there."""
        try:
            data = self._open.recv(_ORDER_BYTES)
        except BlockingIOError:
            return True
        except OSError:
            data = b""
        for line in data.splitlines():
            self.unfit = json.loads(line).get("unfit", self.unfit)
        return bool(data)

    def kill(self) -> None:
        """End it at once; what it has forked goes on."""
        if self.process is not None:
            self.process.kill()

    def close(self) -> None:
        """End it, and give back its socket."""
        self.let_go()
        if self.process is not None:
            try:
                self.process.wait(_GOODBYE_S)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()

    def let_go(self) -> None:
        """Give back its socket."""
        if self.connection is not None:
            self.connection.close()
            self.connection = None

    @property
    def _open(self) -> socket.socket:
        if self.connection is None:
            raise OSError(errno.ENOTCONN, "the starter has ended")
        return self.connection

    def _order(self, job: Job, own: dict[str, Any], descriptors: list[int]) -> None:
        order = {"preload": job.preload, "prepared_dir": job.prepared_dir, **own}
        socket.send_fds(self._open, [json.dumps(order).encode()], descriptors)
        self.asked |= set(job.preload or ())


class ForkServers:
    """The starters of one executor. ``watch`` is given the socket of each, and calls ``serve`` when there is something
    to read; ``say`` is told why programs are started by themselves although they could share their imports."""

    def __init__(self, watch: Callable[[socket.socket, ForkServerClient], None], say: Callable[[str], None]) -> None:
        self._watch, self._say = watch, say
        self._all: dict[Hashable, ForkServerClient] = {}

    def expect(self, job: Job) -> None:
        """Have a starter do what jobs like this one share, ahead of them."""
        starter = self._for(job)
        if starter is not None:
            with suppress(OSError):
                self._run(starter, job)
                starter.import_for(job)

    def fork(self, job: Job, tag: str, slot: Slot, control: socket.socket) -> ForkedSupervisor | None:
        """The supervisor that a starter forks for a job; None where the job has to be started by itself."""
        starter = self._for(job)
        if starter is None or (starter.once and starter.connection is None):
            return None
        try:
            self._run(starter, job)
            starter.fork(job, tag, slot, control)
        except OSError:
            return None
        if starter.once:
            del self._all[_key(job, starter.program)]
        return ForkedSupervisor(starter)

    def serve(self, starter: ForkServerClient) -> bool:
        """Take in what a starter says; whether it is still there."""
        fit = not starter.unfit
        there = starter.receive()
        if fit and starter.unfit:
            self._say(f"each trial is started by itself: {starter.unfit}")
        if not there and starter.once:
            starter.let_go()
        elif not there:
            self._bury(starter)
        return there

    def _bury(self, starter: ForkServerClient) -> None:
        starter.deaths += 1
        starter.close()
        if starter.deaths == _MOST_DEATHS:
            self._say("each trial is started by itself: the process that should fork them ended three times")

    def sockets(self) -> list[socket.socket]:
        """Those of the starters that run."""
        return [starter.connection for starter in self._all.values() if starter.connection is not None]

    def close(self) -> None:
        """End them all."""
        for starter in self._all.values():
            starter.close()

    def _for(self, job: Job) -> ForkServerClient | None:
        program = parse(job.command) if job.preload is not None and sys.platform == "linux" else None
        if program is None:
            return None
        new = ForkServerClient(program, job.environment, job.study, once=not job.fork)
        starter = self._all.setdefault(_key(job, program), new)
        return None if starter.unfit or starter.deaths >= _MOST_DEATHS else starter

    def _run(self, starter: ForkServerClient, job: Job) -> None:
        if starter.connection is None:
            self._watch(starter.run(job.working_dir), starter)


def _key(job: Job, program: PythonProgram) -> Hashable:
    """What jobs of one starter have in common."""
    place = (program.interpreter, program.options, program.place, job.working_dir)
    return (*place, job.fork, *sorted(job.environment.items()))
