"""Replacing the result in an output folder whole: the new one is made in a folder inside it, and takes the place of the
earlier one when it is complete. Broken off at any moment, the folder holds the old result or, once the next such
command has begun, the new one."""

from __future__ import annotations

import errno
import fcntl
import json
import os
import shutil
from collections.abc import Collection, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from hpsearch.errors import UsageError
from hpsearch.execution.job import LEFT_OUT_FILE, WHOLE

_OBSOLETE = ".obsolete"  # in the complete result: the names of the old one that the new one lacks


@contextmanager
def replacing(target: Path, command: str, work_name: str, summary: str, parts: Collection[str]) -> Iterator[Path]:
    """Give an empty folder ``work_name`` in ``target``, which is new, empty, or has the ``summary`` of an earlier such
    ``command``. At the end the ``parts`` and the summary made there replace the earlier ones; after an error these stay
    as they are, and of the new result only its list of rows left out is kept.

    Raises:
        UsageError: the target holds something else, cannot be written or is full, or another process is filling it.
    """
    refuse_file(target)
    there = sorted(path.name for path in target.iterdir()) if target.is_dir() else []
    if there and not {summary, WHOLE} & set(there) and there != [work_name]:
        raise UsageError(
            f"{command} writes into a new or empty folder, or one of an earlier {command}, but {target} holds "
            f"{', '.join(there[:3])}",
            "choose another --output-dir",
        )
    with filling(target), working(target / work_name) as work:
        finish(target, summary)
        yield work
        place(work, target, summary, parts)


def refuse_file(target: Path) -> None:
    """Refuse a folder that is a file.

    Raises:
        UsageError: it is one.
    """
    if target.exists() and not target.is_dir():
        raise UsageError(f"--output-dir must be a folder, but {target} is a file", "choose another --output-dir")


@contextmanager
def filling(target: Path) -> Iterator[None]:
    """Make a folder, and lock it for this process; the kernel unlocks it when the process ends, however it does.

    Raises:
        UsageError: it cannot be made, it is full, or another process holds it.
    """
    try:
        target.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(target, os.O_RDONLY)
    except OSError as error:
        raise UsageError(f"cannot write into {target}: {error.strerror}", "choose another --output-dir") from error
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    except BlockingIOError as error:
        raise UsageError(
            f"a folder is filled by one command at a time, but another one is filling {target}",
            "wait for it, or choose another --output-dir",
        ) from error
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
        full = f"the result must fit on the disk, but the disk of {target} is full"
        raise UsageError(full, "free some space") from error
    finally:
        os.close(descriptor)
        with suppress(OSError):  # it holds something
            target.rmdir()


@contextmanager
def working(work: Path) -> Iterator[Path]:
    """Give an empty folder to work in. After an error it is removed, but for the list of rows left out."""
    work.mkdir(parents=True, exist_ok=True)
    for path in work.iterdir():
        _remove(path)
    try:
        yield work
    except BaseException:
        for path in work.iterdir() if work.is_dir() else ():
            if path.name != LEFT_OUT_FILE:
                _remove(path)
        with suppress(OSError):  # it holds that list
            work.rmdir()
        raise


def place(work: Path, target: Path, summary: str, old: Collection[str]) -> None:
    """Move the files of ``work`` into the target, in the place of the files with the ``old`` names."""
    obsolete = sorted(set(old) - {path.name for path in work.iterdir()})
    (work / _OBSOLETE).write_text(json.dumps(obsolete), encoding="utf-8")
    work.rename(target / WHOLE)  # from here on the new result is the one that counts
    finish(target, summary)


def finish(target: Path, summary: str) -> bool:
    """Move a complete result into its place, also where an earlier command began that; returns whether there was one.
    The ``summary`` comes last: with it the result is in its place."""
    whole = target / WHOLE
    if not (whole / _OBSOLETE).is_file():
        return False
    for name in json.loads((whole / _OBSOLETE).read_text(encoding="utf-8")):
        _remove(target / name)
    for path in sorted(whole.iterdir(), key=lambda path: (path.name == _OBSOLETE, path.name == summary)):
        if path.name == _OBSOLETE:
            path.unlink()
        else:
            if path.is_dir() or (target / path.name).is_dir():
                _remove(target / path.name)
            path.replace(target / path.name)
    whole.rmdir()
    return True


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
