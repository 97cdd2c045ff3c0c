"""The URL of a storage: opening it as hpsearch needs it, and one line for what is wrong with it.

The storage is Optuna's own. SQLite runs in WAL mode (sqlite.py) with full synchronisation: an acknowledged trial
survives a power loss.
"""

from __future__ import annotations

import os
import shlex
import shutil
import sqlite3
import warnings
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, closing, contextmanager, nullcontext
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hpsearch.errors import StorageError, UsageError
from hpsearch.execution.files import make_folder
from hpsearch.study.storage import postgres, sqlite
from hpsearch.study.storage.lock import NOT_WRITTEN, table_file_lock
from hpsearch.study.storage.patience import NO_ANSWER, Patience

if TYPE_CHECKING:
    import optuna

SQLITE_PREFIX = "sqlite:///"
STORAGE_VARIABLE = "HPSEARCH_STORAGE"
# Part of the driver's message -> the rule it broke and the remedy. SQLite's own texts: sqlite.org/rescode.html.
_SIGNS = [
    ("database or disk is full", "no space left for the storage", "free some space, then run the same command again"),
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
    ("no password supplied", "the storage needs a password", f"name a file that holds it in {postgres.PASSWORD_FILE}"),
    ("could not translate host", "the storage's host is unknown", "check the host's name"),
    ("is the server running", "nothing listens at the storage's address", "start the database server, or fix the URL"),
    (NO_ANSWER, "the storage does not answer", "see if the server and the network work"),
    ("timeout expired", "the storage does not answer", "see if the server and the network work"),
    ("lock timeout", "another session holds rows of the storage", "end it (pg_stat_activity shows it)"),
    ("starting up", "the database server is starting", "run the same command again in a moment"),
    ("connection refused", "nothing listens at the storage's address", "start the database server, or correct the URL"),
    ('relation "', "this database holds no studies", "start one with `hpsearch run`, or name another"),
    ("does not exist", "the storage's database is missing", "create it, or correct the URL"),
]


@dataclass(frozen=True, repr=False)
class StorageUrl:
    """The URL of a storage. As text it has no password: that is in ``full`` alone. ``patience`` limits its calls."""

    full: str
    patience: Patience = field(default_factory=Patience, compare=False)

    @staticmethod
    def of(option: str | None, base_output_dir: Path) -> StorageUrl:
        """Return the storage that was asked for, else that of HPSEARCH_STORAGE, else the default one."""
        named = option or os.environ.get(STORAGE_VARIABLE)
        return StorageUrl(named) if named else StorageUrl.default(base_output_dir)

    @staticmethod
    def default(base_output_dir: Path) -> StorageUrl:
        """Return the storage that all studies under ``base_output_dir`` share."""
        return StorageUrl(f"{SQLITE_PREFIX}{base_output_dir / 'hpsearch.db'}")

    def __str__(self) -> str:
        """Return the URL without its password."""
        from sqlalchemy.engine import make_url
        from sqlalchemy.exc import ArgumentError

        try:
            return make_url(self.full).set(query={}).render_as_string(hide_password=True)
        except (ArgumentError, ValueError):  # a port that is no number
            return "(a URL that cannot be read)"

    __repr__ = __str__

    @property
    def has_password(self) -> bool:
        """True if the URL carries a password, before the host or among what follows a question mark."""
        from sqlalchemy.engine import make_url
        from sqlalchemy.exc import ArgumentError

        try:
            parts = make_url(self.full)
        except (ArgumentError, ValueError):  # a port that is no number
            return False
        return bool(parts.password or parts.query.get("password"))

    @property
    def is_postgres(self) -> bool:
        """True for a PostgreSQL server."""
        return postgres.is_postgres(self.full)

    @property
    def sqlite_path(self) -> Path | None:
        """The SQLite file, or None for another kind of storage. Raises UsageError if the URL names no file."""
        if not self.full.startswith("sqlite:"):
            return None
        path = self.full.removeprefix(SQLITE_PREFIX).split("?")[0]
        if not self.full.startswith(SQLITE_PREFIX) or path in ("", ":memory:") or "\0" in path:
            what = f"a SQLite storage names a file, but {self.full!r} does not"
            raise UsageError(what, "write sqlite:///path/to/file.db")
        return Path(path)

    def open(self, *, create: bool = False) -> optuna.storages.RDBStorage:
        """Open the storage; with ``create``, make what is missing of file, folder and tables. Without it nothing is
        changed by opening, so that other programs' databases can be read.

        Raises:
            StorageError: it does not exist (without ``create``) or cannot be used; the message says why.
            UsageError: the URL is not one of a storage.
        """
        path = self.sqlite_path
        if path is None and not self.full.startswith(("postgresql", "mysql")):
            raise UsageError(
                f"not a storage URL: {str(self)!r}", "write sqlite:///file.db or postgresql://user@host/name"
            )
        if path is not None:
            _require_file(path)
        if path is not None and create:
            try:
                make_folder(path.parent)
            except OSError as error:
                what = f"cannot make the folder {path.parent}: {error.strerror}"
                raise StorageError(what, "choose another --storage") from error
            _require_writable(path)
        if not create:
            self.require_studies()  # Optuna would add its tables to whatever it is
        _quiet_optuna()
        with self.errors():
            if not create:
                return self._connect()
            with self.table_lock():
                if path is not None:
                    self._make_file(path)
                return self._connect(create=True)

    @contextmanager
    def opened(self) -> Iterator[optuna.storages.RDBStorage]:
        """Open the storage as it is, and turn what it raises meanwhile into a ``StorageError``."""
        with self.errors():
            yield self.open()

    def require_studies(self) -> None:
        """Refuse a SQLite file that is missing, or has not Optuna's tables. Raises StorageError."""
        if not self.holds_studies():
            path = self.sqlite_path
            if path is not None and not path.exists():
                remedy = "start a study with `hpsearch run`, or name it with --storage"
                raise StorageError(f"there is no storage at {path}", remedy)
            raise StorageError(f"this database holds no studies: {self}", "name a storage that hpsearch or Optuna made")

    def holds_studies(self) -> bool:
        """Return True if there is a storage with Optuna's tables; a server is taken to have them.

        Raises:
            StorageError: it cannot be read.
        """
        path = self.sqlite_path
        if path is None or not path.exists():
            return path is None
        _require_file(path)
        with self.errors(), closing(sqlite.connector(path, self.patience)()) as connection:
            names = {name for (name,) in connection.execute("SELECT name FROM sqlite_master")}
            return {"version_info", "alembic_version"} <= names

    def check(self, say: Callable[[str], None]) -> None:
        """Check a SQLite storage before a run: a damaged or read-only one is not touched, and another program's lock is
        waited for. ``say`` gets what the user should know.

        Raises:
            StorageError: it cannot be used; the message says why.
            UsageError: the URL is not one of a storage.
        """
        path = self.sqlite_path
        if path is None:
            return
        if warning := sqlite.network_warning(path):
            say("; ".join(warning))
        if path.exists():
            _require_file(path)
            _require_writable(path)
            with self.errors():
                sqlite.require_sound(path, patience := replace(self.patience, say=say))
                sqlite.wait_for_others(path, patience)

    def is_damaged(self) -> bool:
        """Return True if the file, of whatever size, is no SQLite database, or one that is damaged or has a value that
        cannot be read."""
        from hpsearch.study.storage.replica import damage_explained

        path = self.sqlite_path
        if path is None or not path.exists():
            return False
        try:
            sqlite.require_sound(path, any_size=True)
            if self.holds_studies():
                with self.opened() as storage, damage_explained("a study"):
                    for study in storage.get_all_studies():
                        storage.get_all_trials(study._study_id, deepcopy=False)
        except sqlite3.OperationalError:  # it is locked, or may not be read
            return False
        except sqlite3.DatabaseError:
            return True
        except StorageError as error:
            return "damaged" in error.what
        return False

    def table_lock(self, *, wait: bool = True) -> AbstractContextManager[None]:
        """Lock the making and changing of the tables: of several programs that do so at once, all but one would fail.

        Raises:
            StudyOwned: another program holds the lock of a SQLite file, and ``wait`` is false.
            StorageError: the lock's file cannot be made or locked.
        """
        if path := self.sqlite_path:
            return table_file_lock(path, self.patience if wait else None)
        return postgres.schema_lock(self.full, self.patience) if self.is_postgres else nullcontext()

    def _make_file(self, path: Path) -> None:
        """Make a SQLite file, or refuse one that another version of Optuna made, before anything of it is changed."""
        try:
            sqlite.make_file(path)
        except OSError as error:
            raise StorageError(f"cannot write {path}: {error.strerror}", NOT_WRITTEN) from error
        if sqlite.network_file_system(path):
            sqlite.leave_wal(path)
        if self.holds_studies():
            self._connect()

    def _connect(self, *, create: bool = False) -> optuna.storages.RDBStorage:
        from optuna.storages import RDBStorage

        kwargs: dict[str, Any] = {"pool_pre_ping": True}
        if path := self.sqlite_path:
            wal = create and not sqlite.network_file_system(path)
            kwargs = {"creator": sqlite.connector(path, self.patience, wal=wal)}
        elif self.is_postgres:
            kwargs["creator"] = postgres.connector(self.full, self.patience)
        url = postgres.driver_url(self.full).replace("{", "{{").replace("}", "}}")  # Optuna takes it for a template
        return RDBStorage(url, engine_kwargs=kwargs, skip_table_creation=not create)

    @contextmanager
    def errors(self) -> Iterator[None]:
        """Turn what databases raise into a ``StorageError`` of one line."""
        from optuna.exceptions import StorageInternalError
        from sqlalchemy.exc import SQLAlchemyError

        try:
            yield
        except (SQLAlchemyError, StorageInternalError, sqlite3.Error) as error:
            raise self.explain(error) from error
        except RuntimeError as error:
            if "optuna storage upgrade" in str(error):  # Optuna's own remedy
                raise StorageError(f"{self} was made by an older Optuna", self.upgrade_remedy) from error
            if "updating optuna" in str(error):
                raise self.newer_optuna() from error
            raise
        except ImportError as error:
            install = "install it: pip install 'hpsearch[postgres]'"
            remedy = install if self.is_postgres else "use sqlite:///file.db or postgresql://user@host/name"
            raise StorageError(f"no driver for {self}", remedy) from error

    def explain(self, error: BaseException) -> StorageError:
        """Return what a database raised as one line with its remedy."""
        while isinstance(cause := getattr(error, "orig", None) or error.__cause__, BaseException):
            error = cause
        text = " ".join(str(error).split())[:300]
        path = self.sqlite_path
        # SQLite says so of a disk too full for its shared memory.
        if "disk i/o error" in text.lower() and path and shutil.disk_usage(path.parent).free < 2**20:
            text = "database or disk is full"
        for sign, what, remedy in _SIGNS:
            if sign in text.lower():
                return StorageError(f"{what}: {self} ({text})", remedy.replace("FILE", str(path)))
        return StorageError(f"the storage failed: {self} ({text})", "fix what it says, then run the same command again")

    def newer_optuna(self) -> StorageError:
        """Return the error for a storage with tables that this Optuna does not know."""
        what = f"{self} was made by a newer Optuna than the one that is installed"
        return StorageError(what, "install that one: pip install -U optuna")

    @property
    def upgrade_remedy(self) -> str:
        """The command that upgrades a storage of an older Optuna."""
        if self.sqlite_path:
            return f"run: hpsearch storage upgrade --storage {shlex.quote(str(self))}"
        by_driver = StorageUrl(postgres.driver_url(self.full))
        return f"copy it first (pg_dump), then run: optuna storage upgrade --storage {shlex.quote(str(by_driver))}"


def _quiet_optuna() -> None:
    """Keep Optuna's own log lines and experimental warnings off the terminal; hpsearch says what happens itself."""
    import optuna

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    warnings.filterwarnings("ignore", category=optuna.exceptions.ExperimentalWarning)


def _require_file(path: Path) -> None:
    """Refuse what SQLite would wait for without an end (a FIFO), or take for a failing disk (a folder, a device)."""
    if path.exists() and not path.is_file():
        what = "a folder" if path.is_dir() else "no regular file"
        raise StorageError(
            f"a SQLite storage is a file, but {path} is {what}",
            "name a file, such as searches.db in it" if path.is_dir() else "name a file",
        )


def _require_writable(path: Path) -> None:
    for place in (path, path.parent):  # SQLite writes files beside it
        if place.exists() and not os.access(place, os.W_OK):
            raise StorageError(f"cannot write {place}: read-only", "make it writable, or choose another --storage")
