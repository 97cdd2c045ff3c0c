"""Generation that goes round in circles is ended; what merely repeats as documents do is not."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
import torch

from hpsearch.training.evaluate.scores import SPAN, RepetitionStopper, ending_tokens, is_repeating


def caught(tokens: list[int]) -> bool:
    return bool(is_repeating(torch.tensor([tokens]))[0])


@pytest.mark.parametrize("period", [1, 2, 7, 32])
def test_a_piece_again_and_again_is_a_circle(period: int) -> None:
    piece = list(range(100, 100 + period))
    assert caught([1, 2, 3] + piece * (max(4 * period, SPAN) // period + 1))


def test_leaders_tables_and_texts_are_none() -> None:
    assert not caught(list(range(300)))
    assert not caught([7] * (SPAN - 1))  # a line of dots
    assert not caught([*range(50), *[7] * 60, *range(50)])
    assert not caught([*range(40)] * 5)  # a piece longer than is looked for
    assert not caught([])


def test_only_the_rows_that_turn_end_and_padding_is_no_circle() -> None:
    guard = RepetitionStopper(start=2, ends={0, 3})
    turning, reading, done, ended = [9] * 120, list(range(1, 121)), [5, 6, *[0] * 118], [5, 6, *[3] * 118]
    rows = torch.tensor([[1, 1, *row] for row in (turning, reading, done, ended)])
    assert guard(rows, None).tolist() == [True, False, False, False]
    assert guard(rows[:, :50], None).tolist() == [False, False, False, False]
    assert guard.stopped(4) == [True, False, False, False]
    assert RepetitionStopper(0, ()).stopped(2) == [False, False]


@pytest.mark.parametrize(("eos", "pad", "ends"), [(7, 0, {0, 7}), ([7, 8], None, {7, 8}), (None, 0, {0})])
def test_rows_end_with_padding_or_any_end_mark(eos: Any, pad: int | None, ends: set[int]) -> None:
    assert ending_tokens(SimpleNamespace(eos_token_id=eos, pad_token_id=pad)) == ends
