"""The executor's side of fork servers (execution/fork_server.py): one for each interpreter, environment and working
folder.

Where jobs must not be forked after their imports (``Job.fork``), it is one for each job: it does them while the job
before is at work.

A fork server is asked to fork, never waited for: it obeys once it has done its imports. If it dies, the jobs it had not
begun are started by themselves; so are all others when it has died three times in a row. One that begins nothing,
because it is frozen, is ended.
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

from hpsearch.execution.gpu_slots import Slot
from hpsearch.execution.job import Job
from hpsearch.execution.names import SUPERVISES_VARIABLE
from hpsearch.execution.processes import is_stopped, make_tag
from hpsearch.execution.python_program import PythonProgram, parse

_PROGRAM = Path(__file__).resolve().parents[1] / "fork_server.py"
_ROOM_BYTES = 1024  # for a tag: a study's name and a job's, both of at most 128 characters, three bytes each
_ORDER_BYTES = 1 << 20
_GOODBYE_S = 1.0  # for a server to exit after its socket was closed
# Seconds until jobs that it does not begin are started by themselves: if it has only to fork; if it was stopped by a
# signal; and if it imports, for which it has a limit of its own.
_BEGIN_S, _STOPPED_S, _IMPORTING_S = 30.0, 10.0, 330.0
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
    def pid(self) -> int:
        """Its number, or that of its guard."""

    @property
    def returncode(self) -> int | None:
        """Its exit code, below 0 for a signal; None where that cannot be known."""


class ForkedSupervisor:
    """A supervisor that a fork server forks, or turns into; its first message is its ``pid``."""

    def __init__(self, server: ForkServerClient) -> None:
        self.server = server
        self.began = False  # it has said that it is there
        self.pid = 0
        self._pidfd = -1

    @property
    def returncode(self) -> int | None:
        """None where the fork server is its parent. See ``Process``."""
        own = self.server.process if self.server.once else None
        return own.returncode if own is not None else None

    def begin(self, pid: int) -> None:
        """Take the process with this number for it, which has just sent its first message."""
        self.server.deaths = 0
        self.began, self.pid = True, pid
        with suppress(ProcessLookupError):  # it has already ended
            self._pidfd = os.pidfd_open(pid)

    def is_late(self, job: Job, seconds: float) -> bool:
        """Return True if its server should have begun it, ``seconds`` after it was asked."""
        server = self.server
        if seconds < _STOPPED_S or self.began:
            return False
        if server.process is not None and is_stopped(server.process.pid):
            return True
        return seconds >= (_BEGIN_S if server.once or set(job.preload or ()) <= server.ready else _IMPORTING_S)

    def wait(self, timeout: float | None = None) -> object:
        """Wait for its end. See ``Process``."""
        if self._pidfd >= 0:
            if not select.select([self._pidfd], [], [], timeout)[0]:
                raise subprocess.TimeoutExpired("supervisor", timeout or 0.0)
            os.close(self._pidfd)
            self._pidfd = -1
        if self.server.once:
            self.server.close()
        return None

    def kill(self) -> None:
        """Kill the supervisor, or the fork server if it has not forked yet."""
        if not self.began:
            self.server.kill()
            return
        with suppress(OSError):
            signal.pidfd_send_signal(self._pidfd, signal.SIGKILL)


@dataclass(eq=False)
class ForkServerClient:
    """One fork server: its connection and its process, None while it is not running; ``unfit`` says why it must not be
    forked. ``once``: it does not fork, but turns into the supervisor of one job."""

    program: PythonProgram
    environment: dict[str, str]
    study: str
    once: bool = False
    connection: socket.socket | None = None
    process: subprocess.Popen[bytes] | None = None
    unfit: str = ""
    deaths: int = 0
    asked: set[str] = field(default_factory=set)
    ready: set[str] = field(default_factory=set)  # what it has imported

    def run(self, working_dir: str | None) -> socket.socket:
        """Start it; returns its socket.

        Raises:
            OSError: it cannot be started.
        """
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        ours.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _ORDER_BYTES)
        tag = make_tag(self.study, "fork-server", "")
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
        self.connection, self.asked, self.ready = ours, set(), set()
        return ours

    def fork(self, job: Job, tag: str, slot: Slot, control: socket.socket) -> None:
        """Have the job's supervisor forked, with this end of its control socket.

        Raises:
            OSError: the order could not be sent.
        """
        own = {
            "tag": tag,
            "server_tag": make_tag(self.study, "fork-server", tag.rpartition(".")[2]),
            "output_dir": str(Path(job.output_dir).absolute()),
            "command": job.command,
            "working_dir": job.working_dir or str(Path.cwd()),
            "environment": slot.environment,
        }
        self.order(job, own, [control.fileno()])

    def receive(self) -> bool:
        """Read its messages; returns False once it has ended."""
        try:
            data = self._open.recv(_ORDER_BYTES)
        except BlockingIOError:
            return True
        except OSError:
            data = b""
        for line in data.splitlines():
            message = json.loads(line)
            self.unfit = message.get("unfit", self.unfit)
            self.ready |= set(message.get("ready", ()))
        return bool(data)

    def kill(self) -> None:
        """Kill it; its forks go on, unguarded."""
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
            raise OSError(errno.ENOTCONN, "the fork server has ended")
        return self.connection

    def order(self, job: Job, own: dict[str, Any], descriptors: list[int]) -> None:
        """Have it import the job's preload; and fork the job, if ``own`` and its control socket are given."""
        order = {"preload": job.preload, "prepared_dir": job.prepared_dir, **own}
        socket.send_fds(self._open, [json.dumps(order).encode()], descriptors)
        self.asked |= set(job.preload or ())


class ForkServers:
    """The fork servers of one executor. ``watch`` gets the socket of each, and calls ``serve`` when there is something
    to read; ``say`` gets the reason why programs are started by themselves although they could share imports."""

    def __init__(self, watch: Callable[[socket.socket, ForkServerClient], object], say: Callable[[str], None]) -> None:
        self._watch, self._say = watch, say
        self._all: dict[Hashable, ForkServerClient] = {}

    def expect(self, job: Job) -> None:
        """Have a fork server do the imports that jobs like this one share, ahead of them."""
        server = self._for(job)
        if server is not None:
            with suppress(OSError):
                self._run(server, job)
                if not set(job.preload or ()) <= server.asked:
                    server.order(job, {}, [])

    def fork(self, job: Job, tag: str, slot: Slot, control: socket.socket) -> ForkedSupervisor | None:
        """Have a job's supervisor forked; None where the job has to be started by itself."""
        server = self._for(job)
        if server is None or (server.once and server.connection is None):
            return None
        try:
            self._run(server, job)
            server.fork(job, tag, slot, control)
        except OSError:
            return None
        if server.once:
            del self._all[_key(job, server.program)]
        return ForkedSupervisor(server)

    def serve(self, server: ForkServerClient) -> bool:
        """Read the messages of a fork server; returns False once it has ended."""
        fit = not server.unfit
        there = server.receive()
        if fit and server.unfit:
            self._say(f"each trial is started by itself: {server.unfit}")
        if not there and server.once:
            server.let_go()
        elif not there:
            server.deaths += 1
            server.close()
            if server.deaths == _MOST_DEATHS:
                self._say("each trial is started by itself: the process that should fork them ended three times")
        return there

    def sockets(self) -> list[socket.socket]:
        """List the sockets of those that run."""
        return [server.connection for server in self._all.values() if server.connection is not None]

    def close(self) -> None:
        """End them all."""
        for server in self._all.values():
            server.close()

    def _for(self, job: Job) -> ForkServerClient | None:
        program = parse(job.command) if job.preload is not None and sys.platform == "linux" else None
        if program is None:
            return None
        new = ForkServerClient(program, job.environment, job.study, once=not job.fork)
        server = self._all.setdefault(_key(job, program), new)
        return None if server.unfit or server.deaths >= _MOST_DEATHS else server

    def _run(self, server: ForkServerClient, job: Job) -> None:
        if server.connection is None:
            self._watch(server.run(job.working_dir), server)


def _key(job: Job, program: PythonProgram) -> Hashable:
    """Return what jobs of one fork server have in common."""
    place = (program.interpreter, program.options, program.place, job.working_dir)
    return (*place, job.fork, *sorted(job.environment.items()))
