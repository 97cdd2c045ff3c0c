"""How files in a job's folder are written and removed.

Only light imports here: the supervisor loads this module before it has started the job's program.
"""

from __future__ import annotations

import contextlib
import os
from pathlib import Path
from typing import IO

from hpsearch.execution.job import ANSWER_FILE, RANK0_SUFFIX, REPORT_FIFO


def replace_file(path: str, data: bytes, *, durable: bool = False) -> None:
    """Write a file at once: a reader sees the old one or the new one. ``durable`` ones also survive a power cut.

    Raises:
        OSError: it could not be written; the old file is untouched.
    """
    temporary = f"{path}.{os.getpid()}.tmp"
    try:
        _write_new(temporary, data, durable)
        os.replace(temporary, path)  # noqa: PTH105 - pathlib takes 30 ms to import
    except OSError:
        remove_file(temporary)
        raise
    if durable:
        sync(os.path.dirname(path) or ".")  # noqa: PTH120


def open_new(path: str) -> int:
    """Open a new file for reading and writing, in the place of any old one. Only this user may read it.

    Raises:
        OSError: it could not be made.
    """
    remove_file(path)
    return os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)


def remove_file(path: str) -> None:
    """Remove a file that may be absent."""
    with contextlib.suppress(OSError):
        os.unlink(path)  # noqa: PTH108


def remove_channel(output_dir: str) -> None:
    """Take away the files through which a job's program talks and listens."""
    for name in (REPORT_FIFO, ANSWER_FILE, ANSWER_FILE + RANK0_SUFFIX):
        remove_file(os.path.join(output_dir, name))  # noqa: PTH118


def _write_new(path: str, data: bytes, durable: bool) -> None:
    descriptor = open_new(path)
    try:
        rest = memoryview(data)
        while rest:
            rest = rest[os.write(descriptor, rest) :]
        if durable:
            os.fsync(descriptor)
    finally:
        os.close(descriptor)


def sync(path: str) -> None:
    """Have a file, or a folder's list of names, on the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


# Files and folders that only their owner may read, whatever the umask.


def make_folder(folder: Path) -> None:
    """Make a folder and those above it that are missing. Of those that are there nothing is changed.

    Raises:
        OSError: it cannot be made.
    """
    for each in reversed((folder, *folder.parents)):
        if not each.is_dir():
            each.mkdir(mode=0o700, exist_ok=True)


def open_private(path: Path) -> IO[str]:
    """Open a file for reading and writing, and make it where it is missing. A symbolic link in its place is not
    followed: it would lead to a file of somebody's choice.

    Raises:
        OSError: it cannot be opened.
    """
    flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
    return os.fdopen(os.open(path, flags, 0o600), "r+", encoding="utf-8")
