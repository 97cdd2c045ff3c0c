"""The Trainer's own search: all trials in one process, with the steps of imports.py. Arguments: times file, trials."""

import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import peft  # noqa: F401
import torch
from transformers import Trainer, TrainerCallback, TrainingArguments
from trl import SFTTrainer  # noqa: F401

STEPS, STEP_S = 10, 0.05


class Model(torch.nn.Module):
    """As small as can be."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = torch.nn.Linear(1, 1)

    def forward(self, x: torch.Tensor, labels: torch.Tensor) -> dict[str, torch.Tensor]:
        """The loss."""
        return {"loss": ((self.layer(x) - labels) ** 2).mean(), "logits": x}


class Wait(TrainerCallback):
    """Makes a step last as long as in the other programs, and writes the times."""

    def on_train_begin(self, *_: Any, **__: Any) -> None:
        """A trial begins."""
        self.steps: list[float] = []

    def on_step_end(self, *_: Any, **__: Any) -> None:
        """A step."""
        time.sleep(STEP_S)
        self.steps.append(time.time())

    def on_train_end(self, *_: Any, **__: Any) -> None:
        """A trial has ended."""
        with Path(sys.argv[1]).open("a", encoding="utf-8") as times:
            times.write(f"{self.steps[0]} {self.steps[-1]}\n")


rows = [{"x": torch.ones(1), "labels": torch.ones(1)} for _ in range(STEPS)]
arguments = TrainingArguments(
    tempfile.mkdtemp(), max_steps=STEPS, per_device_train_batch_size=1, eval_strategy="steps", eval_steps=STEPS,
    report_to="none", disable_tqdm=True, use_cpu=True,
)  # fmt: skip
trainer = Trainer(
    args=arguments, model_init=lambda _: Model(), train_dataset=rows, eval_dataset=rows[:1], callbacks=[Wait()]
)
trainer.hyperparameter_search(
    hp_space=lambda trial: {"learning_rate": trial.suggest_float("learning_rate", 1e-5, 1e-3, log=True)},
    n_trials=int(sys.argv[2]),
    backend="optuna",
    direction="minimize",
    storage=f"sqlite:///{sys.argv[1]}.db",
)
