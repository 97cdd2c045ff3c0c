"""The reference backend: transformers + trl + peft, on CPU or CUDA; bitsandbytes for 4 bits on CUDA."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import torch

from hpsearch.settings import TrainSettings
from hpsearch.training.arguments import lora_options, training_options
from hpsearch.training.backends import Loaded, Training
from hpsearch.training.backends.startup import import_libraries, without_idle
from hpsearch.training.machine.device import choose_device, choose_precision
from hpsearch.training.machine.libraries import hide_bars
from hpsearch.training.models.chat import AnsweringProcessor
from hpsearch.training.models.families import Family
from hpsearch.training.models.processors import class_of, load_processor

DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}


class HfBackend:
    """The ``Backend`` of transformers, trl and peft."""

    name = "hf"

    def load(self, family: Family, folder: Path, settings: TrainSettings) -> Loaded:
        """Read the base model in the number format it computes in, and its processor."""
        import_libraries()
        hide_bars()
        device = choose_device()
        precision = choose_precision(settings.precision, device)
        options: dict[str, Any] = {"dtype": DTYPES[precision]}
        if settings.load_in_4bit:
            options["quantization_config"] = four_bits(family, settings, precision)
        if device == "cuda":
            options["device_map"] = {"": torch.cuda.current_device()}
        model_class = class_of(family, family.model_class)
        safe: dict[str, Any] = {"use_safetensors": True, "trust_remote_code": False, "local_files_only": True}
        model = model_class.from_pretrained(str(folder), **safe, **options)
        return Loaded(model, load_processor(family, folder, settings), device, precision)

    def adapt(self, loaded: Loaded, family: Family, settings: TrainSettings) -> None:
        """Wrap the model with LoRA by peft."""
        from peft import LoraConfig, get_peft_model

        # In 4 bits too: peft's own preparation would copy embeddings and norms to 32 bits, 4 GB for Gemma 3 12B.
        with without_idle():
            loaded.model = get_peft_model(loaded.model, LoraConfig(**lora_options(settings, family)))

    def trainer(self, loaded: Loaded, training: Training) -> Any:
        """Make trl's SFTTrainer. It prints nothing: the callbacks do."""
        from transformers import PrinterCallback
        from trl import SFTConfig, SFTTrainer

        formats = {parameter: parameter.dtype for parameter in loaded.model.parameters() if parameter.requires_grad}
        options = training_options(training.settings, training.batching, loaded.device, loaded.precision)
        trainer = SFTTrainer(
            model=loaded.model,
            args=SFTConfig(output_dir=str(training.folder), **_current_names(options, SFTConfig)),
            train_dataset=training.rows,
            processing_class=loaded.processor,
            data_collator=self.collator(loaded, training.settings),
            callbacks=list(training.callbacks),
        )
        trainer.data_collator.processor = AnsweringProcessor(loaded.processor)
        trainer.remove_callback(PrinterCallback)
        trainer.create_model_card = _no_card
        # In 4 bits trl makes the LoRA weights bf16. Adam's second moment, which shrinks by a thousandth, then never
        # shrinks, and most steps at rates of 1e-5 are rounded away.
        for parameter, own in formats.items():
            parameter.data = parameter.data.to(own)
        # Before trl 1.16, transformers shifts labels only for the classes in its list of language models.
        if trainer.label_smoother is not None:
            trainer.label_smoother = partial(trainer.label_smoother, shift_labels=True)
        self.weigh_tokens(trainer)
        if training.heaviest:
            from hpsearch.training.backends.heaviest import HeaviestFirst  # which imports transformers

            trainer.add_callback(HeaviestFirst(trainer, training.heaviest[: training.batching.micro]))
        return trainer

    def weigh_tokens(self, trainer: Any) -> None:
        """Give all tokens of an effective batch the same weight, however it is divided into passes."""
        trainer.model_accepts_loss_kwargs = True  # trl's loss takes the count, whatever the model's class says

    def collator(self, loaded: Loaded, settings: TrainSettings) -> Any:
        """Return the collator of batches; None for trl's own."""
        return None

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


def _no_card(*_: Any, **__: Any) -> None:
    """Replace the card that trl writes into each checkpoint, for which it asks wandb, hidden or not."""


def _current_names(options: dict[str, Any], config: Any) -> dict[str, Any]:
    """Rename options to the names of this release of transformers: 5.23 says "activation" for "gradient"
    checkpointing."""
    known = config.__dataclass_fields__
    new = {name: name.replace("gradient_checkpointing", "activation_checkpointing") for name in options}
    return {new[name] if new[name] in known else name: value for name, value in options.items()}


def four_bits(family: Family, settings: TrainSettings, precision: str) -> Any:
    """Configure the quantisation of arXiv:2305.14314, without the vision parts and the head, which stay in 16 bits."""
    from transformers import BitsAndBytesConfig

    return BitsAndBytesConfig(
        load_in_4bit=True,
        bnb_4bit_quant_type=settings.bnb_4bit_quant_type,
        bnb_4bit_use_double_quant=settings.bnb_4bit_use_double_quant,
        bnb_4bit_compute_dtype=DTYPES[precision],
        llm_int8_skip_modules=list(family.unquantized),
    )
