"""The least memory of a trial, computed from shapes."""

from __future__ import annotations

from typing import Any

import pytest

from hpsearch.data.progress import ProgressReporter
from hpsearch.data.sources import find_source
from hpsearch.errors import UsageError
from hpsearch.settings import TrainSettings
from hpsearch.training.assign_rows import gather
from hpsearch.training.machine import Machine
from hpsearch.training.models.base import known_base
from hpsearch.training.preflight.lengths import Lengths, Shape
from hpsearch.training.preflight.memory import Footprint, Linear, Outline, footprint
from hpsearch.training.preflight.preflight import check_candidates
from tests.training.conftest import Door

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


@pytest.mark.parametrize(("smoothing", "one"), [(0.0, 300 * (2 + 8)), (0.1, 320 * 8)])
def test_the_least_is_reckoned_with_one_row_as_batches_are_halved(smoothing: float, one: int) -> None:
    one = max(one, 300 * 10)  # judging builds logits, whatever training does
    for batches in ({}, {"eval_batch_size": 64, "per_device_train_batch_size": 16}):
        found = taken(label_smoothing_factor=smoothing, **batches)
        assert found.logits_of_one == one * 1000
        assert found.least == found.weights + found.trained + found.logits_of_one
    assert taken(eval_batch_size=4).logits == 300 * (4 * 2 + 8) * 1000
    assert taken(label_smoothing_factor=0.1, per_device_train_batch_size=16).logits == 16 * 320 * 8 * 1000


def test_what_the_device_cannot_hold_is_refused_before_a_weight_is_loaded(door: Door) -> None:
    settings = TrainSettings(**door.settings())
    base = known_base(door.bases["qwen3_vl"], "qwen3_vl", None)
    data = gather(find_source(settings), settings, base.family, door.folder, ProgressReporter("test"))
    for memory, fits in ((10**9, True), (10**6, False)):
        machine = Machine("cuda", bf16=True, bitsandbytes=True, memory_bytes=memory)
        if fits:
            lines = dict(check_candidates(base, data, [settings], machine, door.folder, ProgressReporter("test")).lines)
            assert lines["memory"].endswith("the device has 1 GB")
        else:
            with pytest.raises(UsageError, match="the logits of one row must fit in the device's 1 MB, but take 2"):
                check_candidates(base, data, [settings], machine, door.folder, ProgressReporter("test"))
