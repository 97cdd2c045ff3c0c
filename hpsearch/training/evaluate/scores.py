"""Judging a model on rows: the CER and WER of the text it generates, and its loss on the right text."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any

import torch

from hpsearch.data.metrics import Edits, character_edits, total, word_edits
from hpsearch.settings import TrainSettings
from hpsearch.training.backends import Loaded
from hpsearch.training.evaluate.batches import IGNORED, Batch, EvaluationBatches
from hpsearch.training.machine.device import free_memory
from hpsearch.training.machine.faults import is_out_of_memory
from hpsearch.training.prepared import PreparedRow

# Ending the generation of a row that goes round in circles, as reading models do where they lose the line.

LONGEST_PERIOD = 32  # tokens of what is repeated
REPEATS = 4  # at least, and at least ``SPAN`` tokens: leaders and rules in tables are shorter
SPAN = 96


class RepetitionStopper:
    """A stopping criterion of ``generate``: tells for each row whether its end only repeats itself. ``start`` is where
    the new tokens begin; ``ends`` the tokens that a row which has ended is filled with while others go on."""

    def __init__(self, start: int, ends: Collection[int]) -> None:
        self._start, self._ends = start, tuple(ends)
        self._caught: torch.Tensor | None = None

    def __call__(self, input_ids: torch.Tensor, scores: Any, **kwargs: Any) -> torch.Tensor:
        """Which rows are to end here, as a boolean tensor."""
        last = input_ids[:, -1]
        found = in_circles(input_ids[:, self._start :])
        for end in self._ends:
            found &= last != end
        self._caught = found if self._caught is None else self._caught | found
        return found

    def caught(self, rows: int) -> list[bool]:
        """Which of so many rows went round in circles."""
        return [False] * rows if self._caught is None else [bool(one) for one in self._caught.tolist()]


def ending_tokens(config: Any) -> set[int]:
    """The padding of a generation config, and its end marks: unsloth pads with one of these instead."""
    ends = config.eos_token_id if isinstance(config.eos_token_id, (list, tuple)) else [config.eos_token_id]
    return {token for token in (config.pad_token_id, *ends) if token is not None}


def in_circles(tokens: torch.Tensor) -> torch.Tensor:
    """For each row of tokens, whether its end is one piece of at most ``LONGEST_PERIOD`` tokens again and again."""
    found = torch.zeros(tokens.shape[0], dtype=torch.bool, device=tokens.device)
    length = tokens.shape[1]
    if length < SPAN:
        return found
    for period in range(1, LONGEST_PERIOD + 1):
        window = max(period * REPEATS, SPAN)
        if window > length:
            break
        tail = tokens[:, -window:]
        found |= (tail[:, period:] == tail[:, :-period]).all(dim=1)
    return found


DEFAULT_NEW_TOKENS = 1024  # where prepare has not said how long the longest answer is
SPARE_TOKENS = 16  # beside twice the longest answer of a batch: beyond that generation has lost its way


@dataclass(frozen=True)
class RowScore:
    """One row's reference, the generated text and the edits between them; the teacher-forced ``loss`` summed over the
    reference's ``tokens``, in nats. ``repeats``: generation was cut because it went round in circles. The prediction is
    None where nothing was generated."""

    row: str
    reference: str
    prediction: str | None
    characters: Edits
    words: Edits
    loss: float
    tokens: int
    repeats: bool = False


@dataclass(frozen=True)
class Scores:
    """What an evaluation found, row by row."""

    judged: tuple[RowScore, ...]

    @property
    def cer(self) -> float:
        """Micro-averaged character error rate of the generated text."""
        return total(one.characters for one in self.judged).rate

    @property
    def wer(self) -> float:
        """Micro-averaged word error rate of the generated text."""
        return total(one.words for one in self.judged).rate

    @property
    def loss(self) -> float:
        """Mean teacher-forced loss of the answers' tokens, in nats."""
        return math.fsum(one.loss for one in self.judged) / max(sum(one.tokens for one in self.judged), 1)

    def metrics(self, prefix: str) -> dict[str, float]:
        """The figures, named ``<prefix>_cer`` and so on: those of generated text only where some was generated."""
        found = {f"{prefix}_loss": self.loss}
        if any(one.prediction is not None for one in self.judged):
            repeats = sum(one.repeats for one in self.judged) / len(self.judged)
            found |= {f"{prefix}_cer": self.cer, f"{prefix}_wer": self.wer, f"{prefix}_repeats": repeats}
        return found


def _unseen(judged: RowScore, done: float) -> None:
    """Nobody looks on."""


def evaluate(
    loaded: Loaded,
    rows: Sequence[PreparedRow],
    settings: TrainSettings,
    seen: Callable[[RowScore, float], None] = _unseen,
) -> Scores:
    """Judge the model on ``rows`` once. See ``examine``."""
    return examine(loaded, EvaluationBatches(loaded.processor, rows, settings), seen)


def examine(
    loaded: Loaded, examination: EvaluationBatches, seen: Callable[[RowScore, float], None] = _unseen
) -> Scores:
    """Judge the model; ``seen`` is told of one row of each batch, and of the fraction of the rows that is done. Where
    memory runs out, batches are halved, and stay so.

    The model must be in inference mode. No random numbers are drawn: decoding is greedy.
    """
    while (scores := _attempt(loaded, examination, seen)) is None:
        free_memory()
        size = examination.halve()
        print(f"out of memory while judging: {size} rows at once from here on")
    return scores


def _attempt(loaded: Loaded, examination: EvaluationBatches, seen: Callable[[RowScore, float], None]) -> Scores | None:
    """One attempt at all rows; None where memory ran out and smaller batches are left to try."""
    try:
        return _examine(loaded, examination, seen)
    except Exception as error:
        if examination.batch_size == 1 or not is_out_of_memory(error):
            raise
        return None


@torch.no_grad()
def _examine(loaded: Loaded, examination: EvaluationBatches, seen: Callable[[RowScore, float], None]) -> Scores:
    judged: dict[int, RowScore] = {}
    for batch in examination:
        with computing(loaded):
            found = _judge_batch(loaded, batch, examination.settings)
        judged |= dict(zip(batch.numbers, found, strict=True))
        seen(found[0], len(judged) / len(examination.rows))
    return Scores(tuple(judged[number] for number in range(len(examination.rows))))


def _judge_batch(loaded: Loaded, batch: Batch, settings: TrainSettings) -> list[RowScore]:
    losses, counts = _answer_losses(loaded, batch)
    count = len(batch.rows)
    texts, repeats = (
        _generate(loaded, batch, settings) if settings.compute_cer_wer else ([None] * count, [False] * count)
    )
    normalization = settings.text_normalization
    return [
        _judge(row, text, normalization, loss, tokens, circles)
        for row, text, loss, tokens, circles in zip(batch.rows, texts, losses, counts, repeats, strict=True)
    ]


def computing(loaded: Loaded) -> AbstractContextManager[Any]:
    """The number format that the model computes in."""
    dtype = {"bf16": torch.bfloat16, "fp16": torch.float16}.get(loaded.precision)
    return nullcontext() if dtype is None else torch.autocast(loaded.device, dtype=dtype)


def _generate(loaded: Loaded, batch: Batch, settings: TrainSettings) -> tuple[list[str], list[bool]]:
    """The rows' generated texts, and which of them went round in circles."""
    inputs = _on_device(batch.inputs, loaded.device)
    limit = min(settings.max_new_tokens or DEFAULT_NEW_TOKENS, 2 * batch.labels.shape[1] + SPARE_TOKENS)
    guard = RepetitionStopper(inputs["input_ids"].shape[1], ending_tokens(loaded.model.generation_config))
    tokens = loaded.model.generate(**inputs, generation_config=greedy(loaded.model, limit), stopping_criteria=[guard])
    new = tokens[:, inputs["input_ids"].shape[1] :]
    return list(loaded.processor.tokenizer.batch_decode(new, skip_special_tokens=True)), guard.caught(len(batch.rows))


def greedy(model: Any, max_new_tokens: int) -> Any:
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


def _answer_losses(loaded: Loaded, batch: Batch) -> tuple[list[float], list[int]]:
    """For each row, the summed cross entropy of its right answer after its question, and the number of its tokens.

    Only the logits of the answers are computed: with a vocabulary of 262,000 those of whole pages would not fit.
    """
    labels = batch.labels.to(loaded.device)
    width = labels.shape[1]
    inputs = _on_device(_joined(batch), loaded.device)
    # Past what a trainer wraps around the adapted model: accelerate would copy the logits of all rows to 32 bits.
    model = loaded.model.get_base_model() if hasattr(loaded.model, "get_base_model") else loaded.model
    outputs = model(**inputs, logits_to_keep=width + 1, use_cache=False)
    logits = outputs.logits[:, -(width + 1) : -1]
    losses = [  # a row at a time, since in 32 bits those of a batch of pages would take many gigabytes
        float(torch.nn.functional.cross_entropy(row.float(), answer, reduction="sum", ignore_index=IGNORED))
        for row, answer in zip(logits, labels, strict=True)
    ]
    return losses, (labels != IGNORED).sum(dim=1).tolist()


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


def _judge(
    row: PreparedRow, prediction: str | None, normalization: str, loss: float, tokens: int, repeats: bool
) -> RowScore:
    text = prediction or ""
    characters, words = character_edits(row.text, text, normalization), word_edits(row.text, text, normalization)
    return RowScore(row.id, row.text, prediction, characters, words, loss, tokens, repeats)
