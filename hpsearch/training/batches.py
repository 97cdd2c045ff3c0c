"""How the rows of one optimiser step are dealt out over forward passes, and what is given up when memory runs out."""

from __future__ import annotations

from dataclasses import dataclass, replace

from hpsearch.errors import UsageError
from hpsearch.settings import TrainSettings


@dataclass(frozen=True)
class Batching:
    """``micro`` rows in a forward pass, ``accumulation`` passes in an optimiser step on each of the ``ranks``, and
    whether activations are recomputed (``checkpointing``). ``micro * accumulation * ranks``, the effective batch, is
    what a search is about."""

    micro: int
    accumulation: int
    checkpointing: bool = False
    ranks: int = 1

    @property
    def effective(self) -> int:
        """Rows in an optimiser step."""
        return self.micro * self.accumulation * self.ranks

    def smaller(self) -> Batching | None:
        """The next one that needs less memory for the same effective batch: half the rows in a pass (or the next
        smaller number that divides the effective batch), at last recomputed activations; None where nothing is left."""
        if self.micro > 1:
            own = self.effective // self.ranks
            micro = _divisor(own, self.micro // 2)
            return replace(self, micro=micro, accumulation=own // micro)
        return None if self.checkpointing else replace(self, checkpointing=True)

    def __str__(self) -> str:
        recomputed = ", activations recomputed" if self.checkpointing else ""
        gpus = f" x {self.ranks} GPUs" if self.ranks > 1 else ""
        return f"{self.micro} rows x {self.accumulation} passes{gpus} = effective batch {self.effective}{recomputed}"


def batching_of(settings: TrainSettings, ranks: int = 1) -> Batching:
    """The batching that the settings ask for, of the same effective batch on any number of GPUs. The rows in a pass are
    the greatest divisor of a GPU's part of at most ``per_device_train_batch_size``.

    Raises:
        UsageError: the effective batch cannot be dealt out evenly.
    """
    micro = settings.per_device_train_batch_size
    effective = settings.effective_batch_size or micro * settings.gradient_accumulation_steps
    if effective % ranks:
        raise UsageError(
            f"an effective batch is dealt out evenly, but {effective} rows cannot be to {ranks} GPUs",
            f"make it a multiple of {ranks}, or give fewer --gpus-per-trial",
        )
    micro = _divisor(effective // ranks, micro)
    return Batching(micro, effective // ranks // micro, settings.gradient_checkpointing, ranks)


def _divisor(number: int, limit: int) -> int:
    """The greatest divisor of a number that is at most ``limit``."""
    return next(size for size in range(min(limit, number), 0, -1) if number % size == 0)
