"""One live runner per study: whoever holds the lease knows that every RUNNING trial of a former owner is dead.

On SQLite the lease is an flock on ``<database>.<study>.lock``, which the kernel gives up with its process, so no clock
and no grace period is needed. The file's text names the owner for those who are refused.
"""

from __future__ import annotations

import fcntl
import json
import os
import socket
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import IO, Protocol

from hpsearch.errors import StorageError, StudyOwned, UsageError
from hpsearch.study.storage import sqlite_path


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


class Lease(Protocol):
    """A held lease. It is given up on leaving its ``with`` block, or with its process."""

    def __enter__(self) -> Lease: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...


class FileLease:
    """The lease as a locked file beside the database."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._file: IO[str] | None = None

    def __enter__(self) -> FileLease:
        """Take the lease.

        Raises:
            StudyOwned: another live process holds it.
            StorageError: the lock file cannot be made.
        """
        file = _open_lock(self.path)
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            owner = _read_owner(self.path)
            file.close()
            raise StudyOwned(_owned_by(owner), "wait for it, or end it with `hpsearch stop`") from error
        file.seek(0)
        file.truncate()
        file.write(json.dumps(asdict(Owner.this_process())))
        file.flush()
        self._file = file
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Give the lease up. The file stays: removing a locked file would let two runners lock two files."""
        if self._file is not None:
            self._file.truncate(0)
            self._file.close()
            self._file = None


def lease_for(url: str, study: str) -> Lease:
    """The lease of ``study`` in the storage at ``url``, not yet taken."""
    return FileLease(lock_path(url, study))


def lock_path(url: str, study: str) -> Path:
    """Where the lock of ``study`` lies.

    Raises:
        UsageError: the storage is not SQLite.
    """
    database = sqlite_path(url)
    if database is None:
        raise UsageError(
            "hpsearch runs studies in SQLite for now", "name a storage such as sqlite:///studies/hpsearch.db"
        )
    database = database.resolve()  # one lock for one file, however its path is written
    return database.with_name(f"{database.name}.{study}.lock")


def live_owner(url: str, study: str) -> Owner | None:
    """Who runs ``study`` now, or None."""
    path = lock_path(url, study)
    if not path.exists():
        return None
    with path.open("r", encoding="utf-8") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return _read_owner(path)
    return None


def start_ticks(pid: int) -> int:
    """When process ``pid`` started, in kernel ticks since boot; 0 where that cannot be read.

    Together with the pid it names a process for good: pids are used again, these pairs are not.
    """
    try:
        return int(Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[19])
    except (OSError, IndexError, ValueError):
        return 0


def _open_lock(path: Path) -> IO[str]:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        return os.fdopen(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600), "r+", encoding="utf-8")
    except OSError as error:
        raise StorageError(f"cannot write {path}: {error.strerror}", "make its folder writable") from error


def _read_owner(path: Path) -> Owner | None:
    try:
        return Owner(**json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        return None


def _owned_by(owner: Owner | None) -> str:
    if owner is None:
        return "another runner holds this study"
    return f"the study is owned by pid {owner.pid} on {owner.host} since {owner.since}"
