"""What a trial takes at least, by arithmetic over shapes."""

from __future__ import annotations

from typing import Any

import pytest

from hpsearch.training.footprint import Footprint, footprint
from hpsearch.training.lengths import Lengths, Shape
from hpsearch.training.outline import Linear, Outline
from hpsearch.trials.settings import TrainSettings

SHAPES = [Shape("short", "a", (8, 8)), Shape("long", "b" * 9, (8, 8))]
LENGTHS = Lengths(SHAPES, questions=[10, 20], pictures=[4, 4], answers=[1, 300])
OUTLINE = Outline([Linear("layer", 64, 64)], {"language": 6400, "vision": 1280}, quantizable=4096, vocabulary=1000)


def taken(precision: str = "bf16", **changes: Any) -> Footprint:
    return footprint(TrainSettings(**changes), OUTLINE, LENGTHS, 100, precision)


def test_weights_count_by_their_format() -> None:
    assert taken("fp32").weights == 4 * 7680
    assert taken("bf16").weights == 2 * 7680
    assert taken(load_in_4bit=True, bnb_4bit_use_double_quant=False).weights == 4096 * 4.5 / 8 + 2 * (7680 - 4096)


def test_what_is_trained_counts_with_its_optimiser() -> None:
    assert {optim: taken(optim=optim).trained for optim in ("adamw_torch", "adamw_8bit", "sgd")} == {
        "adamw_torch": 1600, "adamw_8bit": 1000, "sgd": 800,
    }  # fmt: skip


@pytest.mark.parametrize(("smoothing", "tokens"), [(0.0, 300), (0.1, 320)])
def test_logits_are_those_of_one_row_as_batches_are_halved_where_memory_is_short(smoothing: float, tokens: int) -> None:
    for batches in ({}, {"eval_batch_size": 64, "per_device_train_batch_size": 16}):
        assert taken(label_smoothing_factor=smoothing, **batches).logits == tokens * 1000 * 4 * 2
