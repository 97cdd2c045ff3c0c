"""A cheap digest of all that goes into the prepare job's result: while it stays the same, the result is used again."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from hpsearch.assets import PREFIX, asset_path
from hpsearch.training.models import model_files
from hpsearch.training.sources import Source
from hpsearch.training.versions import library_versions
from hpsearch.trials.settings import TrainSettings

FORMAT = 2  # of the prepared folder
# Rows, limits, base scores and measurements do not depend on these: a fine-tune that is gone on with keeps its own.
_IRRELEVANT = {"seed", "resume_from_checkpoint", "save_steps", "save_total_limit", "logging_steps"}


def stamp_of(settings: TrainSettings, searched: Mapping[str, Sequence[Any]], source: Source) -> str:
    """The digest. Files count by name, size and time of change; what is on the Hub by name, subset and revision, as
    it is fetched once.

    Raises:
        UsageError: the data cannot be read.
    """
    parts = {
        "format": FORMAT,
        "settings": {name: value for name, value in settings.model_dump().items() if name not in _IRRELEVANT},
        "searched": {name: list(values) for name, values in searched.items()},
        "versions": library_versions(),
        "gpu": Path("/dev/nvidiactl").exists() and os.environ.get("CUDA_VISIBLE_DEVICES", "all"),
        "data": sorted(map(_mark, source.files())),
        "model": sorted(map(_mark, _files_of_model(settings.model_name))),
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
