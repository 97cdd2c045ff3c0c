"""How files in a job's folder are written and removed.

Only light imports here: the supervisor loads this module before it has started the job's program.
"""

from __future__ import annotations

import contextlib
import os

from hpsearch.execution import names


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
    for name in (names.REPORT_FIFO, names.ANSWER_FILE, names.ANSWER_FILE + names.RANK0_SUFFIX):
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
