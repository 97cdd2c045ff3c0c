"""One live runner per study: whoever holds the lease knows that every RUNNING trial of a former owner is dead.

On SQLite the lease is an flock on ``<database>.<study>.lock``, which the kernel gives up with its process, so no clock
and no grace period is needed. The file's text names the owner for those who are refused. On PostgreSQL it is a lock of
the server's (advisory.py).
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import os
import socket
import time
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import IO, TYPE_CHECKING, Protocol

from hpsearch.errors import StorageError, StudyOwned, UsageError
from hpsearch.execution.files import make_folder, open_private
from hpsearch.study.folders import folder_name
from hpsearch.study.storage.lock import NOT_WRITTEN, Owner, no_locks, owned_by, start_ticks
from hpsearch.study.storage.open import sqlite_path, storage_errors
from hpsearch.study.storage.postgres import SESSION, ask, connect, is_postgres

if TYPE_CHECKING:
    from sqlalchemy import Connection


# The lease on PostgreSQL: an advisory lock that the server gives up with the session that took it.
#
# Its session names the owner, so that who is refused can be told. A broken connection loses the lock; ``check`` takes
# it again, if nobody else has it by then. Whether somebody had it in between, the study's epoch tells (writing.py).

_NAME_BYTES = 63  # of a session's name; PostgreSQL cuts what is longer
# Seconds until the server gives up on a session whose machine is gone: idle, between probes, and their number.
_KEEPALIVE = {"tcp_keepalives_idle": 20, "tcp_keepalives_interval": 5, "tcp_keepalives_count": 3}

_HOLDERS = (
    "SELECT a.pid, a.application_name FROM pg_locks l JOIN pg_stat_activity a ON a.pid = l.pid "
    "WHERE l.locktype = 'advisory' AND l.granted AND l.database = (SELECT oid FROM pg_database "
    "WHERE datname = current_database()) AND ((l.classid::bigint << 32) | l.objid::bigint) = %s"
)


class AdvisoryLease:
    """The lease of one study in the database at ``url``. See ``Lease``."""

    def __init__(self, url: str, study: str) -> None:
        self._url = url
        self._key = lock_key(study)
        self._name = _session_name()
        self._connection: Connection | None = None

    def __enter__(self) -> AdvisoryLease:
        """Take the lease.

        Raises:
            StudyOwned: another live process holds it.
            StorageError: the server cannot be reached.
        """
        self._take()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Give the lease up, with its session."""
        self._part()

    def check(self) -> None:
        """Make sure that the lease is held, and take it again where its session broke.

        Raises:
            StudyOwned: another process has it by now.
            StorageError: the server cannot be reached.
        """
        try:
            if self._connection is not None:
                ask(self._connection, "SELECT 1")
                return
        except Exception:  # noqa: BLE001 - however the driver says that it broke
            self._part()
        self._take()

    def _take(self) -> None:
        with storage_errors(self._url):
            connection = connect(self._url, self._name)
            try:
                for setting, seconds in _KEEPALIVE.items():
                    ask(connection, f"SET {setting} = {seconds}")
                if not self._lock(connection):
                    raise StudyOwned(owned_by(_holder(connection, self._key)), "wait for it, or end it there")
            except BaseException:
                connection.close()
                raise
        self._connection = connection

    def _lock(self, connection: Connection) -> bool:
        """Whether the lock is ours, if need be by ending a session of ours that the server has not missed yet."""
        if ask(connection, f"SELECT pg_try_advisory_lock({self._key})")[0][0]:
            return True
        ours = [pid for pid, name in _holders(connection, self._key) if name == self._name]
        for pid in ours:
            ask(connection, f"SELECT pg_terminate_backend({int(pid)})")
        for _ in range(20 if ours else 0):
            if ask(connection, f"SELECT pg_try_advisory_lock({self._key})")[0][0]:
                return True
            time.sleep(0.1)
        return False

    def _part(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            with contextlib.suppress(Exception):  # it may be broken already
                connection.close()


def live_advisory_owner(url: str, study: str) -> Owner | None:
    """Who holds the lease of ``study`` now, or None."""
    with storage_errors(url), connect(url) as connection:
        return _holder(connection, lock_key(study)) if _holders(connection, lock_key(study)) else None


def lock_key(study: str) -> int:
    """The number of a study's lock: 63 bits, the same everywhere."""
    return int.from_bytes(hashlib.sha256(f"hpsearch/{study}".encode()).digest()[:8], "big") >> 1


def _holders(connection: Connection, key: int) -> list[tuple[int, str]]:
    return [(pid, name) for pid, name in ask(connection, _HOLDERS, key)]


def _holder(connection: Connection, key: int) -> Owner | None:
    for _, name in _holders(connection, key):
        prefix, *parts = name.split("/", 4)
        if prefix == SESSION and len(parts) == 4:
            pid, ticks, since, host = parts
            told = datetime.fromtimestamp(int(since), UTC).isoformat(timespec="seconds")
            return Owner(int(pid), host, told, int(ticks))
    return None


def _session_name() -> str:
    pid = os.getpid()
    name = f"{SESSION}/{pid}/{start_ticks(pid)}/{int(time.time())}/{socket.gethostname()}"
    return name.encode()[:_NAME_BYTES].decode(errors="ignore")


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
