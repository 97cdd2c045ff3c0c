"""How the rows of one optimiser step are dealt out over forward passes, and what is given up when memory runs out."""

from __future__ import annotations

from dataclasses import dataclass, replace

from hpsearch.trials.settings import TrainSettings


@dataclass(frozen=True)
class Batching:
    """``micro`` rows in a forward pass, ``accumulation`` passes in an optimiser step, and whether activations are
    recomputed (``checkpointing``). ``micro * accumulation``, the effective batch, is what a search is about."""

    micro: int
    accumulation: int
    checkpointing: bool = False

    @property
    def effective(self) -> int:
        """Rows in an optimiser step."""
        return self.micro * self.accumulation

    def smaller(self) -> Batching | None:
        """The next one that needs less memory for the same effective batch: half the rows in a pass (or the next
        smaller number that divides the effective batch), at last recomputed activations; None where nothing is left."""
        if self.micro > 1:
            micro = _divisor(self.effective, self.micro // 2)
            return replace(self, micro=micro, accumulation=self.effective // micro)
        return None if self.checkpointing else replace(self, checkpointing=True)

    def __str__(self) -> str:
        recomputed = ", activations recomputed" if self.checkpointing else ""
        return f"{self.micro} rows x {self.accumulation} passes = effective batch {self.effective}{recomputed}"


def batching_of(settings: TrainSettings) -> Batching:
    """The batching that the settings ask for. With ``effective_batch_size`` the rows in a pass are its greatest divisor
    of at most ``per_device_train_batch_size``."""
    effective, micro = settings.effective_batch_size, settings.per_device_train_batch_size
    if effective is None:
        return Batching(micro, settings.gradient_accumulation_steps, settings.gradient_checkpointing)
    micro = _divisor(effective, micro)
    return Batching(micro, effective // micro, settings.gradient_checkpointing)


def _divisor(number: int, limit: int) -> int:
    """The greatest divisor of a number that is at most ``limit``."""
    return next(size for size in range(min(limit, number), 0, -1) if number % size == 0)
