"""Generation that repeats itself is ended; text that repeats as documents do is not."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
import torch

from hpsearch.training.evaluate.scores import SPAN, RepetitionStopper, ending_tokens, is_repeating


def repeating(tokens: list[int]) -> bool:
    return bool(is_repeating(torch.tensor([tokens]))[0])


@pytest.mark.parametrize("period", [1, 2, 7, 32])
def test_a_piece_again_and_again_is_repetition(period: int) -> None:
    piece = list(range(100, 100 + period))
    assert repeating([1, 2, 3] + piece * (max(4 * period, SPAN) // period + 1))


def test_leaders_tables_and_texts_are_none() -> None:
    assert not repeating(list(range(300)))
    assert not repeating([7] * (SPAN - 1))  # a line of dots
    assert not repeating([*range(50), *[7] * 60, *range(50)])
    assert not repeating([*range(40)] * 5)  # a piece longer than is looked for
    assert not repeating([])


def test_only_the_rows_that_repeat_end_and_padding_is_no_repetition() -> None:
    stopper = RepetitionStopper(start=2, ends={0, 3})
    repeated, reading, done, ended = [9] * 120, list(range(1, 121)), [5, 6, *[0] * 118], [5, 6, *[3] * 118]
    rows = torch.tensor([[1, 1, *row] for row in (repeated, reading, done, ended)])
    assert stopper(rows, None).tolist() == [True, False, False, False]
    assert stopper(rows[:, :50], None).tolist() == [False, False, False, False]
    assert stopper.stopped(4) == [True, False, False, False]
    assert RepetitionStopper(0, ()).stopped(2) == [False, False]


@pytest.mark.parametrize(("eos", "pad", "ends"), [(7, 0, {0, 7}), ([7, 8], None, {7, 8}), (None, 0, {0})])
def test_rows_end_with_padding_or_any_end_mark(eos: Any, pad: int | None, ends: set[int]) -> None:
    assert ending_tokens(SimpleNamespace(eos_token_id=eos, pad_token_id=pad)) == ends
