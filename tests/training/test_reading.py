"""Reading pictures: with the adapter a fine-tune left, from Python and by the command, as it was judged in training."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

import hpsearch
from hpsearch.errors import UsageError
from hpsearch.training import predict as reading
from hpsearch.training.evaluate.scores import SPAN
from hpsearch.training.models.families import FAMILIES
from tests.training.conftest import NO_SEARCH, WORDS, Door, at, picture


@pytest.fixture(scope="module")
def tuned(prepared: dict[str, Door]) -> tuple[Door, Path]:
    """A door, and the adapter of a short fine-tune behind it."""
    door = at(prepared["qwen3_vl"])
    changes = {"max_steps": 8, "longest_edge": 64, "instruction": "Read it."}
    assert door.run(door.job("train", door.settings(**changes), "read")) == 0, door.lines
    return door, door.folder / "read" / "adapter"


def predictions(door: Door) -> dict[str, str]:
    """The predictions of the training, by word."""
    lines = (door.folder / "read" / "predictions.jsonl").read_text(encoding="utf-8").splitlines()
    return {row["reference"]: row["prediction"].strip() for row in map(json.loads, lines)}


def test_a_tuned_model_reads_as_it_was_judged(tuned: tuple[Door, Path]) -> None:
    door, adapter = tuned
    model, tokenizer, processor = hpsearch.load_model(adapter)
    assert processor.image_processor.size["longest_edge"] == 64 * 64, "pictures are sized otherwise than in training"
    for word in (*WORDS["validation"], *WORDS["holdout"]):
        read = hpsearch.run_ocr(picture(word), model=model, tokenizer=tokenizer, processor=processor)
        assert read == predictions(door)[word]


def test_a_size_that_is_asked_for_wins_over_the_trained_one(tuned: tuple[Door, Path]) -> None:
    for size in ({"max_pixels": 1600}, {"longest_edge": 40}):
        assert hpsearch.load_model(tuned[1], **size).processor.image_processor.size["longest_edge"] == 1600


def test_pictures_may_be_paths_bytes_or_in_memory(tuned: tuple[Door, Path], tmp_path: Path) -> None:
    model = hpsearch.load_model(tuned[1]).model
    path = tmp_path / "yak.png"
    path.write_bytes(picture("yak"))
    with Image.open(path) as opened:
        texts = {hpsearch.run_ocr(image, model) for image in (path, str(path), picture("yak"), opened)}
    assert len(texts) == 1


def test_what_cannot_be_read_is_refused(tuned: tuple[Door, Path], tmp_path: Path) -> None:
    model = hpsearch.load_model(tuned[1]).model
    (tmp_path / "broken.png").write_bytes(b"no picture")
    with pytest.raises(UsageError, match=r"broken.png: not a picture that can be read"):
        hpsearch.run_ocr(tmp_path / "broken.png", model)
    with pytest.raises(UsageError, match=r"gone.png: No such file"):
        hpsearch.run_ocr(tmp_path / "gone.png", model)
    with pytest.raises(UsageError, match="reads with a model of load_model"):
        hpsearch.run_ocr(picture("yak"), object())


def test_a_base_reads_too_and_asks_what_its_family_asks(door: Door, family_name: str) -> None:
    reader = reading.load_reader(door.bases[family_name], max_new_tokens=5)
    assert reader.prompt == FAMILIES[family_name].instruction
    texts = reader.read([reading.picture_of(picture(word)) for word in ("yak", "eel")], "Read.")
    assert len(texts) == 2


def test_a_text_that_repeats_itself_is_read_once_more(
    tuned: tuple[Door, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    import torch

    reader = reading.load_reader(tuned[1], max_new_tokens=SPAN + 20)
    asked: list[float] = []
    generate = reader.loaded.model.generate

    def turning(**options: Any) -> Any:
        """The model itself, its head made to say one thing for ever."""
        asked.append(options["generation_config"].temperature or 0.0)
        return generate(**options)

    monkeypatch.setattr(reader.loaded.model, "generate", turning)
    head = reader.loaded.model.get_output_embeddings()
    monkeypatch.setattr(
        head, "forward", lambda hidden: 1000 * torch.eye(head.out_features)[20].expand(*hidden.shape[:2], -1)
    )
    (text,) = reader.read([reading.picture_of(picture("yak"))])
    assert len(text) >= SPAN
    assert asked[1:] == [reading.RETRY_TEMPERATURE]
    assert reader.read([reading.picture_of(picture("yak"))]) == [text]


def test_pictures_too_many_for_the_memory_are_read_in_halves(
    tuned: tuple[Door, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    import torch

    reader = reading.load_reader(tuned[1])
    pictures = [reading.picture_of(picture(word)) for word in WORDS["validation"]]
    whole = reader.read(pictures)
    sizes: list[int] = []
    generate = reader.loaded.model.generate

    def small(**options: Any) -> Any:
        sizes.append(len(options["input_ids"]))
        if sizes[-1] > 2:
            torch.empty(2**50)
        return generate(**options)

    monkeypatch.setattr(reader.loaded.model, "generate", small)
    assert reader.read(pictures) == whole
    assert sizes == [5, 2, 3, 1, 2]
    monkeypatch.setattr(reader.loaded.model, "generate", lambda **_: torch.empty(2**50))
    with pytest.raises(RuntimeError, match="allocate"):
        reader.read(pictures[:2])


def test_differences_from_a_profile_are_listed(door: Door) -> None:
    assert hpsearch.verify_config(door.bases["qwen3_vl"]) == []
    differences = hpsearch.verify_config(door.bases["qwen3_vl"], profile="chandra")
    assert {"vision_config.patch_size", "text_config.hidden_size"} <= {difference.place for difference in differences}


@pytest.mark.parametrize("content", ["{}", "no JSON", "[]"])
def test_an_adapter_that_names_no_base_is_refused(tmp_path: Path, content: str) -> None:
    (tmp_path / "adapter_config.json").write_text(content)
    for asked in (hpsearch.verify_config, hpsearch.load_model):
        with pytest.raises(UsageError, match="must name its base_model_name_or_path"):
            asked(tmp_path)


def test_the_base_is_read_at_the_revision_that_was_tuned(door: Door, tmp_path: Path) -> None:
    base = str(door.bases["qwen3_vl"])
    (tmp_path / "adapter_config.json").write_text(json.dumps({"base_model_name_or_path": base}))
    (tmp_path / "hpsearch.json").write_text(json.dumps({"settings": {"model_revision": "v2"}}))
    with pytest.raises(UsageError, match="model_revision names a revision of a Hub model"):  # so it was asked for
        hpsearch.load_model(tmp_path)


def test_the_package_has_no_other_names() -> None:
    with pytest.raises(AttributeError, match="no attribute 'load_modle'"):
        _ = hpsearch.load_modle  # type: ignore[attr-defined]


def command(*words: str, folder: Path) -> subprocess.CompletedProcess[str]:
    pytest.importorskip("optuna", reason=NO_SEARCH)
    return subprocess.run(
        [sys.executable, "-m", "hpsearch", "ocr", *words],
        cwd=folder, capture_output=True, text=True, check=False, timeout=120,
    )  # fmt: skip


def test_the_command_reads_pictures_in_order(tuned: tuple[Door, Path], tmp_path: Path) -> None:
    door, adapter = tuned
    for word in WORDS["validation"]:
        (tmp_path / f"{word}.png").write_bytes(picture(word))
    names = [f"{word}.png" for word in WORDS["validation"]]
    done = command(*names, "--model", str(adapter), "--json", "--batch-size", "2", folder=tmp_path)
    assert done.returncode == 0, done.stderr
    rows = [json.loads(line) for line in done.stdout.splitlines()]
    assert [Path(row["image_path"]).name for row in rows] == names
    assert [row["ocr_text"] for row in rows] == [predictions(door)[word] for word in WORDS["validation"]]
    assert "ocr: read 100%" in done.stderr


def test_the_log_that_a_failure_names_is_there(tuned: tuple[Door, Path], tmp_path: Path) -> None:
    shutil.copytree(tuned[1], tmp_path / "broken")
    (tmp_path / "broken" / "adapter_model.safetensors").write_bytes(b"no tensors")
    (tmp_path / "yak.png").write_bytes(picture("yak"))
    done = command("yak.png", "--model", "broken", folder=tmp_path)
    assert done.returncode == 4, done.stderr
    (log,) = (Path(line.split("log: ")[1]) for line in done.stderr.splitlines() if "log: " in line)
    assert "safetensors" in log.read_text()
    shutil.rmtree(log.parent)


def test_the_command_refuses_before_it_reads(tuned: tuple[Door, Path], tmp_path: Path) -> None:
    (tmp_path / "yak.png").write_bytes(picture("yak"))
    done = command("yak.png", "gone.png", "--model", str(tuned[1]), folder=tmp_path)
    assert (done.returncode, done.stdout) == (2, "")
    assert "gone.png: No such file or directory" in done.stderr
