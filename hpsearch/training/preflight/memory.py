"""A model's outline, without its weights: layers and parameters by tower, and what of it LoRA would train."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from math import prod
from typing import Any

from hpsearch.errors import UsageError
from hpsearch.settings import TrainSettings
from hpsearch.training.arguments import tower_patterns
from hpsearch.training.models.base import BaseCheckpoint
from hpsearch.training.models.families import Family
from hpsearch.training.models.processors import class_of
from hpsearch.training.preflight.lengths import Lengths
from hpsearch.training.schedule import Batching, batching_of

OTHER = "other"


@dataclass(frozen=True)
class Linear:
    """A linear layer: its full name and its widths."""

    name: str
    inputs: int
    outputs: int

    def lora_parameters(self, settings: TrainSettings) -> int:
        """Parameters of its LoRA matrices, with DoRA's magnitudes (one for each output)."""
        return settings.lora_r * (self.inputs + self.outputs) + (self.outputs if settings.use_dora else 0)


@dataclass(frozen=True)
class Outline:
    """Linear layers of a model, its parameters by tower ("language", "vision", "merger", "other"), how many of them a
    4-bit base would have in 4 bits, and the size of its vocabulary."""

    linears: Sequence[Linear]
    parameters: dict[str, int]
    quantizable: int
    vocabulary: int

    def adapted(self, settings: TrainSettings, family: Family) -> dict[str, dict[str, int]]:
        """By tower: how many ``modules`` the settings adapt, and the ``trainable`` parameters that makes.

        Raises:
            UsageError: nothing is adapted, or a tower that is wanted has nothing to adapt.
        """
        patterns = tower_patterns(settings, family)
        _refuse_nothing(settings, family, patterns)
        found = {
            tower: [one for one in self.linears if re.fullmatch(pattern, one.name)]
            for tower, pattern in patterns.items()
        }
        for tower, linears in found.items():
            if not linears:
                raise UsageError(
                    f"finetune_{tower}_layers needs layers that match {patterns[tower]!r}, but the model has none",
                    f"set finetune_{tower}_layers to false, or name a model of family {family.name}",
                )
        return {
            tower: {"modules": len(linears), "trainable": sum(one.lora_parameters(settings) for one in linears)}
            for tower, linears in found.items()
        }


def outline_of(base: BaseCheckpoint) -> Outline:
    """Build the model's modules without memory for weights, from its configuration alone."""
    import torch
    from transformers.quantizers.quantizers_utils import should_convert_module

    model_class = class_of(base.family, base.family.model_class)
    config = model_class.config_class.from_pretrained(str(base.folder), local_files_only=True)
    with torch.device("meta"):
        model = model_class(config)
    linears = [
        Linear(name, module.in_features, module.out_features)
        for name, module in model.named_modules()
        if isinstance(module, torch.nn.Linear)
    ]
    kept = list(base.family.unquantized)
    return Outline(
        linears,
        _by_tower(model, base.family),
        sum(one.inputs * one.outputs for one in linears if should_convert_module(one.name, kept)),
        int(config.get_text_config().vocab_size),
    )


def _by_tower(model: Any, family: Family) -> dict[str, int]:
    counts = dict.fromkeys(("language", "vision", "merger", OTHER), 0)
    for name, parameter in model.named_parameters():
        counts[tower_of(name, family)] += prod(parameter.shape)
    return counts


def tower_of(name: str, family: Family) -> str:
    """Which tower a parameter or module belongs to, by its full name."""
    if family.merger is not None and re.match(rf"{family.merger.part}(?:\.|$)", name):
        return "merger"
    parts = name.split(".")
    if "language_model" in parts:
        return "language"
    return "vision" if any(part in ("visual", "vision_tower") for part in parts) else OTHER


def _refuse_nothing(settings: TrainSettings, family: Family, patterns: dict[str, str]) -> None:
    if settings.finetune_merger_layers and family.merger is None:
        raise UsageError(
            f"finetune_merger_layers needs linear layers between the towers, but {family.name} has none",
            "set it to false",
        )
    if not patterns:
        raise UsageError(
            "something must be adapted, but the finetune_..._layers and finetune_..._modules leave nothing",
            "set finetune_language_layers, and finetune_attention_modules or finetune_mlp_modules, to true",
        )


# The least memory and disk a configuration takes, from shapes alone. Activations come on top and are not guessed.

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
