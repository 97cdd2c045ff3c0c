"""Evaluation rows in batches, as the model takes them; made once for all evaluations on the same rows."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from hpsearch.data.images import open_image
from hpsearch.data.prepared_rows import PreparedRow, RowFile
from hpsearch.settings import TrainSettings
from hpsearch.training.models.chat import Chat

IGNORED = -100  # the label of a token that is not learned, as torch's cross entropy has it
KEPT_BYTES = 256 * 1024 * 1024  # of batches in the host's memory; those beyond it are made again each time


@dataclass(frozen=True)
class Batch:
    """Rows that are evaluated together. ``numbers`` are their indices among all rows; ``inputs`` the images and the
    instruction, padded on the left so that answers start together; ``answers`` the references, padded on the right."""

    numbers: Sequence[int]
    rows: Sequence[PreparedRow]
    inputs: Any
    answers: Any

    @property
    def bytes(self) -> int:
        """Size of the tensors."""
        return sum(tensor.nbytes for part in (self.inputs, self.answers) for tensor in part.values())

    @property
    def labels(self) -> torch.Tensor:
        """Tokens of the answers; ``IGNORED`` where they are padded."""
        ids: torch.Tensor = self.answers["input_ids"]
        return ids.masked_fill(self.answers["attention_mask"] == 0, IGNORED)


class EvaluationBatches:
    """All batches of ``rows``, ``settings.eval_batch_size`` rows in each, the longest texts first so that those of one
    batch are alike. Can be iterated any number of times."""

    def __init__(self, processor: Any, rows: Sequence[PreparedRow], settings: TrainSettings) -> None:
        self.rows = rows
        self.settings = settings
        self.batch_size = settings.eval_batch_size
        self._processor = processor
        self._chat = Chat(processor, settings.instruction or "")
        self._kept: dict[int, Batch] = {}
        self._kept_bytes = 0

    def __iter__(self) -> Iterator[Batch]:
        lengths = self.rows.text_lengths() if isinstance(self.rows, RowFile) else [len(row.text) for row in self.rows]
        order = sorted(range(len(lengths)), key=lambda number: -lengths[number])
        size = self.batch_size
        for start in range(0, len(order), size):
            yield self._kept.get(start) or self._make(start, order[start : start + size])

    def halve(self) -> int:
        """Halve the batches from here on. Returns their new size in rows."""
        self.batch_size = max(self.batch_size // 2, 1)
        self._kept.clear()
        self._kept_bytes = 0
        return self.batch_size

    def _make(self, start: int, numbers: Sequence[int]) -> Batch:
        rows = [self.rows[number] for number in numbers]
        inputs = self._processor(
            text=[self._chat.question] * len(rows),
            images=[[open_image(row.image)] for row in rows],
            padding=True,
            padding_side="left",
            return_tensors="pt",
            add_special_tokens=False,  # the chat template wrote them
        )
        answers = self._chat.padded([self._chat.answer(row.text) for row in rows])
        batch = Batch(numbers, rows, inputs, answers)
        if self._kept_bytes + batch.bytes <= KEPT_BYTES:
            self._kept[start] = batch
            self._kept_bytes += batch.bytes
        return batch
