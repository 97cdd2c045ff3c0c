"""The lock of whoever makes or changes a storage's tables: of several that do so at once, all but one would fail."""

from __future__ import annotations

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import IO

from hpsearch.errors import StorageError, StudyOwned
from hpsearch.execution.files import open_private
from hpsearch.study.storage.postgres import is_postgres, schema_lock

NOT_WRITTEN = "make its folder writable, or room on its disk"


@contextmanager
def table_lock(url: str, path: Path | None, *, wait: bool = True) -> Iterator[None]:
    """Hold the lock of the storage at ``url``; for SQLite that of a file beside the database's, ``path``, whose name is
    no study's lock.

    Raises:
        StudyOwned: another program holds it, and ``wait`` is false.
        StorageError: the file cannot be made or locked.
    """
    if path is None:
        with schema_lock(url) if is_postgres(url) else nullcontext():
            yield
        return
    with _lock_file(path.with_name(f"{path.name}.tables")) as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        except BlockingIOError as error:
            raise StudyOwned(f"another program makes or changes the tables of {path} now", "wait for it") from error
        except OSError as error:
            raise no_locks(path, error) from error
        yield


def _lock_file(path: Path) -> IO[str]:
    try:
        return open_private(path)
    except OSError as error:
        raise StorageError(f"cannot write {path}: {error.strerror}", NOT_WRITTEN) from error


def no_locks(path: Path, error: OSError) -> StorageError:
    """What a file system without locks is answered with."""
    return StorageError(
        f"a storage lies where files can be locked, but the file system of {path} refuses that: {error.strerror}",
        "name a file on a local disk, or PostgreSQL, with --storage",
    )
