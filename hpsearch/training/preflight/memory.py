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
from hpsearch.training.models.base import BaseModel
from hpsearch.training.models.families import Family
from hpsearch.training.models.processors import class_of

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


def outline_of(base: BaseModel) -> Outline:
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
