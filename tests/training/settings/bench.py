"""The bench for checks of where a setting shows."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

from hpsearch.settings import TrainSettings
from hpsearch.training.arguments import lora_options
from hpsearch.training.backends import BACKENDS, Training
from hpsearch.training.models.chat import Chat
from hpsearch.training.models.families import FAMILIES
from hpsearch.training.prepared import PreparedData, open_rows, training_rows
from hpsearch.training.schedule import batching_of
from hpsearch.training.trial import load_adapted
from tests.training.conftest import Door

QWEN = FAMILIES["qwen3_vl"]
SHOWN: dict[str, Callable[..., None]] = {}


class Bench:
    """Shows what settings become, over the prepared tiny Qwen3-VL."""

    def __init__(self, door: Door, folder: Path) -> None:
        self.door = door
        self.folder = folder

    def settings(self, **changes: Any) -> TrainSettings:
        return TrainSettings(**self.door.settings(**changes))

    def lora(self, **changes: Any) -> Any:
        """peft's configuration."""
        from peft import LoraConfig

        return LoraConfig(**lora_options(self.settings(**changes), QWEN))

    def trainer(self, **changes: Any) -> Any:
        """The trainer over an adapted model, before its first step."""
        settings, prepared = self.settings(**changes), self.door.folder / "prepare"
        backend = BACKENDS["hf"]()
        loaded = load_adapted(backend, PreparedData.read(prepared), settings)
        rows = training_rows(open_rows(prepared, "train").table, Chat(loaded.processor, settings.instruction))
        return backend.trainer(loaded, Training(rows, settings, batching_of(settings), self.folder))

    def scaling(self, **changes: Any) -> float:
        """The factor of the product of the LoRA matrices."""
        model = self.trainer(**changes).model
        scalings = [getattr(module, "scaling", None) for module in model.modules()]
        (found,) = {scaling["default"] for scaling in scalings if isinstance(scaling, dict)}
        return float(found)

    def adapted(self, **changes: Any) -> list[str]:
        """Full names of the adapted modules, in both towers."""
        model = self.trainer(finetune_vision_layers=True, **changes).model
        return list(model.base_model.targeted_module_names)

    def checkpoints(self, name: str, **changes: Any) -> list[str]:
        """The checkpoints that a fine-tune of four steps leaves."""
        job = self.door.job("train", self.door.settings(**changes), name)
        assert self.door.run(job) == 0, self.door.lines
        return sorted(path.name for path in (Path(job.output_dir) / "checkpoints").iterdir())

    def rates(self, **changes: Any) -> list[float]:
        """The learning rate of each of ten steps, as a fraction of the peak."""
        trainer = self.trainer(max_steps=10, learning_rate=1.0, **changes)
        trainer.create_optimizer_and_scheduler(10)
        rates = []
        for _ in range(10):
            rates.append(round(trainer.lr_scheduler.get_last_lr()[0], 3))
            trainer.optimizer.step()
            trainer.lr_scheduler.step()
        return rates


def shows(name: str) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Register the function that checks where a setting shows. It takes a bench, and an empty folder if it has two
    parameters."""

    def keep(look: Callable[..., None]) -> Callable[..., None]:
        SHOWN[name] = look
        return look

    return keep


def printed(door: Door, job: Any) -> list[str]:
    """The lines that a job prints."""
    with contextlib.redirect_stdout(io.TextIOWrapper(io.BytesIO(), encoding="utf-8")) as out:
        assert door.run(job) == 0, door.lines
        out.flush()
        return out.buffer.getvalue().decode().splitlines()
