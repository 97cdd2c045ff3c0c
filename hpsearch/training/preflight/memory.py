"""The memory that a configuration takes at least, from a model's outline: its layers and parameters by tower, without
its weights. Activations come on top and are not estimated."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from math import prod

from hpsearch.errors import UsageError
from hpsearch.settings import TrainSettings
from hpsearch.training.arguments import tower_patterns
from hpsearch.training.models.base import BaseCheckpoint
from hpsearch.training.models.families import Family
from hpsearch.training.models.processors import class_of
from hpsearch.training.preflight.lengths import Lengths
from hpsearch.training.schedule import Batching, batching_of

OTHER = "other"
_BYTES = {"fp32": 4, "bf16": 2, "fp16": 2}
# Bits for a weight: 4, and 32 for each block of 64; double quantisation stores these in 8 and 32 for 256 of them
# (arXiv:2305.14314, section 3).
_BITS, _DOUBLE_BITS = 4 + 32 / 64, 4 + 8 / 64 + 32 / (64 * 256)
# Bytes for a trained parameter: itself and its gradient in 32 bits, and the optimiser's state.
_TRAINED = 4 + 4
_OPTIMIZER = {"adamw_torch": 8, "adamw_8bit": 2, "paged_adamw_8bit": 2, "adafactor": 1, "sgd": 0}


@dataclass(frozen=True)
class Linear:
    """A linear layer: its full name and its widths."""

    name: str
    inputs: int
    outputs: int

    def lora_parameters(self, settings: TrainSettings) -> int:
        """Count the parameters of its LoRA matrices, with DoRA's magnitudes (one for each output)."""
        return settings.lora_r * (self.inputs + self.outputs) + (self.outputs if settings.use_dora else 0)


@dataclass(frozen=True)
class Outline:
    """Linear layers of a model, its parameters by tower ("language", "vision", "merger", "other"), the number of them
    that a 4-bit base has in 4 bits, and the size of its vocabulary."""

    linears: Sequence[Linear]
    parameters: dict[str, int]
    quantizable: int
    vocabulary: int

    def adapted(self, settings: TrainSettings, family: Family) -> dict[str, dict[str, int]]:
        """Count by tower the ``modules`` that the settings adapt, and their ``trainable`` parameters.

        Raises:
            UsageError: nothing is adapted, or a tower that is wanted has nothing to adapt.
        """
        patterns = tower_patterns(settings, family)
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
        adapted = {}
        for tower, pattern in patterns.items():
            linears = [linear for linear in self.linears if re.fullmatch(pattern, linear.name)]
            if not linears:
                raise UsageError(
                    f"finetune_{tower}_layers needs layers that match {pattern!r}, but the model has none",
                    f"set finetune_{tower}_layers to false, or name a model of family {family.name}",
                )
            trainable = sum(linear.lora_parameters(settings) for linear in linears)
            adapted[tower] = {"modules": len(linears), "trainable": trainable}
        return adapted


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
    parameters = dict.fromkeys(("language", "vision", "merger", OTHER), 0)
    for name, parameter in model.named_parameters():
        parameters[tower_of(name, base.family)] += prod(parameter.shape)
    kept = list(base.family.unquantized)
    quantizable = [linear for linear in linears if should_convert_module(linear.name, kept)]
    return Outline(
        linears,
        parameters,
        sum(linear.inputs * linear.outputs for linear in quantizable),
        int(config.get_text_config().vocab_size),
    )


def tower_of(name: str, family: Family) -> str:
    """Return the tower that a parameter or module belongs to, by its full name."""
    if family.merger is not None and re.match(rf"{family.merger.part}(?:\.|$)", name):
        return "merger"
    parts = name.split(".")
    if "language_model" in parts:
        return "language"
    return "vision" if any(part in ("visual", "vision_tower") for part in parts) else OTHER


@dataclass(frozen=True)
class Footprint:
    """Bytes of the ``weights`` on the device, of the ``trained`` parameters with gradients and optimiser, of the
    ``logits`` of one pass (in training with label smoothing, else in an evaluation) and of one with a single row, and
    of one saved ``adapter``."""

    weights: int
    trained: int
    logits: int
    logits_of_one: int
    adapter: int
    batching: Batching

    @property
    def usual(self) -> int:
        """The sum on a trial's device before any activation, with the batches that the settings ask for."""
        return self.weights + self.trained + self.logits

    @property
    def least(self) -> int:
        """The same with batches of one row, the smallest that are tried where memory runs out."""
        return self.weights + self.trained + self.logits_of_one


def footprint(settings: TrainSettings, outline: Outline, lengths: Lengths, trainable: int, precision: str) -> Footprint:
    """Compute the footprint of one configuration."""
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
    """Return the bytes of the model's weights on the device."""
    total = sum(outline.parameters.values())
    if not settings.load_in_4bit:
        return total * _BYTES[precision]
    bits = _DOUBLE_BITS if settings.bnb_4bit_use_double_quant else _BITS
    return round(outline.quantizable * bits / 8) + (total - outline.quantizable) * _BYTES[precision]


def _logits(
    settings: TrainSettings, outline: Outline, lengths: Lengths, precision: str, evaluated: int, trained: int
) -> int:
    """Return the bytes of logits. In an evaluation of ``evaluated`` rows they are those of the answers as the model
    computes them, and of one row in 32 bits, twice, while its loss is computed. The training loss builds none unless
    labels are smoothed: then whole rows in 32 bits, twice."""
    one = max(lengths.answers) * outline.vocabulary
    evaluation = evaluated * one * _BYTES[precision] + 2 * one * _BYTES["fp32"]
    if settings.label_smoothing_factor == 0:
        return evaluation
    return max(evaluation, 2 * trained * max(lengths.rows) * outline.vocabulary * _BYTES["fp32"])
