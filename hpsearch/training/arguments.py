"""Settings in the words of peft and of transformers' trainer. Pure functions over the settings, without torch."""

from __future__ import annotations

from typing import Any

from hpsearch.training.families import Family
from hpsearch.trials.settings import TrainSettings

_OPTIMIZERS = {"adamw_torch": "adamw_torch", "adamw_8bit": "adamw_bnb_8bit"}
# transformers' "constant" ignores a warm-up; ours is constant after it, so that neither setting is ignored.
_SCHEDULERS = {"constant": "constant_with_warmup"}


def lora_targets(settings: TrainSettings, family: Family) -> str:
    """The regular expression of the modules to adapt, which a module's full name must match entirely."""
    wanted = {
        family.language_lora: settings.finetune_language_layers,
        family.vision_lora: settings.finetune_vision_layers,
    }
    return "|".join(f"(?:{pattern})" for pattern, chosen in wanted.items() if chosen)


def lora_options(settings: TrainSettings, family: Family) -> dict[str, Any]:
    """Arguments of ``peft.LoraConfig``."""
    return {
        "r": settings.lora_r,
        "lora_alpha": settings.lora_alpha,
        "lora_dropout": settings.lora_dropout,
        "use_rslora": settings.use_rslora,
        "use_dora": settings.use_dora,
        "target_modules": lora_targets(settings, family),
        "bias": "none",
        "task_type": "CAUSAL_LM",
    }


def training_options(settings: TrainSettings, device: str, precision: str) -> dict[str, Any]:
    """Arguments of trl's ``SFTConfig``, besides the folder."""
    return {
        "learning_rate": settings.learning_rate,
        "num_train_epochs": settings.num_train_epochs,
        "max_steps": settings.max_steps or -1,
        "per_device_train_batch_size": settings.per_device_train_batch_size,
        "gradient_accumulation_steps": settings.gradient_accumulation_steps,
        "warmup_steps": warmup(settings),
        "weight_decay": settings.weight_decay,
        "lr_scheduler_type": _SCHEDULERS.get(settings.lr_scheduler_type, settings.lr_scheduler_type),
        "optim": _OPTIMIZERS[settings.optim],
        "max_grad_norm": settings.max_grad_norm,
        "gradient_checkpointing": settings.gradient_checkpointing,
        # Reentrant checkpointing leaves a vision tower's LoRA without gradients (peft#2880).
        "gradient_checkpointing_kwargs": {"use_reentrant": False},
        "seed": settings.seed,
        "data_seed": settings.seed,
        "bf16": precision == "bf16",
        "fp16": False,
        "use_cpu": device == "cpu",
        # Nothing is truncated: a truncated row can lose its image tokens or its whole answer.
        "max_length": None,
        "completion_only_loss": True,
        "remove_unused_columns": False,
        "logging_steps": 1,
        "logging_nan_inf_filter": False,  # a loss that is not finite must be seen, not averaged away
        "eval_strategy": "no",
        "save_strategy": "no",
        "report_to": "none",
        "disable_tqdm": True,
        "dataloader_pin_memory": device == "cuda",
    }


def warmup(settings: TrainSettings) -> float:
    """Warm-up as transformers 5 takes it: a whole number of steps, or a fraction of all steps in [0, 1)."""
    if settings.warmup_steps is not None:
        return settings.warmup_steps
    return min(settings.warmup_ratio, 0.999999)  # 1.0 would mean one step
