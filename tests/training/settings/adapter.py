"""Settings of the LoRA adapter."""

from __future__ import annotations

import math
from typing import Any

import pytest

from hpsearch.errors import UsageError
from hpsearch.training.models.base import known_base
from hpsearch.training.models.families import FAMILIES
from hpsearch.training.preflight.memory import outline_of
from tests.training.settings.bench import QWEN, Bench, shows


def towers(trainer: Any) -> set[str]:
    names = [name for name, value in trainer.model.named_parameters() if value.requires_grad]
    return {tower for tower in ("language_model", "visual") if any(tower in name for name in names)}


@shows("lora_r")
def _(bench: Bench) -> None:
    assert bench.lora(lora_r=3).r == 3


@shows("lora_alpha")
def _(bench: Bench) -> None:
    assert bench.scaling(lora_r=4, lora_alpha=10) == 2.5


@shows("lora_alpha_ratio")
def _(bench: Bench) -> None:
    assert [bench.lora(lora_r=r, lora_alpha_ratio=2.0).lora_alpha for r in (4, 8)] == [8, 16]


@shows("lora_dropout")
def _(bench: Bench) -> None:
    assert bench.lora(lora_dropout=0.25).lora_dropout == 0.25


@shows("use_rslora")
def _(bench: Bench) -> None:
    assert bench.scaling(lora_r=4, lora_alpha=10, use_rslora=True) == pytest.approx(10 / math.sqrt(4))


@shows("use_dora")
def _(bench: Bench) -> None:
    trainer = bench.trainer(use_dora=True, max_steps=1)
    trainer.train()
    assert any(
        "lora_magnitude_vector" in name for name, value in trainer.model.named_parameters() if value.requires_grad
    )


@shows("finetune_merger_layers")
def _(bench: Bench) -> None:
    names = bench.adapted(finetune_merger_layers=True)
    assert sum(".merger." in name or ".deepstack_merger_list." in name for name in names) == 4
    outline = outline_of(known_base(bench.door.bases["gemma3"], "gemma3", None))
    with pytest.raises(UsageError, match="between the towers, but gemma3 has none"):
        outline.adapted(bench.settings(finetune_merger_layers=True), FAMILIES["gemma3"])


@shows("finetune_attention_modules")
def _(bench: Bench) -> None:
    leaves = {name.rpartition(".")[2] for name in bench.adapted(finetune_mlp_modules=False)}
    assert leaves == {"q_proj", "k_proj", "v_proj", "o_proj", "qkv", "proj"}


@shows("finetune_mlp_modules")
def _(bench: Bench) -> None:
    leaves = {name.rpartition(".")[2] for name in bench.adapted(finetune_attention_modules=False)}
    assert leaves == {"gate_proj", "up_proj", "down_proj", "linear_fc1", "linear_fc2"}


@shows("finetune_vision_layers")
def _(bench: Bench) -> None:
    assert towers(bench.trainer(finetune_vision_layers=True)) == {"language_model", "visual"}


@shows("finetune_language_layers")
def _(bench: Bench) -> None:
    assert towers(bench.trainer(finetune_language_layers=False, finetune_vision_layers=True)) == {"visual"}
    outline = outline_of(known_base(bench.door.bases["qwen3_vl"], "qwen3_vl", None))
    with pytest.raises(UsageError, match="something must be adapted"):
        outline.adapted(bench.settings(finetune_language_layers=False), QWEN)
