"""A cheap digest of all that goes into the prepare job's result: while it stays the same, the result is used again."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator, Sequence
from pathlib import Path

from hpsearch.assets import PREFIX, asset_path
from hpsearch.data.sources import Source
from hpsearch.settings import WITHOUT_EFFECT, TrainSettings
from hpsearch.training.machine.versions import library_versions
from hpsearch.training.models.model_files import model_files

FORMAT = 2  # of the prepared folder
# Rows, limits, base scores and measurements do not depend on these: a fine-tune that is gone on with keeps its own.
_IRRELEVANT = {"seed", "resume_from_checkpoint", *WITHOUT_EFFECT}
_GPUS = Path("/proc/driver/nvidia/gpus")  # the driver's list, which needs no library to be read


def gpus(listed: Path = _GPUS) -> list[str]:
    """The kinds of GPU there are, none where they are hidden. Which of several alike is used makes no difference."""
    if os.environ.get("CUDA_VISIBLE_DEVICES") in ("", "-1"):
        return []
    lines = [line for path in listed.glob("*/information") for line in path.read_text(errors="replace").splitlines()]
    return sorted({line.partition(":")[2].strip() for line in lines if line.startswith("Model")})


def stamp_of(candidates: Sequence[TrainSettings], source: Source) -> str:
    """The digest; the first of the ``candidates`` is the default configuration.

    Files count by name, size and time of change; what is on the Hub by name, subset and revision, as it is fetched
    once.

    Raises:
        UsageError: the data cannot be read.
    """
    parts = {
        "format": FORMAT,
        "settings": [
            {name: value for name, value in one.model_dump().items() if name not in _IRRELEVANT} for one in candidates
        ],
        "versions": library_versions(),
        "gpus": gpus(),
        "data": sorted(map(_mark, source.files())),
        "model": sorted(map(_mark, _files_of_model(candidates[0].model_name))),
    }
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


def _files_of_model(name: str) -> Iterator[Path]:
    folder = asset_path(name) if name.startswith(PREFIX) else Path(name).expanduser()
    if folder.is_dir():
        yield from model_files(folder)


def _mark(path: Path) -> str:
    try:
        status = path.stat()
    except OSError:
        return f"{path}|missing"
    return f"{path}|{status.st_size}|{status.st_mtime_ns}"
