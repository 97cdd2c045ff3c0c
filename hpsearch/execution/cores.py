"""Number of threads and processes that can work beside each other on this machine."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from hpsearch.settings import SHARED_MEMORY_BYTES

MAX_WORKERS = 4  # of one trial; pages take a GPU longer than four cores
_SHARED = Path("/dev/shm")  # noqa: S108 - workers hand batches over in it; Docker gives it 64 MB


def cores() -> int:
    """Count the cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1  # macOS


def data_workers(setting: int | None, device: str, shared: Path = _SHARED) -> int:
    """Return the number of processes that prepare batches beside the training, for a setting of
    ``dataloader_num_workers``. Where that is None: none on a CPU, which they would take from the training, nor where
    shared memory is too small to hand batches over; on a GPU all cores but one, up to ``MAX_WORKERS``."""
    if setting is not None:
        return setting
    if device == "cpu" or not shared.is_dir() or shutil.disk_usage(shared).free < SHARED_MEMORY_BYTES:
        return 0
    return min(MAX_WORKERS, cores() - 1)
