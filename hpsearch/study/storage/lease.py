"""One live runner per study: the one that holds the lease knows that every RUNNING trial of a former owner is dead.

On SQLite the lease is an flock on ``<database>.<study>.lock``, which the kernel gives up with its process, so no clock
and no grace period is needed. On PostgreSQL it is an advisory lock, which the server gives up with the session that
took it. Both name their owner for those who are refused.
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

from hpsearch.errors import StudyOwned, UsageError
from hpsearch.study.folders import folder_name
from hpsearch.study.storage.lock import Owner, lock_file, start_ticks
from hpsearch.study.storage.open import StorageUrl
from hpsearch.study.storage.postgres import SESSION, connect, query

if TYPE_CHECKING:
    from sqlalchemy import Connection

_NAME_BYTES = 63  # of a session's name; PostgreSQL cuts what is longer
# Seconds until the server gives up on a session whose machine is gone: idle, between probes, and their number.
_KEEPALIVE = {"tcp_keepalives_idle": 20, "tcp_keepalives_interval": 5, "tcp_keepalives_count": 3}
_DATABASE = "SELECT oid FROM pg_database WHERE datname = current_database()"
_MAY_ASK = "SELECT has_function_privilege(to_regprocedure('pg_control_system()'), 'EXECUTE')"
_SERVER = "SELECT system_identifier FROM pg_control_system()"
_HOLDERS = (
    "SELECT a.pid, a.application_name FROM pg_locks l JOIN pg_stat_activity a ON a.pid = l.pid "
    "WHERE l.locktype = 'advisory' AND l.granted AND l.database = (SELECT oid FROM pg_database "
    "WHERE datname = current_database()) AND ((l.classid::bigint << 32) | l.objid::bigint) = %s"
)


class Lease(Protocol):
    """A held lease. It is given up on leaving its ``with`` block, or with its process."""

    def __enter__(self) -> Lease: ...

    @property
    def identity(self) -> str:
        """Name of the lease in the tags of processes, without "." and "/"; no two storages have the same."""

    def check(self) -> None:
        """Make sure that it is still held. Raises StudyOwned if another process has it."""

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...


def lease_for(url: StorageUrl, study: str) -> Lease:
    """Return the lease of ``study`` in the storage at ``url``, not yet taken.

    Raises:
        UsageError: a study cannot be run in a storage of this kind.
    """
    return AdvisoryLease(url, study) if url.is_postgres else FileLease(lock_path(url, study))


def can_be_run(url: StorageUrl) -> bool:
    """Return True if studies can be run in a storage of this kind; others can be read."""
    return url.is_postgres or url.sqlite_path is not None


def live_owner(url: StorageUrl, study: str) -> Owner | None:
    """Return the owner of ``study``'s lease now, or None."""
    if url.is_postgres:
        with url.errors(), connect(url.full, patience=url.patience) as connection:
            return _owner(_holders(connection, lock_key(study)))
    path = lock_path(url, study)
    if not path.exists():
        return None
    with path.open("r", encoding="utf-8") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return _read_owner(path)
    return None


def lock_path(url: StorageUrl, study: str) -> Path:
    """Return the path of ``study``'s lock.

    Raises:
        UsageError: the storage is not SQLite.
    """
    database = url.sqlite_path
    if database is None:
        raise UsageError(
            "hpsearch runs studies in SQLite or PostgreSQL", "name a storage such as sqlite:///studies/hpsearch.db"
        )
    database = database.resolve()  # one lock for one file, however its path is written
    return database.with_name(f"{database.name}.{folder_name(study)}.lock")


def lock_key(study: str) -> int:
    """Return the number of a study's advisory lock: 63 bits, the same everywhere."""
    return int.from_bytes(hashlib.sha256(f"hpsearch/{study}".encode()).digest()[:8], "big") >> 1


class FileLease:
    """The lease as a locked file beside the database. Its text names the owner."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._file: IO[str] | None = None

    def __enter__(self) -> FileLease:
        """Take the lease.

        Raises:
            StudyOwned: another live process holds it.
            StorageError: the lock file cannot be made or locked.
        """
        try:
            self._file = lock_file(self.path)
        except BlockingIOError as error:
            raise _refusal(_read_owner(self.path), "wait for it, or end it with `hpsearch stop`") from error
        self._file.seek(0)
        self._file.truncate()
        self._file.write(json.dumps(asdict(Owner.this_process())))
        self._file.flush()
        return self

    @property
    def identity(self) -> str:
        """Device and inode of the lock's file: the same under every path and in every mount namespace."""
        if self._file is None:
            raise ValueError("a lease has an identity while it is held")
        status = os.fstat(self._file.fileno())
        return f"{status.st_dev}-{status.st_ino}"

    def check(self) -> None:
        """Do nothing: the kernel keeps the lock as long as the process lives."""

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Give the lease up. The file stays: removing a locked file would let two runners lock two files."""
        if self._file is not None:
            self._file.truncate(0)
            self._file.close()
            self._file = None


class AdvisoryLease:
    """The lease as a lock of the PostgreSQL server at ``url``. Its session's name names the owner.

    A broken connection loses the lock; ``check`` takes it again, if nobody else has it by then. Whether somebody had it
    in between, the study's epoch says (session.py). As long as the server keeps the broken session, nobody else can
    have it: that session holds the lease.
    """

    def __init__(self, url: StorageUrl, study: str) -> None:
        pid = os.getpid()
        name = f"{SESSION}/{pid}/{start_ticks(pid)}/{int(time.time())}/{socket.gethostname()}"
        self._url, self._key = url, lock_key(study)
        self._name = name.encode()[:_NAME_BYTES].decode(errors="ignore")
        self._connection: Connection | None = None
        self._has_lock = False
        self._identity = ""

    @property
    def identity(self) -> str:
        """The server's identifier, which initdb drew (0 where it does not tell us), and the database's number there."""
        return self._identity

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
        self._close()

    def check(self) -> None:
        """Make sure that the lease is held, and take it again if its session broke.

        Raises:
            StudyOwned: another process has it by now.
            StorageError: the server cannot be reached.
        """
        try:
            if self._connection is not None and (self._has_lock or self._lock(self._connection, 0)):
                query(self._connection, "SELECT 1")
                return
        except Exception:  # noqa: BLE001 - however the driver says that it broke
            self._close()
        self._take()

    def _take(self) -> None:
        with self._url.errors():
            connection = connect(self._url.full, self._name, self._url.patience)
            try:
                for setting, seconds in _KEEPALIVE.items():
                    query(connection, f"SET {setting} = {seconds}")
                server = query(connection, _SERVER)[0][0] if query(connection, _MAY_ASK)[0][0] else 0
                self._identity = f"{server}-{query(connection, _DATABASE)[0][0]}"
                if not self._lock(connection):
                    raise _refusal(_owner(_holders(connection, self._key)), "wait for it, or end it there")
            except BaseException:
                connection.close()
                raise
        self._connection = connection

    def _lock(self, connection: Connection, attempts: int = 20) -> bool:
        """Try to lock, if need be by ending a session of ours that the server has not missed yet. A session that it
        cannot end, because its process is frozen, holds the lock for us until a later check."""
        attempt = f"SELECT pg_try_advisory_lock({self._key})"
        self._has_lock = bool(query(connection, attempt)[0][0])
        if self._has_lock:
            return True
        holders = _holders(connection, self._key)
        ours = [pid for pid, name in holders if name == self._name]
        for pid in ours:
            query(connection, f"SELECT pg_terminate_backend({int(pid)})")
        for _ in range(attempts if ours else 0):
            self._has_lock = bool(query(connection, attempt)[0][0])
            if self._has_lock:
                return True
            time.sleep(0.1)
        return bool(ours) and _holders(connection, self._key) == holders

    def _close(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            with contextlib.suppress(Exception):  # it may be broken already
                connection.close()


def _holders(connection: Connection, key: int) -> list[tuple[int, str]]:
    """Return the server's process and the name of each session that holds a lock."""
    return [(pid, name) for pid, name in query(connection, _HOLDERS, key)]


def _owner(holders: list[tuple[int, str]]) -> Owner | None:
    """Return the owner that the name of a lock's session says."""
    for _, name in holders:
        prefix, *parts = name.split("/", 4)
        if prefix == SESSION and len(parts) == 4:
            pid, ticks, since, host = parts
            began = datetime.fromtimestamp(int(since), UTC).isoformat(timespec="seconds")
            return Owner(int(pid), host, began, int(ticks))
    return None


def _read_owner(path: Path) -> Owner | None:
    try:
        return Owner(**json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        return None


def _refusal(owner: Owner | None, remedy: str) -> StudyOwned:
    """Return the error for a lease that another process holds; ``owner`` is None if that cannot be read."""
    return StudyOwned(f"the study is owned by {owner}" if owner else "another runner holds this study", remedy)
