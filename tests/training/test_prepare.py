"""The prepare job: what it leaves, what it refuses, what it leaves out with a word, and when it works again."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from hpsearch.data.metrics.registry import METRICS
from hpsearch.training.prepare import gpus
from hpsearch.training.prepared import PreparedData, open_rows
from tests.training.conftest import LINEARS, WORDS, Door, picture, write_words

LISTS_TORCH = """
import sys
from hpsearch.training.__main__ import main
code = main()
print(code, "torch" in sys.modules)
"""


def write_pages(folder: Path, rows: list[dict[str, Any]]) -> Path:
    """A JSON file of rows; pages p0.png ... p19.png beside it, each with another word."""
    folder.mkdir(exist_ok=True)
    for number in range(20):
        (folder / f"p{number}.png").write_bytes(picture(f"w{number}"))
    path = folder / "rows.json"
    path.write_text(json.dumps(rows), encoding="utf-8")
    return path


def pages(count: int = 20) -> list[dict[str, Any]]:
    return [{"image_path": f"p{number}.png", "ocr_text": f"w{number}"} for number in range(count)]


def refusal(door: Door) -> str:
    """The reason why the last job was refused."""
    assert door.said("fault") == ["invalid"]
    return str(door.said("message")[0])


def test_it_leaves_rows_figures_and_the_scores_of_the_base(prepared: dict[str, Door], family_name: str) -> None:
    folder = prepared[family_name].folder / "prepare"
    found = PreparedData.read(folder)
    assert found.family == family_name
    assert found.rows == {split: len(words) for split, words in WORDS.items()}
    assert {split: [row.text for row in open_rows(folder, split)] for split in WORDS} == WORDS
    assert found.base.keys() == {f"{split}_{what}" for split in ("eval", "holdout") for what in (*METRICS, "loss")}
    tokens = found.figures["tokens"]
    assert tokens["longest"] == tokens["longest_question"] + tokens["longest_answer"]
    assert {tower: lora["modules"] for tower, lora in found.figures["lora"].items()} == {
        "language": LINEARS[family_name][0]
    }
    assert [sample["reference"] for sample in found.samples] == WORDS["validation"][:3]
    assert found.device in ("cpu", "cuda")
    cut = (
        "max_new_tokens is 4, but the longest answer has 5 tokens: "
        "the text generated for the longest rows will be cut, and counted as errors"
    )
    assert found.warnings == [
        *([cut] if tokens["longest_answer"] == 5 else []),  # one family's end mark is a single token
        "validation has only 5 rows: differences between trials will mostly be chance",
        "holdout has only 3 rows: differences between trials will mostly be chance",
    ]


def test_it_is_not_repeated_while_nothing_changes_and_then_needs_no_torch(door: Door) -> None:
    settings = door.settings()
    job = door.job("prepare", settings)
    assert door.run(job) == 0
    folder = Path(job.output_dir)
    before = (folder / "prepared.json").read_bytes()
    again = {"seed": 99, "resume_from_checkpoint": "latest", "save_steps": 5, "save_total_limit": 1, "logging_steps": 1}
    again |= {"dataloader_num_workers": 1}
    (folder / "job.json").write_text(door.job("prepare", settings | again).to_json())
    environment = {**os.environ, "HPSEARCH_JOB": str(folder / "job.json"), "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run(
        [sys.executable, "-c", LISTS_TORCH], env=environment, capture_output=True, text=True, check=True, timeout=120
    )
    assert done.stdout.split()[-2:] == ["0", "False"]
    assert (folder / "prepared.json").read_bytes() == before


def test_what_is_measured_leaves_nothing_else(door: Door, prepared: dict[str, Door], typical_family: str) -> None:
    open_ones = {"eval_samples": None, "eval_stride": None, "final_samples": None}
    settings = door.settings(typical_family, **open_ones, learning_rate=1.0, finetune_vision_layers=True)
    assert door.prepare(settings) == 0
    found = PreparedData.read(door.folder / "prepare")
    untuned = PreparedData.read(prepared[typical_family].folder / "prepare").base
    assert found.base == {name: pytest.approx(value) for name, value in untuned.items()}, "what measuring learned shows"
    assert found.resolved.keys() == {"eval_samples", "eval_stride", "final_samples"}
    assert [path for path in (door.folder / "prepare").iterdir() if path.is_dir()] == []


def test_measured_sizes_stay_for_a_fine_tune_that_goes_on(door: Door) -> None:
    open_ones = {"eval_samples": None, "eval_stride": None, "final_samples": None}
    assert door.prepare(door.settings(**open_ones)) == 0
    path = door.folder / "prepare" / "prepared.json"
    found = json.loads(path.read_text())
    odd = {"eval_samples": 2, "eval_stride": 1, "final_samples": 37}
    path.write_text(json.dumps(found | {"resolved": odd}))
    assert door.prepare(door.settings(**open_ones, resume_from_checkpoint="latest", learning_rate=0.5)) == 0
    assert PreparedData.read(path.parent).resolved == odd
    assert door.prepare(door.settings(**open_ones, learning_rate=0.25)) == 0
    assert PreparedData.read(path.parent).resolved["final_samples"] != 37


def test_a_disk_too_small_for_the_rows_is_refused(door: Door, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = door.settings()
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=100))
    assert door.prepare(settings) == 2
    assert "a copy of all rows must fit on the disk" in refusal(door)


def test_which_of_several_gpus_is_used_makes_no_difference(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for slot, model in (
        ("0000:01:00.0", "NVIDIA A100"),
        ("0000:02:00.0", "NVIDIA A100"),
        ("0000:03:00.0", "NVIDIA L4"),
    ):
        (tmp_path / slot).mkdir()
        (tmp_path / slot / "information").write_text(f"Model: \t {model}\nIRQ:   16\n")
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "1")
    assert gpus(tmp_path) == ["NVIDIA A100", "NVIDIA L4"]
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    assert gpus(tmp_path) == []


def test_it_is_repeated_when_the_data_change(door: Door, tmp_path: Path) -> None:
    own = write_words(tmp_path / "own")
    settings = door.settings(input_data=str(own))
    assert door.prepare(settings) == 0
    before = PreparedData.read(tmp_path / "prepare")
    write_words(own, {**WORDS, "train": ["new", *WORDS["train"]]})
    assert door.prepare(settings) == 0
    after = PreparedData.read(tmp_path / "prepare")
    assert after.fingerprint != before.fingerprint
    assert after.model_fingerprint == before.model_fingerprint
    assert after.rows["train"] == 13


def test_a_refused_job_leaves_no_earlier_result_behind(door: Door) -> None:
    assert door.prepare(door.settings()) == 0
    assert door.prepare(door.settings(max_seq_length=5)) == 2
    assert not (door.folder / "prepare" / "prepared.json").exists()


def test_slices_and_a_holdout_from_the_validation_rows(door: Door, tmp_path: Path) -> None:
    path = write_pages(tmp_path / "pages", pages())
    settings = door.settings(
        input_data=str(path),
        train_split="train[:50%]",
        val_split="train[50%:]",
        holdout_split=None,
        holdout_fraction=0.4,
    )
    assert door.prepare(settings) == 0
    folder = tmp_path / "prepare"
    texts = {split: {row.text for row in open_rows(folder, split)} for split in WORDS}
    assert {split: len(words) for split, words in texts.items()} == {"train": 10, "validation": 6, "holdout": 4}
    assert texts["train"] == {f"w{number}" for number in range(10)}
    assert texts["validation"] | texts["holdout"] == {f"w{number}" for number in range(10, 20)}


def test_a_picture_on_two_sides_is_taken_out_of_train(door: Door, tmp_path: Path) -> None:
    own = write_words(tmp_path / "own", {**WORDS, "train": [*WORDS["train"], "yak", "bat"]})
    assert door.prepare(door.settings(input_data=str(own))) == 0
    found = PreparedData.read(tmp_path / "prepare")
    assert found.rows["train"] == 12
    assert "2 rows left out of train: their picture is also in validation or the holdout set" in found.warnings


def test_a_document_is_never_on_two_sides(door: Door, tmp_path: Path) -> None:
    rows = [row | {"document": f"book {number // 5}"} for number, row in enumerate(pages())]
    path = write_pages(tmp_path / "pages", rows)
    settings = door.settings(input_data=str(path), train_split="train[:12]", val_split="train[12:]", holdout_split=None)
    assert door.prepare(settings) == 0
    found = PreparedData.read(tmp_path / "prepare")
    assert found.rows == {"train": 10, "validation": 3, "holdout": 5}
    assert any("their document is also in" in warning for warning in found.warnings)


def test_shared_pieces_are_pointed_out(door: Door, tmp_path: Path) -> None:
    own = write_words(tmp_path / "own", {"train": WORDS["train"]}, sources=[[number] for number in range(12)])
    write_words(own, {"validation": WORDS["validation"]}, sources=[[0, 50], [51], [52], [53], [54]])
    write_words(own, {"holdout": WORDS["holdout"]})
    assert door.prepare(door.settings(input_data=str(own))) == 0
    assert any(
        "1 rows of train are made of pieces" in warning for warning in PreparedData.read(tmp_path / "prepare").warnings
    )


def test_a_few_unusable_rows_are_left_out_by_name(door: Door, tmp_path: Path) -> None:
    rows = [*pages(20), {"image_path": "gone.png", "ocr_text": "gone"}, {"image_path": "p0.png", "ocr_text": "  "}]
    path = write_pages(tmp_path / "pages", rows)
    settings = door.settings(
        input_data=str(path), train_split="train[:50%]", val_split="train[50%:]", holdout_split=None
    )
    assert door.prepare(settings) == 0
    warning, listed = [text for text in PreparedData.read(tmp_path / "prepare").warnings if "left out" in text]
    assert listed == f"all 2 rows left out are listed in {tmp_path}/prepare/left_out.jsonl"
    assert warning.startswith("2 rows left out: rows.json#20 (")
    assert "gone.png" in warning
    assert "rows.json#21 (its text is empty)" in warning


def test_many_unusable_rows_are_refused(door: Door, tmp_path: Path) -> None:
    path = write_pages(tmp_path / "pages", pages())
    for number in range(3):
        (path.parent / f"p{number}.png").write_bytes(b"no picture")
    settings = door.settings(
        input_data=str(path), train_split="train[:50%]", val_split="train[50%:]", holdout_split=None
    )
    assert door.prepare(settings) == 2
    why = refusal(door)
    assert (
        "at most 10% of the rows may be unusable, but 3 of 20 are: rows.json#0 (not a picture that can be read" in why
    )
    assert str(path.parent / "p0.png") in why


@pytest.mark.parametrize(
    ("changes", "searched", "rule"),
    [
        ({"input_data": None}, {}, "input_data is not set"),
        ({"input_data": "/nowhere/rows.json"}, {}, "/nowhere/rows.json does not exist"),
        ({"val_split": "dev"}, {"learning_rate": [1e-4, 1e-3]}, ""),
        ({"val_split": "test"}, {}, "val_split: a test split is neither learned from nor searched on"),
        ({"train_split": "Testing[:5]"}, {}, "train_split: a test split is neither learned from nor searched on"),
        ({"val_split": "other"}, {}, "val_split must name a split of the data, but names 'other'"),
        (
            {"image_column": "scan"},
            {},
            "image_column must name a column of the data, but is 'scan', and holdout.parquet#0 has",
        ),
        ({"text_column": "words"}, {}, "holdout.parquet#0 has image, text; set text_column to one of these"),
        ({"document_column": "book"}, {}, "document_column must name a column of the data"),
        ({"image_root": "/nowhere"}, {}, "image_root must be a folder, but /nowhere is none"),
        ({"dataset_subset": "small"}, {}, "dataset_subset must name one of the subsets of"),
        ({"dataset_revision": "main"}, {}, "dataset_revision goes with a dataset on the Hub, but input_data"),
        ({"train_split": "train[:0]"}, {}, "train has none"),
        ({"train_split": "train[:x]"}, {}, "a slice must be written like"),
        ({"max_seq_length": 20}, {}, "every row must fit in max_seq_length=20 tokens, but 20 of 20 do not: train.par"),
        ({}, {"max_seq_length": [20, 100]}, "max_seq_length=20"),
        ({}, {"instruction": ["Read.", "Read " * 30]}, "every row must fit in max_seq_length"),
        ({"load_in_4bit": True}, {}, "load_in_4bit needs a CUDA GPU"),
        ({}, {"load_in_4bit": [False, True]}, "load_in_4bit needs a CUDA GPU"),
        ({}, {"optim": ["adamw_torch", "adamw_8bit"]}, "adamw_8bit needs a CUDA GPU"),
        ({"finetune_language_layers": False}, {}, "something must be adapted"),
        ({"family": "gemma3"}, {}, "family 'gemma3' must fit the model"),
        ({"model_name": "asset:nothing"}, {}, "asset:NAME must name something that ships"),
        ({"model_name": "no such/thing at all"}, {}, "must be a Hub id, a folder or asset:NAME"),
        ({"model_name": "/tmp"}, {}, "must hold a readable config.json"),
        ({}, {"lora_r": [8, 0]}, "lora_r: Input should be greater than or equal to 1"),
    ],
)
def test_what_cannot_be_honoured_is_refused(
    prepared: dict[str, Door], door: Door, changes: dict[str, Any], searched: dict[str, list[Any]], rule: str
) -> None:
    if "CUDA" in rule and __import__("torch").cuda.is_available():
        pytest.skip("this machine has a CUDA GPU")
    code = door.prepare(door.settings() | changes, **searched)
    if not rule:
        assert code == 0
        return
    assert code == 2
    assert rule in refusal(door)
    assert "; " in refusal(door), "the remedy is missing"
