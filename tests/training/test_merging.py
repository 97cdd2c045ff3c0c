"""A merged model is the tuned one, in a form that a server takes; anything else is refused and leaves nothing."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from huggingface_hub import ModelCard
from peft import PeftModel
from transformers.video_processing_utils import BaseVideoProcessor

from hpsearch.execution.model_export import SUMMARY, AdapterOrigin, MergedModel, MergeRequest, adapter_digest
from hpsearch.settings import TrainSettings
from hpsearch.training.export import merge as merging
from hpsearch.training.models.families import FAMILIES
from hpsearch.training.models.processors import has_torchvision, load_processor
from hpsearch.training.models.serving import VIDEO, keep_video, write_image_areas
from hpsearch.training.predict import load_reader, picture_of
from tests.training.adapters import random_adapter
from tests.training.conftest import FAMILY_NAMES, TYPICAL_FAMILIES, Door, picture, skip_without_classes

Adapter = Callable[..., Path]
# As a fine-tune in 4 bits leaves it.
CARD = {"instruction": "Read.", "max_seq_length": 99, "model_name": "/my/base", "input_data": "/my/pages.json",
        "image_root": "/my", "load_in_4bit": True}  # fmt: skip
FILMS = {"video_processor_type": "Qwen3VLVideoProcessor", "fps": 2, "size": {"longest_edge": 999, "shortest_edge": 9}}


@pytest.fixture
def adapter(door: Door, tmp_path: Path) -> Adapter:
    """Makes an adapter with random weights of a size, as one that was trained a little or a lot."""

    def make(family: str = "qwen3_vl", size: float = 0.3, **changes: Any) -> Path:
        folder = random_adapter(door.bases[family], family, tmp_path / f"adapter-{family}", size, **changes)
        (folder / "hpsearch.json").write_text(json.dumps({"base": "/my/base", "settings": CARD}))
        return folder

    return make


@pytest.fixture
def pictures(tmp_path: Path) -> tuple[str, ...]:
    for word in ("yak", "eel"):
        (tmp_path / f"{word}.png").write_bytes(picture(word))
    return str(tmp_path / "yak.png"), str(tmp_path / "eel.png")


def merged(door: Door, folder: Path, lora: Path, pictures: tuple[str, ...], **wanted: Any) -> int:
    """The exit code of a merge of ``lora`` into ``folder``."""
    settings = vars(MergeRequest(str(lora), str(folder), pictures=pictures, **wanted))
    (door.folder / "merge").mkdir(exist_ok=True)
    return door.run(door.job("merge", {**settings, "pictures": list(pictures)}))


def name_base(lora: Path, base: Path) -> None:
    """Have an adapter say that it is of ``base``."""
    config = json.loads((lora / "adapter_config.json").read_text())
    (lora / "adapter_config.json").write_text(json.dumps(config | {"base_model_name_or_path": str(base)}))


def said(door: Door) -> str:
    return " ".join(str(line.get("message", "")) for line in door.lines)


@pytest.mark.parametrize(
    ("family_name", "precision"),
    [*((family, "fp32") for family in FAMILY_NAMES), *((family, "bf16") for family in TYPICAL_FAMILIES)],
)
def test_a_merged_model_reads_as_the_adapter_did(
    door: Door,
    family_name: str,
    precision: str,
    adapter: Adapter,
    pictures: tuple[str, ...],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    skip_without_classes(family_name)
    monkeypatch.setattr(merging, "TOKENS", 8)  # random models seldom end an answer
    towers = {"finetune_vision_layers": True, "finetune_merger_layers": FAMILIES[family_name].merger is not None}
    lora, target = adapter(family_name, **(towers if precision == "fp32" else {})), tmp_path / "merged"
    assert merged(door, target, lora, pictures, precision=precision) == 0, door.lines
    found = MergedModel.from_json((target / SUMMARY).read_text())
    assert found == MergedModel.from_json((door.folder / "merge" / SUMMARY).read_text())
    assert found.apart < (0.2 if precision == "bf16" else 1e-3)
    assert (found.family, found.tokens) == (FAMILIES[family_name].name, 99)
    assert [reading.picture for reading in found.readings] == list(pictures)
    assert not list(target.glob(".*")) and not (target / "adapter_config.json").exists()
    config = json.loads((target / "config.json").read_text())
    assert config["dtype"] == {"bf16": "bfloat16", "fp32": "float32"}[precision]
    assert (target / "preprocessor_config.json").exists() == (FAMILIES[family_name].sizing == "area")
    assert not config["text_config"].get("mtp_num_hidden_layers"), "layers that transformers does not save"
    tuned = load_reader(lora, load_in_4bit=False, precision=precision, max_new_tokens=8)
    whole = load_reader(target, precision=precision, max_new_tokens=8)
    assert whole.prompt == tuned.prompt == "Read."
    assert not isinstance(whole.loaded.model, PeftModel)
    for path in target.iterdir():
        assert path.name == SUMMARY or b"/my" not in path.read_bytes(), f"{path.name} may be published"
    if precision == "fp32":
        for name in pictures:
            assert whole.read([picture_of(name)]) == tuned.read([picture_of(name)])


def test_a_merged_model_has_a_card_and_its_bases_vocabulary(
    door: Door, adapter: Adapter, pictures: tuple[str, ...], tmp_path: Path
) -> None:
    base, target = tmp_path / "base", tmp_path / "merged"
    shutil.copytree(door.bases["gemma3"], base)
    (base / "tokenizer.model").write_bytes(b"pieces")
    lora = adapter("gemma3")
    name_base(lora, base)
    origin = AdapterOrigin(base="org/base", on_hub=True, settings={"lora_r": 4}, metrics={"holdout_cer": 0.125})
    assert merged(door, target, lora, pictures, origin=origin) == 0, door.lines
    card = ModelCard.load(target / "README.md")
    assert (card.data.base_model, card.data.eval_results[0].metric_value) == ("org/base", 0.125)
    assert "# merged" in card.text and "merged in bf16" in card.text
    assert (target / "tokenizer.model").read_bytes() == b"pieces", "which llama.cpp's converter needs"
    found = MergedModel.from_json((target / SUMMARY).read_text())
    assert {"README.md", "tokenizer.model"} <= set(found.files)
    assert (found.origin, found.adapter) == (origin, adapter_digest(lora))
    assert json.loads((target / "hpsearch.json").read_text())["base"] == "org/base"


def test_other_kinds_of_lora_are_merged_too(
    door: Door, adapter: Adapter, pictures: tuple[str, ...], tmp_path: Path
) -> None:
    lora = adapter(use_dora=True, use_rslora=True, finetune_vision_layers=True, finetune_merger_layers=True)
    base = Path(shutil.copytree(door.bases["qwen3_vl"], tmp_path / "base"))
    (base / VIDEO).write_text(json.dumps(FILMS))
    name_base(lora, base)
    assert merged(door, tmp_path / "merged", lora, pictures, precision="fp32") == 0, door.lines
    assert MergedModel.from_json((tmp_path / "merged" / SUMMARY).read_text()).apart < 1e-3
    assert has_torchvision() or films_of(tmp_path / "merged") == FILMS, "which a server's processor wants"


@pytest.mark.parametrize("family", ["paddleocr_vl", "qwen2_5_vl"])
def test_the_areas_trained_with_have_both_their_names(family: str, tiny_bases: dict[str, Path], tmp_path: Path) -> None:
    settings, saved = TrainSettings(longest_edge=100), tmp_path / "processor_config.json"
    load_processor(FAMILIES[family], tiny_bases[family], settings).save_pretrained(tmp_path)
    shutil.copyfile(tiny_bases[family] / "config.json", tmp_path / "config.json")
    write_image_areas(tmp_path)
    alone = json.loads((tmp_path / "preprocessor_config.json").read_text())
    assert (alone["min_pixels"], alone["max_pixels"]) == (256, 10_000)
    whole = json.loads(saved.read_text())
    saved.write_text(json.dumps({name: each for name, each in whole.items() if name != "image_processor"}))
    read = load_processor(FAMILIES[family], tmp_path, TrainSettings()).image_processor
    assert (read.size["shortest_edge"], read.size["longest_edge"]) == (256, 10_000), "of that file alone"


def films_of(folder: Path) -> dict[str, Any]:
    """The configuration of which transformers makes a video processor."""
    found: dict[str, Any] = BaseVideoProcessor.get_video_processor_dict(folder)[0]
    return found


@pytest.mark.parametrize("layout", ["nested", "of its own", "of pictures, too"])
def test_a_bases_video_part_is_kept_wherever_it_is(layout: str, tiny_bases: dict[str, Path], tmp_path: Path) -> None:
    base, saved = tmp_path / "base", tmp_path / "saved"
    for folder in (base, saved):
        folder.mkdir()
        shutil.copyfile(tiny_bases["qwen3_5"] / "config.json", folder / "config.json")
        (folder / "processor_config.json").write_text('{"processor_class": "Qwen3VLProcessor"}')
    keep_video(base, saved)
    assert not (saved / VIDEO).exists(), "the base has none"
    name = {"nested": "processor_config.json", "of its own": VIDEO}.get(layout, "preprocessor_config.json")
    (base / name).write_text(json.dumps({"video_processor": FILMS} if layout == "nested" else FILMS))
    keep_video(base, saved)
    assert films_of(saved) == FILMS
    (saved / VIDEO).unlink()
    (saved / "processor_config.json").write_text(json.dumps({"video_processor": {"size": 1}}))
    keep_video(base, saved)
    assert not (saved / VIDEO).exists(), "with torchvision it was saved"
    shutil.copyfile(tiny_bases["gemma3"] / "config.json", base / "config.json")
    (saved / "processor_config.json").unlink()
    keep_video(base, saved)
    assert not (saved / VIDEO).exists(), "Gemma 3 sees no videos"


@pytest.mark.parametrize("how", ["the base", "twice", "a third"])
def test_a_merge_that_is_not_the_tuned_model_is_refused(
    how: str,
    door: Door,
    adapter: Adapter,
    pictures: tuple[str, ...],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def wrong(self: Any, *_: Any, **__: Any) -> Any:
        tuner = self.base_model
        if how == "the base":
            return tuner.unload()
        factor = 2.0 if how == "twice" else 0.3
        for layer in tuner.modules():
            if isinstance(getattr(layer, "scaling", None), dict):
                layer.scaling = {name: value * factor for name, value in layer.scaling.items()}
        return tuner.merge_and_unload()

    monkeypatch.setattr(PeftModel, "merge_and_unload", wrong, raising=False)
    assert merged(door, tmp_path / "merged", adapter(), pictures) == 2
    assert "a merged model answers as the adapter does, but this one is" in said(door)
    assert not (tmp_path / "merged").exists()


def test_an_adapter_that_changes_nothing_is_refused(
    door: Door, adapter: Adapter, pictures: tuple[str, ...], tmp_path: Path
) -> None:
    assert merged(door, tmp_path / "merged", adapter(size=0.0), pictures) == 2
    assert "changes nothing" in said(door)


def test_what_is_there_is_not_replaced_unless_it_is_a_merged_model_and_that_is_asked_for(
    door: Door, adapter: Adapter, pictures: tuple[str, ...], tmp_path: Path
) -> None:
    lora, target = adapter(), tmp_path / "merged"
    target.mkdir()
    (target / "mine").touch()
    for force in (False, True):
        assert merged(door, target, lora, pictures, force=force) == 2
        assert "but " + str(target) + " holds mine" in said(door)
    (target / "mine").unlink()
    assert merged(door, target, lora, pictures) == 0
    assert merged(door, target, lora, pictures) == 2
    assert "or replace the merged model with --force" in said(door)
    (target / "mine").touch()
    assert merged(door, target, lora, pictures, force=True) == 2
    assert (target / "mine").exists() and "holds mine" in said(door)
    (target / "mine").unlink()
    before = (target / "model.safetensors").stat().st_mtime_ns
    assert merged(door, target, lora, pictures, force=True) == 0
    assert (target / "model.safetensors").stat().st_mtime_ns > before


def test_a_merge_that_was_broken_off_in_its_last_moment_is_there_the_next_time(
    door: Door, adapter: Adapter, pictures: tuple[str, ...], tmp_path: Path
) -> None:
    lora, target = adapter(), tmp_path / "merged"
    assert merged(door, target, lora, pictures, precision="fp32") == 0
    before = {path.name: path.read_bytes() for path in target.iterdir()}
    (target / ".whole").mkdir()
    for name in ("model.safetensors", SUMMARY):
        (target / name).rename(target / ".whole" / name)
    (target / ".whole/.obsolete").write_text("[]")
    assert merged(door, target, lora, pictures, precision="fp32") == 0
    assert {path.name: path.read_bytes() for path in target.iterdir()} == before, "not merged again"
    assert MergedModel.from_json((door.folder / "merge" / SUMMARY).read_text()).adapter


@pytest.mark.filterwarnings("ignore:Model has `tie_word_embeddings=True`:UserWarning")
@pytest.mark.filterwarnings("ignore:Setting `save_embedding_layers`:UserWarning")
def test_one_weight_in_two_places_is_refused(door: Door, pictures: tuple[str, ...], tmp_path: Path) -> None:
    from peft import LoraConfig, get_peft_model
    from transformers import Qwen3VLForConditionalGeneration

    base = Qwen3VLForConditionalGeneration.from_pretrained(str(door.bases["qwen3_vl"]))
    tuned = get_peft_model(base, LoraConfig(r=2, target_modules=["q_proj", "lm_head"], init_lora_weights=False))
    tuned.save_pretrained(tmp_path / "tied")
    assert merged(door, tmp_path / "merged", tmp_path / "tied", pictures) == 2
    assert "this one adapts lm_head, which is one weight with the other end" in said(door)


def test_a_template_of_the_adapters_own_is_asked_with_and_kept(
    door: Door, adapter: Adapter, pictures: tuple[str, ...], tmp_path: Path
) -> None:
    lora, target = adapter(), tmp_path / "merged"
    own = (lora / "chat_template.jinja").read_text().replace("<|vision_start|>", "Page: <|vision_start|>")
    (lora / "chat_template.jinja").write_text(own)
    assert load_reader(lora).loaded.processor.chat_template == own
    assert merged(door, target, lora, pictures, precision="fp32") == 0
    assert (target / "chat_template.jinja").read_text() == own


def test_a_number_format_that_overflows_is_refused(
    door: Door, adapter: Adapter, pictures: tuple[str, ...], tmp_path: Path
) -> None:
    assert merged(door, tmp_path / "merged", adapter("gemma3"), pictures, precision="fp16") == 2
    assert "gemma3 is computed in fp32 or bf16, but --precision is fp16" in said(door)


def test_what_cannot_be_merged_is_refused(
    door: Door, adapter: Adapter, pictures: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lora, target = adapter(), tmp_path / "merged"
    assert merged(door, target, door.bases["qwen3_vl"], pictures) == 2
    assert "an adapter's folder has adapter_config.json" in said(door)
    assert merged(door, target, lora, (str(tmp_path / "gone.png"),)) == 2
    assert "gone.png: No such file" in said(door)
    (tmp_path / "file").touch()
    assert merged(door, tmp_path / "file", lora, pictures) == 2
    assert "--output-dir must be a folder" in said(door)
    broken = Path(shutil.copytree(lora, tmp_path / "broken"))
    (broken / "adapter_model.safetensors").write_bytes((lora / "adapter_model.safetensors").read_bytes()[:100])
    assert merged(door, target, broken, pictures) == 2
    assert "weights must be whole" in said(door)
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage._replace(free=10**9))
    assert merged(door, target, lora, pictures) == 2
    assert "a merged model must fit on the disk" in said(door)
    assert not target.exists()
