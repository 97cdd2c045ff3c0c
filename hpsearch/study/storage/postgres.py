"""PostgreSQL: its URLs, and sessions that do not wait for a server that is silent.

Beside Optuna's own there are sessions for locks, which belong to the session that took them.
"""

from __future__ import annotations

import math
import os
import time
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from hpsearch.errors import StudyOwned, UsageError
from hpsearch.study.storage.patience import NO_ANSWER, SILENT_S, Patience, Wait

if TYPE_CHECKING:
    from sqlalchemy import Connection

SESSION = "hps"  # prefix of our sessions' names
# Seconds: to connect, and until the kernel gives up on a network that is silent.
_CONNECTION = {
    "connect_timeout": 8,
    "keepalives_idle": 5,
    "keepalives_interval": 2,
    "keepalives_count": 3,
    "tcp_user_timeout": 10_000,  # milliseconds
}
# Seconds until the server itself ends a statement that nobody may wait for any more, and a wait for another session.
_STATEMENT_S, _LOCK_S = 120, 10
_LOCK_SILENT_S = 8.0  # of a server, for short statements about locks
_TABLES_S, _PAUSE_S = 60.0, 0.05  # for other programs that make the tables
PASSWORD_FILE = "HPSEARCH_STORAGE_PASSWORD_FILE"  # noqa: S105 - a variable's name
# The lock for making the tables; any number that is no study's, whose locks have 63 bits of a digest.
_SCHEMA_LOCK = 0x6870_7363_6865_6D61

_Result = TypeVar("_Result")


def is_postgres(url: str) -> bool:
    """True for a PostgreSQL URL."""
    return url.partition("://")[0].partition("+")[0] in ("postgresql", "postgres")


def driver_url(url: str) -> str:
    """Return ``url`` for SQLAlchemy alone: PostgreSQL by psycopg 3, whatever its default is. A URL without a password
    gets the one in the file that HPSEARCH_STORAGE_PASSWORD_FILE names.

    Raises:
        UsageError: it is no URL, or the password's file cannot be read.
    """
    from sqlalchemy.engine import make_url

    require_url(url)
    scheme, separator, rest = url.partition("://")
    if scheme in ("postgresql", "postgres"):
        url = f"postgresql+psycopg{separator}{rest}"
    if not is_postgres(url) or not os.environ.get(PASSWORD_FILE):
        return url
    parts = make_url(url)
    if parts.password or parts.query.get("password"):
        return url
    path = Path(os.environ[PASSWORD_FILE])
    try:
        password = path.read_text(encoding="utf-8").rstrip("\r\n")
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "it is not text"
        what = f"{PASSWORD_FILE} names the file of the storage's password, but {path} cannot be read: {why}"
        raise UsageError(what, "correct the variable, or let this user read the file") from None
    return parts.set(password=password).render_as_string(hide_password=False)


def require_url(url: str) -> None:
    """Refuse a URL that no driver can read; the message shows nothing of it, as any part may be of a password.

    Raises:
        UsageError: it is one.
    """
    from sqlalchemy.engine import make_url
    from sqlalchemy.exc import ArgumentError

    try:
        url.encode()
        (make_url(url).host or "").encode("idna")
    except (ArgumentError, ValueError) as error:
        what = "a storage URL has a host name and a number as its port, but the one given has not"
        remedy = "write postgresql://user@host:5432/name, and in user and password %2F for /, %40 for @, %3A for :"
        raise UsageError(what, remedy) from error


def connector(url: str, patience: Patience, silent_s: float = SILENT_S, **options: Any) -> Callable[[], Any]:
    """Return a function that opens a session for SQLAlchemy, each call of which is limited: by the server where that
    works, by this side where the server or the network is silent for ``silent_s``. What the URL says of a limit holds.

    Raises:
        ImportError: the driver is not installed.
    """
    from psycopg import Connection, OperationalError
    from sqlalchemy.engine import make_url

    words, named = (parts := make_url(driver_url(url))).get_dialect()().create_connect_args(parts)
    own_limits = "options" in named

    def limited(
        steps: Generator[Any, Any, _Result], waiting: Wait, end: Callable[[], None]
    ) -> Generator[Any, Any, _Result]:
        """Go through the driver's steps as long as they may be waited for."""
        try:
            state = next(steps)
            while True:
                ready = yield state
                if ready:
                    waiting.renew()
                elif waiting.is_over:
                    end()
                    raise OperationalError(NO_ANSWER)
                state = steps.send(ready)
        except StopIteration as result:
            value: _Result = result.value
            return value

    class LimitedSession(Connection[Any]):
        @classmethod
        def _connect_gen(cls, *more: Any, **named: Any) -> Any:
            # Its own time limit is the driver's: connect_timeout. The user's requests to end are heard here.
            waiting = Wait(patience, math.inf, f"{NO_ANSWER}: waiting for it")
            return limited(super()._connect_gen(*more, **named), waiting, lambda: None)

        def wait(self, gen: Any, *more: Any, **named: Any) -> Any:
            waiting = Wait(patience, silent_s, f"{NO_ANSWER}: waiting for it, up to {silent_s:g} s")
            return super().wait(limited(gen, waiting, self.pgconn.finish), *more, **named)

    def open_session() -> LimitedSession:
        session = LimitedSession.connect(*words, **{**_CONNECTION, **named, **options})
        if not own_limits:
            session.autocommit = True
            # Not as options of the connection, which poolers between us and the server refuse.
            session.execute(f"SET statement_timeout = '{_STATEMENT_S}s'; SET lock_timeout = '{_LOCK_S}s'")
            session.autocommit = False
        return session

    return open_session


def connect(url: str, name: str = SESSION, patience: Patience | None = None) -> Connection:
    """Open a session in which each statement is a transaction. Raises what SQLAlchemy raises."""
    from sqlalchemy import create_engine
    from sqlalchemy.pool import NullPool

    opens = connector(url, patience or Patience(), _LOCK_SILENT_S, application_name=name)
    engine = create_engine(driver_url(url), creator=opens, poolclass=NullPool, isolation_level="AUTOCOMMIT")
    return engine.connect()


def query(connection: Connection, statement: str, *values: Any) -> list[Any]:
    """Run a statement and return its rows, if it has any."""
    result = connection.exec_driver_sql(statement, values or None)
    return list(result.fetchall()) if result.returns_rows else []


@contextmanager
def schema_lock(url: str, patience: Patience) -> Iterator[None]:
    """Lock the making of Optuna's tables: of several programs that make them at once, all but one would fail.

    Raises:
        StudyOwned: another program has held the lock for a minute.
    """
    with connect(url, patience=patience) as connection:
        waiting = Wait(patience, _TABLES_S, "another program makes the storage's tables: waiting for it")
        while not query(connection, f"SELECT pg_try_advisory_lock({_SCHEMA_LOCK})")[0][0]:
            if waiting.is_over:
                raise StudyOwned("another program makes or changes the tables of the storage now", "wait for it")
            time.sleep(_PAUSE_S)
        yield
