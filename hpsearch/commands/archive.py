"""Opening an archive that `hpsearch export` made. It is somebody else's file: all that it can demand is bounded."""

from __future__ import annotations

import errno
import sqlite3
import time
import zipfile
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from hpsearch.errors import HpsearchError, UsageError
from hpsearch.execution.files import require_space
from hpsearch.execution.temporary import temporary_folder
from hpsearch.study.storage.open import SQLITE_PREFIX, StorageUrl

DATABASE = "hpsearch.db"
MOST_MEMBERS = 100_000  # about 12,000 trials; reading a list of that length takes a second
_MOST_BYTES = 2 * 1024**3  # unpacked
_MOST_DATABASE_BYTES = 512 * 1024**2  # 100,000 trials of 40 reports
_MOST_SECONDS = 120.0
_CHUNK = 1024 * 1024
_MOST_LISTED_BYTES = 64 * 1024**2  # of the list of members
# A report needs these, beside the database.
_READ = ("predictions.jsonl", "_best_config.json")
_REMEDY = "name a file made by `hpsearch export --archive`"


@dataclass(frozen=True)
class OpenArchive:
    """An archive unpacked for reading: the storage's URL and the folder of studies."""

    url: StorageUrl
    base: Path


@contextmanager
def open_archive(path: Path) -> Iterator[OpenArchive]:
    """Unpack what a report needs of an archive into a folder that lives as long as the ``with`` block.

    Raises:
        UsageError: the file is not an archive made by ``hpsearch export``, asks for too much, or is damaged, also where
            that shows only while it is read.
    """
    with temporary_folder() as scratch:
        deadline = time.monotonic() + _MOST_SECONDS
        _unpack(path, scratch, deadline)
        _require_plain(path, scratch / DATABASE, deadline)
        try:
            yield OpenArchive(StorageUrl(f"{SQLITE_PREFIX}{scratch / DATABASE}"), scratch)
        except UsageError:
            raise
        except HpsearchError as error:
            what = error.what.replace(f"{SQLITE_PREFIX}{scratch / DATABASE}", DATABASE)
            raise UsageError(f"{path} cannot be read: {what}", _REMEDY) from error
        except (ValueError, TypeError, LookupError, ArithmeticError, AttributeError, RecursionError) as error:
            raise UsageError(f"{path} cannot be read: {type(error).__name__}: {error}", _REMEDY) from error


def _unpack(path: Path, scratch: Path, deadline: float) -> None:
    try:
        file = path.open("rb")
    except OSError as error:
        raise UsageError(f"cannot open {path}: {error.strerror}", "correct --archive") from error
    with file:
        try:
            _refuse_long_list(path)
            with zipfile.ZipFile(file) as archive:
                members = _wanted(path, archive.infolist())
                require_space(scratch, sum(member.file_size for member in members), str(path), "free some space", 0)
                for member in members:
                    _extract(path, archive, member, scratch, deadline)
        except HpsearchError:
            raise
        except OSError as error:
            if error.errno in (errno.ENOSPC, errno.EDQUOT):
                raise UsageError(
                    f"{path} must fit on the disk of {scratch}, but it is full", "free some space"
                ) from error
            raise UsageError(f"{path} cannot be unpacked: {error.strerror or error}", _REMEDY) from error
        except Exception as error:  # the modules for ZIP and its compressions raise a dozen kinds
            raise UsageError(f"{path} is not an archive, or is damaged: {error}", _REMEDY) from error


def _refuse_long_list(path: Path) -> None:
    """Refuse a file whose list of members is too long to be read. Its size is in the last record (APPNOTE 4.3.16)."""
    with path.open("rb") as file:
        size = file.seek(0, 2)
        file.seek(max(0, size - 65_557))
        end = file.read()
    record = end[end.rfind(b"PK\5\6") :] if b"PK\5\6" in end else b""
    listed = int.from_bytes(record[12:16], "little")
    count = int.from_bytes(record[10:12], "little")
    if listed > _MOST_LISTED_BYTES or MOST_MEMBERS < count < 0xFFFF:
        raise UsageError(f"{path} lists more than {MOST_MEMBERS} files", "do not trust it")


def _wanted(path: Path, members: list[zipfile.ZipInfo]) -> list[zipfile.ZipInfo]:
    """Return the members that are read, or refuse the archive for any of its members."""
    if len(members) > MOST_MEMBERS:
        raise UsageError(f"{path} holds {len(members)} files, more than {MOST_MEMBERS}", "do not trust it")
    size = sum(member.file_size for member in members)
    if size > _MOST_BYTES:
        raise UsageError(f"{path} unpacks to {size} bytes, more than {_MOST_BYTES}", "do not trust it")
    for member in members:
        if member.filename.startswith("/") or ".." in PurePosixPath(member.filename).parts or "\\" in member.filename:
            raise UsageError(f"{path} names a file outside itself: {member.filename!r}", "do not trust it")
    database = [member for member in members if member.filename == DATABASE]
    if len(database) != 1:
        raise UsageError(f"{path} holds no study", _REMEDY)
    if database[0].file_size > _MOST_DATABASE_BYTES:
        size = database[0].file_size
        raise UsageError(
            f"the database in {path} has {size} bytes, more than {_MOST_DATABASE_BYTES}", "do not trust it"
        )
    return database + [member for member in members if member.filename.endswith(_READ)]


def _extract(path: Path, archive: zipfile.ZipFile, member: zipfile.ZipInfo, scratch: Path, deadline: float) -> None:
    target = scratch / member.filename
    target.parent.mkdir(parents=True, exist_ok=True)
    with archive.open(member) as packed, target.open("xb") as unpacked:
        while chunk := packed.read(_CHUNK):
            unpacked.write(chunk)
            if time.monotonic() > deadline:
                raise UsageError(f"{path} takes longer than {_MOST_SECONDS:g} s to unpack", "do not trust it")


def _require_plain(path: Path, database: Path, deadline: float) -> None:
    """Refuse a database that is damaged, or has more than tables and indices: reading a view or a computed column may
    take any time."""
    with closing(sqlite3.connect(f"{database.as_uri()}?mode=ro", uri=True)) as connection:
        connection.set_progress_handler(lambda: time.monotonic() > deadline, 100_000)
        try:
            kinds = "SELECT name FROM sqlite_master WHERE type NOT IN ('table', 'index') OR sql LIKE 'CREATE VIRTUAL%'"
            if row := connection.execute(kinds).fetchone():
                raise UsageError(f"the database in {path} has more than tables: {row[0]!r}", "do not trust it")
            for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall():
                columns = connection.execute("SELECT hidden FROM pragma_table_xinfo(?)", (name,)).fetchall()
                if any(hidden for (hidden,) in columns):
                    raise UsageError(f"the database in {path} has computed columns: {name!r}", "do not trust it")
            (answer,) = connection.execute("PRAGMA quick_check(1)").fetchone()
        except sqlite3.Error as error:
            raise UsageError(f"the database in {path} cannot be read: {error}", _REMEDY) from error
    if answer != "ok":
        raise UsageError(f"the database in {path} is damaged: {answer}", "get the archive again")
