"""Locks as files, which the kernel gives up with their process, and the owner that a lease names."""

from __future__ import annotations

import fcntl
import os
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import IO

from hpsearch.errors import StorageError, StudyOwned
from hpsearch.execution.files import make_folder, open_private
from hpsearch.study.storage.patience import Patience, Wait

_TABLES_S, _PAUSE_S = 60.0, 0.05  # for another program that changes the tables; between two attempts
NOT_WRITTEN = "make its folder writable, or room on its disk"


def lock_file(path: Path, waiting: Wait | None = None) -> IO[str]:
    """Open a file, made if it is missing, and lock it until it is closed.

    Raises:
        BlockingIOError: another process holds the lock, still so once ``waiting`` is over.
        StorageError: the file cannot be made or locked.
    """
    while True:
        try:
            make_folder(path.parent)
            file = open_private(path)
        except OSError as error:
            raise StorageError(f"cannot write {path}: {error.strerror}", NOT_WRITTEN) from error
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BaseException as error:
            file.close()
            if isinstance(error, BlockingIOError) and waiting is not None and not waiting.is_over:
                time.sleep(_PAUSE_S)
                continue
            if isinstance(error, OSError) and not isinstance(error, BlockingIOError):
                raise StorageError(
                    f"a storage needs file locks, but the file system of {path} refuses them: {error.strerror}",
                    "name a file on a local disk, or PostgreSQL, with --storage",
                ) from error
            raise
        # `hpsearch delete` removes the file that it holds: a lock on a removed one would keep nobody out.
        with suppress(OSError):
            if os.path.samestat(os.fstat(file.fileno()), path.stat()):
                return file
        file.close()


@contextmanager
def table_file_lock(database: Path, patience: Patience | None) -> Iterator[None]:
    """Lock the making and changing of a SQLite file's tables, by a file beside it whose name is no study's lock.

    Raises:
        StudyOwned: another program holds it, and there is no ``patience``, or a minute has passed.
        StorageError: the file cannot be made or locked.
    """
    said = f"another program makes or changes the tables of {database}: waiting for it"
    waiting = None if patience is None else Wait(patience, _TABLES_S, said)
    try:
        file = lock_file(database.with_name(f"{database.name}.tables"), waiting)
    except BlockingIOError as error:
        raise StudyOwned(f"another program makes or changes the tables of {database} now", "wait for it") from error
    with file:
        yield


@dataclass(frozen=True)
class Owner:
    """The process that holds a lease: pid, host, since when (ISO 8601, UTC), and its start (kernel ticks). A refused
    runner shows it, and `stop` finds the process by it."""

    pid: int
    host: str
    since: str
    start_ticks: int

    @staticmethod
    def this_process() -> Owner:
        """Return the running process as an owner."""
        since = datetime.now(UTC).isoformat(timespec="seconds")
        return Owner(os.getpid(), socket.gethostname(), since, start_ticks(os.getpid()))

    @property
    def is_here(self) -> bool:
        """True for a living process of this machine. A host's name may be cut: a server keeps 63 bytes of it."""
        return socket.gethostname().startswith(self.host) and start_ticks(self.pid) == self.start_ticks

    def __str__(self) -> str:
        """Return ``pid N on HOST since TIME``."""
        return f"pid {self.pid} on {self.host} since {self.since}"


def start_ticks(pid: int) -> int:
    """Return when process ``pid`` started, in kernel ticks since boot; 0 if that cannot be read.

    Together with the pid it identifies a process: pids are used again, these pairs are not.
    """
    try:
        return int(Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[19])
    except (OSError, IndexError, ValueError):
        return 0
