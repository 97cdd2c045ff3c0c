"""Models of the published shapes with random weights, and pages for them: ``python -m gpu.shapes SHAPE FOLDER``.

Weights are drawn shard by shard in bf16, on the GPU where there is one, and written as sharded safetensors, so that
loading them from disk is what loading the real model is. The tokenizer is the tiny models' of single characters; the
head has the real vocabulary all the same.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from hpsearch import sdk

SHARD_BYTES = 4 * 10**9
# The published configurations: google/gemma-3-12b-it, Qwen/Qwen3-VL-8B-Instruct (Chandra's shape, too).
GEMMA3_12B: dict[str, Any] = {
    "text_config": {
        "vocab_size": 262_208,
        "hidden_size": 3840,
        "intermediate_size": 15_360,
        "num_hidden_layers": 48,
        "num_attention_heads": 16,
        "num_key_value_heads": 8,
        "head_dim": 256,
        "query_pre_attn_scalar": 256,
        "sliding_window": 1024,
        "max_position_embeddings": 131_072,
    },
    "vision_config": {
        "model_type": "siglip_vision_model",
        "hidden_size": 1152,
        "intermediate_size": 4304,
        "num_hidden_layers": 27,
        "num_attention_heads": 16,
        "image_size": 896,
        "patch_size": 14,
        "vision_use_head": False,
    },
    "mm_tokens_per_image": 256,
}
QWEN3_VL_8B: dict[str, Any] = {
    "text_config": {
        "vocab_size": 151_936,
        "hidden_size": 4096,
        "intermediate_size": 12_288,
        "num_hidden_layers": 36,
        "num_attention_heads": 32,
        "num_key_value_heads": 8,
        "head_dim": 128,
        "max_position_embeddings": 262_144,
        "rope_parameters": {
            "rope_type": "default",
            "rope_theta": 5_000_000.0,
            "mrope_section": [24, 20, 20],
            "mrope_interleaved": True,
        },
    },
    "vision_config": {
        "depth": 27,
        "hidden_size": 1152,
        "intermediate_size": 4304,
        "num_heads": 16,
        "patch_size": 16,
        "spatial_merge_size": 2,
        "temporal_patch_size": 2,
        "out_hidden_size": 4096,
        "num_position_embeddings": 2304,
        "deepstack_visual_indexes": [8, 16, 24],
    },
    "tie_word_embeddings": False,
}
# The 8B shape with its vocabulary, patches and names, but narrow: small enough for a CPU.
QWEN3_VL_NARROW: dict[str, Any] = {
    "text_config": {
        **QWEN3_VL_8B["text_config"],
        "hidden_size": 64,
        "intermediate_size": 64,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "head_dim": 16,
        "rope_parameters": {**QWEN3_VL_8B["text_config"]["rope_parameters"], "mrope_section": [4, 2, 2]},
    },
    "vision_config": {
        **QWEN3_VL_8B["vision_config"],
        "depth": 2,
        "hidden_size": 32,
        "intermediate_size": 32,
        "num_heads": 2,
        "out_hidden_size": 64,
        "deepstack_visual_indexes": [0],
    },
    "tie_word_embeddings": False,
}
SHAPES: dict[str, tuple[str, dict[str, Any] | None]] = {
    "gemma3-tiny": ("gemma3", None),
    "qwen3_vl-tiny": ("qwen3_vl", None),
    "qwen3_vl-narrow": ("qwen3_vl", QWEN3_VL_NARROW),
    "gemma3-12b": ("gemma3", GEMMA3_12B),
    "qwen3_vl-8b": ("qwen3_vl", QWEN3_VL_8B),
}


def main() -> None:
    """Write one model."""
    name, folder = sys.argv[1], Path(sys.argv[2])
    write_model(name, folder)
    size = sum(path.stat().st_size for path in folder.glob("*.safetensors"))
    print(f"{name}: {size / 1e9:.2f} GB in {folder}")
    sdk.finish(done=1.0)


def write_model(name: str, folder: Path, shape: Mapping[str, Any] | None = None) -> None:
    """Write the model of a shape into ``folder``: the family's tiny one, or one of ``shape``'s dimensions."""
    from tools.tiny_models import build_tiny

    family, known = SHAPES[name]
    shape = shape or known
    folder.mkdir(parents=True, exist_ok=True)
    tiny = build_tiny(family)
    if shape is None:
        tiny.save(folder)
        return
    config = _config(tiny.model.config, shape)
    config.save_pretrained(folder)
    tiny.model.generation_config.save_pretrained(folder)
    _processor(family, tiny.processor).save_pretrained(folder)
    _write_weights(type(tiny.model), config, folder)


def _config(tiny: Any, shape: Mapping[str, Any]) -> Any:
    """The shape's configuration, with the ids of the tiny model's tokenizer."""
    ids = {name: value for name, value in tiny.to_dict().items() if name.endswith(("_token_id", "_token_index"))}
    special = {f"{name}_token_id": getattr(tiny.text_config, f"{name}_token_id") for name in ("pad", "bos", "eos")}
    text = {**shape["text_config"], **special}
    config = type(tiny)(**{**shape, "text_config": text, **ids})
    config.architectures = tiny.architectures or [type(tiny).__name__.replace("Config", "ForConditionalGeneration")]
    config.dtype = "bfloat16"
    return config


def _processor(family: str, tiny: Any) -> Any:
    """The tiny tokenizer with the image processor of the real size."""
    import transformers

    from hpsearch.training.models.families import FAMILIES
    from hpsearch.training.models.processors import has_torchvision, processor_class

    cls = processor_class(FAMILIES[family])
    if family == "gemma3":
        images = transformers.Gemma3ImageProcessorPil(size={"height": 896, "width": 896}, do_pan_and_scan=False)
        return cls(images, tiny.tokenizer, chat_template=tiny.chat_template, image_seq_length=256)
    images = transformers.Qwen2VLImageProcessorPil(
        patch_size=16, merge_size=2, temporal_patch_size=2, size={"shortest_edge": 65_536, "longest_edge": 16_777_216}
    )
    video = transformers.Qwen3VLVideoProcessor() if has_torchvision() else None
    return cls(images, tiny.tokenizer, video, chat_template=tiny.chat_template)


def _write_weights(model_class: Any, config: Any, folder: Path) -> None:
    import torch
    from safetensors.torch import save_file

    with torch.device("meta"):
        model = model_class(config)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    torch.manual_seed(0)
    shards = list(_shards(model))
    table: dict[str, str] = {}
    for number, shapes in enumerate(shards, 1):
        name = f"model-{number:05}-of-{len(shards):05}.safetensors"
        tensors = {key: _random(key, shape, device, config.model_type == "gemma3") for key, shape in shapes.items()}
        save_file({key: tensor.cpu() for key, tensor in tensors.items()}, folder / name, {"format": "pt"})
        table |= dict.fromkeys(shapes, name)
    index = {"metadata": {"total_size": sum(path.stat().st_size for path in folder.glob("*.safetensors"))}}
    (folder / "model.safetensors.index.json").write_text(json.dumps({**index, "weight_map": table}))


def _shards(model: Any) -> Iterator[dict[str, tuple[int, ...]]]:
    """Names and shapes of the weights, in parts of a few gigabytes; a head that is tied is not written."""
    tied = {"lm_head.weight"} if model.config.tie_word_embeddings else set()
    part: dict[str, tuple[int, ...]] = {}
    size = 0
    for key, tensor in model.state_dict().items():
        if key in tied:
            continue
        if part and size + 2 * tensor.numel() > SHARD_BYTES:
            yield part
            part, size = {}, 0
        part[key] = tuple(tensor.shape)
        size += 2 * tensor.numel()
    yield part


def _random(key: str, shape: tuple[int, ...], device: str, zero_norms: bool) -> Any:
    """Weights that keep activations finite: small numbers, and norms that scale by one."""
    import torch

    tensor = torch.empty(shape, dtype=torch.bfloat16, device=device)
    if len(shape) > 1:
        return tensor.normal_(0.0, 0.02)
    adds_one = zero_norms and "vision_tower" not in key  # Gemma's norms add the one themselves
    return tensor.fill_(1.0 if "norm" in key and key.endswith("weight") and not adds_one else 0.0)


def write_pages(folder: Path, rows: Mapping[str, int], size: int, characters: int, uneven: bool = False) -> Path:
    """Pages of ``size`` x ``size`` pixels and answers of so many characters, which are as many tokens: a JSON file for
    each split; where they are ``uneven``, a half, a third and a quarter of it too. The pages of one split may share a
    picture, those of two never do."""
    from PIL import Image, ImageDraw

    folder.mkdir(parents=True, exist_ok=True)
    for split, count in rows.items():
        listed = []
        for number in range(count):
            picture = folder / f"{split}-{number % 8}.png"
            if number < 8:
                page = Image.new("L", (size, size), 255)
                ImageDraw.Draw(page).text((4, 1), f"{split} {number}", fill=0)
                page.save(picture)
            length = characters // (number % 4 + 1) if uneven else characters
            text = (f"{number} " + "the quick brown fox jumps over the lazy dog " * (characters // 40 + 1))[:length]
            listed.append({"image_path": picture.name, "ocr_text": text})
        (folder / f"{split}.json").write_text(json.dumps(listed))
    return folder


if __name__ == "__main__":
    main()
