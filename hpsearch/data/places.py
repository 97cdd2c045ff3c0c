"""The forms of ``input_data``: an asset that ships, a dataset on the Hub, or a file or folder; and files of data that
are no files."""

from __future__ import annotations

import os
import re
import stat
from pathlib import Path

from hpsearch.errors import UsageError

HUB = "hub:"
_ADDRESS = "https://huggingface.co/datasets/"  # of a dataset's page, as people copy it
_PART = r"[A-Za-z0-9_](?:[A-Za-z0-9._-]{0,94}[A-Za-z0-9_])?"
_ID = re.compile(rf"(?:{_PART}/)?{_PART}")
_FILE_ENDINGS = (".json", ".jsonl", ".parquet", ".csv", ".arrow", ".zip")


def hub_id(text: str) -> str | None:
    """Return the id in ``hub:owner/name``, or in the address of its page; None where the text is neither.

    Raises:
        UsageError: the name is no id of the Hub.
    """
    prefix = next((start for start in (HUB, _ADDRESS) if text.startswith(start)), None)
    if prefix is None:
        return None
    name = text.removeprefix(prefix).rstrip("/")
    if not _is_id(name):
        raise UsageError(
            f"a dataset on the Hub is written {HUB}owner/name, but {text!r} is not",
            "copy the name from its page; a subset goes into dataset_subset, a revision into dataset_revision",
        )
    return name


def may_be_hub_id(text: str, base: Path) -> bool:
    """Return whether an unmarked text is a dataset on the Hub: it is written owner/name, has no file's ending, and
    neither that path nor a folder ``owner`` is in ``base``, where it would be a mistyped path."""
    owner, slash, _ = text.partition("/")
    if not slash or not _is_id(text) or text.lower().endswith(_FILE_ENDINGS):
        return False
    return not (_exists(base / text) or _exists(base / owner))


# What hangs, or has no end, where it is read.
_SPECIAL = (
    (stat.S_ISFIFO, "a FIFO (named pipe)"),
    (stat.S_ISSOCK, "a socket"),
    (stat.S_ISCHR, "a device"),
    (stat.S_ISBLK, "a device"),
)


def read_file(path: Path) -> bytes:
    """Read a file of data.

    Raises:
        UsageError: it is a FIFO, a socket or a device.
        OSError: it cannot be read.
    """
    refuse_special(path)
    return path.read_bytes()


def refuse_special(path: Path) -> None:
    """Refuse a FIFO, a socket or a device, or a link to one, among data.

    Raises:
        UsageError: it is one.
    """
    try:
        mode = path.stat().st_mode
    except (OSError, ValueError):  # what reads it says so
        return
    for is_kind, name in _SPECIAL:
        if is_kind(mode):
            leads = f" (a link to {path.resolve()})" if path.is_symlink() else ""
            raise UsageError(
                f"data are read from files, but {path} is {name}{leads}", "delete it, or put a file in its place"
            )


def refuse_special_in(folder: Path) -> None:
    """Refuse special files in a dataset's folder and those below it; hidden ones are not read.

    Raises:
        UsageError: there is one.
    """
    for place, folders, _names in os.walk(folder):
        folders[:] = [name for name in folders if not name.startswith(".")]
        with os.scandir(place) as entries:
            odd = [entry.name for entry in entries if not (entry.is_file(follow_symlinks=False) or entry.is_dir())]
        for name in odd:
            if not name.startswith("."):
                refuse_special(Path(place, name))


def _is_id(name: str) -> bool:
    return _ID.fullmatch(name) is not None and ".." not in name and "--" not in name


def _exists(path: Path) -> bool:
    try:
        return path.exists()
    except (OSError, ValueError):  # a name that no file can have
        return False
