"""The model families that can be tuned, as data: how each is loaded, adapted and computed. Imports no torch.

Adding a family is one entry here and one in ``tiny.py``; the contract tests then run over it.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from hpsearch.errors import UsageError

# Linear layers of the language model and of the vision tower, in the layouts of Qwen-VL and Gemma 3 (also with the
# additional "vision_model." of older checkpoints). A plain list of leaf names would hit Gemma 3's vision tower too.
LANGUAGE_LINEARS = r".*\blanguage_model\..*\.(?:q_proj|k_proj|v_proj|o_proj|gate_proj|up_proj|down_proj)"
VISION_LINEARS = (
    r".*\b(?:visual|vision_tower)\..*\b(?:blocks|layers)\.\d+\..*\."
    r"(?:qkv|proj|q_proj|k_proj|v_proj|out_proj|fc1|fc2|linear_fc1|linear_fc2|gate_proj|up_proj|down_proj)"
)


@dataclass(frozen=True)
class Family:
    """One model family.

    ``model_types`` are the values of config.json's model_type that belong to it. The classes are names in transformers.
    ``language_lora`` and ``vision_lora`` are regular expressions that a module's full name must match entirely.
    ``video_processor`` says that its processor class demands a video processor, which needs torchvision.
    ``unquantized`` are the parts that stay in 16 bits when the rest is loaded in 4.
    ``precisions`` are the number formats that train without overflow (fp16 gives NaN in Gemma 3, transformers#39972).
    """

    name: str
    model_types: tuple[str, ...]
    model_class: str
    processor_class: str
    language_lora: str = LANGUAGE_LINEARS
    vision_lora: str = VISION_LINEARS
    video_processor: bool = False
    unquantized: tuple[str, ...] = ("lm_head",)
    precisions: tuple[str, ...] = ("fp32", "bf16")


FAMILIES: dict[str, Family] = {
    "gemma3": Family(
        name="gemma3",
        model_types=("gemma3",),
        model_class="Gemma3ForConditionalGeneration",
        processor_class="Gemma3Processor",
        unquantized=("vision_tower", "multi_modal_projector", "lm_head"),
    ),
    "qwen3_vl": Family(
        name="qwen3_vl",
        model_types=("qwen3_vl",),
        model_class="Qwen3VLForConditionalGeneration",
        processor_class="Qwen3VLProcessor",
        video_processor=True,
        unquantized=("visual", "lm_head"),
    ),
}


def find_family(setting: str, model_folder: Path) -> Family:
    """The family named by ``setting``, or with "auto" the one that the model's config.json says.

    Raises:
        UsageError: no config.json, a model of no known family, or one of another family than ``setting``.
    """
    found = _model_type(model_folder)
    matching = [family for family in FAMILIES.values() if found in family.model_types]
    known = ", ".join(f"{family.name} ({', '.join(family.model_types)})" for family in FAMILIES.values())
    if not matching:
        raise UsageError(
            f"the model must be of a known family, but {model_folder}/config.json says model_type {found!r}",
            f"use a model of one of: {known}",
        )
    if setting not in ("auto", matching[0].name):
        raise UsageError(
            f"family {setting!r} must fit the model, but {model_folder}/config.json says model_type {found!r}",
            f'set "family" to {matching[0].name!r} or "auto"',
        )
    return matching[0]


def _model_type(folder: Path) -> str:
    path = folder / "config.json"
    try:
        value = json.loads(path.read_text(encoding="utf-8")).get("model_type", "")
    except (OSError, ValueError, AttributeError) as error:
        raise UsageError(
            f"a model's folder must hold a readable config.json, but {path} is not: {error}",
            "name a Hub id, or a folder written by save_pretrained, in model_name",
        ) from error
    return str(value)
