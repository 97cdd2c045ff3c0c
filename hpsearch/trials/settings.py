"""Every setting of a fine-tune: its type, unit, range and default. A study fixes each one or searches it.

This is the only list: the definition's validation, the options of ``hpsearch train``, the JSON schemas,
docs/settings.md and the training side all read it. A setting that the chosen family, backend or device cannot honour
is refused before the first trial, never ignored.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

# The Gemma users' default instruction ("please give me the OCR result"); studies for other documents name their own.
DEFAULT_INSTRUCTION = "請給我 OCR 結果"

Fraction = Annotated[float, Field(ge=0.0, le=1.0)]


class TrainSettings(BaseModel):
    """One fine-tune, completely described: with the same data, machine and versions it gives the same result."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False, protected_namespaces=())

    # Model
    model_name: str = Field(
        "google/gemma-3-12b-it",
        min_length=1,
        description="Base model: a Hub id, a folder, or asset:NAME for one that ships with hpsearch.",
    )
    model_revision: str | None = Field(
        None, description="Commit, tag or branch of a Hub model; None: its newest when the study is prepared."
    )
    family: Literal["auto", "gemma3", "qwen3_vl"] = Field(
        "auto", description="Model family: how it is loaded, prompted and adapted. auto reads the model's config.json."
    )
    backend: Literal["auto", "hf", "unsloth"] = Field(
        "auto",
        description="Training backend: hf is transformers + trl + peft; unsloth is faster, needs a CUDA GPU and its "
        "own versions of them. auto takes unsloth where it can work, else hf, and says why.",
    )
    load_in_4bit: bool = Field(False, description="Load the base in 4 bits (nf4, bitsandbytes). Needs a CUDA GPU.")
    precision: Literal["auto", "fp32", "bf16"] = Field(
        "auto", description="Number format of the computation. auto: bf16 where the device computes in it, else fp32."
    )

    # Data
    input_data: str | None = Field(
        None,
        description="Rows of image and text: a .json or .jsonl file (image_path, ocr_text), a .parquet file, a folder "
        "of them named by split, or asset:NAME for data that ships with hpsearch. Relative to the definition's file.",
    )
    train_split: str = Field(
        "train[:90%]", description="Rows to train on, as a slice: train, train[:90%], train[:200]."
    )
    val_split: str = Field("train[90%:]", description="Rows to judge trials by, as a slice.")
    holdout_split: str | None = Field(
        None, description="Rows never searched on, as a slice. None: holdout_fraction of the validation rows."
    )
    holdout_fraction: Annotated[float, Field(gt=0.0, lt=1.0)] = Field(
        0.3, description="Fraction of the validation rows held out of the search, where holdout_split is not given."
    )
    instruction: str = Field(DEFAULT_INSTRUCTION, description="What the model is asked, beside each image.")
    max_seq_length: int = Field(
        8192,
        ge=1,
        description="Limit in tokens for image, instruction and answer together; checked, never a truncation.",
    )

    # LoRA
    lora_r: int = Field(16, ge=1, le=4096, description="LoRA rank.")
    lora_alpha: float = Field(16, gt=0, description="LoRA scale: the update is multiplied by lora_alpha / lora_r.")
    lora_dropout: Annotated[float, Field(ge=0.0, lt=1.0)] = Field(0.0, description="Dropout before the LoRA matrices.")
    use_rslora: bool = Field(False, description="Scale by lora_alpha / sqrt(lora_r) instead (arXiv:2312.03732).")
    use_dora: bool = Field(False, description="Weight-decomposed LoRA (arXiv:2402.09353).")
    finetune_vision_layers: bool = Field(False, description="Adapt the vision tower's linear layers.")
    finetune_language_layers: bool = Field(True, description="Adapt the language model's linear layers.")

    # Optimisation
    learning_rate: float = Field(2e-4, gt=0, le=10, description="Peak learning rate.")
    num_train_epochs: float = Field(
        3, gt=0, description="Passes over the training rows; ignored where max_steps is set."
    )
    max_steps: int | None = Field(None, ge=1, description="Optimiser steps; None: from num_train_epochs.")
    per_device_train_batch_size: int = Field(1, ge=1, description="Rows per forward pass on one device.")
    gradient_accumulation_steps: int = Field(
        4, ge=1, description="Forward passes per optimiser step; the effective batch is this times the batch size."
    )
    warmup_ratio: Fraction = Field(0.03, description="Fraction of the steps over which the learning rate rises.")
    warmup_steps: int | None = Field(None, ge=0, description="Warm-up in steps; None: from warmup_ratio.")
    weight_decay: Annotated[float, Field(ge=0.0)] = Field(0.01, description="AdamW weight decay.")
    lr_scheduler_type: Literal["cosine", "linear", "constant", "constant_with_warmup"] = Field(
        "cosine",
        description="How the learning rate goes on after the warm-up: falls to 0 along a cosine or a line, or stays "
        "(constant and constant_with_warmup are the same here: neither ignores the warm-up).",
    )
    optim: Literal["adamw_torch", "adamw_8bit"] = Field("adamw_torch", description="Optimiser; adamw_8bit needs a GPU.")
    max_grad_norm: Annotated[float, Field(ge=0.0)] = Field(1.0, description="Gradient clipping norm; 0: none.")
    gradient_checkpointing: bool = Field(False, description="Recompute activations to save memory.")
    seed: int = Field(3407, ge=0, le=2**32 - 1, description="Random seed; in a study, each trial's is derived from it.")

    # Evaluation
    evaluations: int = Field(20, ge=1, le=10_000, description="Evaluations at equal fractions of the training.")
    eval_samples: int = Field(32, ge=1, description="Rows of the small fixed subset used at each evaluation.")
    eval_batch_size: int = Field(8, ge=1, description="Rows generated at once in an evaluation.")
    max_new_tokens: int = Field(1024, ge=1, description="Limit in tokens for a generated answer.")
    text_normalization: Literal["none", "nfc", "whitespace"] = Field(
        "nfc",
        description="What is done to both texts before CER and WER: none; nfc: Unicode NFC; whitespace: NFC, runs of "
        "white space to one space, ends stripped.",
    )

    # Machine
    cpu_threads: int = Field(
        0, ge=0, description="CPU threads of one trial; 0: one on a CPU-only machine, else torch's."
    )


# By what the rows and the model are made ready, once for all trials of a study.
FIXED_BY_PREPARE = (
    "model_name",
    "model_revision",
    "family",
    "input_data",
    "train_split",
    "val_split",
    "holdout_split",
    "holdout_fraction",
)

# Settings that a study cannot search, and why.
UNSEARCHABLE = {
    **dict.fromkeys(FIXED_BY_PREPARE, "data and model are made ready once for all trials"),
    "backend": "all trials of a study run on one backend",
    "text_normalization": "trials would be judged by different rules",
    "max_new_tokens": "trials would be judged by different rules",
    "eval_samples": "trials would be compared on different rows",
    "evaluations": "trials would be compared at different points of their training",
}


def setting_names() -> frozenset[str]:
    """Names of all settings."""
    return frozenset(TrainSettings.model_fields)
