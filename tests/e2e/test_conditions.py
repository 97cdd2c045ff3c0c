"""A search whose settings are not all searched in every trial, from the definition to the report."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import CommandLine
from tests.e2e.conftest import definition, trials

SPACE: dict[str, Any] = {
    "x": {"type": "categorical", "choices": [1, 4]},
    "y": {"type": "int", "low": 1, "high": 2, "when": {"x": 4}, "otherwise": 0, "why": "x=4 is cheap"},
}
GRID = ("run", "--study", "quad", "--config", "study.json", "--search-mode", "grid")


def test_every_view_of_a_study_shows_what_each_trial_searched(tmp_path: Path, command_line: CommandLine) -> None:
    definition(tmp_path, search_space=SPACE)
    ran = command_line(*GRID)
    assert ran.returncode == 0, ran.stderr
    found = trials(tmp_path, "quad")
    assert sorted((trial.params for trial in found), key=str) == [{"x": 1}, {"x": 4, "y": 1}, {"x": 4, "y": 2}]
    for trial in found:
        seen = (tmp_path / "studies/quad" / f"trial_{trial.number}" / "seen.txt").read_text().split()
        assert [float(each) for each in seen[:2]] == [trial.params["x"], trial.params.get("y", 0)]

    folder = tmp_path / "studies/quad"
    best = json.loads((folder / "quad_best_params.json").read_text())
    assert (best["params"], best["value"]) == ({"x": 4, "y": 1}, 2.0)
    assert json.loads((folder / "quad_best_config.json").read_text())["settings"] == {"x": 4, "y": 1}

    looked = command_line("analyze", "--study", "quad")
    assert looked.returncode == 0, looked.stderr
    rows = list(csv.DictReader((folder / "report" / "trials.csv").read_text(encoding="utf-8").splitlines()))
    assert sorted((row["param x"], row["param y"]) for row in rows) == [("1", ""), ("4", "1"), ("4", "2")]
    assert "—" in looked.stdout

    again = command_line(*GRID)
    assert "nothing to do: 3 of 3 grid points" in again.stdout


def test_the_best_configuration_of_a_trial_without_a_setting_says_what_it_was(
    tmp_path: Path, command_line: CommandLine
) -> None:
    definition(tmp_path, search_space=SPACE | {"x": {"type": "categorical", "choices": [3, 4]}})
    assert command_line(*GRID).returncode == 0
    folder = tmp_path / "studies/quad"
    assert json.loads((folder / "quad_best_params.json").read_text())["params"] == {"x": 3}
    assert json.loads((folder / "quad_best_config.json").read_text())["settings"] == {"x": 3, "y": 0}
    (folder / "quad_best_config.json").unlink()
    assert command_line("analyze", "--study", "quad").returncode == 0
    page = (folder / "report" / "index.html").read_text(encoding="utf-8")
    assert "--x 3 --y 0" in page, "the command that repeats the best trial"
    assert "1 … 2 if x is 4" in page, "the search space"


def test_a_condition_may_not_change_under_a_study_and_its_reason_may(tmp_path: Path, command_line: CommandLine) -> None:
    path = definition(tmp_path, search_space=SPACE)
    assert command_line(*GRID).returncode == 0
    path.write_text(path.read_text().replace("x=4 is cheap", "x=4 is near"))
    assert command_line(*GRID).returncode == 0
    changed = command_line(*GRID, "--set", 'search_space.y.when={"x": 1}')
    assert changed.returncode == 6
    assert "search_space.y.when.x: 4 -> 1" in changed.stderr
    fixed = command_line(*GRID, "--set", "x=4", "--study", "fixed")
    assert fixed.returncode == 0, fixed.stderr
    assert [trial.params for trial in trials(tmp_path, "fixed")] == [{"y": 1}, {"y": 2}]


@pytest.mark.parametrize("mode", ["bayesian", "random"])
def test_a_search_in_parts_is_the_search_in_one(tmp_path: Path, command_line: CommandLine, mode: str) -> None:
    definition(tmp_path, search_space=SPACE | {"x": {"type": "int", "low": 3, "high": 5}})
    once = ("run", "--config", "study.json", "--search-mode", mode)
    assert command_line(*once, "--study", "whole", "--n-trials", "14").returncode == 0
    assert command_line(*once, "--study", "parts", "--n-trials", "9").returncode == 0
    assert command_line("resume", "--study", "parts", "--n-trials", "14").returncode == 0
    whole, parts = ([trial.params for trial in trials(tmp_path, name)] for name in ("whole", "parts"))
    assert whole == parts
    assert {len(params) for params in whole} == {1, 2}
