"""What servers want beside a merged model, and a processor that was saved without torchvision does not have."""

from __future__ import annotations

import json
from pathlib import Path

from hpsearch.training.models.families import find_family

VIDEO = "video_preprocessor_config.json"  # read by every transformers that knows videos, nested or not


def keep_video(base: Path, folder: Path) -> None:
    """Give a saved processor the base's video part unchanged, where it has none: without torchvision it was loaded
    without it, and a server's processor class insists on one."""
    from transformers.video_processing_utils import BaseVideoProcessor

    if not find_family("auto", base).video_processor or _has_video(folder):
        return
    try:
        found, _ = BaseVideoProcessor.get_video_processor_dict(base)  # as it is read there, wherever it is
    except OSError:  # the base has none either
        return
    (folder / VIDEO).write_text(json.dumps(found, indent=2, sort_keys=True) + "\n", encoding="utf-8")


def _has_video(folder: Path) -> bool:
    """Whether what was saved has a video part: transformers 5 keeps it in the processor's own file."""
    try:
        saved = json.loads((folder / "processor_config.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        saved = {}
    return "video_processor" in saved or (folder / VIDEO).exists()
