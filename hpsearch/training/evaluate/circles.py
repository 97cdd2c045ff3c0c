"""Ending the generation of a row that goes round in circles, as reading models do where they lose the line."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

import torch

LONGEST_PERIOD = 32  # tokens of what is repeated
REPEATS = 4  # at least, and at least ``SPAN`` tokens: leaders and rules in tables are shorter
SPAN = 96


class CircleGuard:
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
