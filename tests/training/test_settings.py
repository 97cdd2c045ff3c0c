"""No setting is silently ignored: for each one, where it shows."""

from __future__ import annotations

import re
from inspect import getsource, signature
from pathlib import Path

import pytest

from hpsearch.settings import setting_names
from hpsearch.training.preflight.settings import candidate_settings
from tests.training.conftest import Door, at
from tests.training.settings import adapter, data, evaluation, model, sizes, steps
from tests.training.settings.bench import SHOWN, Bench

CHECKS = (adapter, data, evaluation, model, sizes, steps)  # importing them registers their checks in SHOWN


@pytest.fixture
def bench(prepared: dict[str, Door], tmp_path: Path) -> Bench:
    """A bench over the prepared tiny Qwen3-VL."""
    return Bench(at(prepared["qwen3_vl"]), tmp_path)


def test_every_setting_has_its_place_here() -> None:
    assert set(SHOWN) == setting_names()


@pytest.mark.parametrize("name", sorted(setting_names()))
def test_a_setting_shows(bench: Bench, tmp_path: Path, name: str) -> None:
    check = SHOWN[name]
    assert re.search(r"\b(assert|pytest\.raises)\b", getsource(check)), f"the check of {name} asserts nothing"
    check(bench, tmp_path) if len(signature(check).parameters) > 1 else check(bench)


def test_each_variation_is_looked_at() -> None:
    base_settings = {"lora_r": 8, "learning_rate": 1e-4, "use_dora": False}
    seen = list(candidate_settings(base_settings, [{"lora_r": 4}, {"lora_r": 16}, {"use_dora": True}]))
    assert [(settings.lora_r, settings.use_dora) for settings in seen] == [
        (8, False),
        (4, False),
        (16, False),
        (8, True),
    ]
