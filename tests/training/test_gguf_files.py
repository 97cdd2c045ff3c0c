"""A merged model for llama.cpp, by llama.cpp's own converter; and what is refused where that or its result is amiss."""

from __future__ import annotations

import importlib.util
import json
import os
import shutil
import sys
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest
from safetensors.torch import load_file, save_file

from hpsearch.data.progress import ProgressReporter
from hpsearch.errors import UsageError
from hpsearch.execution.model_export import CONVERTED, SUMMARY, Gguf, GgufFile, GgufRequest, MergedModel, MergeRequest
from hpsearch.settings import TrainSettings
from hpsearch.training.export.gguf import SCRIPT, Converter, refuse_other_model
from hpsearch.training.models.families import FAMILIES
from hpsearch.training.models.processors import load_processor
from hpsearch.training.models.serving import llama_options, write_image_areas
from tests.training.adapters import random_adapter
from tests.training.conftest import Door, picture
from tools import tiny_models as tiny

FAILING = """
import sys, time
for percent in (0, 50):
    sys.stderr.write(f"\\rWriting: {percent:3}%|     |")
sys.stderr.write("\\n")
print("Model Strange is not supported")
sys.exit(1)
"""
JUNK = "import sys; open(sys.argv[sys.argv.index('--outfile') + 1], 'w').write('GGUF')"
GOOD = GgufFile("model-q8_0.gguf", 1, "gemma3", ("Q8_0",), 28, 15, 15, 0.005)
GGUF = Gguf("q8_0", GOOD, replace(GOOD, name="mmproj-f16.gguf", architecture="clip"))


@pytest.fixture
def llama_cpp() -> str:
    """The folder of llama.cpp's converter, as `make test` fetches it, or a skip that says what is missing."""
    folder = os.environ.get("HPSEARCH_TEST_LLAMA_CPP") or str(Path(sys.prefix, "llama.cpp"))
    if not Path(folder, SCRIPT).is_file():
        pytest.skip(f"needs llama.cpp's converter in {folder}: make test fetches it")
    if importlib.util.find_spec("sentencepiece") is None:
        pytest.skip("needs sentencepiece, which llama.cpp's converter reads Gemma's vocabulary with")
    return folder


def converted(door: Door, folder: Path, llama_cpp: str, kind: str = "q8_0", **wanted: Any) -> int:
    """The exit code of a conversion."""
    (door.folder / "gguf").mkdir(exist_ok=True)
    return door.run(door.job("gguf", vars(GgufRequest(str(folder), kind, llama_cpp, **wanted))))


def said(door: Door) -> str:
    return " ".join(str(line.get("message", "")) for line in door.lines)


def as_on_the_hub(tiny: Path, folder: Path) -> Path:
    """A tiny Gemma 3 with the names of weights and the vocabulary that the Hub's have."""
    from sentencepiece import sentencepiece_model_pb2

    shutil.copytree(tiny, folder)
    weights = load_file(folder / "model.safetensors")
    named = {name.replace("vision_tower.", "vision_tower.vision_model.", 1): each for name, each in weights.items()}
    save_file(named, folder / "model.safetensors", metadata={"format": "pt"})
    vocabulary = json.loads((folder / "tokenizer.json").read_text())["model"]["vocab"]
    model = sentencepiece_model_pb2.ModelProto()
    kinds = model.SentencePiece
    for token, number in sorted(vocabulary.items(), key=lambda each: each[1]):
        kind = kinds.UNKNOWN if token == "<unk>" else kinds.CONTROL if len(token) > 1 else kinds.NORMAL
        model.pieces.add(piece=token.replace(" ", "\u2581"), score=-number, type=kind)
    spec = model.trainer_spec
    spec.model_type, spec.vocab_size = spec.BPE, len(vocabulary)
    for name in ("unk", "bos", "eos", "pad"):
        setattr(spec, f"{name}_id", vocabulary[f"<{name}>"])
    model.normalizer_spec.add_dummy_prefix = model.normalizer_spec.remove_extra_whitespaces = False
    (folder / "tokenizer.model").write_bytes(model.SerializeToString())
    return folder


def test_llama_cpp_gets_the_merged_model(
    llama_cpp: str, door: Door, tiny_bases: dict[str, Path], tmp_path: Path
) -> None:
    base, target = as_on_the_hub(tiny_bases["gemma3"], tmp_path / "base"), tmp_path / "merged"
    lora = random_adapter(base, "gemma3", tmp_path / "lora")
    (tmp_path / "yak.png").write_bytes(picture("yak"))
    wanted = vars(MergeRequest(str(lora), str(target), pictures=(str(tmp_path / "yak.png"),)))
    (door.folder / "merge").mkdir()
    assert door.run(door.job("merge", {**wanted, "pictures": list(wanted["pictures"])})) == 0, said(door)
    before = {path.name for path in target.iterdir()}

    assert converted(door, target, llama_cpp) == 0, said(door)
    assert {path.name for path in target.iterdir()} - before == {"model-q8_0.gguf", "mmproj-f16.gguf"}
    summary = MergedModel.from_json((target / SUMMARY).read_text())
    (made,) = summary.gguf
    assert made == Gguf.of(json.loads((door.folder / "gguf" / CONVERTED).read_text()))
    assert {"model-q8_0.gguf", "mmproj-f16.gguf"} <= set(summary.files)
    assert (made.model.architecture, made.model.kinds, made.mmproj.architecture) == ("gemma3", ("Q8_0",), "clip")
    assert made.model.compared == made.model.matrices > 10 and 0 < made.model.apart < 0.01
    assert made.mmproj.compared > 10 and made.mmproj.apart < 0.01
    assert made.options == (), "every picture is one square"
    card = (target / "README.md").read_text()
    assert "llama-server -m FOLDER/model-q8_0.gguf --mmproj FOLDER/mmproj-f16.gguf" in card

    weights = load_file(target / "model.safetensors")
    name = next(name for name in weights if "down_proj" in name)
    save_file(weights | {name: weights[name] * 1.5}, target / "model.safetensors", metadata={"format": "pt"})
    (found,) = Converter(GgufRequest(str(target), "q8_0", llama_cpp)).inspect([target / "model-q8_0.gguf"])
    assert found.apart == pytest.approx(1 / 3, abs=0.01), "of another model it is noticed"


@pytest.fixture
def taking_any_vocabulary(llama_cpp: str, tmp_path: Path) -> str:
    """The same converter, but for its list of known vocabularies, which a tiny model's is not in."""
    folder = tmp_path / "llama.cpp"
    folder.mkdir()
    for name in ("conversion", "gguf-py"):
        (folder / name).symlink_to(Path(llama_cpp, name))
    main, known = "if __name__ == '__main__':", "from conversion.base import TextModel as T; T.get_vocab_base_pre = "
    script = Path(llama_cpp, SCRIPT).read_text()
    assert main in script
    (folder / SCRIPT).write_text(script.replace(main, f"{known}lambda *_: 'qwen35'\n{main}"))
    return str(folder)


def test_linear_attention_is_compared_in_llama_cpps_order_and_no_layer_is_promised(
    taking_any_vocabulary: str, tiny_bases: dict[str, Path], tmp_path: Path
) -> None:
    folder, path = Path(shutil.copytree(tiny_bases["qwen3_5"], tmp_path / "model")), tmp_path / "model.gguf"
    text = json.loads((folder / "config.json").read_text())["text_config"]
    assert text["linear_num_value_heads"] > text["linear_num_key_heads"] and text["mtp_num_hidden_layers"] == 1
    gguf = pytest.importorskip("gguf")
    converter = Converter(GgufRequest(str(folder), "f16", taking_any_vocabulary))
    words = ("--outtype", "f16", "--outfile", str(path), *converter.no_prediction("qwen3_5"))
    converter.run(words, ProgressReporter("convert"))
    (found,) = converter.inspect([path])
    assert (found.architecture, found.lacking) == ("qwen35", 0)
    assert found.compared == found.matrices > 10 and found.apart < 0.001
    refuse_other_model(found, "f16", vision=False)

    weights = load_file(folder / "model.safetensors")
    name = next(name for name in weights if name.endswith("linear_attn.out_proj.weight"))
    other = weights | {name: weights[name].roll(text["linear_value_head_dim"], 1)}
    save_file(other, folder / "model.safetensors", metadata={"format": "pt"})
    changed = gguf.GGUFReader(path, "r+")
    changed.fields["qwen35.block_count"].parts[-1][0] += 1
    del changed
    (found,) = converter.inspect([path])
    assert found.lacking == 1 and found.apart > 1, "layers that are not there, heads in another order"


def test_what_sees_pictures_in_paddleocr_vl_is_converted_with_its_size(
    llama_cpp: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    gguf = pytest.importorskip("gguf")
    folder, path = tmp_path / "model", tmp_path / "mmproj.gguf"
    monkeypatch.setattr(tiny.paddleocr, "LAYERS", 3)  # linear_2 has a name only where there are as many
    tiny.build_tiny("paddleocr_vl", seed=1).save(folder)
    config = json.loads((folder / "config.json").read_text())
    config["vision_config"]["architectures"] = ["PaddleOCRVisionModel"]  # as on the Hub
    (folder / "config.json").write_text(json.dumps(config))
    load_processor(FAMILIES["paddleocr_vl"], folder, TrainSettings(longest_edge=100)).save_pretrained(folder)
    write_image_areas(folder)
    converter = Converter(GgufRequest(str(folder), "f16", llama_cpp))
    words = ("--outtype", "f16", "--outfile", str(path), "--mmproj")
    converter.run(words, ProgressReporter("convert"))
    (found,) = converter.inspect([path])
    refuse_other_model(found, "f16", vision=True)
    assert found.compared == found.matrices
    fields = gguf.GGUFReader(path).fields
    assert fields["clip.vision.image_max_pixels"].contents() == 10_000


@pytest.mark.parametrize(
    ("family", "sizes", "options"),
    [
        ("qwen3_vl", {"longest_edge": 200}, "-c 99 --image-min-tokens 1 --image-max-tokens 156 --jinja"),
        ("qwen2_5_vl", {}, "-c 99 --image-min-tokens 1 --image-max-tokens 64 --jinja"),
        ("gemma4", {}, "-c 99 --image-min-tokens 70 --image-max-tokens 70 --jinja"),
        (
            "gemma4", {"max_pixels": 1120 * 48 * 48},
            "-c 99 --image-min-tokens 1120 --image-max-tokens 1120 -ub 1536 --jinja",
        ),
        ("gemma3", {}, "-c 99 --jinja"),
    ],
)  # fmt: skip
def test_llama_server_is_told_the_size_of_pictures(
    family: str, sizes: dict[str, int], options: str, tiny_bases: dict[str, Path], tmp_path: Path
) -> None:
    load_processor(FAMILIES[family], tiny_bases[family], TrainSettings(**sizes)).save_pretrained(tmp_path)
    shutil.copyfile(tiny_bases[family] / "config.json", tmp_path / "config.json")
    assert replace(GGUF, options=llama_options(tmp_path)).serving(99) == options
    assert Gguf.of(json.loads(json.dumps(asdict(replace(GGUF, options=("-ub", "9")))))).options == ("-ub", "9")


@pytest.fixture
def merged(tmp_path: Path) -> Path:
    """A merged model's folder, as far as the job looks at it before it converts."""
    folder = tmp_path / "merged"
    folder.mkdir()
    summary = MergedModel("base", "gemma3", "bf16", 0.0, 0, 0, (), files=("model.safetensors",))
    (folder / SUMMARY).write_text(summary.to_json())
    (folder / "model.safetensors").write_bytes(b"0" * 100)
    return folder


@pytest.mark.parametrize(
    ("script", "why"), [(FAILING, "ended with 1:"), (JUNK, "GGUF files must be ones that can be read")]
)
def test_what_the_converter_fails_with_is_shown(
    script: str, why: str, door: Door, merged: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hpsearch.training.export.gguf.MODULES", ())
    (tmp_path / SCRIPT).write_text(script)
    before = {path.name: path.read_bytes() for path in merged.iterdir()}
    assert converted(door, merged, str(tmp_path)) == 2
    assert why in said(door)
    if script == FAILING:
        assert "\n    Model Strange is not supported\n" in said(door) and "%|" not in said(door)
        shown = [progress["fraction"] for progress in door.said("progress") if "fraction" in progress]
        assert shown, "progress is shown"
    assert {path.name: path.read_bytes() for path in merged.iterdir()} == before


def test_a_converter_that_cannot_run_is_refused_before_anything(
    door: Door, merged: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert converted(door, merged, "", only_ask=True) == 2
    assert "name its folder with --llama-cpp or LLAMA_CPP" in said(door)
    (tmp_path / SCRIPT).write_text(FAILING)
    assert converted(door, merged, str(tmp_path), only_ask=True, python="/no/python") == 2
    assert "fix --converter-python" in said(door)
    monkeypatch.setattr("hpsearch.training.export.gguf.MODULES", ("torch", "no_such_module", "yaml_too"))
    assert converted(door, merged, str(tmp_path), only_ask=True) == 2
    assert "-m pip install no_such_module yaml_too" in said(door)
    monkeypatch.setattr("hpsearch.training.export.gguf.MODULES", ())
    assert converted(door, merged, str(tmp_path), only_ask=True) == 0
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage._replace(free=10))
    assert converted(door, merged, str(tmp_path)) == 2
    assert "GGUF files must fit on the disk" in said(door)


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"architecture": "clip"}, "is of the architecture clip"),
        ({"kinds": ("F16",)}, "has its matrices in F16, not Q8_0"),
        ({"lacking": 1}, "says that it has 1 layers more than are in it"),
        ({"compared": 7}, "has only 7 matrices of the merged model among 15"),
        ({"apart": 0.03}, "has a matrix that is 0.03 off"),
        ({"apart": float("nan")}, "has a matrix that is nan off"),
    ],
)
def test_a_file_of_another_model_is_refused(changes: dict[str, Any], why: str) -> None:
    refuse_other_model(GOOD, "q8_0", vision=False)
    with pytest.raises(UsageError, match=why):
        refuse_other_model(replace(GOOD, **changes), "q8_0", vision=False)
