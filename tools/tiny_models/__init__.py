"""Tiny models of each family with random weights, for tests and for bases that fit in a few megabytes.

A tiny model is the real architecture with a hidden size of 96 and two layers per tower, a tokenizer of single
characters, and the family's own image processor and chat template, so that everything done to it (loading, prompting,
adapting, generating, saving) is what is done to the large ones.
"""

from __future__ import annotations

from collections.abc import Callable

from tools.tiny_models.gemma import gemma3, gemma4
from tools.tiny_models.paddleocr import paddleocr_vl
from tools.tiny_models.parts import Tiny
from tools.tiny_models.qwen import qwen2_5_vl, qwen3_5, qwen3_vl

_BUILDERS: dict[str, Callable[[], Tiny]] = {
    "gemma3": gemma3,
    "gemma4": gemma4,
    "paddleocr_vl": paddleocr_vl,
    "qwen2_5_vl": qwen2_5_vl,
    "qwen3_5": qwen3_5,
    "qwen3_vl": qwen3_vl,
}


def build_tiny(family: str, *, seed: int = 0) -> Tiny:
    """Make a tiny model of ``family`` with random weights drawn from ``seed``.

    Raises:
        KeyError: there is no tiny model of that family.
    """
    import torch

    torch.manual_seed(seed)
    return _BUILDERS[family]()
