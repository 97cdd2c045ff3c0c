"""hpsearch plan by the user's commands."""

from __future__ import annotations

import json
from datetime import datetime
from pathlib import Path

import pytest
from optuna.trial import TrialState

from tests.conftest import CommandLine
from tests.e2e.conftest import definition, trials

STUDY = ("--study", "quad", "--config", "study.json")


def test_a_plan_alone_runs_nothing_and_writes_nothing(tmp_path: Path, command_line: CommandLine) -> None:
    definition(tmp_path)
    shown = command_line("plan", *STUDY, "--slots", "3")
    assert shown.returncode == 0, shown.stderr
    assert "space: infinitely many points, bayesian" in shown.stdout
    assert "slots: 3 (no GPU named)" in shown.stdout
    assert "their duration is unknown: --probe runs one" in shown.stdout
    assert not (tmp_path / "studies").exists()


def test_a_probe_is_trial_0_of_the_study_and_changes_no_target(tmp_path: Path, command_line: CommandLine) -> None:
    definition(tmp_path, n_trials=3)
    shown = command_line("plan", *STUDY, "--probe", "--slots", "2")
    assert shown.returncode == 0, shown.stdout + shown.stderr
    assert "so far: 1 of 3 trials finished" in shown.stdout
    assert "estimated from one completed trial: how much trials differ is mostly assumed" in shown.stdout
    rows = [line.split()[0] for line in shown.stdout.partition("finished trials  ")[2].splitlines()[1:5]]
    assert rows == ["3", "10", "20", "40"]
    (probe,) = trials(tmp_path, "quad")
    assert probe.state is TrialState.COMPLETE
    done = command_line("run", *STUDY)
    assert "target reached: 3 finished trials" in done.stdout
    assert trials(tmp_path, "quad")[0].datetime_complete == probe.datetime_complete


def test_a_plan_as_json_says_the_same_and_knows_the_limit(tmp_path: Path, command_line: CommandLine) -> None:
    space = {"x": {"type": "int", "low": 1, "high": 4}, "y": {"type": "categorical", "choices": [0.0, 0.5, 1.0]}}
    definition(tmp_path, search_space=space, search_mode="grid", pruner={"type": "none"})
    assert command_line("run", *STUDY, "--n-trials", "6", "--gpu-hours", "7").returncode == 0
    made = json.loads(command_line("plan", *STUDY, "--n-trials", "9", "--json").stdout)
    assert (made["points"], made["target"], made["finished"], made["whole"]) == (12, 9, 6, 6)
    assert (made["limit"], made["is_rough"]) == (7.0, False)
    assert [outlook["trials"] for outlook in made["outlooks"]] == [9, 10]  # of 12 points no 20 can be tried
    for outlook in made["outlooks"]:
        hours = outlook["gpu_hours"]
        assert made["spent"] < hours["low"] <= hours["middle"] <= hours["high"]
    assert made["within_limit"]["middle"] > 1000


def test_an_existing_study_is_planned_as_it_was_stored(tmp_path: Path, command_line: CommandLine) -> None:
    definition(tmp_path)
    assert command_line("run", *STUDY, "--seed", "5", "--set", "n_trials=2").returncode == 0
    shown = command_line("plan", "--study", "quad", "--probe")
    assert shown.returncode == 0, shown.stderr
    assert "so far: 2 of 2 trials finished" in shown.stdout
    changed = command_line("plan", *STUDY, "--set", "seed=6")
    assert (changed.returncode, "seed: 5 -> 6" in changed.stderr) == (6, True), changed.stderr


def test_times_are_local(tmp_path: Path, command_line: CommandLine) -> None:
    definition(tmp_path)
    assert command_line("run", *STUDY, "--n-trials", "1").returncode == 0
    ends = {}
    for zone in ("UTC+0", "UTC-9"):
        # PYTHONHASHSEED: an interpreter of its own, as the time zone is read when one starts
        last = command_line("plan", *STUDY, TZ=zone, PYTHONHASHSEED="0").stdout.splitlines()[-2]
        ends[zone] = datetime.strptime(" ".join(last.split()[-2:]), "%Y-%m-%d %H:%M)")
    assert ends["UTC-9"].hour - ends["UTC+0"].hour in (9, 9 - 24, 10, 10 - 24)


def test_a_probe_that_fails_ends_the_plan(tmp_path: Path, command_line: CommandLine) -> None:
    definition(tmp_path, command=["false"], max_retries=0)
    shown = command_line("plan", *STUDY, "--probe")
    assert shown.returncode == 4, shown.stdout + shown.stderr
    assert "GPU-hours in all" not in shown.stdout


@pytest.mark.parametrize(
    "words", [("--n-trials", "0"), ("--gpu-hours", "nan"), ("--search-mode", "grid"), ("--slots", "-1")], ids=str
)
def test_bad_input_is_refused(tmp_path: Path, command_line: CommandLine, words: tuple[str, ...]) -> None:
    definition(tmp_path)
    assert command_line("plan", *STUDY, *words).returncode == 2
    assert not (tmp_path / "studies").exists()
