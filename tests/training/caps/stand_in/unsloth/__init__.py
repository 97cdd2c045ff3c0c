"""A stand-in for what of unsloth cannot be imported without a GPU: the same names and arguments, plain peft inside.

The arguments are held to the real ones' by test_unsloth.py. The collator is unsloth's own.
"""

from __future__ import annotations

import sys
from typing import Any

CALLS: list[str] = []
TOO_EARLY = [name for name in ("transformers", "trl", "peft") if name in sys.modules]
if TOO_EARLY:
    raise ImportError(f"imported before unsloth: {TOO_EARLY}")


class FastVisionModel:
    @staticmethod
    def from_pretrained(
        model_name: str,
        *,
        max_seq_length: int,
        dtype: Any,
        load_in_4bit: bool,
        device_map: Any,
        use_gradient_checkpointing: Any,
        use_exact_model_name: bool,
        random_state: int,
        trust_remote_code: bool,
        local_files_only: bool,
    ) -> Any:
        from transformers import AutoModelForImageTextToText

        CALLS.append("load")
        assert (device_map, use_exact_model_name, trust_remote_code) == ({"": 0}, True, False)
        model = AutoModelForImageTextToText.from_pretrained(model_name, dtype=dtype, local_files_only=local_files_only)
        model.max_seq_length = max_seq_length
        return model, None

    @staticmethod
    def get_peft_model(
        model: Any,
        *,
        finetune_language_layers: bool,
        finetune_vision_layers: bool,
        use_gradient_checkpointing: Any,
        random_state: int,
        **lora: Any,
    ) -> Any:
        from peft import LoraConfig, get_peft_model

        CALLS.append("adapt")
        return get_peft_model(model, LoraConfig(**lora))

    @staticmethod
    def for_inference(model: Any) -> Any:
        CALLS.append("infer")
        return model.eval()

    @staticmethod
    def for_training(model: Any) -> Any:
        CALLS.append("train")
        return model.train()
