"""PostgreSQL: its URLs, and sessions beside Optuna's own for locks, which belong to the session that took them."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hpsearch.errors import UsageError

if TYPE_CHECKING:
    from sqlalchemy import Connection

SESSION = "hps"  # prefix of our sessions' names
CONNECT_S = 10
PASSWORD_FILE = "HPSEARCH_STORAGE_PASSWORD_FILE"  # noqa: S105 - a variable's name
# The lock for making the tables; any number that is no study's, whose locks have 63 bits of a digest.
_SCHEMA_LOCK = 0x6870_7363_6865_6D61


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


def connect(url: str, name: str = SESSION) -> Connection:
    """Open a session in which each statement is a transaction. Raises what SQLAlchemy raises."""
    from sqlalchemy import create_engine
    from sqlalchemy.pool import NullPool

    options = {"application_name": name, "connect_timeout": CONNECT_S}
    engine = create_engine(driver_url(url), poolclass=NullPool, connect_args=options, isolation_level="AUTOCOMMIT")
    return engine.connect()


def query(connection: Connection, statement: str, *values: Any) -> list[Any]:
    """Run a statement and return its rows, if it has any."""
    result = connection.exec_driver_sql(statement, values or None)
    return list(result.fetchall()) if result.returns_rows else []


@contextmanager
def schema_lock(url: str) -> Iterator[None]:
    """Lock the making of Optuna's tables: of several programs that make them at once, all but one would fail."""
    with connect(url) as connection:
        query(connection, f"SELECT pg_advisory_lock({_SCHEMA_LOCK})")
        yield
