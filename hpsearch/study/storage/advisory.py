"""The lease on PostgreSQL: an advisory lock that the server gives up with the session that took it.

Its session names the owner, so that who is refused can be told. A broken connection loses the lock; ``check`` takes it
again, if nobody else has it by then. Whether somebody had it in between, the study's epoch tells (writing.py).
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import socket
import time
from datetime import UTC, datetime
from types import TracebackType
from typing import TYPE_CHECKING

from hpsearch.errors import StudyOwned
from hpsearch.study.storage.open import storage_errors
from hpsearch.study.storage.owner import Owner, owned_by, start_ticks
from hpsearch.study.storage.postgres import SESSION, ask, connect

if TYPE_CHECKING:
    from sqlalchemy import Connection

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
