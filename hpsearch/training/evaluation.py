"""Judging a model on rows: the CER and WER of the text it generates, and its loss on the right text."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any

import torch

from hpsearch.ocr.metrics import Edits, character_edits, total, word_edits
from hpsearch.training.backends import Loaded
from hpsearch.training.chat import Chat
from hpsearch.training.pictures import open_image
from hpsearch.training.rows import Row, RowFile
from hpsearch.trials.settings import TrainSettings

IGNORED = -100  # the label of a token that is not learned, as torch's cross entropy has it


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


@torch.no_grad()
def evaluate(
    loaded: Loaded, rows: Sequence[Row], settings: TrainSettings, seen: Callable[[Judged, float], None] = _unseen
) -> Scores:
    """Judge the model on ``rows``, ``settings.eval_batch_size`` at a time, the longest texts first so that those of one
    batch are alike; ``seen`` is told of one row of each batch, and of the fraction of the rows that is done.

    The model must be in inference mode. No random numbers are drawn: decoding is greedy.
    """
    chat = Chat(loaded.processor, settings.instruction)
    judged: dict[int, Judged] = {}
    loss_sum, tokens = 0.0, 0
    for numbers in _batches(rows, settings.eval_batch_size):
        batch = [rows[number] for number in numbers]
        with _computing(loaded):
            inputs = _questions(loaded, batch, chat)
            texts = _generate(loaded, inputs, settings.max_new_tokens)
            batch_loss, batch_tokens = _answer_loss(loaded, inputs, batch, chat)
        for number, row, text in zip(numbers, batch, texts, strict=True):
            judged[number] = _judge(row, text, settings.text_normalization)
        loss_sum, tokens = loss_sum + batch_loss, tokens + batch_tokens
        seen(judged[numbers[0]], len(judged) / len(rows))
    in_order = tuple(judged[number] for number in range(len(rows)))
    cer, wer = total(one.characters for one in in_order).rate, total(one.words for one in in_order).rate
    return Scores(cer, wer, loss_sum / max(tokens, 1), in_order)


def _batches(rows: Sequence[Row], size: int) -> Iterator[list[int]]:
    lengths = rows.text_lengths() if isinstance(rows, RowFile) else [len(row.text) for row in rows]
    order = sorted(range(len(rows)), key=lambda number: -lengths[number])
    for start in range(0, len(order), size):
        yield order[start : start + size]


def _computing(loaded: Loaded) -> AbstractContextManager[Any]:
    if loaded.precision == "bf16":
        return torch.autocast(loaded.device, dtype=torch.bfloat16)
    return nullcontext()


def _questions(loaded: Loaded, rows: Sequence[Row], chat: Chat) -> Any:
    """The rows' images and the instruction as the model takes them, padded on the left: answers start together."""
    inputs = loaded.processor(
        text=[chat.question] * len(rows),
        images=[[open_image(row.image)] for row in rows],
        padding=True,
        padding_side="left",
        return_tensors="pt",
        add_special_tokens=False,  # the chat template wrote them
    )
    return inputs.to(loaded.device)


def _generate(loaded: Loaded, inputs: Any, max_new_tokens: int) -> list[str]:
    tokens = loaded.model.generate(**inputs, **_greedy(loaded.model, max_new_tokens))
    new = tokens[:, inputs["input_ids"].shape[1] :]
    return list(loaded.processor.tokenizer.batch_decode(new, skip_special_tokens=True))


def _greedy(model: Any, max_new_tokens: int) -> dict[str, Any]:
    """Arguments for greedy decoding, whatever sampling the model's own configuration asks for."""
    from transformers import GenerationConfig

    own = model.generation_config
    config = GenerationConfig(
        do_sample=False,
        num_beams=1,
        max_new_tokens=max_new_tokens,
        use_cache=True,
        eos_token_id=own.eos_token_id,
        pad_token_id=own.pad_token_id,
        bos_token_id=own.bos_token_id,
    )
    return {"generation_config": config}


def _answer_loss(loaded: Loaded, inputs: Any, rows: Sequence[Row], chat: Chat) -> tuple[float, int]:
    """The summed cross entropy of the rows' right answers after their questions, and the number of their tokens.

    Only the logits of the answers are computed: with a vocabulary of 262,000 those of whole pages would not fit.
    """
    answers = _answers(loaded, rows, chat)
    labels = answers["input_ids"].masked_fill(answers["attention_mask"] == 0, IGNORED)
    width = labels.shape[1]
    outputs = loaded.model(**_joined(inputs, answers), logits_to_keep=width + 1, use_cache=False)
    logits = outputs.logits[:, -(width + 1) : -1].float()
    loss = torch.nn.functional.cross_entropy(
        logits.flatten(0, 1), labels.flatten(), reduction="sum", ignore_index=IGNORED
    )
    return float(loss), int((labels != IGNORED).sum())


def _answers(loaded: Loaded, rows: Sequence[Row], chat: Chat) -> Any:
    return loaded.processor.tokenizer(
        [chat.answer(row.text) for row in rows],
        padding=True,
        padding_side="right",
        return_tensors="pt",
        add_special_tokens=False,
    ).to(loaded.device)


def _joined(inputs: Any, answers: Any) -> dict[str, Any]:
    """Questions and answers as one batch. Marks of image tokens (token_type_ids of Gemma 3, mm_token_type_ids of
    Qwen-VL) are zero over the answers; pictures are left as they are."""
    joined = dict(inputs)
    for name in ("input_ids", "attention_mask"):
        joined[name] = torch.cat((inputs[name], answers[name]), dim=1)
    for name in ("token_type_ids", "mm_token_type_ids"):
        if name in inputs:
            joined[name] = torch.cat((inputs[name], torch.zeros_like(answers["input_ids"])), dim=1)
    return joined


def _judge(row: Row, prediction: str, normalization: str) -> Judged:
    characters = character_edits(row.text, prediction, normalization)
    return Judged(row.id, row.text, prediction, characters, word_edits(row.text, prediction, normalization))
