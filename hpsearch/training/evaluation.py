"""Judging a model on rows: the CER and WER of the text it generates, and its loss on the right text."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any

import torch

from hpsearch.ocr.metrics import Edits, character_edits, total, word_edits
from hpsearch.training.backends import Loaded
from hpsearch.training.examination import IGNORED, Batch, Examination
from hpsearch.training.rows import Row
from hpsearch.trials.settings import TrainSettings


@dataclass(frozen=True)
class Judged:
    """One row's reference and generated text, and the edits between them."""

    row: str
    reference: str
    prediction: str
    characters: Edits
    words: Edits


@dataclass(frozen=True)
class Scores:
    """What an evaluation found: micro-averaged CER and WER of generated text, and the mean teacher-forced loss of the
    answers' tokens in nats."""

    cer: float
    wer: float
    loss: float
    judged: tuple[Judged, ...]

    def metrics(self, prefix: str) -> dict[str, float]:
        """The three figures, named ``<prefix>_cer`` and so on."""
        return {f"{prefix}_cer": self.cer, f"{prefix}_wer": self.wer, f"{prefix}_loss": self.loss}


def _unseen(judged: Judged, done: float) -> None:
    """Nobody looks on."""


def evaluate(
    loaded: Loaded, rows: Sequence[Row], settings: TrainSettings, seen: Callable[[Judged, float], None] = _unseen
) -> Scores:
    """Judge the model on ``rows`` once. See ``examine``."""
    return examine(loaded, Examination(loaded.processor, rows, settings), seen)


@torch.no_grad()
def examine(loaded: Loaded, examination: Examination, seen: Callable[[Judged, float], None] = _unseen) -> Scores:
    """Judge the model; ``seen`` is told of one row of each batch, and of the fraction of the rows that is done.

    The model must be in inference mode. No random numbers are drawn: decoding is greedy.
    """
    settings, count = examination.settings, len(examination.rows)
    judged: dict[int, Judged] = {}
    loss_sum, tokens = 0.0, 0
    for batch in examination:
        with _computing(loaded):
            texts = _generate(loaded, batch, settings.max_new_tokens)
            batch_loss, batch_tokens = _answer_loss(loaded, batch)
        for number, row, text in zip(batch.numbers, batch.rows, texts, strict=True):
            judged[number] = _judge(row, text, settings.text_normalization)
        loss_sum, tokens = loss_sum + batch_loss, tokens + batch_tokens
        seen(judged[batch.numbers[0]], len(judged) / count)
    in_order = tuple(judged[number] for number in range(count))
    cer, wer = total(one.characters for one in in_order).rate, total(one.words for one in in_order).rate
    return Scores(cer, wer, loss_sum / max(tokens, 1), in_order)


def _computing(loaded: Loaded) -> AbstractContextManager[Any]:
    if loaded.precision == "bf16":
        return torch.autocast(loaded.device, dtype=torch.bfloat16)
    return nullcontext()


def _generate(loaded: Loaded, batch: Batch, max_new_tokens: int) -> list[str]:
    inputs = _on_device(batch.inputs, loaded.device)
    tokens = loaded.model.generate(**inputs, generation_config=_greedy(loaded.model, max_new_tokens))
    new = tokens[:, inputs["input_ids"].shape[1] :]
    return list(loaded.processor.tokenizer.batch_decode(new, skip_special_tokens=True))


def _greedy(model: Any, max_new_tokens: int) -> Any:
    """Greedy decoding, whatever sampling the model's own configuration asks for."""
    from transformers import GenerationConfig

    own = model.generation_config
    return GenerationConfig(
        do_sample=False,
        num_beams=1,
        max_new_tokens=max_new_tokens,
        use_cache=True,
        eos_token_id=own.eos_token_id,
        pad_token_id=own.pad_token_id,
        bos_token_id=own.bos_token_id,
    )


def _answer_loss(loaded: Loaded, batch: Batch) -> tuple[float, int]:
    """The summed cross entropy of the rows' right answers after their questions, and the number of their tokens.

    Only the logits of the answers are computed: with a vocabulary of 262,000 those of whole pages would not fit.
    """
    labels = batch.labels.to(loaded.device)
    width = labels.shape[1]
    inputs = _on_device(_joined(batch), loaded.device)
    outputs = loaded.model(**inputs, logits_to_keep=width + 1, use_cache=False)
    logits = outputs.logits[:, -(width + 1) : -1].float()
    loss = torch.nn.functional.cross_entropy(
        logits.flatten(0, 1), labels.flatten(), reduction="sum", ignore_index=IGNORED
    )
    return float(loss), int((labels != IGNORED).sum())


def _joined(batch: Batch) -> dict[str, Any]:
    """Questions and answers as one. Marks of image tokens (token_type_ids of Gemma 3, mm_token_type_ids of Qwen-VL) are
    zero over the answers; pictures are left as they are."""
    joined = dict(batch.inputs)
    for name in ("input_ids", "attention_mask"):
        joined[name] = torch.cat((batch.inputs[name], batch.answers[name]), dim=1)
    for name in ("token_type_ids", "mm_token_type_ids"):
        if name in batch.inputs:
            joined[name] = torch.cat((batch.inputs[name], torch.zeros_like(batch.answers["input_ids"])), dim=1)
    return joined


def _on_device(tensors: Any, device: str) -> dict[str, Any]:
    return {name: tensor.to(device) for name, tensor in tensors.items()}


def _judge(row: Row, prediction: str, normalization: str) -> Judged:
    characters = character_edits(row.text, prediction, normalization)
    return Judged(row.id, row.text, prediction, characters, word_edits(row.text, prediction, normalization))
