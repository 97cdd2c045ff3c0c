"""The check of GPU machines, as far as it goes without one."""

from __future__ import annotations

import importlib
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
BENCHMARKS = ROOT / "benchmarks"


@pytest.fixture
def part(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """Imports a module that stands beside the program."""
    monkeypatch.syspath_prepend(str(BENCHMARKS))

    def load(name: str) -> ModuleType:
        return importlib.import_module(name)

    yield load


def check(*words: str) -> subprocess.CompletedProcess[str]:
    """Run the program as a user does."""
    argv = [sys.executable, str(BENCHMARKS / "gpu_check.py"), *words]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    return subprocess.run(argv, capture_output=True, text=True, timeout=280, check=False, env=environment)


def rows(done: subprocess.CompletedProcess[str]) -> dict[str, str]:
    """What was measured, by what was looked at."""
    assert done.returncode == 0, done.stderr
    lines = [line.split(" | ") for line in done.stderr.splitlines() if " | " in line]
    return {what: measured for _, what, measured, _ in lines}


def test_without_cuda_the_rest_is_measured_and_what_is_left_out_is_told(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    words = ("--sections", "faults", "narrow", "gemma3-12b", "--minutes", "60", "--markdown", str(page))
    done = check("--cpu", "--quick", *words, "--work-dir", str(tmp_path))
    found = rows(done)
    for what in ("start", "load", "step", "judging a row"):
        assert found[f"hf, 32 bits: {what}"].endswith(" s"), done.stdout
    assert found["hf, 32 bits: share of judging, as sized"].endswith("%")
    assert found["unsloth"] == "skipped"
    assert found["the host, at once"] == "cuda_oom"
    assert found["all"] == "skipped"
    assert "failed" not in found.values()
    assert "| qwen3_vl-narrow | hf, 32 bits: load |" in page.read_text()
    assert "- torch: 2." in page.read_text()
    assert [path.name for path in tmp_path.iterdir()] == ["page.md"]


def test_nothing_is_left_behind_and_the_time_between_trials_is_measured(tmp_path: Path) -> None:
    words = ("--sections", "memory", "between", "--minutes", "60", "--work-dir", str(tmp_path))
    found = rows(check("--cpu", "--quick", *words))
    assert found["after a prune"] == found["after a stop"] == found["after 1 SIGKILLs"] == "0 processes left"
    assert found["last step to the next first"].endswith(" s")


def test_a_section_out_of_time_is_cut_and_leaves_nothing(tmp_path: Path) -> None:
    words = ("--sections", "tiny", "between", "--minutes", "0.05", "--work-dir", str(tmp_path))
    done = check("--cpu", "--quick", *words)
    assert [line.split(" | ")[2] for line in done.stderr.splitlines() if "the rest" in line] == ["cut", "cut"]
    assert list(tmp_path.iterdir()) == []


def test_without_a_gpu_it_says_how_to_go_on() -> None:
    done = check()
    if done.returncode == 0:
        pytest.skip("there is a GPU")
    assert "try: python benchmarks/gpu_check.py --cpu" in done.stderr


def test_a_section_that_fails_is_a_row(part: Any) -> None:
    program, sections = part("gpu_check"), part("gpu.sections")

    def broken(bench: Any, plan: Any) -> Iterator[Any]:
        yield part("gpu.table").Row("x", "first", "1 s")
        raise RuntimeError("CUDA error: an illegal memory access was encountered")

    found = list(program._section(sections.Section("x", broken, 0.1), None, None, 1.0))
    assert [row.measured for row in found] == ["1 s", "failed"]
    assert "illegal memory access" in found[1].remark
    assert sum(section.share for section in sections.SECTIONS) == pytest.approx(1.0)


@pytest.mark.parametrize(("name", "billions"), [("gemma3-12b", 12.187), ("qwen3_vl-8b", 8.767)])
def test_the_shapes_have_the_published_numbers_of_parameters(part: Any, name: str, billions: float) -> None:
    import torch

    from tools.tiny_models import build_tiny

    shapes = part("gpu.shapes")
    family, shape = shapes.SHAPES[name]
    tiny = build_tiny(family).model
    with torch.device("meta"):
        model = type(tiny)(shapes._config(tiny.config, shape))
    assert sum(each.numel() for each in model.parameters()) / 1e9 == pytest.approx(billions, abs=0.001)


SMALL_TEXT = {"hidden_size": 64, "intermediate_size": 64, "num_hidden_layers": 2, "head_dim": 16}
SMALL_VISION = {"hidden_size": 32, "intermediate_size": 32}


@pytest.mark.parametrize(("name", "tokens"), [("gemma3-12b", 256), ("qwen3_vl-8b", 1024)])
def test_a_written_model_is_read_by_the_backend_with_its_pages(
    part: Any, name: str, tokens: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The shape with its vocabulary, patches and names, but narrow."""
    import torch
    from PIL import Image
    from safetensors.torch import load_file

    from hpsearch.settings import TrainSettings
    from hpsearch.training.backends.hf import HfBackend
    from hpsearch.training.models.chat import Chat
    from hpsearch.training.models.families import FAMILIES

    shapes = part("gpu.shapes")
    monkeypatch.setattr(shapes, "SHARD_BYTES", 20_000_000)
    family, shape = shapes.SHAPES[name]
    text, vision = {**shape["text_config"], **SMALL_TEXT}, {**shape["vision_config"], **SMALL_VISION}
    if family == "qwen3_vl":
        text["rope_parameters"] = {**text["rope_parameters"], "mrope_section": [4, 2, 2]}
        vision |= {"depth": 2, "num_heads": 2, "out_hidden_size": 64, "deepstack_visual_indexes": [0]}
    else:
        vision |= {"num_hidden_layers": 2, "num_attention_heads": 2}
        text |= {"query_pre_attn_scalar": 16}
    text |= {"num_attention_heads": 4, "num_key_value_heads": 2}
    shapes.write_model(name, tmp_path, {**shape, "text_config": text, "vision_config": vision})
    files = list(tmp_path.glob("*.safetensors"))
    assert len(files) > 1
    loaded = HfBackend().load(FAMILIES[family], tmp_path, TrainSettings(precision="bf16"))
    state = loaded.model.state_dict()
    written = {key: tensor for path in files for key, tensor in load_file(path).items()}
    assert set(state) - set(written) <= {"lm_head.weight"}
    assert all(torch.equal(state[key], tensor) for key, tensor in written.items())
    page = Image.new("RGB", (1024, 1024), "white")
    question = Chat(loaded.processor, "Read.").question
    inputs = loaded.processor(text=[question], images=[[page]], return_tensors="pt", add_special_tokens=False)
    assert tokens < inputs["input_ids"].shape[1] < tokens + 100
    with torch.no_grad():
        logits = loaded.model(**inputs, logits_to_keep=1).logits
    assert logits.shape[-1] == text["vocab_size"]
    assert bool(torch.isfinite(logits).all())
