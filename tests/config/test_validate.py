"""hpsearch validate: every error of every file, with its place; warnings only of what is sound."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from hpsearch.config.definition import StudyDefinition
from hpsearch.config.validate import FileFinding, validate_files
from tests.config.test_definition import PROGRAM, USERS


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An empty working folder."""
    monkeypatch.chdir(tmp_path)


def findings(values: Any, name: str = "f.json") -> list[FileFinding]:
    """The findings of one file."""
    Path(name).write_text(values if isinstance(values, str) else json.dumps(values), encoding="utf-8")
    return validate_files([Path(name)])


@pytest.mark.parametrize("values", [USERS, USERS["search_space"], PROGRAM, {}])
def test_nothing_is_said_of_what_is_sound(values: Any) -> None:
    assert findings(values) == []


def test_every_error_of_a_definition_with_its_place() -> None:
    found = findings(
        {"lora_r": "8", "n_trials": 0, "bogus": 1, "search_space": {"learning_rate": 3, "lora_alpha": {"type": "int"}}}
    )
    assert all(finding.is_error for finding in found)
    assert [str(finding).partition("(f.json#")[2].partition(")")[0] for finding in found] == [
        "/bogus",
        "/n_trials",
        "/search_space/learning_rate",
        "/search_space/lora_alpha",
        "/search_space/lora_alpha",
        "/lora_r",
    ]
    assert str(found[0]).startswith(
        'f.json: error: "bogus" is not a known key of a definition (f.json#/bogus); known: '
    )


def test_every_error_of_a_bare_space_with_its_place() -> None:
    found = findings(
        {"learning_rate": {"type": "uniform", "low": 2, "high": 20}, "lora_r": {"type": "int", "low": 9, "high": 1}}
    )
    assert [str(finding) for finding in found] == [
        'f.json: error: low <= high must hold for "lora_r", but low=9, high=1 (f.json#/lora_r); swap them',
        'f.json: error: "learning_rate" must be <= 10, but is 20.0 (f.json#/learning_rate/high); '
        "write a number > 0 and <= 10, such as 0.0002",
    ]


def test_warnings_of_a_sound_definition() -> None:
    (found,) = findings({"evaluations": 5, "pruner": "median"})
    assert not found.is_error
    assert str(found).startswith("f.json: warning: the median pruner can never stop a trial: n_warmup_steps=10")


def test_a_bare_space_with_other_names_is_for_a_command() -> None:
    (found,) = findings({"lr": {"type": "uniform", "low": 0, "high": 1}})
    assert (found.is_error, found.text) == (
        False,
        '"lr" is not a setting of the built-in training, so this space is for a command; '
        'did you mean "lr_scheduler_type"?',
    )


def test_a_key_both_fixed_and_searched() -> None:
    (found,) = findings({"search_space": USERS["search_space"], "lora_r": 4})
    assert 'but "lora_r" is both (f.json#/lora_r)' in found.text


def test_errors_of_a_named_search_space_are_told_in_its_file() -> None:
    Path("space.json").write_text('{"lora_r": {"type": "int", "low": 9, "high": 1}}', encoding="utf-8")
    (found,) = findings({"search_space": "space.json"})
    assert (found.file, found.is_error) == ("f.json", True)
    assert "(space.json#/lora_r)" in found.text
    (missing,) = findings({"search_space": "none.json"})
    assert missing.text.startswith('there is no search space "none.json"')


@pytest.mark.parametrize("values", [{"max_steps": 5, "holdout_split": "test"}, USERS, PROGRAM])
def test_a_best_config_is_sound_too(values: Any) -> None:
    definition = StudyDefinition.from_flat(values)
    params = definition.default_params()
    assert findings(definition.best_config(params, 5)) == []
    if definition.command is None:
        assert findings(definition.trial_settings(params, 5)) == []
        (found,) = findings(definition.trial_settings(params, 5) | {"lora_r": 0})
        assert "(f.json#/lora_r)" in found.text


@pytest.mark.parametrize("text", ["", "[]", '{"a": NaN}', '{"a": 1, "a": 2}', "[" * 9999])
def test_a_file_that_cannot_be_read_is_an_error_too(text: str) -> None:
    (found,) = findings(text)
    assert found.is_error


def test_files_are_told_in_the_order_given_and_one_does_not_hide_another() -> None:
    Path("good.json").write_text("{}", encoding="utf-8")
    Path("bad.json").write_text("[]", encoding="utf-8")
    found = validate_files([Path("none.json"), Path("good.json"), Path("bad.json")])
    assert [finding.file for finding in found] == ["none.json", "bad.json"]
    assert found[0].text == "cannot read none.json: No such file or directory; name a JSON file that you can read"
