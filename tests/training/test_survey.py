"""The look at data, model and machine that drafts are made from."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from hpsearch.execution.survey_result import Survey
from hpsearch.training.models.families import FAMILIES
from hpsearch.training.prepared import PreparedData
from tests.training.conftest import Door


def surveyed(door: Door, settings: dict[str, Any]) -> Survey:
    job = door.job("survey", settings)
    assert door.run(job) == 0, door.lines
    return Survey.from_json((Path(job.output_dir) / "survey.json").read_text(encoding="utf-8"))


def test_it_finds_what_prepare_finds(door: Door, family_name: str) -> None:
    settings = door.settings(family_name, lora_r=3, finetune_vision_layers=True)
    found = surveyed(door, settings)
    assert door.prepare(settings) == 0, door.lines
    prepared = PreparedData.read(door.folder / "prepare")
    tokens, lora = prepared.figures["tokens"], prepared.figures["lora"]
    assert found.family == family_name
    assert dict(found.rows) == dict(prepared.rows)
    assert (found.sizings[0].picture, found.sizings[0].row) == (tokens["median_picture"], tokens["longest"])
    assert (found.answer, found.longest_answer) == (tokens["median_answer"], tokens["longest_answer"])
    for tower in ("language", "vision"):
        assert found.towers[tower].per_rank * 3 == lora[tower]["trainable"]
        assert found.towers[tower].layers > 0 and found.towers[tower].hidden > 0
    assert (found.towers["merger"].per_rank > 0) == (FAMILIES[family_name].merger is not None)
    assert found.parameters == prepared.figures["parameters"]
    assert found.patches == (1 if family_name == "gemma3" else 4)  # for each token, as the tiny models are made
    if found.device == "cpu":
        assert (found.weights, found.memory, found.gpu) == (prepared.figures["bytes"]["weights"], 0, "")
    assert found.weights_4bit < found.weights
    assert not list((door.folder / "survey").glob("*.arrow")), "rows are looked at, not kept"


def test_pictures_of_any_size_are_measured_at_smaller_ones(door: Door, tmp_path: Path) -> None:
    rows = []
    for number in range(20):
        Image.new("L", (1200 + number, 900), 255 - number).save(tmp_path / f"{number}.png")
        rows.append({"image_path": f"{number}.png", "ocr_text": f"row {number}"})
    (tmp_path / "rows.json").write_text(json.dumps(rows), encoding="utf-8")
    splits = {"train_split": None, "val_split": None, "holdout_split": None}
    found = surveyed(door, door.settings(**splits, input_data=str(tmp_path / "rows.json"), max_seq_length=10))
    assert found.edge == 1048
    assert [sizing.longest_edge for sizing in found.sizings] == [None, 512, 768, 1024, 1048]
    own, *tokens = [sizing.picture for sizing in found.sizings]
    assert tokens == sorted(set(tokens))
    assert own < tokens[0], "the tiny model's own limit"
    assert found.patches == 4
    (fixed,) = surveyed(door, door.settings("gemma3", **splits, input_data=str(tmp_path / "rows.json"))).sizings
    assert (fixed.longest_edge, fixed.pan_and_scan) == (None, False)


def test_a_family_with_budgets_is_measured_at_each(door: Door) -> None:
    found = surveyed(door, door.settings("gemma4"))
    assert [sizing.max_pixels for sizing in found.sizings] == [
        None,
        *(tokens * 48**2 for tokens in (70, 140, 280, 560, 1120)),
    ]
    pictures = [sizing.picture for sizing in found.sizings[1:]]
    assert pictures == sorted(set(pictures)) and found.sizings[0].picture == pictures[0]


def test_text_too_dense_for_one_square_is_measured_with_crops(door: Door, tmp_path: Path) -> None:
    rows = []
    for number in range(20):
        Image.new("L", (1200, 400 + number), 255).save(tmp_path / f"{number}.png")
        rows.append({"image_path": f"{number}.png", "ocr_text": "abc " * 100 + str(number)})
    (tmp_path / "rows.json").write_text(json.dumps(rows), encoding="utf-8")
    splits = {"train_split": None, "val_split": None, "holdout_split": None}
    found = surveyed(door, door.settings("gemma3", **splits, input_data=str(tmp_path / "rows.json")))
    assert [sizing.pan_and_scan for sizing in found.sizings] == [False, True]
    assert found.sizings[1].picture > found.sizings[0].picture


@pytest.mark.parametrize(
    ("changes", "said"),
    [({"input_data": "/nowhere.json"}, "/nowhere.json does not exist"), ({"model_name": "/tmp"}, "config.json")],
)
def test_data_or_a_model_that_cannot_be_used_are_refused(door: Door, changes: dict[str, Any], said: str) -> None:
    assert door.run(door.job("survey", door.settings() | changes)) == 2
    assert any(said in str(line.get("message", "")) for line in door.lines), door.lines
