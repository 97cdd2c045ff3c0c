"""The least memory and disk a configuration takes, from shapes alone. Activations come on top and are not guessed."""

from __future__ import annotations

from dataclasses import dataclass

from hpsearch.training.batches import Batching, batching_of
from hpsearch.training.lengths import Lengths
from hpsearch.training.outline import Outline
from hpsearch.trials.settings import TrainSettings

_BYTES = {"fp32": 4, "bf16": 2, "fp16": 2}
# Bits for a weight: 4, and 32 for each block of 64; double quantisation stores these in 8 and 32 for 256 of them
# (arXiv:2305.14314, section 3).
_BITS, _DOUBLE_BITS = 4 + 32 / 64, 4 + 8 / 64 + 32 / (64 * 256)
# Bytes for a trained parameter: itself and its gradient in 32 bits, and what the optimiser keeps of it.
_TRAINED = 4 + 4
_OPTIMIZER = {"adamw_torch": 8, "adamw_8bit": 2, "paged_adamw_8bit": 2, "adafactor": 1, "sgd": 0}


@dataclass(frozen=True)
class Footprint:
    """Bytes: of the ``weights`` on the device, of what is ``trained`` with its gradients and optimiser, of the
    ``logits`` of the longest row (in training with label smoothing, else in judging), and of one saved ``adapter``.
    Of one row, because passes and batches are halved as often as memory asks for it."""

    weights: int
    trained: int
    logits: int
    adapter: int
    batching: Batching

    @property
    def least(self) -> int:
        """What a trial takes on its device before any activation."""
        return self.weights + self.trained + self.logits


def footprint(settings: TrainSettings, outline: Outline, lengths: Lengths, trainable: int, precision: str) -> Footprint:
    """The footprint of one configuration."""
    batching = batching_of(settings)
    return Footprint(
        weights=_weights(settings, outline, precision),
        trained=trainable * (_TRAINED + _OPTIMIZER[settings.optim]),
        logits=_logits(settings, outline, lengths),
        adapter=trainable * _BYTES["fp32"],
        batching=batching,
    )


def _weights(settings: TrainSettings, outline: Outline, precision: str) -> int:
    total = sum(outline.parameters.values())
    if not settings.load_in_4bit:
        return total * _BYTES[precision]
    bits = _DOUBLE_BITS if settings.bnb_4bit_use_double_quant else _BITS
    return round(outline.quantizable * bits / 8) + (total - outline.quantizable) * _BYTES[precision]


def _logits(settings: TrainSettings, outline: Outline, lengths: Lengths) -> int:
    """In 32 bits, and once more while the loss is taken. The training loss builds none unless labels are smoothed."""
    tokens = max(lengths.rows if settings.label_smoothing_factor > 0 else lengths.answers)
    return tokens * outline.vocabulary * _BYTES["fp32"] * 2


def gigabytes(count: float) -> str:
    """Bytes for people: "1.5 GB", "320 MB"."""
    for size, unit in ((1e9, "GB"), (1e6, "MB"), (1e3, "kB")):
        if count >= size:
            return f"{count / size:.3g} {unit}"
    return f"{count:.0f} bytes"
