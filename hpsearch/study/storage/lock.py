"""The lock of whoever makes or changes a storage's tables: of several that do so at once, all but one would fail."""

from __future__ import annotations

import fcntl
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import IO

from hpsearch.errors import StorageError, StudyOwned
from hpsearch.execution.files import open_private
from hpsearch.study.storage.postgres import is_postgres, schema_lock

NOT_WRITTEN = "make its folder writable, or room on its disk"


@contextmanager
def table_lock(url: str, path: Path | None, *, wait: bool = True) -> Iterator[None]:
    """Hold the lock of the storage at ``url``; for SQLite that of a file beside the database's, ``path``, whose name is
    no study's lock.

    Raises:
        StudyOwned: another program holds it, and ``wait`` is false.
        StorageError: the file cannot be made or locked.
    """
    if path is None:
        with schema_lock(url) if is_postgres(url) else nullcontext():
            yield
        return
    with _lock_file(path.with_name(f"{path.name}.tables")) as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        except BlockingIOError as error:
            raise StudyOwned(f"another program makes or changes the tables of {path} now", "wait for it") from error
        except OSError as error:
            raise no_locks(path, error) from error
        yield


def _lock_file(path: Path) -> IO[str]:
    try:
        return open_private(path)
    except OSError as error:
        raise StorageError(f"cannot write {path}: {error.strerror}", NOT_WRITTEN) from error


def no_locks(path: Path, error: OSError) -> StorageError:
    """What a file system without locks is answered with."""
    return StorageError(
        f"a storage lies where files can be locked, but the file system of {path} refuses that: {error.strerror}",
        "name a file on a local disk, or PostgreSQL, with --storage",
    )


# Who holds a lease, so that who is refused can be told, and `stop` finds the process.


@dataclass(frozen=True)
class Owner:
    """Who holds a lease: process, machine, since when (ISO 8601, UTC), and when the process started (kernel ticks)."""

    pid: int
    host: str
    since: str
    start_ticks: int

    @staticmethod
    def this_process() -> Owner:
        """The running process as an owner."""
        since = datetime.now(UTC).isoformat(timespec="seconds")
        return Owner(os.getpid(), socket.gethostname(), since, start_ticks(os.getpid()))

    @property
    def is_here(self) -> bool:
        """Whether it is a living process of this machine. A host's name may be cut: a server keeps 63 bytes of it."""
        return socket.gethostname().startswith(self.host) and start_ticks(self.pid) == self.start_ticks


def start_ticks(pid: int) -> int:
    """When process ``pid`` started, in kernel ticks since boot; 0 where that cannot be read.

    Together with the pid it names a process for good: pids are used again, these pairs are not.
    """
    try:
        return int(Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[19])
    except (OSError, IndexError, ValueError):
        return 0


def owned_by(owner: Owner | None) -> str:
    """Who holds a study, in words; ``owner`` is None where that cannot be read."""
    if owner is None:
        return "another runner holds this study"
    return f"the study is owned by pid {owner.pid} on {owner.host} since {owner.since}"
