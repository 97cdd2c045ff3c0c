"""The fast backend: unsloth's model classes, kernels and collator under the same recipe, on one CUDA GPU.

``startup.start_backend`` has imported unsloth before anything here runs: trl's classes are unsloth's by then. The
base, its quantisation, the LoRA targets, the processor and the rows are the hf backend's; how it computes is not.
Written from the source of unsloth 2026.10.7 and held to its signatures by tests; it has not run on a GPU yet.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from hpsearch.settings import TrainSettings
from hpsearch.training.arguments import lora_options
from hpsearch.training.backends import Loaded, Training
from hpsearch.training.backends.hf import DTYPES, HfBackend, four_bits
from hpsearch.training.backends.startup import keep_caches
from hpsearch.training.machine.device import choose_device, choose_precision
from hpsearch.training.machine.libraries import hide_bars
from hpsearch.training.models.families import Family
from hpsearch.training.models.processors import load_processor


class UnslothBackend(HfBackend):
    """The ``Backend`` of unsloth."""

    name = "unsloth"

    def load(self, family: Family, folder: Path, settings: TrainSettings) -> Loaded:
        """Read the base model through unsloth, and its processor as the hf backend does."""
        from unsloth import FastVisionModel

        hide_bars()
        device = choose_device()
        precision = choose_precision(settings.precision, device)
        quantization = four_bits(family, settings, precision) if settings.load_in_4bit else None
        options = loading_options(settings, DTYPES[precision], quantization)
        model, _ = FastVisionModel.from_pretrained(str(folder), **options)
        keep_caches()
        return Loaded(model, load_processor(family, folder, settings), device, precision)

    def adapt(self, loaded: Loaded, family: Family, settings: TrainSettings) -> None:
        """Wrap the model with LoRA by unsloth."""
        from unsloth import FastVisionModel

        loaded.model = FastVisionModel.get_peft_model(loaded.model, **adapting_options(settings, family))
        keep_caches()

    def trainer(self, loaded: Loaded, training: Training) -> Any:
        """Make unsloth's SFTTrainer, which has replaced trl's."""
        # Its trainer and for_training go by this, not by the trainer's arguments; batching may have turned it on since.
        loaded.model._unsloth_gradient_checkpointing = "unsloth" if training.batching.checkpointing else False
        return super().trainer(loaded, training)

    def weigh_tokens(self, trainer: Any) -> None:
        """Do nothing: unsloth counts tokens by patches of its own."""

    def collator(self, loaded: Loaded, settings: TrainSettings) -> Any:
        """Make unsloth's collator, which its trainer asks for."""
        from unsloth.trainer import UnslothVisionDataCollator

        return UnslothVisionDataCollator(loaded.model, loaded.processor, **collating_options(settings))

    def to_inference(self, loaded: Loaded) -> None:
        """Make the model ready to generate: dropout and checkpointing off, the cache of keys and values on."""
        from unsloth import FastVisionModel

        FastVisionModel.for_inference(loaded.model)

    def to_training(self, loaded: Loaded) -> None:
        """Undo ``to_inference``."""
        from unsloth import FastVisionModel

        FastVisionModel.for_training(loaded.model)


def loading_options(settings: TrainSettings, dtype: Any, quantization: Any) -> dict[str, Any]:
    """Return arguments of ``FastVisionModel.from_pretrained``, besides the folder."""
    options: dict[str, Any] = {
        "max_seq_length": settings.max_seq_length,
        "dtype": dtype,
        "load_in_4bit": settings.load_in_4bit,
        "device_map": {"": 0},
        "use_gradient_checkpointing": _checkpointing(settings),
        "use_exact_model_name": True,  # else it may take an upload of its own instead
        "random_state": settings.seed,
        "trust_remote_code": False,
        "local_files_only": True,
    }
    return options if quantization is None else {**options, "quantization_config": quantization}


def adapting_options(settings: TrainSettings, family: Family) -> dict[str, Any]:
    """Return arguments of ``FastVisionModel.get_peft_model``, besides the model.

    The targets are the family's expression, which unsloth takes as it is, so that the same layers are adapted as by hf:
    its own flags would not reach a vision tower's merger, and on Gemma 3 they would take in a pooling head.
    """
    options: Mapping[str, Any] = lora_options(settings, family)
    return {name: value for name, value in options.items() if name != "use_dora"} | {
        "finetune_language_layers": settings.finetune_language_layers,
        "finetune_vision_layers": settings.finetune_vision_layers,
        "use_gradient_checkpointing": _checkpointing(settings),
        "random_state": settings.seed,
    }


def collating_options(settings: TrainSettings) -> dict[str, Any]:
    """Return arguments of ``UnslothVisionDataCollator``, besides the model and the processor."""
    return {
        "max_seq_length": settings.max_seq_length,  # checked before: nothing is longer
        "resize": "max",  # leaves pictures alone; by default they shrink to 512 pixels
        "completion_only_loss": True,
    }


def _checkpointing(settings: TrainSettings) -> str | bool:
    return "unsloth" if settings.gradient_checkpointing else False
