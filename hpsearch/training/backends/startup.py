"""The start of a backend, before any other library is imported. unsloth depends on it; for hf it saves time.

unsloth replaces parts of transformers, trl and peft while it is imported, and must come before them. It also compiles
parts of the model, into folders that several processes must not share (unsloth#8457, unsloth_zoo#1328): here each
running process has one of its own, and a later process finds what an earlier one compiled. unsloth removes the path of
one of them from the environment, so it is set again.
"""

from __future__ import annotations

import fcntl
import os
from contextlib import AbstractContextManager, nullcontext
from itertools import count
from pathlib import Path

from hpsearch.errors import UsageError
from hpsearch.training.machine.libraries import without
from hpsearch.training.models.processors import has_torchvision

# Below the study's prepared folder.
CACHES = "compiled"
_VARIABLES = {
    "UNSLOTH_COMPILE_LOCATION": "unsloth_compiled_cache",
    "TORCHINDUCTOR_CACHE_DIR": "inductor",
    "TRITON_CACHE_DIR": "triton",
}
_SWITCHES = {
    "UNSLOTH_DISABLE_STATISTICS": "1",  # it would ask the Hub for a file, to be counted
    "UNSLOTH_DISABLE_CPU_FALLBACK": "1",  # its CPU version knows no pictures
}

# Imported by peft, trl and transformers wherever they are installed, the first with torch's compiler behind it: a
# quarter of the time that a trial takes to start. Nothing that a trial on a CPU does needs them.
_IDLE = ("bitsandbytes", "wandb", "scipy")

_slots: list[Path] = []  # this process's; its lock is held for as long as the process lives


def start_backend(name: str, folder: Path) -> None:
    """Import the libraries of the backend ``name``; ``folder`` is the study's prepared folder.

    Raises:
        UsageError: its libraries cannot be imported.
    """
    if name != "unsloth":
        import_libraries()
        return
    use_caches(folder / CACHES)
    os.environ.update(_SWITCHES)
    has_torchvision()  # its error is clear, unsloth's is not
    try:
        import unsloth  # noqa: F401
    except Exception as error:
        raise UsageError(
            f"backend unsloth must be importable, but importing it fails: {type(error).__name__}: {error}",
            'make another environment with `hpsearch setup-trainer --name unsloth`, or set "backend" to "hf"',
        ) from error
    keep_caches()


def import_libraries() -> None:
    """Import the hf backend's libraries; on a CPU without those that are of no use there.

    Raises:
        UsageError: torchvision is installed and does not fit torch.
    """
    has_torchvision()
    with without_idle():
        import peft
        import trl

        _ = peft.LoraConfig, trl.SFTTrainer  # trl imports what is asked for, and no sooner


def without_idle() -> AbstractContextManager[None]:
    """Hide, on a CPU, packages that the libraries would import for nothing; peft does so also while it adapts a
    model."""
    import torch

    return nullcontext() if torch.cuda.is_available() else without(*_IDLE)


def use_caches(folder: Path) -> Path:
    """Lock a folder below ``folder`` that no other process uses, and name it in the environment."""
    slot = next(slot for number in count() if _lock(slot := folder / f"slot-{number}"))
    _slots[:] = [slot]
    keep_caches()
    return slot


def keep_caches() -> None:
    """Name this process's caches in the environment again; without any, do nothing."""
    for slot in _slots:
        for variable, name in _VARIABLES.items():
            (slot / name).mkdir(exist_ok=True)
            os.environ[variable] = str(slot / name)


def _lock(slot: Path) -> bool:
    """Lock a slot until this process ends. Returns False where another process has it."""
    slot.mkdir(parents=True, exist_ok=True)
    lock = os.open(slot / ".lock", os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(lock)
        return False
    return True
