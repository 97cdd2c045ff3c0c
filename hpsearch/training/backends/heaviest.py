"""Trying the longest rows before the first step, so that memory runs out then or not at all.

Apart from hf.py because it imports transformers, which fails beside a broken torchvision before that can be reported.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from transformers import TrainerCallback


class HeaviestFirst(TrainerCallback):  # type: ignore[misc]  # transformers has no types
    """Takes one pass forward and backward over the longest rows when training begins, and discards its gradients."""

    def __init__(self, trainer: Any, positions: Sequence[int]) -> None:
        self._trainer, self._positions = trainer, positions

    def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Take the pass. Random numbers, gradients and counts of tokens are as before."""
        trainer = self._trainer
        counted = getattr(trainer, "_total_train_tokens", None)
        trainer.current_gradient_accumulation_steps = args.gradient_accumulation_steps
        with torch.random.fork_rng():
            inputs = trainer.data_collator([trainer.train_dataset[position] for position in self._positions])
            trainer.training_step(trainer.model_wrapped, inputs)
        trainer.model_wrapped.zero_grad(set_to_none=True)
        if counted is not None:
            trainer._total_train_tokens = counted
