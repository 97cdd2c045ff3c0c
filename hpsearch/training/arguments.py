"""Arguments of peft and of transformers' trainer from the settings. Pure functions, without torch."""

from __future__ import annotations

from typing import Any

from hpsearch.execution.cores import data_workers
from hpsearch.settings import TrainSettings
from hpsearch.training.models.families import Family, Tower
from hpsearch.training.schedule import Batching

_OPTIMIZERS = {"adamw_8bit": "adamw_bnb_8bit"}
# transformers' "constant" ignores a warm-up; ours is constant after it, so that neither setting is ignored.
_SCHEDULERS = {"constant": "constant_with_warmup"}


def tower_patterns(settings: TrainSettings, family: Family) -> dict[str, str]:
    """Return the regular expression of the names of the linear layers to adapt, by tower (language, vision, merger);
    none for a tower that the settings leave alone, or of which they adapt no kind of module."""
    towers = {
        "language": (settings.finetune_language_layers, family.language),
        "vision": (settings.finetune_vision_layers, family.vision),
    }
    patterns = {name: tower_pattern(tower, settings) for name, (wanted, tower) in towers.items() if wanted}
    if settings.finetune_merger_layers and family.merger is not None:
        patterns["merger"] = family.merger.pattern
    return {name: pattern for name, pattern in patterns.items() if pattern}


def tower_pattern(tower: Tower, settings: TrainSettings) -> str:
    """Return the expression of the layers of a tower of the kinds that the settings adapt; empty for none."""
    leaves = (
        *(tower.attention if settings.finetune_attention_modules else ()),
        *(tower.mlp if settings.finetune_mlp_modules else ()),
    )
    return f"{tower.prefix}(?:{'|'.join(leaves)})" if leaves else ""


def lora_targets(settings: TrainSettings, family: Family) -> str:
    """Return the regular expression of the modules to adapt, which a module's full name must match entirely."""
    return "|".join(f"(?:{pattern})" for pattern in tower_patterns(settings, family).values())


def lora_alpha(settings: TrainSettings) -> float:
    """Return the LoRA scale, which the settings have as a number or as a multiple of the rank."""
    if settings.lora_alpha_ratio is None:
        return settings.lora_alpha
    return settings.lora_alpha_ratio * settings.lora_r


def lora_options(settings: TrainSettings, family: Family) -> dict[str, Any]:
    """Return arguments of ``peft.LoraConfig``."""
    return {
        "r": settings.lora_r,
        "lora_alpha": lora_alpha(settings),
        "lora_dropout": settings.lora_dropout,
        "use_rslora": settings.use_rslora,
        "use_dora": settings.use_dora,
        "target_modules": lora_targets(settings, family),
        "bias": "none",
        "task_type": "CAUSAL_LM",
    }


def training_options(settings: TrainSettings, batching: Batching, device: str, precision: str) -> dict[str, Any]:
    """Return arguments of trl's ``SFTConfig``, besides the folder."""
    return {
        "learning_rate": settings.learning_rate,
        "num_train_epochs": settings.num_train_epochs,
        "max_steps": settings.max_steps or -1,
        "per_device_train_batch_size": batching.micro,
        "gradient_accumulation_steps": batching.accumulation,
        "warmup_steps": warmup(settings),
        "weight_decay": settings.weight_decay,
        "lr_scheduler_type": _SCHEDULERS.get(settings.lr_scheduler_type, settings.lr_scheduler_type),
        "optim": _OPTIMIZERS.get(settings.optim, settings.optim),
        "label_smoothing_factor": settings.label_smoothing_factor,
        # Where trl computes the loss in chunks by default (before 1.16), that one cannot be smoothed.
        **({"loss_type": "nll"} if settings.label_smoothing_factor else {}),
        "max_grad_norm": settings.max_grad_norm,
        "gradient_checkpointing": batching.checkpointing,
        # Reentrant checkpointing leaves a vision tower's LoRA without gradients (peft#2880).
        "gradient_checkpointing_kwargs": {"use_reentrant": False},
        "seed": settings.seed,
        "data_seed": settings.seed,
        "bf16": precision == "bf16",
        "fp16": precision == "fp16",
        "use_cpu": device == "cpu",
        # Every row has a picture, so every adapted layer takes part in every pass.
        **({"ddp_find_unused_parameters": False} if batching.ranks > 1 else {}),
        **({"ddp_backend": "gloo"} if batching.ranks > 1 and device == "cpu" else {}),
        # Nothing is truncated: a truncated row can lose its image tokens or its whole answer.
        "max_length": None,
        "completion_only_loss": True,
        "remove_unused_columns": False,
        "logging_steps": 1,
        "logging_nan_inf_filter": False,  # a loss that is not finite must be seen, not averaged away
        "eval_strategy": "no",
        "save_strategy": "steps" if settings.save_steps else "no",
        "save_steps": settings.save_steps or 500,  # not read without the strategy
        "save_total_limit": settings.save_total_limit,
        "report_to": "none",
        "disable_tqdm": True,
        "dataloader_pin_memory": device == "cuda",
        # Not persistent: those draw no random number for a new epoch, and so would give other results than none.
        "dataloader_num_workers": data_workers(settings.dataloader_num_workers, device),
    }


def warmup(settings: TrainSettings) -> float:
    """Return the warm-up as transformers 5 takes it: a whole number of steps, or a fraction of all steps in [0, 1)."""
    if settings.warmup_steps is not None:
        return settings.warmup_steps
    return min(settings.warmup_ratio, 0.999999)  # 1.0 would mean one step
