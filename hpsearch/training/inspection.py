"""What the prepare job finds out with torch: rows' lengths in tokens, LoRA targets, the untuned base's scores."""

from __future__ import annotations

import importlib.util
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from PIL import Image

from hpsearch.errors import UsageError
from hpsearch.training.arguments import lora_targets
from hpsearch.training.backends import BACKENDS, Loaded
from hpsearch.training.callbacks import Judge
from hpsearch.training.chat import Chat
from hpsearch.training.checks import Machine
from hpsearch.training.devices import choose_device, set_threads
from hpsearch.training.families import Family
from hpsearch.training.processors import load_processor
from hpsearch.training.progress import Progress
from hpsearch.training.rows import Row
from hpsearch.trials.settings import TrainSettings


class Inspection:
    """One model on this machine, looked at from all the sides that matter to a study."""

    def __init__(self, backend: str, family: Family, folder: Path, settings: TrainSettings, progress: Progress) -> None:
        self.machine = _machine()
        self._backend = BACKENDS[backend]()
        self._family, self._folder, self._settings, self._progress = family, folder, settings, progress
        self.loaded: Loaded

    def longest(self, shapes: Sequence[tuple[str, tuple[int, int]]], instructions: Sequence[str]) -> dict[str, int]:
        """Tokens of the longest row (picture, instruction and answer), question and answer. A row's shape is its text
        and the size of its picture: a picture's tokens depend on its size alone, so each size is processed once."""
        self._progress.phase("measure lengths", fraction=0.0)
        processor = load_processor(self._family, self._folder)
        by_size: dict[tuple[int, int], int] = {}
        chats = [Chat(processor, instruction) for instruction in instructions]
        answers = _answer_lengths(processor, [text for text, _ in shapes], chats[0])
        longest = 0
        for number, ((_, size), length) in enumerate(zip(shapes, answers, strict=True)):
            if size not in by_size:
                by_size[size] = max(_question_length(processor, size, chat) for chat in chats)
            longest = max(longest, by_size[size] + length)
            self._progress.show(fraction=number / len(shapes))
        return {"longest": longest, "longest_answer": max(answers), "longest_question": max(by_size.values())}

    def load(self) -> None:
        """Load the base model."""
        self._progress.phase("load")
        set_threads(self._settings.cpu_threads, choose_device())
        self.loaded = self._backend.load(self._family, self._folder, self._settings)

    def lora_modules(self, candidates: Sequence[TrainSettings]) -> dict[str, int]:
        """How many linear layers would be adapted in each tower.

        Raises:
            UsageError: a tower that a candidate wants to adapt has none.
        """
        names = [name for name, module in self.loaded.model.named_modules() if isinstance(module, torch.nn.Linear)]
        count = {
            "language": _matching(names, self._family.language_lora),
            "vision": _matching(names, self._family.vision_lora),
        }
        wanted = {
            "language": any(candidate.finetune_language_layers for candidate in candidates),
            "vision": any(candidate.finetune_vision_layers for candidate in candidates),
        }
        for tower, pattern in (("language", self._family.language_lora), ("vision", self._family.vision_lora)):
            if wanted[tower] and not count[tower]:
                raise UsageError(
                    f"finetune_{tower}_layers needs linear layers that match {pattern!r}, but the model has none",
                    f"set finetune_{tower}_layers to false, or name a model of family {self._family.name}",
                )
        return count

    def base_scores(self, sets: Mapping[str, Sequence[Row]]) -> dict[str, float]:
        """The untuned model's scores on each set, as ``<name>_cer``, ``<name>_wer`` and ``<name>_loss``."""
        judge = Judge(self._backend, self.loaded, self._settings, self._progress, shows_fraction=True)
        scores: dict[str, float] = {}
        for name, rows in sets.items():
            self._progress.phase("judge the base", fraction=0.0)
            scores |= judge.judge(judge.examination(rows)).metrics(name)
        return scores


def trainable_modules(settings: TrainSettings, family: Family, names: Sequence[str]) -> list[str]:
    """Which of the modules' names the settings would adapt."""
    return [name for name in names if re.fullmatch(lora_targets(settings, family), name)]


def _machine() -> Machine:
    device = choose_device()
    bf16 = device == "cpu" or torch.cuda.is_bf16_supported(including_emulation=False)
    return Machine(device, bf16, importlib.util.find_spec("bitsandbytes") is not None)


def _matching(names: Sequence[str], pattern: str) -> int:
    return sum(1 for name in names if re.fullmatch(pattern, name))


def _question_length(processor: Any, size: tuple[int, int], chat: Chat) -> int:
    picture = Image.new("RGB", size)
    inputs = processor(text=[chat.question], images=[[picture]], return_tensors="pt", add_special_tokens=False)
    return int(inputs["input_ids"].shape[1])


def _answer_lengths(processor: Any, texts: Sequence[str], chat: Chat) -> list[int]:
    answers = [chat.answer(text) for text in texts]
    return [len(ids) for ids in processor.tokenizer(answers, add_special_tokens=False)["input_ids"]]
