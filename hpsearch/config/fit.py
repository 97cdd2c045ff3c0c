"""Batches, ranks, passes over the rows and sizes of pictures that fit a model, its rows and a device's memory.

Memory is estimated from shapes, as no weight is loaded: a study's own trials measure theirs, and passes are made
smaller where it runs out.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from math import ceil

from hpsearch.errors import UsageError
from hpsearch.execution.survey_result import CROWDED, Sizing, Survey, TowerSize
from hpsearch.execution.units import bytes_text

GB = 1e9
NO_TOWER = TowerSize(0, 0, 0)
USABLE = 0.9  # of a device's memory: the rest is the driver's, the library's and lost between blocks
# Bytes for a trained parameter: itself, its gradient and AdamW's two averages, in 32 bits each.
TRAINED_BYTES = 16
# Bytes of activations in 16 bits, for each token and unit of width: of a whole layer, and of one that is recomputed
# (arXiv:2205.05198, sections 4.1 and 5; without the attention scores, which are never whole in memory here).
LAYER_BYTES, RECOMPUTED_BYTES = 34, 2
SMALL_MODEL = 100e6  # parameters: the few models below learn at greater rates
ADAPTER_SHARE = 0.15  # of a device's memory, for what LoRA trains
STEPS_AN_EPOCH = 20  # at least: fewer are too coarse a training
FEW_ROWS, MANY_ROWS = 300, 2000  # below: the vision tower is left alone; above: nothing is learned by heart so soon
APART = 0.8  # of the next larger size's tokens, at most: sizes closer to each other are one
LEAST_RANK = 8
# Bytes for each token of an answer and word of the vocabulary: as the model computes them, and twice in 32 bits.
LOGIT_BYTES = 2 + 2 * 4
LARGEST_PASS = 8  # rows: beyond, a pass is no faster for each row


@dataclass(frozen=True)
class Resources:
    """A survey, and the quantities that follow from it before any setting is chosen."""

    survey: Survey

    @property
    def train(self) -> int:
        """Rows to train on."""
        return self.survey.rows["train"]

    @property
    def is_small(self) -> bool:
        """True if the model is one of the few layers of a demo or a test."""
        return self.survey.parameters < SMALL_MODEL

    @property
    def usable(self) -> float:
        """Bytes of the device that a trial may take; infinite on a CPU, whose memory is not counted."""
        return self.survey.memory * USABLE if self.survey.memory else float("inf")

    @cached_property
    def four_bit(self) -> bool:
        """True if the base has to be loaded in 4 bits.

        Raises:
            UsageError: it does not fit even then.
        """
        least = min(self.readable, key=lambda sizing: sizing.row)
        if self.survey.weights + self._beside(least) <= self.usable:
            return False
        if self.survey.weights_4bit + self._beside(least) > self.usable:
            raise UsageError(
                f"the model must fit in the GPU's {bytes_text(self.survey.memory)}, but takes "
                f"{bytes_text(self.survey.weights_4bit)} in 4 bits, and a row of {least.row} tokens "
                f"about {bytes_text(self._beside(least))} beside it",
                "name a smaller model with --model, or a larger GPU",
            )
        return True

    @cached_property
    def tried(self) -> list[Sizing]:
        """Sizes of pictures that may be tried: those that are measured, edges up to the model's own limit; else that
        alone, and with crops."""
        own = self.survey.sizings[0]
        sized = [sizing for sizing in self.survey.sizings if sizing.setting]
        return [sizing for sizing in sized if sizing.max_pixels or sizing.picture <= own.picture] or [
            sizing for sizing in self.survey.sizings if not sizing.setting
        ]

    @cached_property
    def readable(self) -> list[Sizing]:
        """Sizes of pictures that keep the usual text readable, the smallest first; the largest where none does."""
        sizings = sorted(self.tried, key=lambda sizing: sizing.picture)
        return [sizing for sizing in sizings if self.survey.answer <= CROWDED * sizing.picture] or sizings[-1:]

    @cached_property
    def sizings(self) -> list[Sizing]:
        """Those of them that fit in the memory and differ, the smallest first."""
        room, vision = self.usable - self.weights, self.tunes_vision
        fitting = [sizing for sizing in self.readable if self._beside(sizing, vision) <= room]
        apart = fitting[-1:]
        for sizing in reversed(fitting[:-1]):
            apart = [sizing, *apart] if sizing.picture <= APART * apart[0].picture else apart
        return apart

    @property
    def weights(self) -> int:
        """Bytes of the base's weights."""
        return self.survey.weights_4bit if self.four_bit else self.survey.weights

    @cached_property
    def ranks(self) -> list[int]:
        """Ranks worth comparing."""
        wanted = [4, 8, 16] if self.is_small else [8, 16, 32] if self.train < FEW_ROWS else [8, 16, 32, 64]
        most = ADAPTER_SHARE * self.survey.memory if self.survey.memory else float("inf")
        return [rank for rank in wanted if rank * TRAINED_BYTES * self.per_rank <= most] or wanted[:1]

    @cached_property
    def batches(self) -> list[int]:
        """Effective batches worth comparing: powers of 2 that leave an epoch its steps."""
        sizes = [size for size in (1, 2, 4, 8, 16, 32) if self.train >= STEPS_AN_EPOCH * size] or [1]
        return sizes[-3:]

    @cached_property
    def epochs(self) -> tuple[int, int]:
        """The fewest and the most passes over the rows."""
        for rows, epochs in ((100, (4, 12)), (500, (3, 8)), (MANY_ROWS, (2, 5)), (10_000, (1, 4))):
            if self.train < rows:
                return epochs
        return 1, 2

    @cached_property
    def largest(self) -> Sizing:
        """The size of pictures, of those that are tried, at which the longest row is the longest."""
        return max(self.sizings, key=lambda sizing: sizing.row)

    @cached_property
    def recompute(self) -> bool:
        """True if activations have to be recomputed."""
        return self.survey.memory > 0 and self._fixed + self.activations(self.largest, recompute=False) > self.usable

    @cached_property
    def rows_a_pass(self) -> int:
        """Rows that fit in a forward pass, by the estimate."""
        size = min(LARGEST_PASS if not self.is_small else max(self.batches), max(self.batches))
        while size > 1 and self._fixed + size * self.activations(self.largest, self.recompute) > self.usable:
            size //= 2
        return size

    @property
    def steps(self) -> int:
        """Optimiser steps of the shortest trial."""
        return self.epochs[0] * ceil(self.train / self.batches[-1])

    @cached_property
    def tunes_vision(self) -> bool:
        """True if the vision tower may be adapted: there are rows to teach it, and it fits in the memory."""
        vision = self.survey.towers.get("vision", NO_TOWER)
        if not vision.per_rank or self.train < FEW_ROWS:
            return False
        smallest = min(self.readable, key=lambda sizing: sizing.row)
        return self.weights + self._beside(smallest, vision=True) <= self.usable

    @property
    def per_rank(self) -> int:
        """Parameters that LoRA trains for each unit of rank, where it adapts all that it may."""
        return self._per_rank(self.tunes_vision)

    def activations(self, sizing: Sizing, recompute: bool, vision: bool | None = None) -> float:
        """Return the bytes that the longest row keeps for its gradients; with ``vision`` also in the vision tower."""
        kept = _activations(self.survey.towers["language"], sizing.row, recompute)
        if self.tunes_vision if vision is None else vision:
            patches = sizing.picture * self.survey.patches
            kept += _activations(self.survey.towers["vision"], patches, recompute)
        return kept

    def _per_rank(self, vision: bool) -> int:
        towers = self.survey.towers
        return sum(tower.per_rank for name, tower in towers.items() if name == "language" or vision)

    @property
    def _logits(self) -> float:
        return self.survey.longest_answer * self.survey.vocabulary * LOGIT_BYTES

    @property
    def _fixed(self) -> float:
        """Bytes beside the activations, at the largest rank."""
        return self.weights + max(self.ranks) * TRAINED_BYTES * self.per_rank + self._logits

    def _beside(self, sizing: Sizing, vision: bool = False) -> float:
        """Return the least bytes beside the weights: the smallest rank, one row in a pass, recomputed activations."""
        trained = LEAST_RANK * TRAINED_BYTES * self._per_rank(vision)
        return trained + self._logits + self.activations(sizing, recompute=True, vision=vision)


def _activations(tower: TowerSize, tokens: int, recompute: bool) -> float:
    whole = 1 if recompute else tower.layers
    return tokens * tower.hidden * (LAYER_BYTES * whole + RECOMPUTED_BYTES * (tower.layers if recompute else 0))
