"""Finding and reading files, and laying them over each other."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path
from typing import Any, ClassVar

import pytest

from hpsearch.config.definition import StudyDefinition
from hpsearch.config.json import load_json
from hpsearch.config.load import load_definition, load_settings, shipped_folder, shipped_names
from hpsearch.config.names import check_study_name, mistaken_for
from hpsearch.errors import UsageError

RATE = {"type": "loguniform", "low": 1e-5, "high": 5e-4}
RANK = {"type": "categorical", "choices": [8, 16]}
EPOCHS = {"type": "int", "low": 2, "high": 5}


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty working folder."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def write(path: str, values: Any) -> Path:
    """Write JSON below the working folder."""
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    Path(path).write_text(json.dumps(values), encoding="utf-8")
    return Path(path)


def load(
    config: Any = None, space: str | None = None, sets: list[str] | None = None, **options: Any
) -> StudyDefinition:
    """A definition from layers; ``config`` is written to c.json."""
    path = write("c.json", config) if config is not None else None
    return load_definition("s", path, Path(space) if space else None, options, sets or [])


def refusal(*args: Any, **kwargs: Any) -> str:
    """Return the messages about refused layers."""
    with pytest.raises(UsageError) as error:
        load(*args, **kwargs)
    return str(error.value)


class TestStrictJson:
    """Values that a lenient reader would change or drop silently are refused."""

    @pytest.mark.parametrize(
        ("text", "message"),
        [
            ('{"a": {"b": 1, "b": 2}}', 'but "b" is given twice (f.json#/a/b); delete one of them'),
            ('{"a/~": 1, "a/~": 1}', 'but "a/~" is given twice (f.json#/a~1~0); delete one of them'),
            ('[{"a": 1, "a": 2}]', 'a key is given once in an object, but "a" is given twice (f.json#/0/a)'),
            ('{"a": [1, NaN]}', 'numbers must be finite, but this is "NaN" (f.json#/a/1); write a finite number'),
            ('{"a": -Infinity}', 'numbers must be finite, but this is "-Infinity" (f.json#/a); write a finite number'),
            ('{"a": 1e400}', 'numbers must be finite, but this is "1e400" (f.json#/a); write a finite number'),
            ('{"a": "\\ud800"}', 'texts are Unicode, but "\\ud800" holds half a surrogate pair (f.json#/a); delete it'),
            ('{"a": "x\\u0000"}', "texts have no NUL character, but this one has (f.json#/a); delete it"),
            ("[1]", "a definition is one JSON object, but the file holds a list (f.json); write {...}"),
            ("null", "a definition is one JSON object, but the file holds null (f.json); write {...}"),
            ('{"a": 1,}', "at line 1, column 9 (f.json); correct the file there"),
            ("", "not JSON: Expecting value at line 1, column 1 (f.json); correct the file there"),
            ("{'a': 1}", "not JSON: Expecting property name enclosed in double quotes at line 1, column 2 (f.json)"),
        ],
    )  # fmt: skip
    def test_refused_with_its_place(self, text: str, message: str) -> None:
        Path("f.json").write_text(text, encoding="utf-8")
        with pytest.raises(UsageError) as error:
            load_json(Path("f.json"))
        assert message in str(error.value)
        assert error.value.exit_code == 2

    def test_every_problem_is_told(self) -> None:
        Path("f.json").write_text('{"a": NaN, "a": NaN, "b": [1e999]}', encoding="utf-8")
        with pytest.raises(UsageError, match="breaks 3 rules"):
            load_json(Path("f.json"))

    @pytest.mark.parametrize(
        ("raw", "message"),
        [
            (
                b"\xef\xbb\xbf{}",
                "JSON has no byte order mark, but f.json begins with one; save it as UTF-8 without BOM",
            ),
            ('{"a": 1}'.encode("utf-16"), "JSON has no byte order mark"),
            (b'{"a": "\xff"}', "JSON is UTF-8, but f.json is not (at byte 7); save it as UTF-8"),
            (b" " * 1024 * 1024 + b"{}", "a definition has at most 1048576 bytes, f.json has more"),
            (b"[" * 100_000, "JSON may be nested 32 deep, this is deeper"),
            (b'{"a":' * 100_000, "JSON may be nested 32 deep, this is deeper"),
            (b"[" * 34 + b"]" * 34, "JSON may be nested 32 deep, this is deeper (f.json#/0/0/0/"),
            (b'{"a": ' + b"1" * 5000 + b"}", "numbers must be finite"),
            (b"[" + b"1," * 1000 + b"1]", "a definition has at most 1000 values, this has more"),
            (b"x" * 10_000_000, "a definition has at most 1048576 bytes, f.json has more"),
            (b'a: &a ["x"]\nb: [*a, *a]\n', "not JSON: Expecting value at line 1, column 1"),
        ],
        ids=[
            "bom",
            "utf-16",
            "latin",
            "large",
            "deep lists",
            "deep objects",
            "34 deep",
            "long number",
            "many",
            "10 MB",
            "yaml",
        ],
    )
    def test_hostile_bytes(self, raw: bytes, message: str) -> None:
        Path("f.json").write_bytes(raw)
        with pytest.raises(UsageError) as error:
            load_json(Path("f.json"))
        assert message in str(error.value)

    @pytest.mark.parametrize(
        "text",
        [
            "{" + ",".join(f'"key{number}":1' for number in range(990)) + "}",
            '{"search_space":{' + ",".join(f'"key{number}":1' for number in range(990)) + "}}",
            '{"search_space":{"lora_r":{"type":"categorical","choices":[' + ",".join(["1.5"] * 990) + "]}}}",
            '{"command":["a","' + "{x}" * 300_000 + '"],"search_space":{"y":{"type":"uniform","low":0,"high":1}}}',
            '{"command":["a","' + "".join(f"{{x{n}}}" for n in range(100_000)) + '"],"search_space":{}}',
            "[" * 500_000 + "]" * 500_000,
            '{"a":' * 60_000 + "1" + "}" * 60_000,
            "{" + ",".join(['"a":1'] * 150_000) + "}",
            "[" + ",".join(["NaN"] * 200_000) + "]",
        ],
        ids=["keys", "ranges", "choices", "one-part", "parts", "lists", "objects", "repeated", "nan"],
    )
    def test_what_is_made_to_take_long_is_refused_with_little_work(self, text: str) -> None:
        Path("f.json").write_text(text, encoding="utf-8")
        began = time.process_time()
        with pytest.raises(UsageError) as error:
            load_definition("a", Path("f.json"))
        assert len(str(error.value)) < 300_000
        assert time.process_time() - began < 10, "a guard only: about a second, not minutes"

    def test_a_file_of_a_megabyte_and_32_levels_is_read(self) -> None:
        text = '{"a": ' + "[" * 31 + "1" + "]" * 31 + "}"
        Path("f.json").write_text(text + " " * (1024 * 1024 - len(text)), encoding="utf-8")
        assert list(load_json(Path("f.json"))) == ["a"]

    def test_what_is_no_readable_file(self) -> None:
        os.mkfifo("fifo")
        Path("folder").mkdir()
        for name, reason in (
            ("none", "No such file"),
            ("fifo", "is not"),
            ("folder", "is not"),
            ("a\0b", "null"),
            ("x" * 999, "too long"),
        ):
            with pytest.raises(UsageError, match=reason):
                load_json(Path(name))


class TestLookup:
    """The file of a study's definition."""

    def test_config_then_working_folder_then_shipped_then_default(self) -> None:
        assert load().settings["lora_r"] == 16
        assert load_definition("digits-ocr").settings["model_name"] == "asset:digits/qwen3_vl"
        write("studies/digits-ocr.json", {"lora_r": 5})
        assert load_definition("digits-ocr").settings["lora_r"] == 5
        assert load_definition("digits-ocr", write("c.json", {"lora_r": 6})).settings["lora_r"] == 6

    def test_a_shipped_study_may_be_named_as_config(self) -> None:
        assert load_definition("x", Path("gemma-ocr")) == load_definition("gemma-ocr")

    def test_a_missing_config_lists_the_shipped_ones(self) -> None:
        with pytest.raises(UsageError) as error:
            load_definition("s", Path("gemma-orc.json"))
        assert str(error.value) == (
            'there is no definition "gemma-orc.json"; name a file or a shipped one; did you mean "gemma-ocr"?'
        )

    def test_a_missing_search_space_lists_the_shipped_ones(self) -> None:
        assert refusal(
            space="nothing"
        ) == 'there is no search space "nothing"; name a file or a shipped one; known: ' + ", ".join(
            shipped_names("search_spaces")
        )

    @pytest.mark.parametrize(
        "name", ["default", "search_space_aggressive", "search_space_conservative", "grid_search_small"]
    )
    def test_the_users_search_spaces_are_found_by_name(self, name: str) -> None:
        assert load(space=name).search_space
        assert load(space=f"{name}.json") == load(space=name)
        assert load(space=f"chandra/{name}").search_space

    def test_a_search_space_in_the_working_folder_comes_before_a_shipped_one(self) -> None:
        write("search_spaces/default.json", {"lora_r": RANK})
        assert list(load(space="default").search_space) == ["lora_r"]
        write("default.json", {"lora_alpha": RANK})
        assert list(load(space="default").search_space) == ["lora_alpha"]

    @pytest.mark.parametrize("name", ["../../etc/passwd", "/etc/passwd", "chandra/../../pyproject", "."])
    def test_a_shipped_name_leads_nowhere_else(self, name: str) -> None:
        assert "there is no" in refusal(space=name) or "not JSON" in refusal(space=name)

    def test_shipped_files_lie_in_the_package_or_beside_it(self) -> None:
        assert shipped_folder("studies").name == "studies"
        assert "gemma-ocr" in shipped_names("studies")


class TestLayers:
    """File, search space, options, --set: a later layer wins, key by key."""

    def test_each_layer_overlays_the_one_before(self) -> None:
        write(
            "space.json",
            {"search_space": {"learning_rate": RATE}, "lora_r": 2, "lora_alpha": 2, "max_grad_norm": 2, "seed": 2},
        )
        definition = load(
            {"lora_r": 1, "lora_alpha": 1, "max_grad_norm": 1, "weight_decay": 1, "seed": 1},
            "space.json",
            ["lora_alpha=4"],
            max_grad_norm=3.0,
            lora_alpha=3.0,
            n_trials=None,
        )
        settings = definition.settings
        assert [settings[name] for name in ("weight_decay", "lora_r", "max_grad_norm", "lora_alpha")] == [1, 2, 3, 4]
        assert definition.seed == 2

    def test_a_search_space_replaces_the_whole_object(self) -> None:
        write("space.json", {"lora_r": RANK})
        assert list(load({"search_space": {"learning_rate": RATE, "lora_alpha": RANK}}, "space.json").search_space) == [
            "lora_r"
        ]

    def test_a_search_space_may_search_what_the_file_fixes(self) -> None:
        write("space.json", {"lora_r": RANK})
        definition = load({"lora_r": 4}, "space.json")
        assert "lora_r" in definition.search_space and "lora_r" not in definition.settings

    def test_a_search_space_may_fix_what_the_file_searches(self) -> None:
        write("space.json", {"search_space": {"learning_rate": RATE}, "lora_r": 4})
        definition = load({"search_space": {"lora_r": RANK}}, "space.json")
        assert list(definition.search_space) == ["learning_rate"] and definition.settings["lora_r"] == 4

    def test_set_fixes_a_searched_setting_and_searches_a_fixed_one(self) -> None:
        config = {"search_space": {"learning_rate": RATE, "lora_alpha": RANK}, "lora_r": 4}
        definition = load(config, sets=["learning_rate=1e-4", f"search_space.lora_r={json.dumps(RANK)}"])
        assert list(definition.search_space) == ["lora_alpha", "lora_r"]
        assert definition.settings["learning_rate"] == 1e-4

    def test_set_changes_a_range_or_takes_it_away(self) -> None:
        config = {"search_space": {"learning_rate": RATE, "num_train_epochs": EPOCHS, "lora_r": RANK}}
        definition = load(config, sets=["search_space.num_train_epochs.high=3", "search_space.lora_r=null"])
        assert definition.searched_values() == {"learning_rate": [1e-5, 5e-4], "num_train_epochs": [2, 3]}
        assert definition.settings["lora_r"] == 16

    def test_taking_away_a_range_leaves_a_fixed_value_alone(self) -> None:
        assert load({"lora_r": 4}, sets=["search_space.lora_r=null"]).settings["lora_r"] == 4

    def test_set_replaces_the_whole_search_space_by_an_object_or_a_file(self) -> None:
        assert list(load(sets=[f'search_space={{"lora_r": {json.dumps(RANK)}}}']).search_space) == ["lora_r"]
        assert list(load(sets=["search_space=search_space_conservative"]).search_space) == [
            "learning_rate",
            "num_train_epochs",
            "lora_r",
        ]

    def test_set_changes_one_number_of_the_pruner(self) -> None:
        config = {"pruner": {"type": "percentile", "percentile": 40}}
        assert load(config, sets=["pruner.n_warmup_steps=4"]).pruner.flat() == {
            "type": "percentile",
            "n_startup_trials": 5,
            "n_warmup_steps": 4,
            "percentile": 40,
        }

    def test_another_type_of_pruner_leaves_the_numbers_of_the_earlier_one(self) -> None:
        config = {"pruner": {"type": "percentile", "percentile": 40}}
        assert load(config, sets=["pruner.n_warmup_steps=3", "pruner.type=hyperband"]).pruner.flat() == {
            "type": "hyperband",
            "n_warmup_steps": 3,
        }
        assert load(config, sets=["pruner=none"]).pruner.type == "none"

    @pytest.mark.parametrize(
        ("config", "options", "expected"),
        [
            ({"search_mode": "random"}, {"sampler": "tpe"}, ("bayesian", "tpe")),
            ({"sampler": "tpe"}, {"search_mode": "random"}, ("random", "auto")),
            ({"sampler": "tpe", "search_mode": "bayesian"}, {"sampler": "random"}, ("random", "random")),
            ({"sampler": "cmaes"}, {}, ("bayesian", "cmaes")),
            ({"search_mode": "random"}, {"sampler": "auto"}, ("random", "auto")),
        ],
    )
    def test_the_later_of_sampler_and_search_mode_decides(
        self, config: dict[str, Any], options: dict[str, str], expected: tuple[str, str]
    ) -> None:
        definition = load(config, **options)
        assert (definition.search_mode, definition.sampler) == expected
        sets = [f"{name}={value}" for name, value in options.items()]
        assert load(config, sets=sets) == definition

    def test_another_metric_leaves_the_direction_of_the_earlier_one(self) -> None:
        assert load(sets=["objective.metric=tokens_per_s"]).objective.direction == "maximize"

    @pytest.mark.parametrize(
        ("text", "value"),
        [("instruction=Read", "Read"), ('instruction="5"', "5"), ("instruction=", ""), ("instruction=a=b", "a=b")],
    )
    def test_a_value_is_json_or_else_a_text(self, text: str, value: str) -> None:
        assert load(sets=[text]).settings["instruction"] == value

    def test_null_switches_off(self) -> None:
        assert load({"max_steps": 5}, sets=["max_steps=null"]).settings["max_steps"] is None

    WARMUP = 'search_space.warmup_ratio={"type": "uniform", "low": 0, "high": 0.1}'

    @pytest.mark.parametrize(
        ("config", "sets", "searched", "fixed"),
        [
            ({"max_steps": 5}, ["num_train_epochs=2"], [], {"max_steps": None, "num_train_epochs": 2}),
            ({"search_space": {"num_train_epochs": EPOCHS}}, ["max_steps=5"], [], {"max_steps": 5}),
            ({"warmup_steps": 5}, [WARMUP], ["warmup_ratio"], {"warmup_steps": None}),
            ({"holdout_fraction": 0.2}, ["holdout_split=test"], [], {"holdout_split": "test"}),
        ],
    )  # fmt: skip
    def test_of_two_names_of_one_thing_the_later_wins(
        self, config: Any, sets: list[str], searched: list[str], fixed: dict[str, Any]
    ) -> None:
        config = config | {"search_space": config.get("search_space", {}) | {"lora_r": RANK}}
        definition = load(config, sets=sets)
        assert sorted(definition.search_space) == sorted(["lora_r", *searched])
        assert definition.settings.items() >= fixed.items()

    def test_the_order_of_keys_in_a_file_does_not_matter(self) -> None:
        config = {"lora_r": 4, "search_space": {"learning_rate": RATE}, "max_steps": 5, "pruner": "none"}
        assert load(config) == load(dict(reversed(config.items())))

    def test_the_resolved_definition_is_what_a_later_run_loads(self) -> None:
        write("space.json", {"search_space": {"learning_rate": RATE}, "warmup_steps": 5})
        definition = load({"max_steps": 5, "warmup_ratio": 0.1}, "space.json", ["lora_r=4"])
        assert StudyDefinition.from_flat(json.loads(json.dumps(definition.flat()))) == definition


class TestLayerRefusals:
    """Doubtful values within one layer, and values in a wrong form."""

    @pytest.mark.parametrize(
        ("sets", "message"),
        [
            (["lora_r=8", "lora_r=9"], 'but --set "lora_r=8" and --set "lora_r=9" both set "lora_r"; delete'),
            (["lora_r=8", "search_space.lora_r=null"], 'both set "lora_r"; delete one of them'),
            (["search_space.lora_r.low=8", "lora_r=3"], 'both set "lora_r"; delete one of them'),
            (["pruner=none", "pruner.type=median"], 'both set "pruner'),
            (["search_space={}", "search_space.lora_r=null"], 'both set "search_space'),
            (["max_steps=5", "num_train_epochs=3"], "and would do nothing (--set num_train_epochs=3); delete"),
            (["lora_r"], '--set takes KEY=VALUE, but is "lora_r"; write for example --set lora_r=32'),
            (["=3"], '--set takes KEY=VALUE, but is "=3"'),
            (["search_space.=3"], "--set takes KEY=VALUE"),
            (["lora_r.x=3"], '--set "lora_r.x=3": there is no entry that deep'),
            (["search_space.lora_r.low=3"], 'is not searched; give its range: --set search_space.lora_r={...}'),
            (["lerning_rate=3"], '--set: "lerning_rate" is not a known key; did you mean "learning_rate"?'),
            (["learning_rate=NaN"], 'numbers must be finite, but this is "NaN" (--set learning_rate=NaN)'),
            (['search_space.lora_r={"a": 1, "a": 2}'], '(--set search_space.lora_r={"a": 1, "a": 2}#/a); delete one'),
            (["lora_r=abc"], 'must be a whole number, but is "abc" (--set lora_r=abc); write a whole number'),
            (['search_space.lora_r={"type": "int", "low": 9, "high": 1}'], "high=1 (--set search_space.lora_r="),
            (["search_space.num_train_epochs.low=9"], "low=9, high=5 ("),
            ([f"lora_r={json.dumps(RANK)}"], 'ranges belong inside "search_space"'),
        ],
    )  # fmt: skip
    def test_set(self, sets: list[str], message: str) -> None:
        assert message in refusal(sets=sets)

    def test_a_key_both_fixed_and_searched_in_one_file(self) -> None:
        config = {"search_space": {"lora_r": RANK}, "lora_r": 4}
        message = 'a setting is either fixed or searched, but "lora_r" is both ({}#/lora_r)'
        assert message.format("c.json") in refusal(config)
        assert message.format("c.json") in refusal(config, sets=["lora_r=5"])
        assert message.format("space.json") in refusal(space=str(write("space.json", config)))

    def test_a_place_is_the_layers_that_gave_the_value(self) -> None:
        write("space.json", {"lora_r": {"type": "int", "low": 9, "high": 1}})
        assert "(space.json#/lora_r)" in refusal({"lora_alpha": 4}, "space.json")
        write("space.json", {"search_space": {"lora_r": {"type": "int", "low": 0, "high": 1}}})
        assert "(space.json#/search_space/lora_r/low)" in refusal({"lora_alpha": 4}, "space.json")
        assert "(--model-name)" in refusal(model_name="")
        assert "(c.json#/lora_alpha)" in refusal({"lora_alpha": 0}, sets=["lora_r=4"])

    def test_an_unknown_option(self) -> None:
        assert (
            refusal(model_nam="x")
            == '"model_nam" is not a known key of a definition; did you mean "model_name" or "model_revision"?'
        )

    def test_a_search_spaces_file_without_one(self) -> None:
        write("space.json", {"lora_r": 8})
        assert refusal(space="space.json").startswith(
            "a search space's file is an object of ranges, or has one in search_space; space.json has neither; write"
        )

    @pytest.mark.parametrize(
        "name", ["", "../x", "a/b", "a..b", ".a", "-a", "a b", "a\0", "é", "x" * 129, "a\n", "<b>"]
    )
    def test_study_names_that_are_no_folders(self, name: str) -> None:
        with pytest.raises(UsageError, match=r"a study's name is 1 to 128 letters.*choose such a name"):
            load_definition(name)

    @pytest.mark.parametrize("name", ["hpsearch.db", "comparison"])
    def test_study_names_that_are_taken(self, name: str) -> None:
        with pytest.raises(UsageError, match="keeps files of its own under the name"):
            check_study_name(name)

    @pytest.mark.parametrize("name", ["a", "gemma-ocr", "A.b_c-9", "x" * 128, "2026-01-01"])
    def test_study_names_that_are(self, name: str) -> None:
        assert check_study_name(name) == name


class TestPaths:
    """Relative paths are relative to where they are written."""

    def test_data_is_relative_to_the_file_that_names_it(self, folder: Path) -> None:
        write("d/space.json", {"search_space": {"learning_rate": RATE}, "input_data": "rows.json"})
        assert load({"input_data": "../rows.json"}).settings["input_data"] == str(folder.parent / "rows.json")
        assert load(space="d/space.json").settings["input_data"] == str(folder / "d" / "rows.json")
        assert load(space="d/space.json", input_data="rows.json").settings["input_data"] == str(folder / "rows.json")
        assert load(sets=["input_data=x/../rows.json"]).settings["input_data"] == str(folder / "rows.json")

    def test_data_on_the_hub_are_marked_and_a_mistyped_path_is_none(self, folder: Path) -> None:
        Path("d/scans").mkdir(parents=True)
        config = write("d/c.json", {"input_data": "unsloth/LaTeX_OCR"})
        assert load_definition("s", config).settings["input_data"] == "hub:unsloth/LaTeX_OCR"
        config = write("d/c.json", {"input_data": "scans/pgae"})
        assert load_definition("s", config).settings["input_data"] == str(folder / "d/scans/pgae")
        page = "https://huggingface.co/datasets/unsloth/LaTeX_OCR"
        assert load({"input_data": page}).settings["input_data"] == "hub:unsloth/LaTeX_OCR"
        assert load({"input_data": "hub:scans/pgae"}).settings["input_data"] == "hub:scans/pgae"
        assert "a dataset on the Hub is written hub:owner/name, but 'hub:a b' is not" in refusal(
            {"input_data": "hub:a b"}
        )

    def test_pictures_lead_from_a_folder_relative_to_the_file(self, folder: Path) -> None:
        config = write("d/c.json", {"image_root": "scans"})
        assert load_definition("s", config).settings["image_root"] == str(folder / "d" / "scans")
        assert load({"image_root": "~/scans"}).settings["image_root"] == "~/scans"

    @pytest.mark.parametrize("name", ["asset:digits/data", "/data/rows.json", "hub:owner/name", "~/rows.json"])
    def test_assets_and_absolute_paths_stay(self, name: str) -> None:
        assert load({"input_data": name}).settings["input_data"] == name

    def test_a_model_is_a_path_where_it_is_a_folder_or_looks_like_one(self, folder: Path) -> None:
        Path("d/org/model").mkdir(parents=True)
        config = write("d/c.json", {"model_name": "org/model"})
        assert load_definition("s", config).settings["model_name"] == str(folder / "d/org/model")
        assert load({"model_name": "org/model"}).settings["model_name"] == "org/model"
        assert load({"model_name": "./m"}).settings["model_name"] == str(folder / "m")

    def test_names_that_no_file_can_have(self) -> None:
        Path("loop").symlink_to("loop")
        for name in ("x" * 5000, "loop/x"):
            assert load({"input_data": name, "model_name": name}).settings["input_data"].endswith(name)

    def test_a_definition_may_name_its_search_spaces_file(self) -> None:
        write("d/spaces/x.json", {"search_space": {"lora_r": RANK}, "lora_alpha": 4, "weight_decay": 0.5})
        config = write("d/c.json", {"search_space": "spaces/x.json", "lora_alpha": 8})
        definition = load_definition("s", config)
        assert list(definition.search_space) == ["lora_r"]
        assert (definition.settings["lora_alpha"], definition.settings["weight_decay"]) == (8, 0.5)

    def test_a_key_that_the_named_space_searches_and_the_definition_fixes(self) -> None:
        write("x.json", {"lora_r": RANK})
        assert 'but "lora_r" is both (c.json#/lora_r)' in refusal({"search_space": "x.json", "lora_r": 4})

    def test_a_definition_may_name_a_shipped_search_space(self) -> None:
        assert "lora_r" in load({"search_space": "search_space_conservative"}).search_space


class TestCommands:
    """Layers over a definition with a command: its names are free."""

    CONFIG: ClassVar[dict[str, Any]] = {
        "command": ["p", "{lr}"],
        "search_space": {"lr": RATE, "x": RANK},
        "settings": {"a": 1, "b": 2},
    }

    def test_set_fixes_and_searches_its_names(self) -> None:
        definition = load(self.CONFIG, sets=["x=8", "settings.b=3", f"search_space.a={json.dumps(RANK)}"])
        assert definition.settings == {"b": 3, "x": 8}
        assert list(definition.search_space) == ["lr", "a"]

    @pytest.mark.parametrize("command", [5, "p {lr}", [5]])
    def test_set_beside_a_command_that_is_none(self, command: Any) -> None:
        with pytest.raises(UsageError, match="command"):
            load(self.CONFIG | {"command": command}, sets=["x=8"])

    def test_a_search_space_overlays_its_settings(self) -> None:
        write("space.json", {"search_space": {"lr": RATE}, "settings": {"x": 9}})
        assert load(self.CONFIG, "space.json").settings == {"a": 1, "b": 2, "x": 9}

    def test_the_default_search_space_is_not_its(self) -> None:
        assert "has none in search_space" in refusal({"command": ["p"]})

    def test_an_option_of_the_built_in_training_is_refused(self) -> None:
        assert "which a command replaces (--model-name)" in refusal(self.CONFIG, model_name="x")

    def test_its_names_are_never_paths_of_ours(self) -> None:
        write("space.json", {"input_data": {"type": "categorical", "choices": ["a.json"]}})
        sets = ["model_name=./m", "lr=1"]
        for definition in (
            load(self.CONFIG, "space.json", sets),
            load(self.CONFIG | {"search_space": "space.json"}, None, sets),
        ):
            assert definition.searched_values() == {"input_data": ["a.json"]}
            assert definition.settings["model_name"] == "./m"

    def test_both_in_one_layer(self) -> None:
        assert 'both set "settings.x"' in refusal(self.CONFIG, sets=["x=1", "search_space.x.default=8"])


class TestTrainSettings:
    """Settings of one fine-tune, from a best config."""

    @pytest.mark.parametrize(
        "config",
        [
            {},
            {"max_steps": 5, "warmup_steps": 2, "holdout_split": "test"},
            {"search_space": {"seed": {"type": "int", "low": 5, "high": 5}}},
        ],
    )
    def test_a_best_config_gives_the_trials_settings_again(self, config: dict[str, Any]) -> None:
        definition = load(config)
        trial = definition.trial_settings(definition.default_params(), 77)
        for best in (trial, definition.best_config(definition.default_params(), 77)):
            again = load_settings(write("best.json", best))
            assert again.search_space == {}
            assert again.trial_settings({}, again.seed) == trial

    def test_a_commands_best_config_too(self) -> None:
        definition = load(TestCommands.CONFIG)
        trial = definition.trial_settings({"lr": 1e-4, "x": 8}, 77)
        for best in (
            {"command": ["p", "{lr}"], "settings": trial, "seed": 77},
            definition.best_config({"lr": 1e-4, "x": 8}, 77),
        ):
            again = load_settings(write("best.json", best))
            assert again.trial_settings({}, again.seed) == trial

    def test_options_lie_over_the_config(self) -> None:
        settings = load_settings(
            write("best.json", {"lora_r": 4, "max_steps": 5}), {"lora_r": 8, "num_train_epochs": 2.0, "optim": None}
        ).settings
        assert (settings["lora_r"], settings["num_train_epochs"], settings["max_steps"]) == (8, 2, None)

    def test_without_a_config_everything_is_at_its_default(self) -> None:
        assert load_settings().search_space == {}

    def test_it_is_as_strict(self) -> None:
        with pytest.raises(UsageError, match=r'"lora" is not a known key of a definition \(best.json#/lora\)'):
            load_settings(write("best.json", {"lora": 4}))


@pytest.mark.parametrize(
    "name", ["gema-ocr", "gemma-orc", "gemma-ocrs", "Gemma-OCR", "gema-ocr-2", "gemma_ocr", "gmma-or"]
)
def test_a_name_that_differs_by_two_letters_is_mistyped(name: str) -> None:
    assert mistaken_for(name, ["chandra-ocr", "gemma-ocr"]) == ["gemma-ocr"]


@pytest.mark.parametrize(
    "name",
    ["gemma-ocr2", "gemma-ocr-v2", "gemma-ocr-8", "gemma-ocr-b", "gemma-ocr-v2.1", "gemma3-ocr", "letters", "gemma"],
)
def test_numbers_and_versions_make_names_of_their_own(name: str) -> None:
    assert mistaken_for(name, ["chandra-ocr", "gemma-ocr"]) == []


def test_names_that_share_no_letter_are_not_mistaken() -> None:
    assert mistaken_for("b", ["a"]) == []
