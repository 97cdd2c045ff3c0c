"""Files and options that servers need to show pictures to a merged model, beside what its processor saved."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from hpsearch.training.models.families import find_family

PREDICTION = "mtp_num_hidden_layers"
MICRO_BATCH = 512  # of llama-server, by default
IMAGES = "preprocessor_config.json"
VIDEO = "video_preprocessor_config.json"  # read by every transformers that knows videos, nested or not


def forget_prediction(config: Any) -> None:
    """Remove from a model's configuration the layers that predict tokens further on (Qwen3.5's "mtp"): transformers
    loads and saves none, and servers would look for them."""
    text = config.get_text_config()
    if getattr(text, PREDICTION, 0):
        setattr(text, PREDICTION, 0)


def write_image_areas(folder: Path) -> None:
    """Write a saved processor's settings for pictures also as published models have them: in a file of its own, with
    the areas by their older names. llama.cpp's converter wants those of PaddleOCR-VL; transformers takes either (and
    this file only where the processor's own has no such part)."""
    if find_family("auto", folder).sizing != "area":
        return
    images = _images(folder)
    areas = {"min_pixels": images["size"]["shortest_edge"], "max_pixels": images["size"]["longest_edge"]}
    (folder / IMAGES).write_text(json.dumps({**images, **areas}, indent=2, sort_keys=True) + "\n", encoding="utf-8")


def _images(folder: Path) -> dict[str, Any]:
    """Read the configuration of the image processor, in whichever file transformers finds it."""
    from transformers.image_processing_base import ImageProcessingMixin

    values: dict[str, Any] = ImageProcessingMixin.get_image_processor_dict(folder)[0]
    return values


def keep_video(base: Path, folder: Path) -> None:
    """Copy the base's video part, unchanged, to a saved processor that has none: without torchvision it was loaded
    without it, and a server's processor class insists on one."""
    from transformers.video_processing_utils import BaseVideoProcessor

    if not find_family("auto", base).video_processor or (folder / VIDEO).exists():
        return
    try:
        saved = json.loads((folder / "processor_config.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        saved = {}
    if "video_processor" in saved:  # transformers 5 keeps it in the processor's own file
        return
    try:
        video, _ = BaseVideoProcessor.get_video_processor_dict(base)  # as it is read there, wherever it is
    except OSError:  # the base has none either
        return
    (folder / VIDEO).write_text(json.dumps(video, indent=2, sort_keys=True) + "\n", encoding="utf-8")


def llama_options(folder: Path) -> tuple[str, ...]:
    """Return the options with which llama-server shows pictures at the size that the saved processor does: of its files
    only PaddleOCR-VL's have it."""
    family = find_family("auto", folder)
    if family.sizing == "fixed":
        return ()
    images = _images(folder)
    if family.sizing == "budget":
        # All pictures are scaled to a number of tokens. They may attend both ways, for which llama.cpp must compute
        # them in one micro-batch, or it aborts (ggml-org/llama.cpp#21461); where it scales up, it rounds to some more.
        tokens = int(images["max_soft_tokens"])
        batch = -(-tokens * 5 // 4 // MICRO_BATCH) * MICRO_BATCH
        return (*_token_limits(tokens, tokens), *(("-ub", str(batch)) if batch > MICRO_BATCH else ()))
    token = (images["patch_size"] * images["merge_size"]) ** 2
    size = images["size"]  # two areas, see image_size.py
    return _token_limits(-(-size["shortest_edge"] // token), size["longest_edge"] // token)


def _token_limits(least: int, most: int) -> tuple[str, ...]:
    return ("--image-min-tokens", str(max(1, least)), "--image-max-tokens", str(max(1, most)))
