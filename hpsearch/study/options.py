"""The options of a run, and the command that repeats them."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hpsearch.errors import UsageError
from hpsearch.execution.gpu_slots import GpuRequest
from hpsearch.study.storage.open import StorageUrl

BASE_OUTPUT_DIR = Path("studies")
# Seconds that a database server may stay away: a restart, an upgrade, a network that is repaired.
OUTAGE_S = 600


@dataclass(frozen=True)
class RunOptions:
    """The options of a run. ``options`` and ``sets`` are layers over the definition, in that order."""

    study: str | None = None
    config: Path | None = None
    search_space: Path | None = None
    options: Mapping[str, Any] = field(default_factory=dict)
    sets: Sequence[str] = ()
    storage: str | None = None
    base_output_dir: Path = BASE_OUTPUT_DIR
    n_trials: int | None = None
    add_trials: int | None = None
    at_most: int | None = None  # finished trials that this run alone adds
    timeout_s: float | None = None
    gpu_hours: float | None = None  # over the study's life; inf: no limit any more
    storage_timeout_s: float = OUTAGE_S
    must_exist: bool = False  # --resume
    new: bool = False  # a name without a definition is meant, however like another's it is
    warm_start_from: str | None = None  # another study's name
    warm_start_storage: str | None = None  # URL of its storage, if another
    trainer_python: str | None = None
    gpus: str | None = None
    slots: int | None = None
    gpus_per_trial: int | None = None
    cold: bool = False
    executor: str = "local"

    def __post_init__(self) -> None:
        """Refuse numbers that are not above 0, and options that exclude each other."""
        whole, real = (int,), (int, float)
        numbers = dict.fromkeys(("n_trials", "add_trials", "slots", "gpus_per_trial"), whole)
        for name, kinds in (numbers | dict.fromkeys(("timeout_s", "storage_timeout_s", "gpu_hours"), real)).items():
            value = getattr(self, name)
            if value is not None and (isinstance(value, bool) or not isinstance(value, kinds) or not value > 0):
                what = "a whole number" if kinds is whole else "a number"
                raise UsageError(f"{name} must be {what} above 0, but is {value!r}", "give such a number, or none")
        if self.n_trials is not None and self.add_trials is not None:
            raise UsageError("--n-trials is the study's total, --add-trials adds to it", "give one of them")
        if self.warm_start_storage is not None and self.warm_start_from is None:
            raise UsageError("--warm-start-storage says where a study is, but none is named", "add --warm-start-from")

    @property
    def goes_on(self) -> bool:
        """True if an existing study is to continue with the definition stored with it."""
        return self.must_exist and not (self.config or self.search_space or self.options or self.sets)

    @property
    def devices(self) -> GpuRequest:
        """The GPUs and slots that were asked for."""
        return GpuRequest(self.gpus, self.slots, self.gpus_per_trial)

    @property
    def url(self) -> StorageUrl:
        """The storage."""
        return StorageUrl.of(self.storage, self.base_output_dir)


def command_text(verb: str, study: str, storage: str | None, base_output_dir: Path, *words: str) -> str:
    """Return the command to type for ``study`` in this storage and folder, without defaults and without a password."""
    line = ["hpsearch", *verb.split(), "--study", study]
    if (url := StorageUrl.of(storage, base_output_dir)) != StorageUrl.of(None, base_output_dir):
        line += ["--storage", str(url)]
    if base_output_dir != BASE_OUTPUT_DIR:
        line += ["--base-output-dir", str(base_output_dir)]
    return shlex.join([*line, *words])


def rebuild_remedy(options: RunOptions, study: str) -> str:
    """Return how a study that its storage has lost is made again."""
    command = command_text("storage rebuild", study, options.storage, options.base_output_dir)
    return f"make it again from its folder with `{command}`"
