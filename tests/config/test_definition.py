"""The flat format, what it refuses, and what a definition says of itself."""

from __future__ import annotations

import json
from typing import Any

import pytest

from hpsearch.config.advice import advice
from hpsearch.config.definition import StudyDefinition, diff_identity
from hpsearch.config.problems import InvalidDefinition
from hpsearch.errors import UsageError
from hpsearch.settings import UNSEARCHABLE, TrainSettings

BOTH = {"type": "categorical", "choices": [True, False]}
RATE = {"type": "loguniform", "low": 1e-5, "high": 5e-4}

# The users' format, as it stands in the issue tracker.
USERS = {
    "search_space": {
        "learning_rate": RATE,
        "num_train_epochs": {"type": "int", "low": 2, "high": 5, "step": 1},
        "lora_r": {"type": "categorical", "choices": [8, 16, 32, 64]},
        "warmup_ratio": {"type": "uniform", "low": 0.0, "high": 0.15},
    },
    "train_split": "train[:90%]",
    "val_split": "train[90%:]",
    "max_seq_length": 8192,
    "load_in_4bit": True,
    "per_device_train_batch_size": 1,
    "gradient_accumulation_steps": 4,
}
PROGRAM = {
    "command": ["prog", "--lr={lr}", "{text}", "{seed}", "{output_dir}", "{trial}", "{study}", "{{}}"],
    "search_space": {"lr": RATE},
    "settings": {"text": "a b; $(touch x)", "on": True, "none": None},
    "objective": {"metric": "cer", "direction": "minimize"},
}


def refusals(values: dict[str, Any]) -> list[str]:
    """Return the message about a definition, one line for each broken rule."""
    with pytest.raises(InvalidDefinition) as error:
        StudyDefinition.from_flat(values, source="s.json")
    assert error.value.exit_code == 2
    return [str(problem) for problem in error.value.problems]


class TestFormat:
    """The flat format, and that it loads back."""

    def test_the_users_format_is_accepted_as_it_stands(self) -> None:
        definition = StudyDefinition.from_flat(USERS)
        assert list(definition.search_space) == ["learning_rate", "num_train_epochs", "lora_r", "warmup_ratio"]
        assert definition.settings["load_in_4bit"] is True
        assert (definition.objective.metric, definition.objective.direction) == ("eval_cer", "minimize")
        assert (definition.search_mode, definition.target(), definition.steps) == ("bayesian", 20, 20)
        assert advice(definition) == []

    @pytest.mark.parametrize(
        "values",
        [
            {},
            USERS,
            PROGRAM,
            {"max_steps": 100, "warmup_steps": 5, "holdout_split": "test"},
            {"pruner": {"type": "percentile", "percentile": 40}, "search_mode": "random", "n_trials": 7, "seed": 5},
            {"sampler": "tpe", "pruner": {"type": "curve", "n_warmup_steps": 3}},
            {"pruner": {"type": "median", "n_warmup_steps": None}},
            {"pruner": {"n_startup_trials": 3}},
            {"sampler": "random", "pruner": {"type": "asha", "n_warmup_steps": 2}},
            {"try_first": [{"learning_rate": 1e-4}, {"num_train_epochs": 2}]},
            {"pruner": "none", "env_pass": ["TOKEN"], "trial_timeout_s": 60, "description": "é"},
            {
                "search_space": {
                    "seed": {"type": "int", "low": 0, "high": 9},
                    "max_steps": {"type": "int", "low": 1, "high": 9},
                }
            },
            {"search_space": {"lora_alpha": {"type": "categorical", "choices": [8, 16.5], "default": 8}}},
            {"search_space": {"learning_rate": {**RATE, "points": 3}}, "search_mode": "grid"},
        ],
    )
    def test_the_resolved_definition_loads_back_from_json(self, values: dict[str, Any]) -> None:
        definition = StudyDefinition.from_flat(values)
        again = StudyDefinition.from_flat(json.loads(json.dumps(definition.flat(), allow_nan=False)))
        assert again == definition
        assert again.flat() == definition.flat()
        assert diff_identity(definition.identity(), json.loads(json.dumps(again.identity()))) == []

    def test_without_a_search_space_the_default_one_is_searched_save_what_is_fixed(self) -> None:
        assert list(StudyDefinition.from_flat({}).search_space) == ["learning_rate", "num_train_epochs"]
        assert list(StudyDefinition.from_flat({"learning_rate": 1e-4}).search_space) == ["num_train_epochs"]
        assert list(StudyDefinition.from_flat({"max_steps": 50}).search_space) == ["learning_rate"]

    def test_schema_key_is_ignored(self) -> None:
        assert StudyDefinition.from_flat({"$schema": "x"}) == StudyDefinition.from_flat({})

    def test_the_resolved_definition_names_every_setting_that_has_an_effect(self) -> None:
        flat = StudyDefinition.from_flat(
            {"max_steps": 50, "learning_rate": 1e-4, "search_space": {"lora_r": {"type": "int", "low": 1, "high": 9}}}
        ).flat()
        assert set(TrainSettings.model_fields) - set(flat) == {"num_train_epochs", "lora_r"}


class TestRefusals:
    """Every rule of a definition."""

    @pytest.mark.parametrize(
        ("values", "message"),
        [
            (
                {"learning_rat": 1e-4},
                '"learning_rat" is not a known key of a definition (s.json#/learning_rat); '
                'did you mean "learning_rate"?',
            ),
            (
                {"learning_rate": RATE},
                '"learning_rate" must be a number, but is {"type": "loguniform", "low": 1e-05, "high": 0.0005} '
                '(s.json#/learning_rate); ranges belong inside "search_space"',
            ),
            ({"lr": RATE}, '"lr" is not a known key of a definition (s.json#/lr); ranges belong inside "search_space"'),
            (
                {"lora_r": "8"},
                '"lora_r" must be a whole number, but is "8" (s.json#/lora_r); '
                "write a whole number >= 1 and <= 4096, such as 16",
            ),
            (
                {"lora_r": True},
                '"lora_r" must be a whole number, but is true (s.json#/lora_r); '
                "write a whole number >= 1 and <= 4096, such as 16",
            ),
            (
                {"load_in_4bit": 1},
                '"load_in_4bit" must be true or false, but is 1 (s.json#/load_in_4bit); '
                "write true or false, such as false",
            ),
            (
                {"bnb_4bit_quant_type": "int4"},
                '"bnb_4bit_quant_type" must be "nf4" or "fp4", but is "int4" (s.json#/bnb_4bit_quant_type); '
                'write one of "nf4", "fp4", such as "nf4"',
            ),
            (
                {"learning_rate": 0, "search_space": {"lora_r": {"type": "int", "low": 1, "high": 2}}},
                '"learning_rate" must be > 0, but is 0 (s.json#/learning_rate); '
                "write a number > 0 and <= 10, such as 0.0002",
            ),
            (
                {"search_space": {"lerning_rate": RATE}},
                '"lerning_rate" is not a setting of the built-in training (s.json#/search_space/lerning_rate); '
                'did you mean "learning_rate"?',
            ),
            (
                {"search_space": {"learning_rate": {**RATE, "high": 20}}},
                '"learning_rate" must be <= 10, but is 20.0 (s.json#/search_space/learning_rate/high); '
                "write a number > 0 and <= 10, such as 0.0002",
            ),
            (
                {"search_space": {"lora_r": {"type": "categorical", "choices": [8, 5000]}}},
                '"lora_r" must be <= 4096, but is 5000 (s.json#/search_space/lora_r/choices/1); '
                "write a whole number >= 1 and <= 4096, such as 16",
            ),
            (
                {"search_space": {"lora_r": {"type": "loguniform", "low": 1, "high": 64}}},
                '"lora_r" takes whole numbers, but its range has type "loguniform" (s.json#/search_space/lora_r/type); '
                'write "type": "int" with "log": true',
            ),
            (
                {"search_space": {"bnb_4bit_quant_type": {"type": "categorical", "choices": ["nf4", "int4"]}}},
                '"bnb_4bit_quant_type" must be "nf4" or "fp4", but is "int4" '
                '(s.json#/search_space/bnb_4bit_quant_type/choices/1); write one of "nf4", "fp4", such as "nf4"',
            ),
            (
                {"search_space": {"learning_rate": RATE}, "learning_rate": 1e-4},
                'a setting is either fixed or searched, but "learning_rate" is both (s.json#/learning_rate); '
                'delete it here or from "search_space"',
            ),
            (
                {"max_steps": 4, "num_train_epochs": 3},
                '"max_steps" decides alone, but "num_train_epochs" is given too and would do nothing '
                "(s.json#/num_train_epochs); delete one of them",
            ),
            (
                {"search_space": {"warmup_steps": {"type": "int", "low": 0, "high": 9}}, "warmup_ratio": 0.1},
                '"warmup_steps" decides alone, but "warmup_ratio" is given too and would do nothing '
                "(s.json#/warmup_ratio); delete one of them",
            ),
            (
                {"search_space": {"warmup_ratio": {"type": "uniform", "low": 0, "high": 0.1}}, "warmup_steps": 5},
                '"warmup_steps" decides alone, but "warmup_ratio" is given too and would do nothing '
                "(s.json#/search_space/warmup_ratio); delete one of them",
            ),
            (
                {"val_split": "train[90%:]", "val_ratio": 0.2},
                '"val_split" decides alone, but "val_ratio" is given too and would do nothing '
                "(s.json#/val_ratio); delete one of them",
            ),
            (
                {"holdout_split": "test", "holdout_fraction": 0.2},
                '"holdout_split" decides alone, but "holdout_fraction" is given too and would do nothing '
                "(s.json#/holdout_fraction); delete one of them",
            ),
            (
                {"finetune_language_layers": False},
                "something must be adapted, but finetune_vision_layers, finetune_language_layers, "
                "finetune_merger_layers are all false (s.json#/finetune_merger_layers); set one of them to true",
            ),
            (
                {"search_space": {}},
                "a study searches at least one setting, but this one has none in search_space (s.json#/search_space); "
                "give the range of one, or run the fixed settings once with `hpsearch train`",
            ),
            (
                {"search_space": [1]},
                "a search space is an object of ranges, but is [1] (s.json#/search_space); "
                'write {"learning_rate": {"type": "loguniform", "low": 1e-05, "high": 0.0005}}',
            ),
            (
                {"settings": {"a": 1}},
                '"settings" holds the fixed values of a "command", but there is none (s.json#/settings); '
                'write the settings of the built-in training beside "search_space"',
            ),
            ({"n_trials": 0}, '"n_trials" must be >= 1, but is 0 (s.json#/n_trials); write a value >= 1'),
            (
                {"search_mode": "random", "sampler": "tpe"},
                'the sampler "tpe" searches in the mode "bayesian", but search_mode is "random" (s.json#/sampler); '
                "delete one of them",
            ),
            (
                {"pruner": {"type": "percentile", "n_warmup_steps": None}},
                'null leaves the warm-up to the pruner, but one of type "percentile" needs one '
                "(s.json#/pruner/n_warmup_steps); write a number of steps, or delete it",
            ),
            (
                {"search_space": {"lora_r": {"type": "int", "low": 4, "high": 8}}, "try_first": [{"lora_r": 9}]},
                'try_first gives values that may be tried, but "lora_r" is 9, not of 4, 8 '
                "(s.json#/try_first/0/lora_r); move it there, or widen the range",
            ),
            (
                {"search_mode": "tpe"},
                '"search_mode" must be "bayesian", "grid" or "random", but is "tpe" (s.json#/search_mode); '
                'write "bayesian", "grid" or "random"',
            ),
            (
                {"trial_timeout_s": -1},
                '"trial_timeout_s" must be > 0, but is -1 (s.json#/trial_timeout_s); write a value > 0',
            ),
            (
                {"pruner": {"type": "median", "percentile": 20}},
                '"percentile" would do nothing, as a pruner of type "median" does not read it '
                "(s.json#/pruner/percentile); delete it",
            ),
            (
                {"pruner": {"n_warmup_step": 4}},
                '"n_warmup_step" of "pruner" is not a known key (s.json#/pruner/n_warmup_step); '
                'did you mean "n_warmup_steps"?',
            ),
            (
                {"objective": {"metric": "holdout_cer", "direction": "minimize"}},
                'held-out rows are never searched on, but the objective is "holdout_cer" (s.json#/objective/metric); '
                'use "eval_cer"',
            ),
            (
                {"objective": {"metric": "eval_crr", "direction": "minimize"}},
                'the built-in training reports no metric "eval_crr" (s.json#/objective/metric); '
                'did you mean "eval_cer" or "eval_wer"?',
            ),
            (
                {"objective": {"metric": "eval_exact", "direction": "minimize"}},
                'the direction of "eval_exact" is "maximize", but is given as "minimize" '
                "(s.json#/objective/direction); delete it",
            ),
            (
                {"objective": {"metric": "accuracy"}},
                'a metric is named with its direction, but "accuracy" has none (s.json#/objective); '
                'add "direction": "minimize" or "maximize"',
            ),
            (
                {"env_pass": ["A=b"]},
                'env_pass holds names of environment variables, but "A=b" is none (s.json#/env_pass/0); '
                "write the name alone, without a value",
            ),
            (
                {"env_pass": ["HPSEARCH_JOB"]},
                'HPSEARCH_ variables are hpsearch\'s own, but env_pass names "HPSEARCH_JOB" (s.json#/env_pass/0); '
                "delete it",
            ),
        ],
    )
    def test_a_broken_rule_is_told_with_place_values_and_remedy(self, values: dict[str, Any], message: str) -> None:
        (refusal,) = refusals(values)
        assert refusal == message

    @pytest.mark.parametrize(
        ("values", "place"),
        [
            ({"val_split": "train[90:"}, "/val_split"),
            ({"val_split": "test"}, "/val_split"),
            ({"train_split": "Test[:10]"}, "/train_split"),
            ({"input_data": "asset:nothing"}, "/input_data"),
            ({"input_data": "hub:a/b/c"}, "/input_data"),
            ({"image_column": ""}, "/image_column"),
            ({"val_ratio": 1.0}, "/val_ratio"),
        ],
    )
    def test_slices_and_assets_are_refused_early(self, values: dict[str, Any], place: str) -> None:
        (refusal,) = refusals(values)
        assert f"(s.json#{place}); " in refusal

    @pytest.mark.parametrize(
        ("change", "message"),
        [
            (
                {"command": ["prog", "{rate}"]},
                '"{rate}" in the command is neither searched nor fixed (s.json#/command/1); '
                "known: checkpoint_dir, lr, none, on, output_dir, seed, study, text, trial "
                '(fixed values are in "settings"; {{ and }} are braces)',
            ),
            (
                {"command": ["prog", "{"]},
                'a brace in a command opens or closes a placeholder, but "{" has a single one (s.json#/command/1); '
                "double it: {{ or }}",
            ),
            ({"command": []}, '"command" must have at least 1 item, but is [] (s.json#/command); correct it'),
            (
                {"command": "prog {lr}"},
                '"command" must be a list, but is "prog {lr}" (s.json#/command); write a list',
            ),
            (
                {"command": [" "]},
                "a command begins with a program, but this one with nothing (s.json#/command/0); name a program",
            ),
            (
                {"max_seq_length": 5},
                '"max_seq_length" is a setting of the built-in training, which a command replaces '
                '(s.json#/max_seq_length); write it inside "settings" for your program, or delete it',
            ),
            (
                {"settings": {"text": [1]}},
                'a fixed value is a text, a number, true, false or null, but "text" is [1] (s.json#/settings/text); '
                "write one value, or a text that holds them",
            ),
            (
                {"settings": {"text": 1, "lr": 1}},
                'a setting is either fixed or searched, but "lr" is both (s.json#/settings/lr); '
                'delete it here or from "search_space"',
            ),
            (
                {"settings": {"text": 1, "seed": 1}},
                '"seed" is filled in by hpsearch itself (s.json#/settings/seed); write "seed" beside "command"',
            ),
            (
                {"search_space": {"lr": RATE, "trial": RATE}},
                '"trial" is filled in by hpsearch itself (s.json#/search_space/trial); rename it',
            ),
            (
                {"search_space": {"lr": RATE, "a b": RATE}},
                "a name in a command is letters, digits, '_' and '-', but is \"a b\" "
                "(s.json#/search_space/a b); rename it",
            ),
            (
                {"search_space": {"lr": {"type": "uniform", "low": 2.0, "high": 1.0}}},
                'low <= high must hold for "lr", but low=2.0, high=1.0 (s.json#/search_space/lr); swap them',
            ),
            (
                {"search_space": {"lr": {"type": "categorical", "choices": [1, None]}}},
                "a choice is a number, a text, true or false, but is null "
                "(s.json#/search_space/lr/choices/1); correct it",
            ),
            (
                {"objective": {"metric": "step", "direction": "minimize"}},
                'a metric\'s name is printable and none of step, progress, fault, but is "step" '
                "(s.json#/objective/metric); rename it, in the program too",
            ),
            (
                {"settings": 3, "command": ["p"]},
                'settings is an object of fixed values, but is 3 (s.json#/settings); write {"name": value}',
            ),
        ],
    )
    def test_a_command_has_rules_too(self, change: dict[str, Any], message: str) -> None:
        assert refusals(PROGRAM | change) == [message]

    def test_a_grid_needs_values_for_its_continuous_ranges(self) -> None:
        space = {
            "learning_rate": RATE,
            "warmup_ratio": {"type": "uniform", "low": 0, "high": 0.1},
            "lora_r": {"type": "int", "low": 1, "high": 2},
        }
        assert refusals({"search_space": space, "search_mode": "grid"}) == [
            f'"{name}": a grid has finitely many points, but the range {ends} is continuous '
            f"(s.json#/search_space/{name}); "
            'add "points": 5 or "values": [...] to it, or search with --search-mode bayesian'
            for name, ends in (("learning_rate", "1e-05..0.0005"), ("warmup_ratio", "0.0..0.1"))
        ]

    def test_a_grid_of_too_many_points_is_told_its_size(self) -> None:
        space = {"lora_r": {"type": "int", "low": 1, "high": 4096}, "lora_alpha": {"type": "int", "low": 1, "high": 3}}
        assert refusals({"search_space": space, "search_mode": "grid"}) == [
            "a grid has at most 10,000 points, this one 12,288 (lora_alpha 3 x lora_r 4096) (s.json#/search_space); "
            "use fewer values or a larger step, or search with --search-mode bayesian"
        ]
        assert StudyDefinition.from_flat({"search_space": space}).search_mode == "bayesian"

    def test_a_command_needs_a_search_space_of_its_own(self) -> None:
        (refusal,) = refusals({"command": ["prog"]})
        assert refusal.startswith("a study searches at least one setting, but this one has none in search_space")

    def test_all_broken_rules_are_told_at_once(self) -> None:
        values = {"lora_r": "8", "n_trials": 0, "bogus": 1, "search_space": {"learning_rate": 3, "optim": RATE}}
        places = [line.partition("(s.json#")[2].partition(")")[0] for line in refusals(values)]
        assert places == [
            "/bogus",
            "/n_trials",
            "/search_space/learning_rate",
            "/lora_r",
            "/search_space/optim/low",
            "/search_space/optim/high",
        ]
        with pytest.raises(UsageError, match="the definition breaks 6 rules:\n  - "):
            StudyDefinition.from_flat(values)

    @pytest.mark.parametrize("hostile", ["\x1b[2J", "\u202e", "\x7f", "\x9b", "a\nb", "\u2028"])
    def test_messages_hold_no_control_characters(self, hostile: str) -> None:
        space = {
            "learning_rate": RATE,
            hostile: RATE,
            "optim": {"type": "categorical", "choices": [hostile, "adamw_torch"]},
        }
        for line in refusals({hostile: hostile, "family": {hostile: hostile}, "search_space": space}):
            assert line.isprintable()

    def test_null_is_not_a_second_name(self) -> None:
        assert StudyDefinition.from_flat({"max_steps": None, "num_train_epochs": 2}).settings["num_train_epochs"] == 2

    def test_nothing_is_coerced(self) -> None:
        for values in ({"n_trials": "5"}, {"n_trials": True}, {"n_trials": 5.0}, {"seed": None}, {"description": 5}):
            assert len(refusals(values)) == 1


class TestTrials:
    """The settings of one trial."""

    def test_a_trials_settings_are_complete_and_have_its_seed(self) -> None:
        definition = StudyDefinition.from_flat(USERS)
        params = {"learning_rate": 1e-4, "num_train_epochs": 4, "lora_r": 32, "warmup_ratio": 0.1}
        settings = definition.trial_settings(params, 77)
        assert TrainSettings.model_validate(settings, strict=True).model_dump() == settings
        assert {name: settings[name] for name in params} == params
        assert (settings["seed"], settings["load_in_4bit"]) == (77, True)

    def test_a_searched_seed_wins(self) -> None:
        definition = StudyDefinition.from_flat({"search_space": {"seed": {"type": "int", "low": 0, "high": 9}}})
        assert definition.trial_settings({"seed": 5}, 77)["seed"] == 5

    def test_missing_values_are_those_of_the_default_configuration(self) -> None:
        definition = StudyDefinition.from_flat(
            {"search_space": {"lora_r": {"type": "categorical", "choices": [4, 8], "default": 4}}}
        )
        assert definition.trial_settings({}, 0)["lora_r"] == 4

    def test_values_come_back_in_the_type_they_were_written(self) -> None:
        definition = StudyDefinition.from_flat(USERS)
        settings = definition.trial_settings({"lora_r": 8.0, "num_train_epochs": 3.0}, 0)
        assert (settings["lora_r"], type(settings["lora_r"])) == (8, int)

    def test_a_name_that_is_not_searched_is_refused(self) -> None:
        with pytest.raises(KeyError, match="lora_alpha"):
            StudyDefinition.from_flat(USERS).trial_settings({"lora_alpha": 8}, 0)

    def test_a_command_gets_its_values_as_separate_arguments(self) -> None:
        definition = StudyDefinition.from_flat(PROGRAM)
        values = definition.trial_settings({"lr": 1e-4}, 9)
        assert values == {"text": "a b; $(touch x)", "on": True, "none": None, "seed": 9, "lr": 1e-4}
        argv = definition.fill_command(values, seed=9, output_dir="/o u t", trial=3, study="s")
        assert argv == ("prog", "--lr=0.0001", "a b; $(touch x)", "9", "/o u t", "3", "s", "{}")

    @pytest.mark.parametrize("hostile", ["; touch x", "$(touch x)", "-rf", "a\nb", "{lr}", "{{", "", "'\"", "*"])
    def test_no_value_leaves_its_argument(self, hostile: str) -> None:
        values = PROGRAM | {"command": ["prog", "{text}", "x{text}y"], "settings": {"text": hostile}}
        definition = StudyDefinition.from_flat(values)
        argv = definition.fill_command(definition.trial_settings({}, 0), seed=0, output_dir="o", trial=0, study="s")
        assert argv == ("prog", hostile, f"x{hostile}y")

    def test_values_are_filled_in_as_json(self) -> None:
        values = PROGRAM | {
            "command": ["p", "{on}", "{none}", "{text}"],
            "settings": {"on": False, "none": None, "text": 1e-7},
        }
        definition = StudyDefinition.from_flat(values)
        argv = definition.fill_command(definition.trial_settings({}, 0), seed=0, output_dir="o", trial=0, study="s")
        assert argv == ("p", "false", "null", "1e-07")

    def test_without_a_command_there_is_nothing_to_fill(self) -> None:
        with pytest.raises(ValueError, match="no command"):
            StudyDefinition.from_flat(USERS).fill_command({}, seed=0, output_dir="o", trial=0, study="s")

    def test_extremes_of_what_is_searched(self) -> None:
        assert StudyDefinition.from_flat(USERS).searched_values() == {
            "learning_rate": [1e-5, 5e-4],
            "num_train_epochs": [2, 5],
            "lora_r": [8, 16, 32, 64],
            "warmup_ratio": [0.0, 0.15],
        }

    def test_the_default_configuration(self) -> None:
        assert StudyDefinition.from_flat(USERS).default_params() == {
            "learning_rate": 2e-4,
            "num_train_epochs": 3,
            "lora_r": 16,
            "warmup_ratio": 0.03,
        }

    def test_the_default_configuration_of_a_grid_is_one_of_its_points(self) -> None:
        space = {
            "learning_rate": {**RATE, "values": [1e-5, 1e-4]},
            "lora_r": {"type": "categorical", "choices": [8, 64]},
        }
        definition = StudyDefinition.from_flat({"search_space": space, "search_mode": "grid"})
        assert definition.default_params() == {"learning_rate": 1e-4, "lora_r": 8}
        assert (definition.target(), definition.grid_size()) == (None, 4)


class TestIdentity:
    """The parts that may not change under a study, and those that may."""

    @pytest.mark.parametrize(
        ("change", "line"),
        [
            (
                {"search_space": {"learning_rate": {**RATE, "high": 1e-3}}},
                "search_space.learning_rate.high: 0.0005 -> 0.001",
            ),
            (
                {"search_space": {"learning_rate": {**RATE, "type": "uniform"}}},
                'search_space.learning_rate.type: "loguniform" -> "uniform"',
            ),
            ({"lora_r": 32}, "settings.lora_r: 16 -> 32"),
            ({"objective": {"metric": "eval_wer"}}, 'objective.metric: "eval_cer" -> "eval_wer"'),
            (
                {"objective": {"metric": "eval_cer", "direction": "maximize"}},
                'objective.direction: "minimize" -> "maximize"',
            ),
            ({"seed": 5}, "seed: 3407 -> 5"),
        ],
    )
    def test_what_may_not_change(self, change: dict[str, Any], line: str) -> None:
        before = {"search_space": {"learning_rate": RATE}}
        stored, new = StudyDefinition.from_flat(before), StudyDefinition.from_flat(before | change)
        assert diff_identity(stored.identity(), new.identity()) == [line]

    @pytest.mark.parametrize(
        ("before", "after"),
        [
            ([8, 16], [8, 16, 32]),
            ([8, 16], [16, 8]),
            ({"low": 1, "high": 9}, {"low": 1, "high": 90}),
            ({"low": 1, "high": 9}, {"low": 20, "high": 90}),
            ({"low": 1, "high": 9}, {"low": 1, "high": 9, "step": 2}),
            ({"low": 1, "high": 9}, {"low": 1, "high": 9, "log": True}),
            ({"low": 1, "high": 9}, [1, 9]),
            ({"type": "int", "low": 1, "high": 9}, {"type": "uniform", "low": 1, "high": 9}),
        ],
    )
    def test_every_edit_of_a_space_that_optuna_takes_silently_or_late_is_a_difference(
        self, before: Any, after: Any
    ) -> None:
        def identity(given: Any) -> dict[str, Any]:
            choices = {"type": "categorical", "choices": given}
            parameter = choices if isinstance(given, list) else {"type": "int", **given}
            return StudyDefinition.from_flat({"search_space": {"lora_alpha": parameter}}).identity()

        assert diff_identity(identity(before), identity(after))
        assert diff_identity(identity(before), identity(before)) == []

    def test_the_data_may_move_because_its_fingerprint_tells_what_it_is(self) -> None:
        here, there = (StudyDefinition.from_flat({"input_data": path}) for path in ("/here/rows.json", "/there/rows"))
        assert diff_identity(here.identity(), there.identity()) == []
        recorded = StudyDefinition.from_flat({"input_data": "/here/rows.json", "report_to": "wandb", "save_steps": 50})
        assert diff_identity(here.identity(), recorded.identity()) == []
        moved = StudyDefinition.from_flat({"input_data": "/there/rows", "image_root": "/there"})
        assert diff_identity(here.identity(), moved.identity()) == []
        own = PROGRAM["settings"]
        one, other = (
            StudyDefinition.from_flat(PROGRAM | {"settings": {**own, "input_data": path}}) for path in ("/a", "/b")
        )
        assert diff_identity(one.identity(), other.identity()) == ['settings.input_data: "/a" -> "/b"']

    @pytest.mark.parametrize("name", sorted(UNSEARCHABLE))
    def test_what_makes_trials_comparable_is_not_searched(self, name: str) -> None:
        choices = [1, 2] if isinstance(TrainSettings.model_fields[name].get_default(), int) else ["a", "b"]
        space = {"learning_rate": RATE, name: {"type": "categorical", "choices": choices}}
        with pytest.raises(InvalidDefinition) as refusal:
            StudyDefinition.from_flat({"search_space": space})
        (problem,) = refusal.value.problems
        assert problem.rule == f'"{name}" cannot be searched: {UNSEARCHABLE[name]}'
        assert problem.where == f"definition#/search_space/{name}"
        assert problem.remedy == "fix it to one value"

    def test_a_setting_that_becomes_searched_is_two_lines(self) -> None:
        stored = StudyDefinition.from_flat({"search_space": {"learning_rate": RATE}})
        new = StudyDefinition.from_flat(
            {"search_space": {"learning_rate": RATE, "lora_r": {"type": "int", "low": 1, "high": 2}}}
        )
        lines = diff_identity(stored.identity(), new.identity())
        assert [line.partition(":")[0] for line in lines] == ["search_space.lora_r", "settings.lora_r"]
        assert lines[1] == "settings.lora_r: 16 -> (not given)"

    def test_a_command_may_not_change(self) -> None:
        new = StudyDefinition.from_flat(PROGRAM | {"command": ["prog"]})
        (line,) = diff_identity(StudyDefinition.from_flat(PROGRAM).identity(), new.identity())
        assert line.startswith('command: ["prog", "--lr={lr}"')

    @pytest.mark.parametrize(
        "change",
        [
            {"pruner": "none"},
            {"n_trials": 99},
            {"search_mode": "random"},
            {"env_pass": ["A"]},
            {"max_retries": 0},
            {"trial_timeout_s": 5},
            {"stall_timeout_s": 5},
            {"keep_adapters": 0},
            {"description": "x"},
        ],
    )
    def test_what_may_change(self, change: dict[str, Any]) -> None:
        one, other = StudyDefinition.from_flat(USERS), StudyDefinition.from_flat(USERS | change)
        assert one != other
        assert diff_identity(one.identity(), other.identity()) == []

    def test_a_default_written_out_is_no_change(self) -> None:
        one, other = (
            StudyDefinition.from_flat({}),
            StudyDefinition.from_flat({"lora_r": 16, "max_steps": None, "lora_alpha": 16.0}),
        )
        assert diff_identity(one.identity(), other.identity()) == []


class TestWarnings:
    """Definitions that are allowed but probably not meant."""

    @pytest.mark.parametrize(
        ("change", "warning"),
        [
            (
                {"evaluations": 10, "pruner": "median"},
                "the median pruner can never stop a trial: n_warmup_steps=10, but a trial has 10 steps; "
                "use 2 (--set pruner.n_warmup_steps=2)",
            ),
            (
                {"n_trials": 5, "pruner": "median"},
                "the median pruner can never stop a trial: n_startup_trials=5, but the study ends after 5 trials; "
                "use 1 (--set pruner.n_startup_trials=1)",
            ),
            (
                {"objective": {"metric": "train_seconds"}},
                'the median pruner can never stop a trial: "train_seconds" is reported at the end only; '
                "say so with --set pruner=none",
            ),
            (
                {"objective": {"metric": "eval_cer", "direction": "maximize"}},
                'the search will maximize "eval_cer", which is better the other way; is "minimize" meant?',
            ),
            (
                {"search_space": {"learning_rate": {**RATE, "type": "uniform"}}},
                '"learning_rate" goes from 1e-05 to 0.0005 on a linear scale, where small values are hardly tried; '
                'use "type": "loguniform"',
            ),
            (
                {"search_space": {"lora_r": {"type": "categorical", "choices": [8, 16]}}},
                "the search space has only 2 different points, fewer than the 20 trials: some will repeat others; "
                "search with --search-mode grid to try each once",
            ),
            (
                {"search_space": {"learning_rate": RATE, "finetune_language_layers": BOTH}},
                "finetune_vision_layers, finetune_language_layers, finetune_merger_layers may all be false: "
                "such trials adapt nothing and end as invalid; fix one",
            ),
            ({"max_steps": 12}, "max_steps=12 is fewer than the 20 evaluations a trial should make"),
        ],
    )
    def test_warnings_of_a_search(self, change: dict[str, Any], warning: str) -> None:
        assert advice(StudyDefinition.from_flat(change)) == [warning]

    def test_evaluations_by_steps_are_not_counted(self) -> None:
        assert advice(StudyDefinition.from_flat({"max_steps": 12, "eval_steps": 3})) == []

    @pytest.mark.parametrize(
        ("n_trials", "warning"),
        [
            (3, "the grid has 8 points, but n_trials is 3: 5 of them will not be tried"),
            (9, "the grid has 8 points: the search ends there, before n_trials=9"),
            (8, None),
            (None, None),
        ],
    )
    def test_warnings_of_a_grid(self, n_trials: int | None, warning: str | None) -> None:
        space = {"lora_r": {"type": "int", "low": 1, "high": 8}}
        values = {"search_space": space, "search_mode": "grid", "n_trials": n_trials, "pruner": "none"}
        assert advice(StudyDefinition.from_flat(values)) == ([] if warning is None else [warning])

    def test_a_searched_name_that_the_command_lacks(self) -> None:
        values = PROGRAM | {"command": ["prog", "{text}"]}
        assert advice(StudyDefinition.from_flat(values)) == [
            '"lr" is searched, but the command has no {lr}: the program gets it only in the job file '
            "(hpsearch.sdk.job().settings)"
        ]

    def test_a_pruner_of_another_type_is_not_held_to_numbers_it_has_not(self) -> None:
        assert advice(StudyDefinition.from_flat({"pruner": "none", "evaluations": 5, "n_trials": 2})) == []
        (warning,) = advice(StudyDefinition.from_flat({"pruner": "hyperband", "evaluations": 5, "n_trials": 2}))
        assert "n_warmup_steps=10" in warning


class TestResumed:
    """A checkpoint is one fine-tune's."""

    def test_a_study_names_none(self) -> None:
        with pytest.raises(UsageError, match="continues one fine-tune, but a study has many"):
            StudyDefinition.from_flat({"resume_from_checkpoint": "latest"})
        assert StudyDefinition.from_flat({"resume_from_checkpoint": None}).settings["resume_from_checkpoint"] is None

    def test_a_fine_tune_may(self) -> None:
        definition = StudyDefinition.from_flat({"resume_from_checkpoint": "latest"}, searching=False)
        assert definition.settings["resume_from_checkpoint"] == "latest"


class TestMissing:
    """Values that a study needs before it can run."""

    def test_the_built_in_training_needs_data(self) -> None:
        assert StudyDefinition.from_flat({}).missing() == (
            "the study needs data, but input_data is not given; name your rows with --input-data FILE"
        )
        assert StudyDefinition.from_flat({"input_data": "rows.json"}).missing() == ""

    def test_a_command_brings_its_own(self) -> None:
        assert StudyDefinition.from_flat(PROGRAM).missing() == ""


class TestBestConfig:
    """A trial's settings as a file that trains it again."""

    def test_it_has_no_setting_without_effect_and_the_trials_seed(self) -> None:
        definition = StudyDefinition.from_flat({"max_steps": 50, "search_space": {"learning_rate": RATE}})
        config = definition.best_config({"learning_rate": 1e-4}, 77)
        assert set(TrainSettings.model_fields) - set(config) == {"num_train_epochs"}
        assert (config["seed"], config["max_steps"], config["learning_rate"]) == (77, 50, 1e-4)

    def test_of_a_command(self) -> None:
        config = StudyDefinition.from_flat(PROGRAM).best_config({"lr": 1e-4}, 77)
        assert config["settings"] == {"text": "a b; $(touch x)", "on": True, "none": None, "lr": 1e-4}
        assert (config["command"][0], config["seed"]) == ("prog", 77)
