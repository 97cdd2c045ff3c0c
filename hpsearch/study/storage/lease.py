"""One live runner per study: whoever holds the lease knows that every RUNNING trial of a former owner is dead.

On SQLite the lease is an flock on ``<database>.<study>.lock``, which the kernel gives up with its process, so no clock
and no grace period is needed. The file's text names the owner for those who are refused. On PostgreSQL it is a lock of
the server's (advisory.py).
"""

from __future__ import annotations

import fcntl
import json
from dataclasses import asdict
from pathlib import Path
from types import TracebackType
from typing import IO, Protocol

from hpsearch.errors import StorageError, StudyOwned, UsageError
from hpsearch.execution.files import make_folder, open_private
from hpsearch.study.folders import folder_name
from hpsearch.study.storage.advisory import AdvisoryLease, live_advisory_owner
from hpsearch.study.storage.lock import NOT_WRITTEN, no_locks
from hpsearch.study.storage.open import sqlite_path
from hpsearch.study.storage.owner import Owner, owned_by
from hpsearch.study.storage.postgres import is_postgres


class Lease(Protocol):
    """A held lease. It is given up on leaving its ``with`` block, or with its process."""

    def __enter__(self) -> Lease: ...

    def check(self) -> None:
        """Make sure that it is still held. Raises StudyOwned where another process has it."""

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
            raise StudyOwned(owned_by(owner), "wait for it, or end it with `hpsearch stop`") from error
        except OSError as error:
            file.close()
            raise no_locks(self.path, error) from error
        file.seek(0)
        file.truncate()
        file.write(json.dumps(asdict(Owner.this_process())))
        file.flush()
        self._file = file
        return self

    def check(self) -> None:
        """Nothing to do: the kernel keeps the lock as long as the process lives."""

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Give the lease up. The file stays: removing a locked file would let two runners lock two files."""
        if self._file is not None:
            self._file.truncate(0)
            self._file.close()
            self._file = None


def lease_for(url: str, study: str) -> Lease:
    """The lease of ``study`` in the storage at ``url``, not yet taken.

    Raises:
        UsageError: a study cannot be run in a storage of this kind.
    """
    if is_postgres(url):
        return AdvisoryLease(url, study)
    return FileLease(lock_path(url, study))


def can_be_run(url: str) -> bool:
    """Whether studies can be run in a storage of this kind; others can be read."""
    return is_postgres(url) or sqlite_path(url) is not None


def lock_path(url: str, study: str) -> Path:
    """Where the lock of ``study`` lies.

    Raises:
        UsageError: the storage is not SQLite.
    """
    database = sqlite_path(url)
    if database is None:
        raise UsageError(
            "hpsearch runs studies in SQLite or PostgreSQL", "name a storage such as sqlite:///studies/hpsearch.db"
        )
    database = database.resolve()  # one lock for one file, however its path is written
    return database.with_name(f"{database.name}.{folder_name(study)}.lock")


def live_owner(url: str, study: str) -> Owner | None:
    """Who runs ``study`` now, or None."""
    if is_postgres(url):
        return live_advisory_owner(url, study)
    path = lock_path(url, study)
    if not path.exists():
        return None
    with path.open("r", encoding="utf-8") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return _read_owner(path)
    return None


def _open_lock(path: Path) -> IO[str]:
    try:
        make_folder(path.parent)
        return open_private(path)
    except OSError as error:
        raise StorageError(f"cannot write {path}: {error.strerror}", NOT_WRITTEN) from error


def _read_owner(path: Path) -> Owner | None:
    try:
        return Owner(**json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        return None
