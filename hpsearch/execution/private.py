"""Files and folders that only their owner may read, whatever the umask."""

from __future__ import annotations

import os
from pathlib import Path
from typing import IO


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
