"""The best configuration as something to copy."""

from __future__ import annotations

import json
from pathlib import Path

import optuna

from hpsearch.report.study import best_configuration
from hpsearch.report.summary import summarize
from hpsearch.study import attributes as attrs
from tests.report.sample_studies import DEFINITION, foreign_study


def test_settings_are_the_fixed_ones_with_the_trials_own(study: optuna.Study) -> None:
    configuration = best_configuration(summarize(study), None)
    assert configuration is not None
    settings = json.loads(configuration.json)
    assert settings["instruction"] == "Read the digits."
    assert settings["learning_rate"] == study.best_params["learning_rate"]
    assert settings["seed"] == study.best_trial.user_attrs[attrs.SEED]
    assert "n_trials" not in settings and "search_space" not in settings
    assert configuration.command == (
        "hpsearch train --config digits-ocr_best_config.json --output-dir digits-ocr-again"
    )  # fmt: skip


def test_the_file_beside_the_study_is_preferred_if_it_is_about_the_trial(study: optuna.Study, tmp_path: Path) -> None:
    path = tmp_path / "digits-ocr_best_config.json"
    path.write_text(json.dumps(study.best_params | {"model_name": "from the file"}), encoding="utf-8")
    configuration = best_configuration(summarize(study), tmp_path)
    assert configuration is not None and configuration.path == path
    assert configuration.settings["model_name"] == "from the file"
    assert str(path) in configuration.command
    path.write_text(json.dumps(study.best_params | {"lora_r": -1}), encoding="utf-8")
    configuration = best_configuration(summarize(study), tmp_path)
    assert configuration is not None and configuration.path is None
    path.write_text("{", encoding="utf-8")
    configuration = best_configuration(summarize(study), tmp_path)
    assert configuration is not None and configuration.path is None


def test_a_study_with_a_command_of_its_own_is_repeated_by_it(study: optuna.Study) -> None:
    command = ["python", "my train.py", "--lr", "{learning_rate}", "--seed", "{seed}", "--out", "{output_dir}", "{{}}"]
    study.set_user_attr(attrs.DEFINITION, DEFINITION | {"command": command, "settings": {"data": "rows"}})
    configuration = best_configuration(summarize(study), None)
    best = study.best_trial
    assert configuration is not None and configuration.settings["data"] == "rows"
    assert configuration.command == (
        f"python 'my train.py' --lr {best.params['learning_rate']} --seed {best.user_attrs[attrs.SEED]} "
        f"--out trial_{best.number}-again '{{}}'"
    )


def test_only_its_script_can_repeat_another_scripts_trial() -> None:
    study = foreign_study()
    configuration = best_configuration(summarize(study), None)
    assert configuration is not None
    assert configuration.command == ""
    assert set(configuration.settings) <= {"lr", "momentum", "optimizer"}


def test_no_trial_no_configuration() -> None:
    assert best_configuration(summarize(optuna.create_study()), None) is None


def test_what_was_searched_comes_first_then_what_differs_from_the_defaults(study: optuna.Study) -> None:
    configuration = best_configuration(summarize(study), None)
    assert configuration is not None
    assert json.loads(configuration.searched) == study.best_params
    changed = json.loads(configuration.changed)
    assert {"instruction", "model_name", "input_data"} <= set(changed) and not set(changed) & set(study.best_params)
    same = [name for name, value in changed.items() if value == configuration.defaults.get(name)]
    assert same == []
