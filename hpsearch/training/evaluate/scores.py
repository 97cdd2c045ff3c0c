"""Scores of a model on rows: generated text against references, and the loss of the references.

Generation that repeats itself, as reading models do where they lose the line, is stopped and counted.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import astuple, dataclass
from pathlib import Path
from typing import Any

import torch

from hpsearch.data.metrics import Edits, character_edits, total, word_edits
from hpsearch.data.metrics.registry import figures_of
from hpsearch.data.prepared_rows import PreparedRow
from hpsearch.settings import TrainSettings
from hpsearch.training.backends import Loaded
from hpsearch.training.evaluate.batches import IGNORED, Batch, EvaluationBatches
from hpsearch.training.machine.device import free_memory
from hpsearch.training.machine.faults import is_out_of_memory
from hpsearch.training.schedule import FINAL_SETS

DEFAULT_NEW_TOKENS = 1024  # where prepare has not said how long the longest answer is
SPARE_TOKENS = 16  # beside twice the longest answer of a batch: beyond that generation has lost its way

LONGEST_PERIOD = 32  # tokens of the piece that is repeated
REPEATS = 4  # at least, and at least ``SPAN`` tokens: leaders and rules in tables are shorter
SPAN = 96


@dataclass(frozen=True)
class RowScore:
    """One row's reference, the generated text and the edits between them; the teacher-forced ``loss`` summed over the
    reference's ``tokens``, in nats. ``repeats``: generation was stopped because it repeated itself. The prediction is
    None where nothing was generated."""

    row: str
    reference: str
    prediction: str | None
    characters: Edits
    words: Edits
    loss: float
    tokens: int
    repeats: bool = False
    document: str | None = None


@dataclass(frozen=True)
class Scores:
    """The result of an evaluation, row by row."""

    rows: tuple[RowScore, ...]

    @property
    def cer(self) -> float:
        """Micro-averaged character error rate of the generated text."""
        return total(row.characters for row in self.rows).rate

    @property
    def wer(self) -> float:
        """Micro-averaged word error rate of the generated text."""
        return total(row.words for row in self.rows).rate

    @property
    def loss(self) -> float:
        """Mean teacher-forced loss of the answers' tokens, in nats."""
        return math.fsum(row.loss for row in self.rows) / max(sum(row.tokens for row in self.rows), 1)

    def metrics(self, prefix: str) -> dict[str, float]:
        """Return the figures by name, ``<prefix>_cer`` and so on; those of generated text only where there is some."""
        figures = {f"{prefix}_loss": self.loss}
        if any(row.prediction is not None for row in self.rows):
            figures |= figures_of(self.rows, prefix)
        return figures


def write_predictions(path: Path, scores: Mapping[str, Scores]) -> None:
    """Write the rows of final evaluations, a JSON line for each; ``hpsearch.data.predictions`` reads them. Without
    generated text a row has no CER, no edits and no ``repeats``."""
    with path.open("w", encoding="utf-8") as target:
        for prefix, score in scores.items():
            for row in score.rows:
                line: dict[str, Any] = {"split": FINAL_SETS[prefix], "id": row.row}
                if row.document is not None:
                    line["document"] = row.document
                line |= {"reference": row.reference, "prediction": row.prediction, "cer": None}
                if row.prediction is not None:
                    edits = {"characters": astuple(row.characters), "words": astuple(row.words)}
                    line |= {"cer": row.characters.rate, **edits, "repeats": row.repeats}
                target.write(json.dumps(line, ensure_ascii=False) + "\n")


# Called with one row of each batch, and the fraction of the rows that is done.
Watcher = Callable[[RowScore, float], None]


def evaluate(
    loaded: Loaded, rows: Sequence[PreparedRow], settings: TrainSettings, watcher: Watcher | None = None
) -> Scores:
    """Score the model on ``rows`` once, as ``evaluate_batches`` does."""
    return evaluate_batches(loaded, EvaluationBatches(loaded.processor, rows, settings), watcher)


def evaluate_batches(loaded: Loaded, batches: EvaluationBatches, watcher: Watcher | None = None) -> Scores:
    """Score the model, which must be in inference mode. Where memory runs out, batches are halved, and stay so.

    No random numbers are drawn: decoding is greedy.
    """
    while True:
        try:
            return _evaluate(loaded, batches, watcher)
        except Exception as error:
            if batches.batch_size == 1 or not is_out_of_memory(error):
                raise
        free_memory()  # only here, where the error's frames no longer hold tensors
        print(f"out of memory while evaluating: {batches.halve()} rows at once from here on")


@torch.no_grad()
def _evaluate(loaded: Loaded, batches: EvaluationBatches, watcher: Watcher | None) -> Scores:
    scores: dict[int, RowScore] = {}
    for batch in batches:
        with autocast(loaded):
            batch_scores = _score_batch(loaded, batch, batches.settings)
        scores |= dict(zip(batch.numbers, batch_scores, strict=True))
        if watcher is not None:
            watcher(batch_scores[0], len(scores) / len(batches.rows))
    return Scores(tuple(scores[number] for number in range(len(batches.rows))))


def _score_batch(loaded: Loaded, batch: Batch, settings: TrainSettings) -> list[RowScore]:
    losses, counts = _answer_losses(loaded, batch)
    texts: Sequence[str | None] = [None] * len(batch.rows)
    repeats = [False] * len(batch.rows)
    if settings.compute_cer_wer:
        texts, repeats = _generate(loaded, batch, settings)
    scores = []
    for row, text, loss, tokens, repeating in zip(batch.rows, texts, losses, counts, repeats, strict=True):
        characters = character_edits(row.text, text or "", settings.text_normalization)
        words = word_edits(row.text, text or "", settings.text_normalization)
        scores.append(RowScore(row.id, row.text, text, characters, words, loss, tokens, repeating, row.document))
    return scores


def autocast(loaded: Loaded) -> AbstractContextManager[Any]:
    """Compute in the model's number format inside the context."""
    dtype = {"bf16": torch.bfloat16, "fp16": torch.float16}.get(loaded.precision)
    return nullcontext() if dtype is None else torch.autocast(loaded.device, dtype=dtype)


def _generate(loaded: Loaded, batch: Batch, settings: TrainSettings) -> tuple[list[str], list[bool]]:
    """Generate the rows' texts. Also returns the rows for which it was stopped because it repeated itself."""
    inputs = _on_device(batch.inputs, loaded.device)
    limit = min(settings.max_new_tokens or DEFAULT_NEW_TOKENS, 2 * batch.labels.shape[1] + SPARE_TOKENS)
    start = inputs["input_ids"].shape[1]
    stopper = RepetitionStopper(start, ending_tokens(loaded.model.generation_config))
    tokens = loaded.model.generate(**inputs, generation_config=greedy(loaded.model, limit), stopping_criteria=[stopper])
    texts = loaded.processor.tokenizer.batch_decode(tokens[:, start:], skip_special_tokens=True)
    return list(texts), stopper.stopped(len(batch.rows))


def greedy(model: Any, max_new_tokens: int) -> Any:
    """Return a configuration for greedy decoding, whatever sampling the model's own asks for."""
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
    """Compute for each row the summed cross entropy of its reference after its question, and the number of its tokens.

    Only the logits of the answers are computed: with a vocabulary of 262,000 those of whole pages would not fit.
    """
    labels = batch.labels.to(loaded.device)
    width = labels.shape[1]
    inputs = _on_device(_with_answers(batch), loaded.device)
    # Past what a trainer wraps around the adapted model: accelerate would copy the logits of all rows to 32 bits.
    model = loaded.model.get_base_model() if hasattr(loaded.model, "get_base_model") else loaded.model
    outputs = model(**inputs, logits_to_keep=width + 1, use_cache=False)
    logits = outputs.logits[:, -(width + 1) : -1]
    losses = [  # a row at a time, since in 32 bits those of a batch of pages would take many gigabytes
        float(torch.nn.functional.cross_entropy(row.float(), answer, reduction="sum", ignore_index=IGNORED))
        for row, answer in zip(logits, labels, strict=True)
    ]
    return losses, (labels != IGNORED).sum(dim=1).tolist()


def _with_answers(batch: Batch) -> dict[str, Any]:
    """Append the answers to the questions. Marks of image tokens (token_type_ids of Gemma 3, mm_token_type_ids of
    Qwen-VL) are zero over the answers; pictures are left as they are."""
    joined = dict(batch.inputs)
    for name in ("input_ids", "attention_mask"):
        joined[name] = torch.cat((batch.inputs[name], batch.answers[name]), dim=1)
    for name in ("token_type_ids", "mm_token_type_ids"):
        if name in batch.inputs:
            joined[name] = torch.cat((batch.inputs[name], torch.zeros_like(batch.answers["input_ids"])), dim=1)
    return joined


def _on_device(tensors: Any, device: str) -> dict[str, Any]:
    return {name: tensor.to(device) for name, tensor in tensors.items()}


class RepetitionStopper:
    """A stopping criterion of ``generate`` that ends rows whose last tokens only repeat themselves. ``start`` is the
    index of the first new token; ``ends`` the tokens that fill a row which has ended while others go on."""

    def __init__(self, start: int, ends: Collection[int]) -> None:
        self._start, self._ends = start, tuple(ends)
        self._stopped: torch.Tensor | None = None

    def __call__(self, input_ids: torch.Tensor, scores: Any, **kwargs: Any) -> torch.Tensor:
        """Return the rows to end here, as a boolean tensor."""
        last = input_ids[:, -1]
        repeating = is_repeating(input_ids[:, self._start :])
        for end in self._ends:
            repeating &= last != end
        self._stopped = repeating if self._stopped is None else self._stopped | repeating
        return repeating

    def stopped(self, rows: int) -> list[bool]:
        """Return for each of ``rows`` rows: it was ended here."""
        return [False] * rows if self._stopped is None else list(map(bool, self._stopped.tolist()))


def ending_tokens(config: Any) -> set[int]:
    """Return the padding of a generation config, and its end marks: unsloth pads with one of these instead."""
    ends = config.eos_token_id if isinstance(config.eos_token_id, (list, tuple)) else [config.eos_token_id]
    return {token for token in (config.pad_token_id, *ends) if token is not None}


def is_repeating(tokens: torch.Tensor) -> torch.Tensor:
    """Return for each row of tokens: its end is one piece of at most ``LONGEST_PERIOD`` tokens again and again."""
    repeating = torch.zeros(tokens.shape[0], dtype=torch.bool, device=tokens.device)
    length = tokens.shape[1]
    if length < SPAN:
        return repeating
    for period in range(1, LONGEST_PERIOD + 1):
        window = max(period * REPEATS, SPAN)
        if window > length:
            break
        tail = tokens[:, -window:]
        repeating |= (tail[:, period:] == tail[:, :-period]).all(dim=1)
    return repeating
