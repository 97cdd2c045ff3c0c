"""Starting a job's program: its folder, its report channel, its environment and its output.

Only light imports here: this runs before the supervisor loads the rest of itself, so that the program starts early.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import signal
import sys
import time

from hpsearch.execution.files import open_new, remove_channel, remove_file, replace_file
from hpsearch.execution.names import (
    ANSWER_FILE,
    ANSWER_VARIABLE,
    JOB_FILE,
    JOB_VARIABLE,
    LOG_FILE,
    METRICS_FILE,
    OUTCOME_FILE,
    REPORT_FIFO,
    REPORT_VARIABLE,
    SUPERVISES_VARIABLE,
    TAG_VARIABLE,
)

TYPE_CHECKING = False  # typing itself takes 20 ms to import
if TYPE_CHECKING:
    from collections.abc import Callable

    # Starts a program with a command, an environment and a pipe for its output; returns its pid.
    Spawn = Callable[["Program", list[str], dict[bytes, bytes], int], int]

_PIPE_BYTES = 1024 * 1024  # the most that an ordinary user may ask for (/proc/sys/fs/pipe-max-size)


class Program:
    """A job's program, started or not (then ``error`` says why)."""

    def __init__(self, output_dir: str) -> None:
        self.output_dir = output_dir
        self.began = time.monotonic()
        self.oom_kills = 0  # counted before its start: it may be killed before its supervisor is loaded
        self.pid = 0
        self.output = -1  # the read end of its standard output and error
        self.report = -1  # the read end of its report channel
        self.report_keeper = -1  # a write end of our own, so that writers may come and go
        self.log = -1  # log.txt; this and the next are opened here, before the program could lay traps in its folder
        self.metrics = -1  # metrics.jsonl
        self.error = ""

    @property
    def descriptors(self) -> tuple[int, ...]:
        """The descriptors that this side has open for the program."""
        return (self.output, self.report, self.report_keeper, self.log, self.metrics)

    def path(self, name: str) -> str:
        """Return the path of a file in the job's folder."""
        return os.path.join(self.output_dir, name)  # noqa: PTH118 - pathlib takes 30 ms to import


def start_program(
    command: list[str],
    output_dir: str,
    job_json: bytes,
    spawn: Spawn | None = None,
    more: dict[str, str] | None = None,
) -> Program:
    """Prepare the job's folder and start its program in this working directory, with this process's environment and
    ``more``; by ``spawn``, where it is not simply executed."""
    program = Program(output_dir)
    try:
        _prepare_folder(program, job_json)
        environment = _environment(program, more or {})
        program.output, output = os.pipe()
        os.set_blocking(program.output, False)
        if sys.platform == "linux":  # so that a program that prints much is not woken for every little piece
            with contextlib.suppress(OSError):  # the user's pipes hold too much already
                fcntl.fcntl(output, fcntl.F_SETPIPE_SZ, _PIPE_BYTES)
        try:
            program.oom_kills = oom_kills()
            program.began = time.monotonic()
            program.pid = (spawn or execute)(program, command, environment, output)
        finally:
            os.close(output)
    except (OSError, ValueError) as error:
        reason = (isinstance(error, OSError) and error.strerror) or str(error)
        program.error = f"cannot start {command[0]!r}: {reason}"
    return program


def oom_kills() -> int:
    """Count the processes that the kernel killed for memory in this cgroup, or on this machine where the cgroup has no
    such counter."""
    counters = []
    for group in _lines("/proc/self/cgroup"):
        _, controllers, path = group.split(":", 2)
        if controllers == "":
            counters.append((f"/sys/fs/cgroup{path}/memory.events", "oom_kill"))
        elif "memory" in controllers.split(","):
            counters.append((f"/sys/fs/cgroup/memory{path}/memory.oom_control", "oom_kill"))
    for path, key in (*counters, ("/proc/vmstat", "oom_kill")):
        for line in _lines(path):
            if line.startswith(f"{key} "):
                return int(line.split()[1])
    return 0


def _lines(path: str) -> list[str]:
    try:
        with open(path, encoding="utf-8", errors="replace") as file:  # noqa: PTH123 - pathlib takes 30 ms to import
            return file.read().splitlines()
    except OSError:
        return []


def _prepare_folder(program: Program, job_json: bytes) -> None:
    remove_file(program.path(OUTCOME_FILE))
    remove_channel(program.output_dir)
    replace_file(program.path(JOB_FILE), job_json)
    program.log = open_new(program.path(LOG_FILE))
    program.metrics = open_new(program.path(METRICS_FILE))
    fifo = program.path(REPORT_FIFO)
    os.mkfifo(fifo, 0o600)
    program.report = os.open(fifo, os.O_RDONLY | os.O_NONBLOCK)
    program.report_keeper = os.open(fifo, os.O_WRONLY | os.O_NONBLOCK)


def execute(_program: Program, command: list[str], environment: dict[bytes, bytes], output: int) -> int:
    """Start a program as a process of its own."""
    return os.posix_spawn(
        _find(command[0], environment.get(b"PATH", b"")),
        command,
        environment,
        file_actions=[
            (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
            (os.POSIX_SPAWN_DUP2, output, 1),
            (os.POSIX_SPAWN_DUP2, output, 2),
        ],
        setpgroup=0,
        setsigmask=[],
        setsigdef=signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP},
    )


def _environment(program: Program, more: dict[str, str]) -> dict[bytes, bytes]:
    own = _environment_at_start()
    tag = own.pop(SUPERVISES_VARIABLE.encode(), b"").rstrip()
    own |= {os.fsencode(name): os.fsencode(value) for name, value in more.items()}
    channel = {
        JOB_VARIABLE: program.path(JOB_FILE),
        REPORT_VARIABLE: program.path(REPORT_FIFO),
        ANSWER_VARIABLE: program.path(ANSWER_FILE),
    }
    own |= {name.encode(): os.fsencode(os.path.abspath(path)) for name, path in channel.items()}  # noqa: PTH100
    return own | {TAG_VARIABLE.encode(): tag}


def _environment_at_start() -> dict[bytes, bytes]:
    """Return this process's environment as it was given; the interpreter may since have added LC_CTYPE (PEP 538)."""
    try:
        with open("/proc/self/environ", "rb") as file:  # noqa: PTH123
            entries = file.read().split(b"\0")
    except OSError:
        return dict(os.environb)
    return {name: value for name, _, value in (entry.partition(b"=") for entry in entries) if name}


def _find(program: str, search: bytes) -> str | bytes:
    if "/" in program:
        return program
    name = os.fsencode(program)
    for place in search.split(b":"):
        path = os.path.join(place, name)  # noqa: PTH118
        if os.access(path, os.X_OK) and not os.path.isdir(path):  # noqa: PTH112
            return path
    raise FileNotFoundError(errno.ENOENT, "not found on PATH")
