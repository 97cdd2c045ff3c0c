"""Opening the storage, and saying in one line what is wrong with it.

The storage is Optuna's own; this module only opens it as hpsearch needs it. SQLite runs in WAL mode (sqlite.py) with
full synchronisation: an acknowledged trial survives a power loss.
"""

from __future__ import annotations

import os
import shlex
import shutil
import sqlite3
import warnings
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hpsearch.errors import StorageError, UsageError
from hpsearch.execution.files import make_folder
from hpsearch.study.storage import sqlite
from hpsearch.study.storage.lock import NOT_WRITTEN, table_lock
from hpsearch.study.storage.postgres import PASSWORD_FILE, driver_url
from hpsearch.study.storage.sqlite import network_file_system

if TYPE_CHECKING:
    import optuna

SQLITE_PREFIX = "sqlite:///"
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


def open_storage(url: str, *, create: bool = False) -> optuna.storages.RDBStorage:
    """Open the storage at ``url``; with ``create``, make what is missing of file, folder and tables. Without it nothing
    is changed by opening, so that other programs' databases can be read.

    Raises:
        StorageError: it does not exist (without ``create``) or cannot be used; the message says why.
        UsageError: the URL is not one of a storage.
    """
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
        if not create:
            return _open(url, path)
        with table_lock(url, path):
            if path is not None:
                _make_ready(url, path)
            return _open(url, path, create=True)


def look_over(url: str, say: Callable[[str], None]) -> None:
    """Look at a SQLite storage before a run: what is damaged or read-only is not touched, and a stranger's lock is
    waited for. ``say`` is told what the user should know of it.

    Raises:
        StorageError: it cannot be used; the message says why.
        UsageError: the URL is not one of a storage.
    """
    path = sqlite_path(url)
    if path is None:
        return
    if warning := sqlite.network_warning(path):
        say("; ".join(warning))
    if path.exists():
        _require_writable(path)
        with storage_errors(url):
            sqlite.require_sound(path, say)
            sqlite.wait_for_others(path, say)


def _open(url: str, path: Path | None, *, create: bool = False) -> optuna.storages.RDBStorage:
    from optuna.storages import RDBStorage

    kwargs: dict[str, Any] = {"pool_pre_ping": True}
    if path is not None:
        kwargs = {"creator": sqlite.connector(path, wal=create and not network_file_system(path))}
    return RDBStorage(driver_url(url), engine_kwargs=kwargs, skip_table_creation=not create)


def _make_ready(url: str, path: Path) -> None:
    """Make a SQLite file, or refuse one that another version of Optuna made, before anything of it is changed."""
    try:
        sqlite.make_file(path)
    except OSError as error:
        raise StorageError(f"cannot write {path}: {error.strerror}", NOT_WRITTEN) from error
    if network_file_system(path):
        sqlite.leave_wal(path)
    if holds_studies(url):
        _open(url, path)


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
        if "optuna storage upgrade" in str(error):  # Optuna's own remedy
            raise StorageError(f"{masked(url)} was made by an older Optuna", upgrade_remedy(url)) from error
        if "updating optuna" in str(error):
            raise newer_optuna(url) from error
        raise
    except ImportError as error:
        raise StorageError(f"no driver for {masked(url)}", "install it: pip install 'hpsearch[postgres]'") from error


def newer_optuna(url: str) -> StorageError:
    """What a storage with tables that this Optuna does not know is answered with."""
    what = f"{masked(url)} was made by a newer Optuna than the one that is installed"
    return StorageError(what, "install that one: pip install -U optuna")


def upgrade_remedy(url: str) -> str:
    """How a storage of an older Optuna is brought to this one's tables."""
    if sqlite_path(url) is not None:
        return f"run: hpsearch storage upgrade --storage {shlex.quote(masked(url))}"
    command = f"optuna storage upgrade --storage {shlex.quote(masked(driver_url(url)))}"
    return f"copy it first (pg_dump), then run: {command}"


def explained(url: str, error: Exception) -> StorageError:
    """What a database raised, in one line and with its remedy."""
    return StorageError(*_explain(url, error))


def masked(url: str) -> str:
    """``url`` without its password."""
    from sqlalchemy.engine import make_url
    from sqlalchemy.exc import ArgumentError

    try:
        return make_url(url).set(query={}).render_as_string(hide_password=True)
    except ArgumentError:
        return "(a URL that cannot be read)"


def has_password(url: str) -> bool:
    """Whether a storage's URL carries a password, before the host or among what follows a question mark."""
    from sqlalchemy.engine import make_url
    from sqlalchemy.exc import ArgumentError

    try:
        parts = make_url(url)
    except ArgumentError:
        return False
    return bool(parts.password or parts.query.get("password"))


def _quiet_optuna() -> None:
    """Keep Optuna's own log lines and experimental warnings off the terminal; hpsearch says what happens itself."""
    import optuna

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    warnings.filterwarnings("ignore", category=optuna.exceptions.ExperimentalWarning)


def _make_sure_of_file(path: Path, create: bool) -> None:
    if create:
        try:
            make_folder(path.parent)
        except OSError as error:
            raise StorageError(
                f"cannot make the folder {path.parent}: {error.strerror}", "choose another --storage"
            ) from error
    else:
        require_file(path)
    if create:
        _require_writable(path)


def _require_writable(path: Path) -> None:
    for each in (path, path.parent):  # SQLite writes files beside it
        if each.exists() and not os.access(each, os.W_OK):
            raise StorageError(f"cannot write {each}: read-only", "make it writable, or choose another --storage")


def require_file(path: Path) -> None:
    """Refuse a SQLite file that is not there. Raises StorageError."""
    if not path.exists():
        raise StorageError(
            f"there is no storage at {path}", "start a study with `hpsearch run`, or name it with --storage"
        )


def holds_studies(url: str) -> bool:
    """Whether there is a storage at ``url`` with Optuna's tables; a server's is believed to have them.

    Raises:
        StorageError: it cannot be read.
    """
    path = sqlite_path(url)
    if path is None or not path.exists():
        return path is None
    with storage_errors(url), closing(sqlite.connector(path)()) as connection:
        names = {name for (name,) in connection.execute("SELECT name FROM sqlite_master")}
        return {"version_info", "alembic_version"} <= names


def _explain(url: str, error: Exception) -> tuple[str, str]:
    cause = _innermost(error)
    text = " ".join(str(cause).split())[:300]
    if "disk i/o error" in text.lower() and _is_full(url):  # SQLite's word for a disk too full for its shared memory
        text = "database or disk is full"
    for sign, what, remedy in _SIGNS:
        if sign in text.lower():
            return f"{what}: {masked(url)} ({text})", remedy.replace("FILE", str(sqlite_path(url)))
    return f"the storage failed: {masked(url)} ({text})", "put right what it says, then run the same command again"


# Part of the driver's message -> the rule it broke and the remedy. SQLite's own texts: sqlite.org/rescode.html.
_SIGNS = [
    ("database or disk is full", "no space left for the storage", "make room, then run the same command again"),
    ("readonly", "the storage is read-only", "make it writable, or choose another --storage"),
    ("unable to open", "the storage cannot be opened", "check the path and its permissions"),
    ("not a database", "this file is not a database", "name another file, or restore it from a copy"),
    ("malformed", "the storage is damaged", sqlite.DAMAGE_REMEDY),
    (
        "disk i/o error",
        "the disk refused what the storage wrote",
        "see if it is full, over a quota, or failing (dmesg)",
    ),
    ("locked", "another program holds the storage", "end it, then run the same command again"),
    ("password authentication failed", "the storage refused the password", "check the user and the password"),
    ("no password supplied", "the storage wants a password", f"name a file that holds it in {PASSWORD_FILE}"),
    ("could not translate host", "the storage's host is unknown", "check the host's name"),
    ("is the server running", "nothing listens at the storage's address", "start the database server, or mend the URL"),
    ("starting up", "the database server is starting", "run the same command again in a moment"),
    ("connection refused", "nothing listens at the storage's address", "start the database server, or correct the URL"),
    ('relation "', "this database holds no studies", "start one with `hpsearch run`, or name another"),
    ("does not exist", "the storage's database is missing", "create it, or correct the URL"),
]


def _is_full(url: str) -> bool:
    path = sqlite_path(url)
    return path is not None and shutil.disk_usage(path.parent).free < 2**20


def _innermost(error: BaseException) -> BaseException:
    original = getattr(error, "orig", None) or error.__cause__
    return _innermost(original) if isinstance(original, BaseException) else error
