"""The contract of a family, and what is in the table now. A new entry is tested by being one."""

from __future__ import annotations

import importlib.util
import json
import re
import subprocess
import sys
from dataclasses import replace
from operator import attrgetter
from pathlib import Path

import pytest
import torch

from hpsearch.errors import UsageError
from hpsearch.settings import TrainSettings
from hpsearch.training.arguments import lora_options, lora_targets
from hpsearch.training.backends.hf import four_bits
from hpsearch.training.models.base import known_base
from hpsearch.training.models.chat import AT_ONCE
from hpsearch.training.models.families import FAMILIES, Family, find_family
from hpsearch.training.models.processors import class_of, load_processor, processor_class
from hpsearch.training.models.profiles import PROFILES, find_profile
from hpsearch.training.preflight.memory import outline_of, tower_of
from tests.training.conftest import FAMILY_NAMES, LINEARS
from tools.tiny_models import build_tiny

# Linear layers that belong to neither: of these the merger's are adapted where that is asked for.
OTHERS = {
    "gemma3": {"lm_head"},
    "gemma4": {
        *("lm_head", "embed_vision", "patch_embedder"),
        *("per_layer_input_gate", "per_layer_projection", "per_layer_model_projection"),
    },
    "paddleocr_vl": {"lm_head", "projector"},
    "qwen2_5_vl": {"lm_head", "merger"},
    "qwen3_5": {"lm_head", "merger", "in_proj_a", "in_proj_b"},
    "qwen3_vl": {"lm_head", "merger", "deepstack_merger_list"},
}
# Parts between the towers, with their norms; Gemma 3's has no linear layer, and is counted with what is left.
MERGERS = {"merger", "deepstack_merger_list", "projector", "embed_vision"}
THINKING = ("qwen3_5",)  # whose tiny models think first, as the published ones, where nobody says otherwise

FAKE_TORCHVISION = """
import sys
sys.path.insert(0, sys.argv[1])
from hpsearch.errors import UsageError
from hpsearch.training.backends.hf import four_bits
from hpsearch.training.models.families import FAMILIES
from hpsearch.training.models.processors import processor_class
try:
    cls = processor_class(FAMILIES["qwen3_vl"])
    print(cls.__module__, cls.get_attributes())
except UsageError as error:
    print("refused:", error)
"""


def test_every_family_is_tested() -> None:
    assert set(FAMILY_NAMES) == set(FAMILIES) == set(LINEARS)


def trainable_modules(settings: TrainSettings, family: Family, names: list[str]) -> list[str]:
    """Which of the modules' names the settings would adapt."""
    return [name for name in names if re.fullmatch(lora_targets(settings, family), name)]


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


def test_the_outline_is_that_of_the_real_model(tiny_bases: dict[str, Path], family_name: str) -> None:
    base = known_base(tiny_bases[family_name], family_name, None)
    outline, model = outline_of(base), build_tiny(family_name).model
    sizes = {name: value.numel() for name, value in model.named_parameters()}
    assert sum(outline.parameters.values()) == sum(sizes.values())
    between = {name for name in sizes if MERGERS & set(name.split("."))}
    assert outline.parameters["merger"] == sum(sizes[name] for name in between)
    assert {linear.name for linear in outline.linears} == set(linears(family_name))
    everything = TrainSettings(
        finetune_vision_layers=True, finetune_merger_layers=base.family.merger is not None, lora_r=4
    )
    from peft import LoraConfig, get_peft_model

    adapted = outline.adapted(everything, base.family)
    tuned = get_peft_model(model, LoraConfig(**lora_options(everything, base.family)))
    assert sum(tower["trainable"] for tower in adapted.values()) == tuned.get_nb_trainable_parameters()[0]
    for tower, found in adapted.items():
        names = [name for name in tuned.base_model.targeted_module_names if tower_of(name, base.family) == tower]
        assert len(names) == found["modules"] > 0


def test_every_linear_layer_is_of_a_kind(family_name: str) -> None:
    family, names = FAMILIES[family_name], linears(family_name)
    both = {"finetune_vision_layers": True}
    attention = set(trainable_modules(TrainSettings(finetune_mlp_modules=False, **both), family, names))
    mlp = set(trainable_modules(TrainSettings(finetune_attention_modules=False, **both), family, names))
    assert attention
    assert mlp
    assert not attention & mlp
    assert attention | mlp == set(trainable_modules(TrainSettings(**both), family, names))


def test_a_sound_model_has_no_differences_and_wrong_ids_are_named(
    tiny_bases: dict[str, Path], family_name: str, tmp_path: Path
) -> None:
    family = FAMILIES[family_name]
    assert known_base(tiny_bases[family_name], family_name, None).differences() == []
    for path in tiny_bases[family_name].iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    config = json.loads((tmp_path / "config.json").read_text())
    key = next(iter(family.special_tokens))
    (tmp_path / "config.json").write_text(json.dumps(config | {key: 77}))
    (difference,) = known_base(tmp_path, family_name, None).differences()
    assert str(difference) == f"{key} is 77, expected {config[key]}"


def test_values_of_the_language_model_are_found_where_older_checkpoints_have_them(
    tiny_bases: dict[str, Path], tmp_path: Path
) -> None:
    nested = known_base(tiny_bases["qwen2_5_vl"], "qwen2_5_vl", None)
    config = dict(nested.config())
    text = config.pop("text_config")
    (tmp_path / "config.json").write_text(json.dumps(text | config))
    flat = known_base(tmp_path, "qwen2_5_vl", None)
    assert flat.config()["text_config"]["num_hidden_layers"] == text["num_hidden_layers"] == 2
    assert outline_of(flat).parameters == outline_of(nested).parameters


def test_a_profile_lists_where_a_model_is_another(tiny_bases: dict[str, Path]) -> None:
    differences = [
        str(difference) for difference in known_base(tiny_bases["qwen3_vl"], "qwen3_vl", "chandra").differences()
    ]
    assert "vision_config.patch_size is 8, expected 16" in differences
    assert "text_config.hidden_size is 96, expected 4096" in differences
    assert not [
        difference for difference in differences if "spatial_merge_size" in difference or "model_type" in difference
    ]


def test_profiles_agree_with_the_defaults_of_transformers() -> None:
    known = {"boi_token_index", "eoi_token_index", "mm_tokens_per_image", "image_token_id", "vision_start_token_id"}
    for profile in PROFILES.values():
        family = FAMILIES[profile.family]
        config = class_of(family, family.model_class).config_class()
        for key in set(profile.expected) & (known if family.name in ("gemma3", "qwen3_vl") else set(profile.expected)):
            assert profile.expected[key] == attrgetter(key)(config), key


@pytest.mark.parametrize(
    ("name", "profile"),
    [
        ("google/gemma-3-12b-it", "gemma-3-12b"),
        ("/models/google--gemma-3-12b-it", "gemma-3-12b"),
        ("/models/gemma-3-4b-it/", "gemma-3-4b"),
        ("google/gemma-3-27b-it", None),
        ("someone/gemma-3-12b-it-tuned", None),
        ("PaddlePaddle/PaddleOCR-VL", "paddleocr-vl"),
        ("PaddlePaddle/PaddleOCR-VL-1.5", None),
        ("datalab-to/chandra", "chandra"),
        ("datalab-to/chandra-ocr-2", "chandra-2"),
    ],
)
def test_a_profile_is_found_by_the_models_name(name: str, profile: str | None) -> None:
    found = [each for family in FAMILIES.values() if (each := find_profile("auto", name, family))]
    assert [difference.name for difference in found] == ([profile] if profile else [])


def test_older_checkpoints_names_are_found_too() -> None:
    settings = TrainSettings(finetune_language_layers=False, finetune_vision_layers=True)
    name = "model.vision_tower.vision_model.encoder.layers.0.self_attn.q_proj"
    assert re.fullmatch(lora_targets(settings, FAMILIES["gemma3"]), name)


def test_the_convolution_that_cuts_patches_is_left_alone() -> None:
    settings = TrainSettings(finetune_vision_layers=True)
    assert not re.fullmatch(lora_targets(settings, FAMILIES["qwen3_vl"]), "model.visual.patch_embed.proj")


def test_ears_and_routers_of_gemma_4_are_left_as_they_are(tiny_bases: dict[str, Path], tmp_path: Path) -> None:
    """The tiny model has neither an audio tower, as the small ones do, nor experts, as 26B-A4B does."""
    config = json.loads((tiny_bases["gemma4"] / "config.json").read_text())
    audio = {"model_type": "gemma4_audio", "hidden_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2}
    experts = {"enable_moe_block": True, "num_experts": 4, "top_k_experts": 2, "moe_intermediate_size": 16}
    whole = {**config, "audio_config": audio, "text_config": {**config["text_config"], **experts}}
    (tmp_path / "config.json").write_text(json.dumps(whole))
    plain, full = (outline_of(known_base(folder, "gemma4", None)) for folder in (tiny_bases["gemma4"], tmp_path))
    more = {linear.name for linear in full.linears} - {linear.name for linear in plain.linears}
    assert any("audio_tower" in name for name in more) and any("embed_audio" in name for name in more)
    assert sum(name.endswith("router.proj") for name in more) == 4
    assert full.quantizable == plain.quantizable
    everything = TrainSettings(finetune_vision_layers=True, finetune_merger_layers=True)
    assert not trainable_modules(everything, FAMILIES["gemma4"], sorted(more))
    assert full.parameters["other"] > plain.parameters["other"]


def test_a_family_is_found_by_the_models_own_configuration(tiny_bases: dict[str, Path], family_name: str) -> None:
    family = FAMILIES[family_name]
    assert find_family("auto", tiny_bases[family_name]) is family
    assert find_family(family_name, tiny_bases[family_name]) is family
    assert json.loads((tiny_bases[family_name] / "config.json").read_text())["architectures"] == [family.model_class]


def test_unknown_families_are_refused_with_the_known_ones(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text('{"model_type": "whisper"}')
    with pytest.raises(
        UsageError,
        match=r"model_type 'whisper'; use a model of one of: gemma3 \(gemma3\), gemma4 \(gemma4\), paddleocr_vl",
    ) as refusal:
        find_family("auto", tmp_path)
    assert all(name in refusal.value.remedy for name in FAMILIES)


def test_a_processor_is_read_as_it_was_written(tiny_bases: dict[str, Path], family_name: str, tmp_path: Path) -> None:
    family = FAMILIES[family_name]
    processor = load_processor(family, tiny_bases[family_name], TrainSettings())
    assert type(processor).__name__ == family.processor_class
    processor.save_pretrained(tmp_path)
    written = {name: (tmp_path / name).read_text() for name in ("processor_config.json", "chat_template.jinja")}
    assert written == {
        name: (AT_ONCE if name.endswith("jinja") and family_name in THINKING else "")
        + (tiny_bases[family_name] / name).read_text()
        for name in written
    }
    again = load_processor(family, tmp_path, TrainSettings())
    assert again.tokenizer("a b").input_ids == processor.tokenizer("a b").input_ids


def test_without_torchvision_only_the_video_part_is_missing() -> None:
    import transformers

    own = transformers.Qwen3VLProcessor
    ours = processor_class(FAMILIES["qwen3_vl"])
    assert issubclass(ours, own)
    assert set(own.get_attributes()) - set(ours.get_attributes()) <= {"video_processor"}
    assert processor_class(FAMILIES["gemma3"]) is transformers.Gemma3Processor


def test_a_class_that_the_installed_transformers_lacks_is_named() -> None:
    newer = replace(FAMILIES["qwen3_vl"], model_class="Qwen9ForConditionalGeneration")
    with pytest.raises(UsageError, match=r"needs a transformers that has Qwen9ForConditionalGeneration, but \d+\.\d+"):
        class_of(newer, newer.model_class)


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


def test_in_four_bits_the_vision_parts_and_the_head_stay_as_they_are(
    tiny_bases: dict[str, Path], family_name: str
) -> None:
    """The layers to be quantised, of a model without memory for weights: by transformers' rule, and where bitsandbytes
    is installed also by what is really put in its place."""
    import transformers
    from transformers.quantizers.quantizers_utils import should_convert_module

    family = FAMILIES[family_name]
    base = known_base(tiny_bases[family_name], family_name, None)
    with torch.device("meta"):
        model = getattr(transformers, family.model_class)(transformers.AutoConfig.from_pretrained(str(base.folder)))
    quantization = four_bits(family, TrainSettings(load_in_4bit=True), "bf16")
    kept = quantization.llm_int8_skip_modules
    linear = {name: module for name, module in model.named_modules() if isinstance(module, torch.nn.Linear)}
    found = {name: module for name, module in linear.items() if should_convert_module(name, kept)}
    assert {tower_of(name, family) for name in found} == {"language"}
    assert len(found) == LINEARS[family_name][0]
    assert sum(linear.in_features * linear.out_features for linear in found.values()) == outline_of(base).quantizable
    if importlib.util.find_spec("bitsandbytes"):
        from transformers.integrations.bitsandbytes import replace_with_bnb_linear

        replace_with_bnb_linear(model, kept, quantization)
        assert {name for name, one in model.named_modules() if type(one).__name__ == "Linear4bit"} == set(found)
