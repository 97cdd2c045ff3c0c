"""Code planted in what a fine-tune reads is never run: pickles in checkpoints and adapters, code beside a model."""

from __future__ import annotations

import json
import os
import pickle
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import torch

from hpsearch.errors import UsageError
from hpsearch.training.predict import load_model, run_ocr
from tests.training.conftest import TYPICAL_FAMILIES, Door, at, picture

CONFIGS = ("config.json", "tokenizer_config.json", "preprocessor_config.json", "processor_config.json")
CONFIGS += ("video_preprocessor_config.json", "generation_config.json")
# Every class that transformers looks up by a map in a model's files.
CODE = """
import pathlib
pathlib.Path({mark!r}).write_text("run")
class Planted:
    pass
def generate(*_, **__):
    pathlib.Path({mark!r}).write_text("run")
"""


class Planted:
    """An object that runs a command when it is unpickled."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[Any, tuple[str]]:
        return os.system, (f"touch '{self.mark}'",)


def plant_pickle(path: Path, mark: Path) -> None:
    """A file that torch.load would unpickle, and that is a pickle by itself as well."""
    if path.suffix == ".bin":
        path.write_bytes(pickle.dumps(Planted(mark), protocol=2))  # torch warns of others
    else:
        torch.save({"state": Planted(mark)}, path)


def test_what_is_planted_would_run(tmp_path: Path) -> None:
    for name in ("x.pt", "x.bin"):
        plant_pickle(tmp_path / name, tmp_path / f"{name}.mark")
    torch.load(tmp_path / "x.pt", weights_only=False)
    pickle.loads((tmp_path / "x.bin").read_bytes())
    assert (tmp_path / "x.pt.mark").exists()
    assert (tmp_path / "x.bin.mark").exists()


def train(door: Door, name: str, **changes: Any) -> int:
    settings = door.settings(max_steps=4, evaluations=2, save_steps=2, **changes)
    return door.run(door.job("train", settings, name))


@pytest.fixture(scope="module")
def checkpoint(prepared: dict[str, Door]) -> Path:
    """The checkpoint of half a fine-tune."""
    door = at(prepared["qwen3_vl"])
    door.prune_at = 1
    assert train(door, "half") == 0, door.lines
    return door.folder / "half" / "checkpoints" / "checkpoint-2"


@pytest.mark.parametrize(
    "name",
    ["optimizer.pt", "scheduler.pt", "rng_state.pth", "training_args.bin", "pytorch_model.bin",
     "adapter_model.bin"],
)  # fmt: skip
def test_a_pickle_in_a_checkpoint_is_not_run(
    prepared: dict[str, Door], checkpoint: Path, tmp_path: Path, name: str
) -> None:
    door, mark = at(prepared["qwen3_vl"]), tmp_path / "mark"
    planted = tmp_path / "checkpoint-2"
    shutil.copytree(checkpoint, planted)
    plant_pickle(planted / name, mark)
    code = train(door, f"planted-{name}", resume_from_checkpoint=str(planted))
    assert not mark.exists()
    if name in ("training_args.bin", "adapter_model.bin"):  # not read at all
        assert code == 0, door.lines
    else:
        assert code == 2
        (message,) = door.said("message")
        assert f"a checkpoint holds numbers and plain values alone, but in {planted} is something else" in message
        assert "which was not run" in message
        assert "do not trust it" in message
        assert "\n" not in message


def test_a_checkpoint_whose_weights_are_a_pickle_is_refused(
    prepared: dict[str, Door], checkpoint: Path, tmp_path: Path
) -> None:
    door, mark = at(prepared["qwen3_vl"]), tmp_path / "mark"
    planted = tmp_path / "checkpoint-2"
    shutil.copytree(checkpoint, planted)
    for path in planted.glob("*.safetensors"):
        path.unlink()
    plant_pickle(planted / "adapter_model.bin", mark)
    assert train(door, "pickled", resume_from_checkpoint=str(planted)) == 2
    assert "weights are read from safetensors files alone" in door.said("message")[0]
    assert not mark.exists()


def test_an_adapter_or_a_model_that_is_a_pickle_is_refused(
    prepared: dict[str, Door], checkpoint: Path, tiny_bases: dict[str, Path], tmp_path: Path
) -> None:
    mark, model = tmp_path / "mark", tmp_path / "model"
    adapter = tmp_path / "adapter"
    adapter.mkdir()
    for name in ("adapter_config.json", "hpsearch.json"):
        shutil.copy(checkpoint / name, adapter / name)
    plant_pickle(adapter / "adapter_model.bin", mark)
    shutil.copytree(tiny_bases["qwen3_vl"], model)
    for path in model.glob("*.safetensors"):
        path.unlink()
    plant_pickle(model / "pytorch_model.bin", mark)
    for folder in (adapter, model):
        with pytest.raises(UsageError, match="weights are read from safetensors files alone"):
            load_model(folder)
    door = at(prepared["qwen3_vl"])
    settings = door.settings(model_name=str(model))
    assert door.run(door.job("prepare", settings, "pickled-model")) == 2
    assert "weights are read from safetensors files alone" in door.said("message")[0]
    assert not mark.exists()


def with_code(base: Path, folder: Path, mark: Path) -> Path:
    """A copy of a model, with code of its own beside it, which all of its files name."""
    shutil.copytree(base, folder)
    code = CODE.format(mark=str(mark))
    (folder / "planted.py").write_text(code)
    (folder / "custom_generate").mkdir()
    (folder / "custom_generate" / "generate.py").write_text(code)
    classes = ("Config", "Model", "ModelForCausalLM", "ModelForImageTextToText", "Processor", "ImageProcessor")
    own: dict[str, Any] = {
        f"Auto{name}": "planted.Planted" for name in (*classes, "VideoProcessor", "FeatureExtractor")
    }
    own["AutoTokenizer"] = ["planted.Planted", "planted.Planted"]
    for name in CONFIGS:
        if (folder / name).exists():
            values = json.loads((folder / name).read_text())
            (folder / name).write_text(json.dumps({**values, "auto_map": own, "custom_generate": str(folder)}))
    return folder


@pytest.mark.parametrize("family", [*TYPICAL_FAMILIES, "gemma4"])  # the last has a part that hears, too
def test_code_beside_a_model_is_not_run(door: Door, tmp_path: Path, family: str) -> None:
    mark = tmp_path / "mark"
    model = with_code(door.bases[family], tmp_path / "model", mark)
    settings = door.settings(family, model_name=str(model))
    assert door.run(door.job("preflight", settings)) == 0, door.lines
    assert door.prepare(settings) == 0, door.lines
    assert door.run(door.job("train", settings)) == 0, door.lines
    for folder in (door.folder / "train" / "adapter", model):
        run_ocr(picture("cat"), load_model(folder).model)
    assert not mark.exists()


@pytest.mark.parametrize("named", ["tokenizer", "processor"])
def test_parts_that_only_code_beside_a_model_has_are_not_run(door: Door, tmp_path: Path, named: str) -> None:
    mark = tmp_path / "mark"
    model = with_code(door.bases["qwen3_vl"], tmp_path / "model", mark)
    for name in CONFIGS:
        if (model / name).exists():
            values = json.loads((model / name).read_text())
            words = ("tokenizer_class",) if named == "tokenizer" else ("image_processor_type", "processor_class")
            changed = {word: "Planted" for word in words if word in values}
            (model / name).write_text(json.dumps({**values, **changed}))
    code = door.prepare(door.settings(model_name=str(model)))
    assert not mark.exists()
    assert code in (0, 1, 2)  # read by the family's own class, or refused


def test_a_model_that_needs_code_of_its_own_is_refused_with_that_reason(door: Door, tmp_path: Path) -> None:
    mark = tmp_path / "mark"
    model = with_code(door.bases["qwen3_vl"], tmp_path / "model", mark)
    config = json.loads((model / "config.json").read_text())
    (model / "config.json").write_text(json.dumps({**config, "model_type": "their_own"}))
    assert door.prepare(door.settings(model_name=str(model))) == 2
    (message,) = door.said("message")
    assert "says model_type 'their_own', and names code of its own, which is never run" in message
    assert "use a model of one of: gemma3" in message
    assert not mark.exists()


def test_nothing_asks_for_code_of_a_models_own() -> None:
    """Hub models come without their code (models/files.py); here, that nothing of ours would run it."""
    root = Path(__file__).parents[2]
    found = subprocess.run(
        ["grep", "-rnE", r"trust_remote_code\W+True|Auto[A-Z]\w+\.from_pretrained", "hpsearch", "--include=*.py"],
        cwd=root, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert found.stdout == ""
