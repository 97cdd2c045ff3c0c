"""Opening the storage, and saying in one line what is wrong with it.

The storage is Optuna's own; this module only opens it as hpsearch needs it. SQLite runs in WAL mode with full
synchronisation (an acknowledged trial survives a power loss) and waits a minute for a stranger's lock.
"""

from __future__ import annotations

import os
import sqlite3
import warnings
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hpsearch.errors import StorageError, UsageError

if TYPE_CHECKING:
    import optuna

SQLITE_PREFIX = "sqlite:///"
# A stranger's lock is waited for this long, in seconds; shorter waits killed writers when it was measured.
BUSY_TIMEOUT_S = 60.0
STORAGE_VARIABLE = "HPSEARCH_STORAGE"


def default_url(base_output_dir: Path) -> str:
    """URL of the storage that all studies under ``base_output_dir`` share."""
    return f"{SQLITE_PREFIX}{base_output_dir / 'hpsearch.db'}"


def sqlite_path(url: str) -> Path | None:
    """The database file behind ``url``, or None where it is not SQLite."""
    if not url.startswith("sqlite:"):
        return None
    path = url.removeprefix(SQLITE_PREFIX).split("?")[0]
    if not url.startswith(SQLITE_PREFIX) or not path or path == ":memory:":
        raise UsageError(f"a SQLite storage names a file, but {url!r} does not", "write sqlite:///path/to/file.db")
    return Path(path)


def open_storage(url: str, *, create: bool = False) -> optuna.storages.BaseStorage:
    """Open the storage at ``url``; with ``create``, make what is missing of file, folder and tables. Without it nothing
    is changed by opening, so that other programs' databases can be read.

    Raises:
        StorageError: it does not exist (without ``create``) or cannot be used; the message says why.
        UsageError: the URL is not one of a storage.
    """
    from optuna.storages import RDBStorage, get_storage

    path = sqlite_path(url)
    if path is not None:
        _make_sure_of_file(path, create)
        if not create and not holds_studies(url):  # Optuna would add its tables to whatever it is
            raise StorageError(
                f"this database holds no studies: {masked(url)}", "name a storage that hpsearch or Optuna made"
            )
    elif not url.startswith(("postgresql", "mysql")):
        raise UsageError(
            f"not a storage URL: {masked(url)!r}", "write sqlite:///file.db or postgresql://user@host/name"
        )
    _quiet_optuna()
    with storage_errors(url):
        kwargs: dict[str, Any] = {"pool_pre_ping": True}
        if path is not None:
            kwargs = {"creator": _sqlite_connector(path, wal=create)}
        return get_storage(RDBStorage(url, engine_kwargs=kwargs, skip_table_creation=not create))


@contextmanager
def storage_errors(url: str) -> Iterator[None]:
    """Turn what databases raise into a ``StorageError`` of one line."""
    from optuna.exceptions import StorageInternalError
    from sqlalchemy.exc import SQLAlchemyError

    try:
        yield
    except (SQLAlchemyError, StorageInternalError, sqlite3.Error) as error:
        raise StorageError(*_explain(url, error)) from error
    except RuntimeError as error:
        if "schema" not in str(error) and "version" not in str(error):
            raise
        raise StorageError(
            f"{masked(url)} was written by another version of Optuna",
            f"run: optuna storage upgrade --storage {masked(url)}",
        ) from error
    except ImportError as error:
        raise StorageError(f"no driver for {masked(url)}", "install it: pip install 'hpsearch[postgres]'") from error


def masked(url: str) -> str:
    """``url`` without its password."""
    from sqlalchemy.engine import make_url
    from sqlalchemy.exc import ArgumentError

    try:
        return make_url(url).set(query={}).render_as_string(hide_password=True)
    except ArgumentError:
        return "(a URL that cannot be read)"


def _quiet_optuna() -> None:
    """Keep Optuna's own log lines and experimental warnings off the terminal; hpsearch says what happens itself."""
    import optuna

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    warnings.filterwarnings("ignore", category=optuna.exceptions.ExperimentalWarning)


def _make_sure_of_file(path: Path, create: bool) -> None:
    if create:
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise StorageError(
                f"cannot make the folder {path.parent}: {error.strerror}", "choose another --storage"
            ) from error
    elif not path.exists():
        raise StorageError(
            f"there is no storage at {path}", "start a study with `hpsearch run`, or name it with --storage"
        )
    target = path if path.exists() else path.parent
    if create and not os.access(target, os.W_OK):
        raise StorageError(f"cannot write {target}: read-only", "make it writable, or choose another --storage")


def holds_studies(url: str) -> bool:
    """Whether there is a storage at ``url`` with Optuna's tables; a server's is believed to have them.

    Raises:
        StorageError: it cannot be read.
    """
    path = sqlite_path(url)
    if path is None or not path.exists():
        return path is None
    with storage_errors(url), closing(_sqlite_connector(path)()) as connection:
        names = {name for (name,) in connection.execute("SELECT name FROM sqlite_master")}
        return {"version_info", "alembic_version"} <= names


def _sqlite_connector(path: Path, *, wal: bool = False) -> Callable[[], sqlite3.Connection]:
    def connect() -> sqlite3.Connection:
        connection = sqlite3.connect(path, timeout=BUSY_TIMEOUT_S, check_same_thread=False)
        connection.execute("PRAGMA synchronous=FULL")
        if wal:
            connection.execute("PRAGMA journal_mode=WAL")
        return connection

    return connect


def _explain(url: str, error: Exception) -> tuple[str, str]:
    cause = _innermost(error)
    text = " ".join(str(cause).split())[:300]
    for sign, what, remedy in _SIGNS:
        if sign in text.lower():
            return f"{what}: {masked(url)} ({text})", remedy
    return f"the storage failed: {masked(url)} ({text})", "put right what it says, then run the same command again"


# Part of the driver's message -> the rule it broke and the remedy. SQLite's own texts: sqlite.org/rescode.html.
_SIGNS = [
    ("database or disk is full", "no space left for the storage", "make room, then run the same command again"),
    ("readonly", "the storage is read-only", "make it writable, or choose another --storage"),
    ("unable to open", "the storage cannot be opened", "check the path and its permissions"),
    ("not a database", "this file is not a database", "name another file, or restore it from a copy"),
    ("malformed", "the storage is damaged", "restore a copy, or run: sqlite3 FILE .recover"),
    ("locked", "another program holds the storage", "end it, then run the same command again"),
    ("password authentication failed", "the storage refused the password", "check the user and the password"),
    ("could not translate host", "the storage's host is unknown", "check the host's name"),
    ("connection refused", "nothing listens at the storage's address", "start the database server, or correct the URL"),
    ("does not exist", "the storage's database is missing", "create it, or correct the URL"),
]


def _innermost(error: BaseException) -> BaseException:
    original = getattr(error, "orig", None) or error.__cause__
    return _innermost(original) if isinstance(original, BaseException) else error
