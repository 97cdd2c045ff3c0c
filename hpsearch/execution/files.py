"""Writing files whole, for this user alone where that matters; removing them; and refusing what the disk has no space
for.

Only light imports here: the supervisor loads this module before it has started the job's program. pathlib alone takes
30 ms to import.
"""

from __future__ import annotations

import contextlib
import os
import stat

from hpsearch.execution.names import ANSWER_FILE, RANK0_SUFFIX, REPORT_FIFO

TYPE_CHECKING = False  # typing itself takes 20 ms to import
if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path
    from typing import IO, Any

SPARE_BYTES = 1 << 30  # of the disk that stay free, where others write on it too


def replace_file(
    path: str,
    data: bytes,
    *,
    durable: bool = False,
    mode: int = 0o600,
    reached: Callable[[str], None] = lambda _: None,
) -> None:
    """Write a file whole: a reader finds the old one or the new one. ``durable`` ones also survive a power cut.
    ``reached`` is called with the names of the crash points passed on the way.

    Raises:
        OSError: it could not be written; the old file is untouched, and nothing is left of the new one.
    """
    folder, name = os.path.split(path)
    temporary = os.path.join(folder, f".{name}.{os.getpid()}.tmp")  # noqa: PTH118
    try:
        descriptor = open_new(temporary, mode)
        try:
            rest = memoryview(data)
            while rest:
                rest = rest[os.write(descriptor, rest) :]
            if durable:
                os.fsync(descriptor)
        finally:
            os.close(descriptor)
        reached("file-written")
        os.replace(temporary, path)  # noqa: PTH105
    except BaseException:
        remove_file(temporary)
        raise
    reached("file-renamed")
    if durable:
        sync(folder or ".")


def write_text(path: Path, text: str) -> Path:
    """Write a text file whole and durably, as ``replace_file`` does, with the folders above it; others may read it as
    far as the umask lets them.

    Raises:
        OSError: it could not be written; the old file is untouched, and nothing is left of the new one.
    """
    from hpsearch.crash_points import reached

    make_folder(path.parent)
    replace_file(str(path), text.encode(), durable=True, mode=0o666, reached=reached)
    return path


def write_json(path: Path, value: Any) -> None:
    """Write JSON for people and programs, as ``write_text`` does."""
    import json

    write_text(path, json.dumps(value, indent=2, ensure_ascii=False) + "\n")


def read_object(path: Path) -> dict[str, Any]:
    """Read a JSON object; an empty one where the file is missing or damaged, or holds something else."""
    import json

    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return values if isinstance(values, dict) else {}


def open_new(path: str, mode: int = 0o600) -> int:
    """Open a new file for reading and writing, in the place of any old one; by default only this user may read it.

    Raises:
        OSError: it could not be made.
    """
    remove_file(path)
    return os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, mode)


def open_private(path: Path) -> IO[str]:
    """Open a file for reading and writing, and make it where it is missing. A symbolic link in its place is not
    followed: it would lead to a file of somebody's choice.

    Raises:
        OSError: it cannot be opened.
    """
    flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
    return os.fdopen(os.open(path, flags, 0o600), "r+", encoding="utf-8")


def make_folder(folder: Path) -> None:
    """Make a folder and the missing ones above it, readable by their owner alone. Existing ones are left as they are.

    Raises:
        OSError: it cannot be made.
    """
    for path in reversed((folder, *folder.parents)):
        if not path.is_dir():
            path.mkdir(mode=0o700, exist_ok=True)


def is_read_only(path: Path) -> bool:
    """Return True if nothing can be written at ``path``, or at the nearest folder above it that exists."""
    place = next((place for place in (path, *path.absolute().parents) if place.exists()), path)
    return not os.access(place, os.W_OK)


def remove_file(path: str) -> None:
    """Remove a file that may be absent."""
    with contextlib.suppress(OSError):
        os.unlink(path)  # noqa: PTH108


def remove_channel(output_dir: str) -> None:
    """Remove the files through which a job's program reports and is answered."""
    for name in (REPORT_FIFO, ANSWER_FILE, ANSWER_FILE + RANK0_SUFFIX):
        remove_file(os.path.join(output_dir, name))  # noqa: PTH118


def sync(path: str) -> None:
    """Flush a file, or a folder's list of names, to the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def sync_tree(folder: str, between: Callable[[], None] = lambda: None) -> None:
    """Flush the files in a folder and in those below it, and the lists of their names, to the disk. ``between`` is
    called after each; links and special files are passed over.

    Raises:
        OSError: a file cannot be read or written.
    """
    for place, _, names in os.walk(folder):
        for name in names:
            path = os.path.join(place, name)  # noqa: PTH118
            if stat.S_ISREG(os.lstat(path).st_mode):
                sync(path)
                between()
        sync(place)


def require_space(folder: Path, needed: float, what: str, remedy: str, spare: int = SPARE_BYTES) -> None:
    """Refuse ``what`` if it does not fit on the disk of ``folder``, or of the nearest folder above it that exists.
    ``needed`` and ``spare`` are in bytes.

    Raises:
        UsageError: there is less free space than that.
    """
    import shutil

    from hpsearch.errors import UsageError
    from hpsearch.execution.units import bytes_text

    folder = folder.absolute()
    place = next(path for path in (folder, *folder.parents) if path.is_dir())
    free = shutil.disk_usage(place).free
    if needed + spare > free:
        also = f", with {bytes_text(spare)} to spare" if spare else ""
        have = f"{bytes_text(needed)} needed, {bytes_text(free)} free in {place}"
        raise UsageError(f"{what} must fit on the disk{also}: {have}", remedy)
