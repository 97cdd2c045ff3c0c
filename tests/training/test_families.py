"""The contract of a family, and what is in the table now. A new entry is tested by being one."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from hpsearch.errors import UsageError
from hpsearch.training.arguments import lora_targets
from hpsearch.training.families import FAMILIES, find_family
from hpsearch.training.inspection import trainable_modules
from hpsearch.training.processors import load_processor, processor_class
from hpsearch.training.tiny import build_tiny
from hpsearch.trials.settings import TrainSettings
from tests.training.conftest import FAMILY_NAMES

# Linear layers of the tiny models (two layers in each tower) that LoRA is meant to adapt.
LINEARS = {"gemma3": (14, 12), "qwen3_vl": (14, 8)}
# Linear layers that belong to neither.
OTHERS = {"gemma3": {"lm_head"}, "qwen3_vl": {"lm_head", "merger", "deepstack_merger_list"}}

FAKE_TORCHVISION = """
import sys
sys.path.insert(0, sys.argv[1])
from hpsearch.errors import UsageError
from hpsearch.training.families import FAMILIES
from hpsearch.training.processors import processor_class
try:
    cls = processor_class(FAMILIES["qwen3_vl"])
    print(cls.__module__, cls.get_attributes())
except UsageError as error:
    print("refused:", error)
"""


def test_every_family_is_tested() -> None:
    assert set(FAMILY_NAMES) == set(FAMILIES) == set(LINEARS)


def linears(family_name: str) -> list[str]:
    model = build_tiny(family_name).model
    return [name for name, module in model.named_modules() if isinstance(module, torch.nn.Linear)]


def test_lora_finds_each_tower_and_nothing_else(family_name: str) -> None:
    family, names = FAMILIES[family_name], linears(family_name)
    towers = {
        tower: trainable_modules(
            TrainSettings(finetune_language_layers=tower == "language", finetune_vision_layers=tower == "vision"),
            family,
            names,
        )
        for tower in ("language", "vision")
    }
    assert (len(towers["language"]), len(towers["vision"])) == LINEARS[family_name]
    assert not set(towers["language"]) & set(towers["vision"])
    assert set(trainable_modules(TrainSettings(finetune_vision_layers=True), family, names)) == {
        *towers["language"],
        *towers["vision"],
    }
    rest = set(names) - set(towers["language"]) - set(towers["vision"])
    assert all(any(part in OTHERS[family_name] for part in name.split(".")) for name in rest), rest


def test_older_checkpoints_names_are_found_too() -> None:
    settings = TrainSettings(finetune_language_layers=False, finetune_vision_layers=True)
    name = "model.vision_tower.vision_model.encoder.layers.0.self_attn.q_proj"
    assert re.fullmatch(lora_targets(settings, FAMILIES["gemma3"]), name)


def test_the_convolution_that_cuts_patches_is_left_alone() -> None:
    settings = TrainSettings(finetune_vision_layers=True)
    assert not re.fullmatch(lora_targets(settings, FAMILIES["qwen3_vl"]), "model.visual.patch_embed.proj")


def test_a_family_is_found_by_the_models_own_configuration(tiny_bases: dict[str, Path], family_name: str) -> None:
    family = FAMILIES[family_name]
    assert find_family("auto", tiny_bases[family_name]) is family
    assert find_family(family_name, tiny_bases[family_name]) is family
    assert json.loads((tiny_bases[family_name] / "config.json").read_text())["architectures"] == [family.model_class]


def test_unknown_families_are_refused_with_the_known_ones(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text('{"model_type": "whisper"}')
    with pytest.raises(UsageError, match=r"model_type 'whisper'; use a model of one of: gemma3 \(gemma3\), qwen3_vl"):
        find_family("auto", tmp_path)


def test_a_processor_is_read_as_it_was_written(tiny_bases: dict[str, Path], family_name: str, tmp_path: Path) -> None:
    family = FAMILIES[family_name]
    processor = load_processor(family, tiny_bases[family_name])
    assert type(processor).__name__ == family.processor_class
    processor.save_pretrained(tmp_path)
    for name in ("processor_config.json", "chat_template.jinja"):
        assert (tmp_path / name).read_bytes() == (tiny_bases[family_name] / name).read_bytes()
    again = load_processor(family, tmp_path)
    assert again.tokenizer("a b").input_ids == processor.tokenizer("a b").input_ids


def test_without_torchvision_only_the_video_part_is_missing() -> None:
    import transformers

    own = transformers.Qwen3VLProcessor
    ours = processor_class(FAMILIES["qwen3_vl"])
    assert issubclass(ours, own)
    assert set(own.get_attributes()) - set(ours.get_attributes()) <= {"video_processor"}
    assert processor_class(FAMILIES["gemma3"]) is transformers.Gemma3Processor


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("", "transformers.models.qwen3_vl.processing_qwen3_vl ['image_processor', 'tokenizer', 'video_processor']"),
        (
            "raise RuntimeError('operator torchvision::nms does not exist')",
            "refused: an installed torchvision must fit",
        ),
    ],
    ids=["works", "broken"],
)
def test_torchvision_that_works_changes_nothing_and_a_broken_one_is_named(
    tmp_path: Path, content: str, said: str
) -> None:
    transforms = tmp_path / "torchvision" / "transforms"
    transforms.mkdir(parents=True)
    (tmp_path / "torchvision" / "__init__.py").write_text(content)
    (transforms / "__init__.py").write_text(
        "import enum\n"
        "InterpolationMode = enum.Enum('InterpolationMode', 'NEAREST_EXACT BOX BILINEAR HAMMING BICUBIC LANCZOS')\n"
    )
    (transforms / "functional.py").write_text("pil_to_tensor = None\n")
    (tmp_path / "torchvision" / "io.py").write_text("def __getattr__(name): return None\n")
    done = subprocess.run(
        [sys.executable, "-c", FAKE_TORCHVISION, str(tmp_path)],
        cwd=Path(__file__).parents[2], capture_output=True, text=True, check=False, timeout=120,
    )  # fmt: skip
    assert said in done.stdout, done.stderr
