"""The reference backend: transformers + trl + peft, on CPU or CUDA; bitsandbytes for 4 bits on CUDA."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import torch

from hpsearch.training.arguments import lora_options, training_options
from hpsearch.training.backends import Loaded
from hpsearch.training.batches import Batching
from hpsearch.training.devices import choose_device, choose_precision
from hpsearch.training.families import Family
from hpsearch.training.imports import without
from hpsearch.training.processors import has_torchvision, load_processor
from hpsearch.training.quiet import hide_bars
from hpsearch.trials.settings import TrainSettings

_DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}


class HfBackend:
    """See ``Backend``."""

    name = "hf"

    def load(self, family: Family, folder: Path, settings: TrainSettings) -> Loaded:
        """Read the base model in the number format it computes in, and its processor."""
        import transformers

        device = choose_device()
        _import_libraries(device)
        hide_bars()
        precision = choose_precision(settings.precision, device)
        options: dict[str, Any] = {"dtype": _DTYPES[precision]}
        if settings.load_in_4bit:
            options["quantization_config"] = four_bits(family, settings, precision)
        if device == "cuda":
            options["device_map"] = {"": 0}
        model_class = getattr(transformers, family.model_class)
        model = model_class.from_pretrained(str(folder), local_files_only=True, **options)
        return Loaded(model, load_processor(family, folder, settings), device, precision)

    def adapt(self, loaded: Loaded, family: Family, settings: TrainSettings) -> None:
        """Wrap the model with LoRA by peft."""
        from peft import LoraConfig, get_peft_model

        # In 4 bits too: peft's own preparation would copy embeddings and norms to 32 bits, 4 GB for Gemma 3 12B, and
        # trl does what else it does.
        loaded.model = get_peft_model(loaded.model, LoraConfig(**lora_options(settings, family)))

    def trainer(
        self,
        loaded: Loaded,
        rows: Any,
        settings: TrainSettings,
        batching: Batching,
        folder: Path,
        callbacks: Sequence[Any],
    ) -> Any:
        """trl's SFTTrainer, silent: what it would print goes out through the callbacks."""
        from transformers import PrinterCallback
        from trl import SFTConfig, SFTTrainer

        options = training_options(settings, batching, loaded.device, loaded.precision)
        trainer = SFTTrainer(
            model=loaded.model,
            args=SFTConfig(output_dir=str(folder), **_current_names(options, SFTConfig)),
            train_dataset=rows,
            processing_class=loaded.processor,
            callbacks=list(callbacks),
        )
        trainer.remove_callback(PrinterCallback)
        return trainer

    def to_inference(self, loaded: Loaded) -> None:
        """Switch dropout off."""
        loaded.model.eval()

    def to_training(self, loaded: Loaded) -> None:
        """Switch dropout on."""
        loaded.model.train()

    def save(self, loaded: Loaded, folder: Path, base: str) -> None:
        """Write the adapter as safetensors, and the processor beside it."""
        loaded.model.peft_config["default"].base_model_name_or_path = base
        loaded.model.save_pretrained(folder)
        loaded.processor.save_pretrained(folder)
        (folder / "README.md").unlink(missing_ok=True)  # peft's empty model card


def _import_libraries(device: str) -> None:
    has_torchvision()
    with nullcontext() if device == "cuda" else without("bitsandbytes"):
        import peft
        import trl

        _ = peft.LoraConfig, trl.SFTTrainer  # trl imports what is asked for, and no sooner


def _current_names(options: dict[str, Any], config: Any) -> dict[str, Any]:
    """Options as this release of transformers calls them: 5.23 says "activation" for "gradient" checkpointing."""
    known = config.__dataclass_fields__
    new = {name: name.replace("gradient_checkpointing", "activation_checkpointing") for name in options}
    return {new[name] if new[name] in known else name: value for name, value in options.items()}


def four_bits(family: Family, settings: TrainSettings, precision: str) -> Any:
    """Quantisation as in arXiv:2305.14314; the vision parts and the head stay in 16 bits."""
    from transformers import BitsAndBytesConfig

    return BitsAndBytesConfig(
        load_in_4bit=True,
        bnb_4bit_quant_type=settings.bnb_4bit_quant_type,
        bnb_4bit_use_double_quant=settings.bnb_4bit_use_double_quant,
        bnb_4bit_compute_dtype=_DTYPES[precision],
        llm_int8_skip_modules=list(family.unquantized),
    )
