"""Every setting of a fine-tune: its type, unit, range and default. A study fixes each setting or searches it.

This is the only list: the definition's validation, the options of ``hpsearch train``, the JSON schemas,
docs/settings.md and the training side all read it. A setting that the chosen family, backend or device does not
support is refused before the first trial, never ignored.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

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
        None, description="Commit, tag or branch of a Hub model; None: the newest commit when the study is prepared."
    )
    family: Literal["auto", "gemma3", "gemma4", "paddleocr_vl", "qwen2_5_vl", "qwen3_5", "qwen3_vl"] = Field(
        "auto",
        description="Model family, which decides how the model is loaded, prompted and adapted. auto reads the "
        "model's config.json.",
    )
    profile: Literal["auto", "none", "gemma-3-4b", "gemma-3-12b", "chandra", "chandra-2", "paddleocr-vl"] = Field(
        "auto",
        description="Defaults of one model: its prompt, and the expected configuration. auto chooses by model_name; "
        "none: only the defaults of its family.",
    )
    skip_verification: bool = Field(
        False, description="Do not compare the model's configuration with the one that its family and profile expect."
    )
    backend: Literal["auto", "hf", "unsloth"] = Field(
        "auto",
        description="Training backend: hf is transformers + trl + peft; unsloth is faster, needs a CUDA GPU and its "
        "own versions of them. auto chooses unsloth where it works, else hf, and reports why.",
    )
    load_in_4bit: bool = Field(False, description="Load the base in 4 bits (bitsandbytes). Needs a CUDA GPU.")
    bnb_4bit_quant_type: Literal["nf4", "fp4"] = Field(
        "nf4", description="The 4-bit number format (arXiv:2305.14314 recommends nf4); used with load_in_4bit."
    )
    bnb_4bit_use_double_quant: bool = Field(
        True, description="Quantise the quantisation constants too: saves 0.4 bits per weight; used with load_in_4bit."
    )
    precision: Literal["auto", "fp32", "bf16", "fp16"] = Field(
        "auto",
        description="Number format of the computation. auto: bf16 on a GPU that supports it, else fp32. fp16 is "
        "refused for families in which it overflows (all but qwen3_vl), and on a CPU.",
    )

    # Data
    input_data: str | None = Field(
        None,
        description="Rows of image and text: a .json, .jsonl or .parquet file, a folder of them named by split, a "
        "dataset saved by Hugging Face datasets, a clone of a dataset's repository, a dataset on the Hub "
        "(hub:owner/name, or owner/name if there is no such path), or asset:NAME for data that ships with hpsearch. "
        "Relative to the definition's file.",
    )
    dataset_subset: str | None = Field(
        None, min_length=1, description="Subset (configuration) of a dataset repository that has several."
    )
    dataset_revision: str | None = Field(
        None,
        min_length=1,
        description="Commit, tag or branch of a dataset on the Hub; None: the newest commit when the study is "
        "prepared.",
    )
    image_column: str | None = Field(
        None,
        min_length=1,
        description="Column with the image; None: image_path, image or images, whichever exists.",
    )
    text_column: str | None = Field(
        None,
        min_length=1,
        description="Column with the text to read; None: ocr_text, text or texts, whichever exists.",
    )
    document_column: str | None = Field(
        None,
        min_length=1,
        description="Column with the document that a row belongs to; None: document, if it exists.",
    )
    image_root: str | None = Field(
        None,
        min_length=1,
        description="Folder that relative paths of images start from; None: the folder of the file with the rows. "
        "Relative to the definition's file.",
    )
    train_split: str | None = Field(
        None,
        description="Rows to train on, as a slice: train, train[:90%], train[:200]. None: the rows of the split train "
        "that no other slice takes. Never a test split.",
    )
    val_split: str | None = Field(
        None,
        description="Rows to evaluate trials on, as a slice. None: the split validation (or val, valid, dev) if it "
        "exists, else val_ratio of the training rows. Never a test split.",
    )
    val_ratio: Annotated[float, Field(gt=0.0, lt=1.0)] = Field(
        0.1,
        description="Fraction of the training rows drawn to evaluate trials on, if the data have no validation split "
        "and val_split is not given. Rows of one document stay together.",
    )
    holdout_split: str | None = Field(
        None,
        description="Rows that the search never uses, as a slice, such as test. None: holdout_fraction of the "
        "validation rows.",
    )
    holdout_fraction: Annotated[float, Field(gt=0.0, lt=1.0)] = Field(
        0.3, description="Fraction of the validation rows held out of the search, if holdout_split is not given."
    )
    instruction: str | None = Field(
        None, description="Prompt beside each image; None: the prompt of the model's profile or family."
    )
    longest_edge: int | None = Field(
        None,
        ge=28,
        le=32_768,
        description="Resolution as the edge of a square, in pixels: an image of more than longest_edge x longest_edge "
        "pixels is shrunk to that area and keeps its aspect ratio. Sets max_pixels. For families that take images of "
        "any size: paddleocr_vl and the qwen families.",
    )
    max_pixels: int | None = Field(
        None,
        ge=28 * 28,
        description="Largest area of an image in pixels; larger images are shrunk to it. None: the model's default. "
        "For families that take images of any size: paddleocr_vl and the qwen families; and for gemma4, which scales "
        "all images to one of 161280, 322560, 645120 (its default), 1290240 or 2580480 pixels.",
    )
    pan_and_scan: bool = Field(
        False,
        description="Add crops of oblong images to the whole image, each at the model's fixed size and number of "
        "tokens. For gemma3, which scales any image to one square.",
    )
    max_seq_length: int = Field(
        8192,
        ge=1,
        description="Limit in tokens for image, instruction and answer together; longer rows are refused, not "
        "truncated.",
    )

    # LoRA
    lora_r: int = Field(16, ge=1, le=4096, description="LoRA rank.")
    lora_alpha: float = Field(16, gt=0, description="LoRA scale: the update is multiplied by lora_alpha / lora_r.")
    lora_alpha_ratio: float | None = Field(
        None,
        gt=0,
        le=64,
        description="lora_alpha as a multiple of lora_r, so that searching r does not change the scale.",
    )
    lora_dropout: Annotated[float, Field(ge=0.0, lt=1.0)] = Field(0.0, description="Dropout before the LoRA matrices.")
    use_rslora: bool = Field(False, description="Scale by lora_alpha / sqrt(lora_r) instead (arXiv:2312.03732).")
    use_dora: bool = Field(False, description="Weight-decomposed LoRA (arXiv:2402.09353).")
    finetune_vision_layers: bool = Field(False, description="Adapt the vision tower's linear layers.")
    finetune_language_layers: bool = Field(True, description="Adapt the language model's linear layers.")
    finetune_merger_layers: bool = Field(
        False, description="Adapt the layers between the towers (a merger or projector; gemma3 has no linear ones)."
    )
    finetune_attention_modules: bool = Field(True, description="In each adapted tower, the attention's projections.")
    finetune_mlp_modules: bool = Field(True, description="In each adapted tower, the feed-forward projections.")

    # Optimisation
    learning_rate: float = Field(2e-4, gt=0, le=10, description="Peak learning rate.")
    num_train_epochs: float = Field(
        3, gt=0, description="Passes over the training rows; ignored where max_steps is set."
    )
    max_steps: int | None = Field(None, ge=1, description="Optimiser steps; None: from num_train_epochs.")
    effective_batch_size: int | None = Field(
        None,
        ge=1,
        description="Rows per optimiser step: the batch size to search. The rows per forward pass are derived: at most "
        "per_device_train_batch_size, fewer if memory runs out. Sets gradient_accumulation_steps.",
    )
    per_device_train_batch_size: int = Field(
        1, ge=1, description="Rows per forward pass on one device; halved whenever memory runs out."
    )
    gradient_accumulation_steps: int = Field(
        4, ge=1, description="Forward passes per optimiser step; the effective batch is this times the batch size."
    )
    warmup_ratio: Fraction = Field(0.03, description="Fraction of the steps over which the learning rate rises.")
    warmup_steps: int | None = Field(None, ge=0, description="Warm-up in steps; None: from warmup_ratio.")
    weight_decay: Annotated[float, Field(ge=0.0)] = Field(0.01, description="AdamW weight decay.")
    lr_scheduler_type: Literal["cosine", "linear", "constant", "constant_with_warmup"] = Field(
        "cosine",
        description="Learning rate after the warm-up: falls to 0 along a cosine or a line, or stays constant (constant "
        "and constant_with_warmup are the same here: both have the warm-up).",
    )
    optim: Literal["adamw_torch", "adamw_8bit", "paged_adamw_8bit", "adafactor", "sgd"] = Field(
        "adamw_torch", description="Optimiser; the 8-bit ones need a GPU and bitsandbytes."
    )
    label_smoothing_factor: Annotated[float, Field(ge=0.0, lt=1.0)] = Field(
        0.0,
        description="Label smoothing of the training loss (arXiv:1512.00567). Above 0 all logits are computed, "
        "which takes memory.",
    )
    max_grad_norm: Annotated[float, Field(ge=0.0)] = Field(1.0, description="Gradient clipping norm; 0: none.")
    gradient_checkpointing: bool = Field(False, description="Recompute activations to save memory.")
    seed: int = Field(3407, ge=0, le=2**32 - 1, description="Random seed; in a study, each trial's is derived from it.")

    # Evaluation
    evaluations: int = Field(20, ge=1, le=10_000, description="Evaluations at equal fractions of the training.")
    eval_steps: int | None = Field(
        None,
        ge=1,
        description="Evaluate every N steps instead, so that trials of different lengths are compared at the same "
        "step.",
    )
    eval_stride: int | None = Field(
        None,
        ge=1,
        description="Make only every N-th of the evaluations; None: measured, so that the evaluations during training "
        "take about a tenth of a trial.",
    )
    eval_samples: int | None = Field(
        None,
        ge=1,
        description="Rows of the fixed subset used at each evaluation; None: measured, so that all evaluations "
        "together take about a tenth of a trial (16 to 64 rows).",
    )
    final_samples: int | None = Field(
        None,
        ge=1,
        description="Rows of validation, and of the holdout, that the trained model is evaluated on; None: measured, "
        "so that this takes at most 15 % of a trial (32 to 256 rows of each).",
    )
    eval_batch_size: int = Field(8, ge=1, description="Rows generated at once; halved whenever memory runs out.")
    max_new_tokens: int | None = Field(
        None,
        ge=1,
        description="Limit in tokens for a generated answer; None: 1.5 times the longest answer of the data.",
    )
    compute_cer_wer: bool = Field(
        True, description="Generate text and measure CER and WER; if off, only eval_loss is measured."
    )
    skip_pre_eval: bool = Field(False, description="Do not evaluate the untuned base.")
    early_stopping_patience: int = Field(
        0,
        ge=0,
        description="Stop after N evaluations in a row without improvement of metric_for_best_model, and keep the "
        "weights of the best evaluation; 0: never.",
    )
    early_stopping_threshold: Annotated[float, Field(ge=0.0)] = Field(
        0.0, description="Smallest change that counts as an improvement."
    )
    metric_for_best_model: Literal["eval_cer", "eval_wer", "eval_loss"] = Field(
        "eval_cer", description="Metric for early stopping and load_best_model_at_end; lower is better."
    )
    load_best_model_at_end: bool = Field(
        False, description="Evaluate and save the weights of the best evaluation instead of the last ones."
    )
    text_normalization: Literal["none", "nfc", "whitespace", "no_punctuation", "graphemes"] = Field(
        "nfc",
        description="Normalisation of both texts before CER and WER. none; nfc: Unicode NFC; whitespace: NFC, runs of "
        "white space become one space, ends stripped; no_punctuation: NFC, without white space and ASCII or Chinese "
        "punctuation; graphemes: NFC, and a grapheme cluster counts as one character.",
    )

    # Records
    logging_steps: int = Field(
        10, ge=1, description="Steps between two lines of the log, and between two points sent to report_to."
    )
    report_to: Literal["none", "tensorboard", "wandb"] = Field(
        "none", description="Tracker that also gets the curves; runs are grouped by study."
    )
    save_steps: int | None = Field(
        None,
        ge=0,
        description="Steps between two checkpoints for resuming; 0: none; null: at the first evaluation after every "
        "ten minutes, deleted when the fine-tune is done. Those of a finished trial are always deleted.",
    )
    save_total_limit: int = Field(3, ge=1, description="Number of checkpoints kept of one fine-tune, the newest ones.")
    resume_from_checkpoint: str | None = Field(
        None, description="Checkpoint to resume from: its folder, or latest for the newest in the output folder."
    )

    # Machine
    cpu_threads: int = Field(
        0, ge=0, description="CPU threads of one trial; 0: one on a CPU-only machine, else torch's default."
    )
    dataloader_num_workers: int | None = Field(
        None,
        ge=0,
        description="Processes that prepare the next batches while a trial computes; None: none on a CPU, up to 4 on "
        "a GPU if /dev/shm has enough space.",
    )


# Free space of /dev/shm that workers need to hand batches over: four of them, some 100 MB a page at 4 megapixels.
SHARED_MEMORY_BYTES = 2e9

# Settings that the prepare job uses, once for all trials of a study.
FIXED_BY_PREPARE = (
    "model_name",
    "model_revision",
    "family",
    "input_data",
    "dataset_subset",
    "dataset_revision",
    "image_column",
    "text_column",
    "document_column",
    "image_root",
    "train_split",
    "val_split",
    "val_ratio",
    "holdout_split",
    "holdout_fraction",
    "profile",
    "skip_verification",
)

# Settings that change no result: they may change within a study, and before a fine-tune is resumed.
WITHOUT_EFFECT = ("report_to", "logging_steps", "save_steps", "save_total_limit", "dataloader_num_workers")

# Settings that a study cannot search, and why.
UNSEARCHABLE = {
    **dict.fromkeys(FIXED_BY_PREPARE, "data and model are prepared once for all trials"),
    "backend": "all trials of a study run on one backend",
    "text_normalization": "trials would be evaluated by different rules",
    "max_new_tokens": "trials would be evaluated by different rules",
    "compute_cer_wer": "trials would be evaluated by different rules",
    "eval_samples": "trials would be compared on different rows",
    "final_samples": "trials would be compared on different rows",
    "evaluations": "trials would be compared at different points of their training",
    "eval_stride": "trials would be compared at different points of their training",
    "eval_steps": "trials would be compared at different points of their training",
    "skip_pre_eval": "the base is evaluated once for all trials",
    "resume_from_checkpoint": "a checkpoint belongs to one configuration",
    **dict.fromkeys(WITHOUT_EFFECT, "it changes no result"),
}


def setting_names() -> frozenset[str]:
    """Return the names of all settings."""
    return frozenset(TrainSettings.model_fields)
