"""A folder that a job fills: what is new is made inside it, and takes the place of what an earlier one made when it is
whole."""

from __future__ import annotations

import errno
import fcntl
import os
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from hpsearch.errors import UsageError
from hpsearch.trials.names import LEFT_OUT_FILE


@contextmanager
def replacing(target: Path, command: str, work_name: str, summary: str, parts: Sequence[str]) -> Iterator[Path]:
    """Give an empty folder ``work_name`` in ``target``, which is new, empty, or has the ``summary`` of an earlier such
    ``command``.
    What is made there of ``parts`` and the summary is put in the place of the earlier ones at the end; after an error
    these stay as they are, and of the new only its list of what was left out.

    Raises:
        UsageError: the target holds something else, cannot be written, or another process is filling it.
    """
    _refuse_strange(target, command, work_name, summary)
    work = target / work_name
    try:
        work.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UsageError(f"cannot write into {target}: {error.strerror}", "choose another --output-dir") from error
    with _locked(work):
        for path in work.iterdir():
            _remove(path)
        try:
            yield work
        except BaseException as error:
            _clear(target, work)
            if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
                raise UsageError(
                    f"what is made must fit on the disk, but {target} is on one that is full", "free some space"
                ) from error
            raise
        (target / summary).unlink(missing_ok=True)  # goes first and comes last: with it the result is whole
        for name in (*parts, summary):
            _remove(target / name)
            if (work / name).exists():
                (work / name).rename(target / name)
        shutil.rmtree(work)


def _clear(target: Path, work: Path) -> None:
    """After an error leave nothing but the list of what could not be used, if there is one."""
    for path in work.iterdir():
        if path.name != LEFT_OUT_FILE:
            _remove(path)
    for folder in (work, target):
        with suppress(OSError):  # it holds something
            folder.rmdir()


def _refuse_strange(target: Path, command: str, work_name: str, summary: str) -> None:
    if target.exists() and not target.is_dir():
        raise UsageError(f"--output-dir must be a folder, but {target} is a file", "choose another --output-dir")
    there = sorted(path.name for path in target.iterdir()) if target.is_dir() else []
    if there and summary not in there and there != [work_name]:
        raise UsageError(
            f"{command} writes into a new or empty folder, or one of an earlier {command}, but {target} holds "
            f"{', '.join(there[:3])}",
            "choose another --output-dir",
        )


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """Hold a folder as its only one; the kernel lets it go when the process ends, however it does."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise UsageError(
                f"a folder is filled by one command at a time, but another one is filling {folder.parent}",
                "wait for it, or choose another --output-dir",
            ) from error
        yield
    finally:
        os.close(descriptor)


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
