"""Temporary folders: gone at the end of the block that made them, or once their process was killed, swept by the next.

A folder's maker holds a lock on a file in it, which the kernel gives up with the process, in whichever namespace that
lived. A folder without that file is another program's, or one that was kept for the user.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

_PREFIX = "hpsearch-"
_OWNED, _NEW = ".owned", ".owned.new"  # it gets its name once it is locked: unlocked, its maker is dead


@contextmanager
def temporary_folder(is_kept: Callable[[Path], bool] = lambda folder: False) -> Iterator[Path]:
    """Make a folder that is removed at the end of the ``with`` block, unless ``is_kept`` says that a message names
    something in it. Folders whose makers were killed are removed first.

    Raises:
        OSError: it cannot be made.
    """
    _sweep(Path(tempfile.gettempdir()))
    folder = Path(tempfile.mkdtemp(prefix=_PREFIX))
    try:
        with (folder / _NEW).open("w", encoding="utf-8") as lock:
            with suppress(OSError):  # a file system without locks: it is not swept
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                (folder / _NEW).rename(folder / _OWNED)
            yield folder
    finally:
        if is_kept(folder):
            for name in (_OWNED, _NEW):
                (folder / name).unlink(missing_ok=True)
        else:
            shutil.rmtree(folder, ignore_errors=True)


def _sweep(place: Path) -> None:
    with suppress(OSError):
        for folder in place.glob(f"{_PREFIX}*"):
            if folder.is_symlink() or folder.stat().st_uid != os.getuid():
                continue
            with suppress(OSError), (folder / _OWNED).open("r+", encoding="utf-8") as lock:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(folder, ignore_errors=True)
