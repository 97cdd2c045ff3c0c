"""Every shipped study and search space opens, means what docs/studies.md says, and has numbers with which it saves."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from hpsearch.config import load
from hpsearch.config.advice import advice
from hpsearch.config.definition import StudyDefinition
from hpsearch.config.fields import StudyFields
from hpsearch.config.load import load_definition, shipped_names
from hpsearch.config.parse import DEFAULT_SPACE
from hpsearch.config.validate import validate_files

ROOT = Path(__file__).parent.parent.parent
STUDIES = ["chandra-ocr", "digits-ocr", "digits-ocr-gemma", "gemma-ocr"]
SPACES = ["default", "search_space_aggressive", "search_space_conservative", "grid_search_small"]
FILES = sorted([*(ROOT / "studies").glob("*.json"), *(ROOT / "search_spaces").rglob("*.json")])


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A working folder without definitions, as a user has it."""
    monkeypatch.chdir(tmp_path)


def test_all_of_them_ship() -> None:
    assert shipped_names("studies") == STUDIES
    assert shipped_names("search_spaces") == sorted([*SPACES, *(f"chandra/{name}" for name in SPACES)])


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_validate_has_nothing_to_say(path: Path) -> None:
    assert [str(finding) for finding in validate_files([path])] == []


@pytest.mark.parametrize("name", STUDIES)
def test_a_study_opens_saves_and_loads_back(name: str) -> None:
    definition = load_definition(name)
    assert advice(definition) == []
    assert definition.target() == 20
    assert definition.steps == 20
    pruner = definition.pruner.settled(20)
    kind = "curve" if name.startswith("digits") else "median"  # stopping early makes the demo shorter
    assert (pruner.type, pruner.warmup(20), definition.sampler) == (kind, 4, "auto")
    assert (definition.objective.metric, definition.objective.direction) == ("eval_cer", "minimize")
    assert StudyDefinition.from_flat(json.loads(json.dumps(definition.flat()))) == definition
    params = definition.default_params()
    assert all(definition.search_space[key].contains(value) for key, value in params.items())
    assert definition.trial_settings(params, 1)["seed"] == 1


@pytest.mark.parametrize("name", ["gemma-ocr", "chandra-ocr"])
def test_a_study_of_ones_own_pages_asks_for_them(name: str, tmp_path: Path) -> None:
    assert "--input-data FILE" in load_definition(name).missing()
    given = load_definition(name, options={"input_data": "rows.json"})
    assert given.missing() == ""
    assert given.settings["input_data"] == str(tmp_path / "rows.json")


@pytest.mark.parametrize("name", ["digits-ocr", "digits-ocr-gemma"])
def test_the_demo_needs_nothing(name: str) -> None:
    definition = load_definition(name)
    assert definition.missing() == ""
    assert definition.settings["holdout_split"] is not None
    # The demo of `make demo`: a pruner that can stop one of eight trials.
    assert advice(load_definition(name, options={"n_trials": 8})) == []


def test_gemma_has_its_users_defaults() -> None:
    assert load_definition("gemma-ocr").settings.items() >= {
        "model_name": "google/gemma-3-12b-it",
        "instruction": "請給我 OCR 結果",
        "load_in_4bit": True,
        "max_seq_length": 8192,
        "train_split": None,  # all that the data have to learn from
        "val_split": None,  # an existing validation split, else a tenth of the rows
        "val_ratio": 0.1,
        "finetune_vision_layers": False,
        "finetune_language_layers": True,
        "per_device_train_batch_size": 1,
        "gradient_accumulation_steps": 4,
    }.items()  # fmt: skip


def test_chandra_has_its_users_defaults() -> None:
    assert load_definition("chandra-ocr").settings.items() >= {
        "model_name": "datalab-to/chandra",
        "load_in_4bit": True,
        "lora_r": 16,
        "lora_alpha": 16,
        "lora_dropout": 0.05,
        "finetune_vision_layers": True,
        "per_device_train_batch_size": 1,
        "gradient_accumulation_steps": 8,
        "warmup_steps": 50,
        "weight_decay": 0.01,
        "lr_scheduler_type": "cosine",
        "optim": "adamw_8bit",
        "gradient_checkpointing": True,
    }.items()  # fmt: skip


@pytest.mark.parametrize("study", ["gemma-ocr", "chandra-ocr"])
def test_the_default_space_is_the_one_in_the_code(study: str) -> None:
    assert load_definition(study).search_space == DEFAULT_SPACE
    assert load_definition("anything").search_space == DEFAULT_SPACE


@pytest.mark.parametrize(("study", "folder"), [("gemma-ocr", ""), ("chandra-ocr", "chandra/")])
@pytest.mark.parametrize("space", SPACES)
def test_every_space_goes_with_its_study(study: str, folder: str, space: str) -> None:
    definition = load_definition(study, search_space=Path(folder + space))
    assert advice(definition) == []
    is_grid = space == "grid_search_small"
    assert definition.search_mode == ("grid" if is_grid else "bayesian")
    assert definition.target() == (None if is_grid else 20)
    if is_grid:
        assert definition.grid_size() == 16


@pytest.mark.parametrize("folder", ["", "chandra/"])
def test_conservative_lies_within_aggressive(folder: str) -> None:
    narrow = load_definition("x", search_space=Path(f"{folder}search_space_conservative")).search_space
    wide = load_definition("x", search_space=Path(f"{folder}search_space_aggressive")).search_space
    for name, parameter in narrow.items():
        assert all(wide[name].contains(value) for value in parameter.extremes())


def test_the_definitions_pages_examples_are_definitions() -> None:
    page = (ROOT / "docs" / "definitions.md").read_text(encoding="utf-8")
    examples = re.findall(r"```json\n(.*?)```", page, flags=re.DOTALL)
    assert len(examples) == 3
    for example in examples:
        assert advice(StudyDefinition.from_flat(json.loads(example))) == []
    for key in StudyFields.model_fields:
        assert f"`{key}`" in page


def test_the_studies_page_names_every_study_space_and_searched_setting() -> None:
    page = (ROOT / "docs" / "studies.md").read_text(encoding="utf-8")
    searched = {name for space in SPACES for name in load_definition("x", search_space=Path(space)).search_space}
    for name in {*STUDIES, *SPACES, *searched, *load_definition("digits-ocr").search_space}:
        assert f"`{name}`" in page


def test_what_a_search_left_is_not_taken_for_a_shipped_study(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "one" / "trial_0").mkdir(parents=True)
    for path in ("one.json", "one/one_best_params.json", "one/trial_0/config.json"):
        (tmp_path / path).write_text("{}")
    monkeypatch.setattr(load, "shipped_folder", lambda _: tmp_path)
    assert load.shipped_names("studies") == ["one"]
