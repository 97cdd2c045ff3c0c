"""Room on the disk: for all that a study leaves, and for one trial more."""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from hpsearch.config.advice import too_long_warmup
from hpsearch.config.definition import StudyDefinition
from hpsearch.errors import StorageError, UsageError

# A trial's log may take 50 MB (execution/log.py); SQLite writes some 4 MB beside its file before that grows.
RESERVE_BYTES = 64 * 2**20
SPARE_BYTES = 1 << 30  # a study leaves so much of the disk free
CHECKPOINT = 3  # times the adapter: its weights and what the optimiser keeps of each


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


def room_for(definition: StudyDefinition, figures: Mapping[str, Any], folder: Path, rows: int = 0) -> list[str]:
    """What a study's trials are too short for; warnings. ``rows`` are the bytes of rows that are still to be copied.

    Raises:
        UsageError: what they leave does not fit on the disk of ``folder``.
    """
    _check_disk(definition, int(figures["bytes"]["adapter"]), rows, folder)
    known = definition.steps
    evaluations = int(figures["evaluations"])
    return too_long_warmup(definition, evaluations) if known is None or evaluations < known else []


def _check_disk(definition: StudyDefinition, adapter: int, rows: int, folder: Path) -> None:
    checkpoints = 0 if definition.settings.get("save_steps") == 0 else definition.settings.get("save_total_limit", 0)
    kept = adapter * (definition.keep_adapters + 2 + CHECKPOINT * checkpoints)  # best/ and the trial that runs
    wanted = rows + kept
    there = next(one for one in (folder, *folder.parents) if one.is_dir())
    free = shutil.disk_usage(there).free
    if wanted + SPARE_BYTES > free:
        raise UsageError(
            f"a study's rows, adapters and checkpoints must fit on the disk, but need {wanted / 1e9:.2g} GB, and of "
            f"{there} {free / 1e9:.2g} GB are free",
            "free some space, name another --base-output-dir, or lower keep_adapters or save_total_limit",
        )
