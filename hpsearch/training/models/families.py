"""The model families that can be tuned, as data: how each is loaded, sized, prompted and adapted. No torch.

A new family is one entry here and a tiny model in ``tools/tiny_models``; the contract tests then run over it. What is
known of one model of a family (Chandra, Gemma 3 12B) is a profile, in ``profiles.py``.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from hpsearch.errors import UsageError

# Names of linear layers by tower, in the layouts of Qwen-VL and Gemma 3 (also with the additional "vision_model." of
# older checkpoints). A plain list of leaf names would hit the vision towers of most families too.
LANGUAGE = r".*\blanguage_model\..*\."
VISION = r".*\b(?:visual|vision_tower)\..*\b(?:blocks|layers)\.\d+\..*\."
ATTENTION = ("q_proj", "k_proj", "v_proj", "o_proj")
MLP = ("gate_proj", "up_proj", "down_proj")

TRANSCRIBE = "Transcribe all text in this image exactly as it is written."


@dataclass(frozen=True)
class Tower:
    """A part of the model whose linear layers are adapted or not: the beginning of their names, as a regular
    expression, and their last parts by purpose."""

    prefix: str
    attention: tuple[str, ...]
    mlp: tuple[str, ...]


@dataclass(frozen=True)
class Merger:
    """The layers between the towers: regular expressions of the ``part`` that they are, up to a dot or the end of a
    name, and of what follows in the names of its ``linears``."""

    part: str
    linears: tuple[str, ...]

    @property
    def pattern(self) -> str:
        """The expression of its linear layers' full names."""
        return rf"{self.part}\.(?:{'|'.join(self.linears)})"


@dataclass(frozen=True)
class Family:
    """One model family.

    ``model_types`` are the values of config.json's model_type that belong to it. The classes are names in transformers.
    ``language`` and ``vision`` are its towers; ``merger`` are the layers between them, None where none of these is
    linear. ``sizing``: "area" where a picture keeps its shape and its tokens grow with its pixels, "fixed" where every
    picture becomes one square with a fixed number of tokens; ``crops``: the processor can show crops beside it.
    "budget" where every picture keeps its shape and is scaled, up too, until its tokens, each of ``token_edge`` x
    ``token_edge`` pixels, fill one of the ``budgets``. ``most_oblong``: how many times as long as wide a picture may be
    at most, where the processor refuses more. ``special_tokens``: by the configuration's key, the processor's attribute
    that names the token of that id. ``instruction`` is the question where neither the settings nor a profile has one.
    ``video_processor`` says that its processor class demands a video processor, which needs torchvision;
    ``pillow_images`` is the image processor without torchvision, where the processor class would not find it itself.
    ``unquantized`` are the parts that stay in 16 bits when the rest is loaded in 4: regular expressions that match a
    module's full name from its start to a dot or its end. ``precisions`` are the number formats that train without
    overflow (fp16 gives NaN in Gemma 3, transformers#39972).
    """

    name: str
    model_types: tuple[str, ...]
    model_class: str
    processor_class: str
    sizing: Literal["area", "fixed", "budget"]
    instruction: str
    budgets: tuple[int, ...] = ()
    token_edge: int = 48
    crops: bool = False
    most_oblong: float = math.inf
    language: Tower = Tower(LANGUAGE, ATTENTION, MLP)
    vision: Tower = field(kw_only=True)
    merger: Merger | None = None
    special_tokens: Mapping[str, str] = field(default_factory=dict)
    video_processor: bool = False
    pillow_images: str = ""
    unquantized: tuple[str, ...] = ("lm_head",)
    precisions: tuple[str, ...] = ("fp32", "bf16")


_QWEN_TOKENS = {
    "image_token_id": "image_token",
    "vision_start_token_id": "vision_start_token",
    "vision_end_token_id": "vision_end_token",
}

FAMILIES: dict[str, Family] = {
    "gemma3": Family(
        name="gemma3",
        model_types=("gemma3",),
        model_class="Gemma3ForConditionalGeneration",
        processor_class="Gemma3Processor",
        sizing="fixed",
        crops=True,
        instruction="請給我 OCR 結果",  # "please give me the OCR result": the Gemma users' default until now
        vision=Tower(VISION, ("q_proj", "k_proj", "v_proj", "out_proj"), ("fc1", "fc2")),
        special_tokens={
            "image_token_index": "image_token",
            "boi_token_index": "boi_token",
            "eoi_token_index": "eoi_token",
        },
        unquantized=(r".*\bvision_tower", r".*\bmulti_modal_projector", "lm_head"),
    ),
    "gemma4": Family(
        name="gemma4",
        model_types=("gemma4",),
        model_class="Gemma4ForConditionalGeneration",
        processor_class="Gemma4Processor",
        sizing="budget",
        budgets=(70, 140, 280, 560, 1120),  # all that its image processor takes
        instruction=TRANSCRIBE,
        vision=Tower(
            VISION, tuple(rf"{name}\.linear" for name in ATTENTION), tuple(rf"{name}\.linear" for name in MLP)
        ),
        merger=Merger(r".*\bembed_vision", ("embedding_projection",)),
        special_tokens={
            "image_token_id": "image_token",
            "boi_token_id": "boi_token",
            "eoi_token_id": "eoi_token",
        },
        video_processor=True,
        # Beside what is not the language model, what feeds each of its layers, and what chooses among experts.
        unquantized=(
            r".*\b(?:vision_tower|embed_vision|audio_tower|embed_audio)",
            r".*\b(?:per_layer_\w+|router)",
            "lm_head",
        ),
        precisions=("fp32", "bf16"),  # feed-forward layers go beyond fp16 (unslothai/unsloth#5092)
    ),
    "paddleocr_vl": Family(
        name="paddleocr_vl",
        model_types=("paddleocr_vl",),
        model_class="PaddleOCRVLForConditionalGeneration",
        processor_class="PaddleOCRVLProcessor",
        pillow_images="PaddleOCRVLImageProcessorPil",  # not found in transformers 5.17
        sizing="area",
        most_oblong=200,  # smart_resize of transformers' paddleocr_vl
        instruction="OCR:",  # of its tasks, by its model card
        vision=Tower(VISION, ("q_proj", "k_proj", "v_proj", "out_proj"), ("fc1", "fc2")),
        merger=Merger(r".*\bprojector", ("linear_1", "linear_2")),
        special_tokens={"image_token_id": "image_token"},
        unquantized=(r".*\bvisual", r".*\bprojector", "lm_head"),
    ),
    "qwen2_5_vl": Family(
        name="qwen2_5_vl",
        model_types=("qwen2_5_vl",),
        model_class="Qwen2_5_VLForConditionalGeneration",
        processor_class="Qwen2_5_VLProcessor",
        sizing="area",
        most_oblong=200,  # smart_resize of transformers' qwen2_vl
        instruction=TRANSCRIBE,
        vision=Tower(VISION, ("qkv", "proj"), MLP),
        merger=Merger(r".*\bvisual\.merger", (r"mlp\.0", r"mlp\.2")),
        special_tokens=_QWEN_TOKENS,
        video_processor=True,
        unquantized=(r".*\bvisual", "lm_head"),
        # The vision tower's last feed-forward layer goes beyond fp16 with some pictures (ggml-org/llama.cpp#17534).
        precisions=("fp32", "bf16"),
    ),
    "qwen3_5": Family(
        name="qwen3_5",
        model_types=("qwen3_5",),
        model_class="Qwen3_5ForConditionalGeneration",
        processor_class="Qwen3VLProcessor",
        sizing="area",
        most_oblong=200,  # smart_resize of transformers' qwen2_vl
        instruction=TRANSCRIBE,
        # Most layers have linear attention, of which in_proj_a and in_proj_b are left alone: one output a head, and
        # servers drop adapters of them (sgl-project/sglang#30499).
        language=Tower(LANGUAGE, (*ATTENTION, "in_proj_qkv", "in_proj_z", "out_proj"), MLP),
        vision=Tower(VISION, ("qkv", "proj"), ("linear_fc1", "linear_fc2")),
        merger=Merger(r".*\bvisual\.merger", ("linear_fc1", "linear_fc2")),
        special_tokens=_QWEN_TOKENS,
        video_processor=True,
        unquantized=(r".*\bvisual", r".*\blinear_attn\.in_proj_[ab]", "lm_head"),
        precisions=("fp32", "bf16"),  # in fp16 linear attention's gradients are NaN (unsloth keeps it in 32 bits)
    ),
    "qwen3_vl": Family(
        name="qwen3_vl",
        model_types=("qwen3_vl",),
        model_class="Qwen3VLForConditionalGeneration",
        processor_class="Qwen3VLProcessor",
        sizing="area",
        most_oblong=200,  # smart_resize of transformers' qwen2_vl
        instruction=TRANSCRIBE,
        vision=Tower(VISION, ("qkv", "proj"), ("linear_fc1", "linear_fc2")),
        merger=Merger(r".*\bvisual\.(?:merger|deepstack_merger_list\.\d+)", ("linear_fc1", "linear_fc2")),
        special_tokens=_QWEN_TOKENS,
        video_processor=True,
        unquantized=(r".*\bvisual", "lm_head"),
        precisions=("fp32", "bf16", "fp16"),
    ),
}


def find_family(setting: str, model_folder: Path) -> Family:
    """Return the family named by ``setting``, or with "auto" the one that the model's config.json says.

    Raises:
        UsageError: no config.json, a model of no known family, or one of another family than ``setting``.
    """
    config = _config(model_folder)
    model_type = str(config.get("model_type", ""))
    matching = [family for family in FAMILIES.values() if model_type in family.model_types]
    known = ", ".join(f"{family.name} ({', '.join(family.model_types)})" for family in FAMILIES.values())
    if not matching:
        own = ", and names code of its own, which is never run" if "auto_map" in config else ""
        raise UsageError(
            f"the model must be of a known family, but {model_folder}/config.json says model_type {model_type!r}{own}",
            f"use a model of one of: {known}",
        )
    if setting not in ("auto", matching[0].name):
        raise UsageError(
            f"family {setting!r} must fit the model, but {model_folder}/config.json says model_type {model_type!r}",
            f'set "family" to {matching[0].name!r} or "auto"',
        )
    return matching[0]


def _config(folder: Path) -> dict[str, Any]:
    path = folder / "config.json"
    try:
        return dict(json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError) as error:
        raise UsageError(
            f"a model's folder must hold a readable config.json, but {path} is not: {error}",
            "name a Hub id, or a folder written by save_pretrained, in model_name",
        ) from error
