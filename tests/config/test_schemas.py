"""Generated files are up to date, and the schemas agree with the reader."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from hpsearch.config import schemas
from hpsearch.config.load import shipped_folder, shipped_names
from hpsearch.settings import TrainSettings
from tests.config.test_conditions import DORA, RATE
from tests.config.test_definition import PROGRAM, USERS

SHIPPED = [
    (kind, shipped_folder(kind) / f"{name}.json")
    for kind in ("studies", "search_spaces")
    for name in shipped_names(kind)
]


def errors(schema: dict[str, Any], values: Any) -> list[str]:
    """Return the errors that an editor would mark."""
    return [error.message for error in Draft202012Validator(schema).iter_errors(values)]


class TestGenerated:
    """Files made from the models say what the models say."""

    def test_up_to_date(self) -> None:
        words = [sys.executable, "-m", "hpsearch.config.schemas", "--check"]
        done = subprocess.run(words, capture_output=True, text=True, check=False)
        assert (done.returncode, done.stderr) == (0, "")

    def test_a_stale_file_is_named_with_the_command_that_makes_it(
        self, tmp_path: Path, capsys: Any, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        page = tmp_path / "docs" / "settings.md"
        monkeypatch.setattr(schemas, "PAGE", page)
        assert schemas.main(["--check"]) == 1
        remedy = "run python -m hpsearch.config.schemas and commit it"
        assert capsys.readouterr().err == f"{page} is not what the models give; {remedy}\n"
        assert not page.exists()
        assert schemas.main([]) == 0
        assert page.read_text() == schemas.page()
        assert schemas.main(["--check"]) == 0
        assert schemas.main(["--chek"]) == 2

    def test_every_setting_is_on_the_settings_page_once(self) -> None:
        for name in TrainSettings.model_fields:
            assert schemas.page().count(f"| `{name}` |") == 1


class TestSchemas:
    """The schemas take the same values as the reader."""

    def test_they_are_schemas(self) -> None:
        for schema in (schemas.study_schema(), schemas.space_schema()):
            Draft202012Validator.check_schema(schema)
            assert json.loads(json.dumps(schema)) == schema

    @pytest.mark.parametrize(("kind", "path"), SHIPPED, ids=lambda value: getattr(value, "stem", value))
    def test_shipped_files_fit_them_and_name_them(self, kind: str, path: Path) -> None:
        values = json.loads(path.read_text(encoding="utf-8"))
        name = "study" if kind == "studies" else "search_space"
        assert errors(schemas.study_schema() if kind == "studies" else schemas.space_schema(), values) == []
        assert Path(values["$schema"]).name == f"{name}.schema.json"

    @pytest.mark.parametrize(
        "values",
        [
            {},
            USERS,
            PROGRAM,
            {"pruner": "none"},
            {"search_space": "x.json", "n_trials": None},
            {"search_space": DORA},
            {
                "search_space": DORA
                | {"weight_decay": RATE | {"when": {"lora_r": [8, 16]}, "otherwise": 0.0, "why": "few"}}
            },
        ],
    )
    def test_definitions_that_are_accepted_fit(self, values: dict[str, Any]) -> None:
        assert errors(schemas.study_schema(), values) == []

    @pytest.mark.parametrize(
        "values",
        [
            {"lerning_rate": 1},
            {"learning_rate": "1e-4"},
            {"learning_rate": 20},
            {"optim": "adam"},
            {"pruner": {"type": "nne"}},
            {"search_space": {"learning_rate": {"type": "normal", "low": 1, "high": 2}}},
            {"search_space": {"learning_rate": {"type": "uniform", "low": 1}}},
            {"search_space": {"lora_r": {"type": "categorical", "choices": []}}},
            {"search_space": {"learning_rate": RATE | {"when": {}}}},
            {"search_space": {"learning_rate": RATE | {"when": {"use_dora": []}}}},
            {"search_space": {"learning_rate": RATE | {"when": "use_dora"}}},
            {"search_space": {"learning_rate": RATE | {"otherwise": [1]}}},
            {"command": "prog"},
            {"settings": {"a": [1]}},
        ],
    )
    def test_definitions_that_are_refused_are_marked(self, values: dict[str, Any]) -> None:
        assert errors(schemas.study_schema(), values)

    def test_a_search_space_is_bare_or_inside(self) -> None:
        ranges = USERS["search_space"]
        for values in (ranges, {"search_space": ranges, "lora_alpha": 8, "search_mode": "grid"}):
            assert errors(schemas.space_schema(), values) == []
        for values in ({"learning_rate": 1e-4}, {"search_space": ranges, "bogus": 1}):
            assert errors(schemas.space_schema(), values)
