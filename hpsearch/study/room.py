"""Room on the disk for one trial more: how it ends must find a place, in the storage and in its folder."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path

from hpsearch.errors import StorageError

# A trial's log may take 50 MB (execution/log.py); SQLite writes some 4 MB beside its file before that grows.
RESERVE_BYTES = 64 * 2**20


def full_place(places: Sequence[Path]) -> Path | None:
    """The first of these folders whose disk has less than the reserve left; None where all have it."""
    return next((place for place in places if shutil.disk_usage(place).free < RESERVE_BYTES), None)


def no_room(places: Sequence[Path]) -> StorageError:
    """What a run ends with that cannot launch another trial; the places are looked at again."""
    place = full_place(places) or places[0]
    free, reserve = (size // 2**20 for size in (shutil.disk_usage(place).free, RESERVE_BYTES))
    return StorageError(
        f"no space left on the disk of {place}: a trial is launched with {reserve} MB free, but there are {free} MB",
        "make room, then run the same command again",
    )
