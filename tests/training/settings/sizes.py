"""Settings of number formats, sizes and lengths, some of which a family or a machine refuses."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from hpsearch.errors import UsageError
from hpsearch.settings import TrainSettings
from hpsearch.training.machine import Machine
from hpsearch.training.models.base import known_base
from hpsearch.training.models.chat import Chat
from hpsearch.training.models.families import FAMILIES
from hpsearch.training.preflight.lengths import Lengths, Measure, Shape, refuse_too_long
from hpsearch.training.preflight.settings import check_settings
from tests.training.settings.bench import QWEN, Bench, shows

CPU = Machine(device="cpu", bf16=True, bitsandbytes=True)


def refused(settings: TrainSettings, machine: Machine = CPU) -> str:
    """The rule that refuses the settings."""
    with pytest.raises(UsageError) as refusal:
        check_settings(settings, QWEN, machine)
    return refusal.value.what


def picture_tokens(bench: Bench, size: tuple[int, int], family: str = "qwen3_vl", **changes: Any) -> int:
    """Count the tokens that a picture of this size adds to a row."""
    base = known_base(bench.door.bases[family], family, None)
    lengths = Measure(base, [Shape("row", "x", size)], lambda _: None).lengths(bench.settings(**changes))
    return lengths.pictures[0]


@shows("load_in_4bit")
def _(bench: Bench) -> None:
    assert "load_in_4bit needs a CUDA GPU" in refused(bench.settings(load_in_4bit=True))
    bare = Machine("cuda", bf16=True, bitsandbytes=False)
    assert "bitsandbytes, which is not installed" in refused(bench.settings(load_in_4bit=True), bare)
    check_settings(bench.settings(load_in_4bit=True), QWEN, Machine("cuda", bf16=True, bitsandbytes=True))


@shows("precision")
def _(bench: Bench) -> None:
    fp32, bf16 = bench.trainer(precision="fp32"), bench.trainer(precision="bf16")
    assert (fp32.args.bf16, bf16.args.bf16) == (False, True)
    assert fp32.model.base_model.model.lm_head.weight.dtype is torch.float32
    assert bf16.model.base_model.model.lm_head.weight.dtype is torch.bfloat16
    assert {value.dtype for value in bf16.model.parameters() if value.requires_grad} == {torch.float32}
    assert "needs a device that computes in it" in refused(
        bench.settings(precision="bf16"), Machine("cuda", bf16=False, bitsandbytes=True)
    )


@shows("longest_edge")
def _(bench: Bench) -> None:
    assert picture_tokens(bench, (160, 160), longest_edge=80) == 25
    assert picture_tokens(bench, (160, 160), longest_edge=160) == 100


@shows("max_pixels")
def _(bench: Bench) -> None:
    assert picture_tokens(bench, (160, 160), max_pixels=80 * 80) == 25
    with pytest.raises(UsageError, match="max_pixels needs a family that takes pictures of any size, but gemma3"):
        check_settings(bench.settings(max_pixels=10_000), FAMILIES["gemma3"], CPU)


@shows("pan_and_scan")
def _(bench: Bench) -> None:
    assert picture_tokens(bench, (1200, 400), "gemma3", pan_and_scan=True) > 4 * 25
    assert picture_tokens(bench, (1200, 400), "gemma3") < 2 * 25
    assert "pan_and_scan needs a family whose processor shows crops" in refused(bench.settings(pan_and_scan=True))


@shows("max_seq_length")
def _(bench: Bench) -> None:
    rows = Lengths([Shape("a", "x", (1, 1)), Shape("b", "y", (1, 1))], [40, 45], [30, 35], [5, 6])
    refuse_too_long(rows, 51)
    with pytest.raises(
        UsageError, match=r"max_seq_length=50 tokens, but 1 of 2 do not: b \(51\); of the longest, 35 are"
    ):
        refuse_too_long(rows, 50)
    assert bench.trainer(max_seq_length=90).args.max_length is None


@shows("instruction")
def _(bench: Bench) -> None:
    processor = bench.trainer(instruction="What is it?").processing_class
    assert "What is it?" in Chat(processor, "What is it?").question
