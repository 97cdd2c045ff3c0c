"""The least memory and disk a configuration takes, from shapes alone. Activations come on top and are not guessed."""

from __future__ import annotations

from dataclasses import dataclass

from hpsearch.settings import TrainSettings
from hpsearch.training.batches import Batching, batching_of
from hpsearch.training.preflight.lengths import Lengths
from hpsearch.training.preflight.memory import Outline

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
    ``logits`` of one pass (in training with label smoothing, else in judging) and of one that has a single row, and of
    one saved ``adapter``."""

    weights: int
    trained: int
    logits: int
    logits_of_one: int
    adapter: int
    batching: Batching

    @property
    def usual(self) -> int:
        """What a trial takes on its device before any activation, with the batches that the settings ask for."""
        return self.weights + self.trained + self.logits

    @property
    def least(self) -> int:
        """The same with batches of one row, as small as they are made where memory runs out."""
        return self.weights + self.trained + self.logits_of_one


def footprint(settings: TrainSettings, outline: Outline, lengths: Lengths, trainable: int, precision: str) -> Footprint:
    """The footprint of one configuration."""
    batching = batching_of(settings)
    return Footprint(
        weights=weights_bytes(settings, outline, precision),
        trained=trainable * (_TRAINED + _OPTIMIZER[settings.optim]),
        logits=_logits(settings, outline, lengths, precision, settings.eval_batch_size, batching.micro),
        logits_of_one=_logits(settings, outline, lengths, precision, 1, 1),
        adapter=trainable * _BYTES["fp32"],
        batching=batching,
    )


def weights_bytes(settings: TrainSettings, outline: Outline, precision: str) -> int:
    """Bytes of the model's weights on the device."""
    total = sum(outline.parameters.values())
    if not settings.load_in_4bit:
        return total * _BYTES[precision]
    bits = _DOUBLE_BITS if settings.bnb_4bit_use_double_quant else _BITS
    return round(outline.quantizable * bits / 8) + (total - outline.quantizable) * _BYTES[precision]


def _logits(
    settings: TrainSettings, outline: Outline, lengths: Lengths, precision: str, judged: int, trained: int
) -> int:
    """In judging those of the answers as the model computes them, and of one row in 32 bits, twice, while its loss is
    taken. The training loss builds none unless labels are smoothed: then whole rows in 32 bits, twice."""
    one = max(lengths.answers) * outline.vocabulary
    judging = judged * one * _BYTES[precision] + 2 * one * _BYTES["fp32"]
    if settings.label_smoothing_factor == 0:
        return judging
    return max(judging, 2 * trained * max(lengths.rows) * outline.vocabulary * _BYTES["fp32"])


def gigabytes(count: float) -> str:
    """Bytes for people: "1.5 GB", "320 MB"."""
    for size, unit in ((1e9, "GB"), (1e6, "MB"), (1e3, "kB")):
        if count >= size:
            return f"{count / size:.3g} {unit}"
    return f"{count:.0f} bytes"
