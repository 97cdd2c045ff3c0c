"""hpsearch confirm, by the user's commands."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from hpsearch.study import attributes as attrs
from hpsearch.study.storage.lease import lease_for
from hpsearch.study.storage.open import StorageUrl
from tests.compatibility.stored_studies import restore
from tests.conftest import CommandLine, run_command
from tests.e2e.conftest import PROGRAMS, Runner, definition, trials

NOISY = [sys.executable, str(PROGRAMS / "noisy.py"), "--seed", "{seed}", "--out", "{output_dir}"]
SPACE = {
    "x": {"type": "categorical", "choices": [3.0, 3.1, 6.0], "default": 3.0},
    "size": {"type": "categorical", "choices": [500], "default": 500},
}


def noisy(folder: Path, *words: str, **keys: Any) -> Path:
    """Write a definition whose trials are noisy.py."""
    command = [*NOISY, "--x", "{x}", "--size", "{size}", *words]
    objective = {"metric": "eval_cer", "direction": "minimize"}
    return definition(folder, command=command, search_space=SPACE, objective=objective, search_mode="grid", **keys)


@pytest.fixture(scope="module")
def searched(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the finished study s, of three configurations, and its last run's output."""
    folder = tmp_path_factory.mktemp("searched")
    noisy(folder)
    done = run_command(folder, "run", "--study", "s", "--config", "study.json")
    assert done.returncode == 0, done.stderr
    (folder / "output.txt").write_text(done.stdout)
    return folder


@pytest.fixture
def study(searched: Path, tmp_path: Path) -> Path:
    """A copy of it for one test."""
    shutil.copytree(searched, tmp_path, dirs_exist_ok=True, symlinks=True)
    return tmp_path


def read(path: Path) -> dict[str, Any]:
    values: dict[str, Any] = json.loads(path.read_text())
    return values


def confirmed(folder: Path, study: str = "s") -> dict[str, Any]:
    """The attribute of the searched study, which its second copy has too."""
    values: dict[str, Any] = read(folder / "studies" / study / "study.json")["attributes"][attrs.CONFIRMED]
    return values


def test_the_best_configurations_race_over_fresh_seeds_and_the_claim_is_held_out(
    study: Path, command_line: CommandLine, start: Callable[..., Runner]
) -> None:
    said = (study / "output.txt").read_text().splitlines()[-1]
    assert said.startswith("not confirmed: ")
    assert "; confirm it with: hpsearch confirm --study s (about " in said
    best, files = study / "studies/s/best", study / "studies/s"
    assert read(files / "s_best_params.json")["confirmed"] is False

    runner = start("confirm", "--study", "s")
    runner.wait_for("trial 1 started")
    runner.send(signal.SIGINT)
    code, output = runner.end()
    assert (code, "continue with: hpsearch confirm --study s\n" in output) == (130, True), output
    assert attrs.CONFIRMED not in read(files / "study.json")["attributes"]
    for words in (("resume", "--study", "s-confirm"), ("confirm", "--study", "s-confirm"), ("resume",)):
        refused = command_line(*words)
        assert refused.returncode == 2, refused.stdout
        assert "continue it with `hpsearch confirm --study s`" in refused.stderr

    done = command_line("confirm", "--study", "s")
    assert done.returncode == 0, done.stdout + done.stderr
    fresh = trials(study, "s-confirm")
    assert {trial.state.name for trial in fresh if trial.user_attrs[attrs.OUTCOME] != "interrupted"} == {"COMPLETE"}
    runs = [trial for trial in fresh if trial.state.name == "COMPLETE"]
    seeds = {trial.user_attrs[attrs.SEED] for trial in trials(study, "s")}
    values = confirmed(study)
    assert len(values["seeds"]) == 3
    assert not seeds & set(values["seeds"])
    by_x = {x: [trial for trial in runs if trial.params["x"] == x] for x in (3.0, 3.1, 6.0)}
    assert {x: len(own) for x, own in by_x.items()} == {3.0: 3, 3.1: 3, 6.0: 2}, "6.0 is out after its second run"
    assert len({trial.params["x"] for trial in runs[:3]}) == 3, "seed by seed"
    assert "surely worse" in next(one["why"] for one in values["candidates"] if one["params"]["x"] == 6.0)
    assert {one["params"]["x"] for one in values["set"]} == {3.0, 3.1}
    assert values["winner"]["params"]["x"] == 3.0
    assert values["over"] == "over seeds and documents"
    assert "cannot be told apart: " in done.stdout

    own = by_x[3.0]
    mean = sum(_named_by_the_other_seeds(by_x, seed) for seed in values["seeds"]) / 3
    assert values["heldout"]["value"] == pytest.approx(mean)
    assert values["heldout"]["low"] < mean < values["heldout"]["high"]
    chosen = min(own, key=lambda trial: (trial.value or 0.0, trial.number))
    assert values["adapter"]["run"] == chosen.number
    assert values["adapter"]["heldout"]["value"] == chosen.user_attrs[attrs.METRICS]["holdout_cer"]

    shown = read(files / "s_best_params.json")
    assert (shown["confirmed"], shown["value"], shown["confirmation"]["heldout"]["value"]) == (
        True,
        pytest.approx(sum(trial.value or 0.0 for trial in own) / 3),
        values["heldout"]["value"],
    )
    seed = chosen.user_attrs[attrs.SEED]
    assert (best / "weights.txt").read_text().split()[:2] == ["3.0", str(seed)]
    assert read(files / "s_best_config.json")["seed"] == read(best / "config.json")["seed"] == seed
    again = command_line("train", "--config", "studies/s/s_best_config.json", "--output-dir", "again")
    assert again.returncode == 0, again.stderr
    assert read(study / "again/train_results.json")["metrics"]["eval_cer"] == chosen.value

    assert read(files / "report/report.json")["verdicts"][0]["text"].startswith("Confirmed with 3 fresh seeds")
    same = command_line("confirm", "--study", "s", "--prefer", "cheap")
    assert (same.returncode, len(trials(study, "s-confirm"))) == (0, len(fresh)), same.stdout
    ran = command_line("run", "--study", "s", "--config", "study.json")
    assert (ran.returncode, "hpsearch confirm" in ran.stdout) == (0, False), ran.stdout
    exported = command_line("export", "--study", "s", "--output-dir", "exported")
    assert exported.returncode == 0, exported.stderr
    assert read(study / "exported/s_best_params.json")["confirmed"] is True
    analysed = command_line("analyze", "--study", "s-confirm")
    assert analysed.returncode == 0, analysed.stderr
    assert read(files / "s_best_params.json")["confirmed"] is True
    status = {one["study"]: one for one in json.loads(command_line("status", "--json").stdout)["studies"]}
    assert status["s-confirm"]["finished"] == status["s-confirm"]["target"] == 8
    copied = command_line("storage", "copy", "--study", "s", "--to", "sqlite:///other.db")
    assert "copy s-confirm too" in copied.stdout, copied.stdout + copied.stderr
    deleted = command_line("delete", "--study", "s", "--yes")
    assert "kept: its fresh runs, which are the study s-confirm" in deleted.stdout


def _named_by_the_other_seeds(by_x: dict[float, list[Any]], seed: int) -> float:
    """The held-out score of the run with this seed whose configuration is the best by the other seeds."""
    whole = [own for own in by_x.values() if len(own) == 3]
    named = min(whole, key=lambda own: sum(trial.value for trial in own if trial.user_attrs[attrs.SEED] != seed))
    (run,) = [trial for trial in named if trial.user_attrs[attrs.SEED] == seed]
    return float(run.user_attrs[attrs.METRICS]["holdout_cer"])


def test_a_search_that_goes_on_keeps_what_was_confirmed_until_it_is_confirmed_again(
    tmp_path: Path, command_line: CommandLine
) -> None:
    definition(tmp_path, search_space={"x": {"type": "uniform", "low": 4.0, "high": 9.0, "default": 9.0}})
    assert command_line("run", "--study", "q", "--config", "study.json", "--n-trials", "1").returncode == 0
    one = command_line("confirm", "--study", "q", "--seeds", "2")
    assert one.returncode == 0, one.stderr
    assert "nothing is claimed: the runs have no score on held-out rows (holdout_score)" in one.stdout
    values = confirmed(tmp_path, "q")
    assert (values["heldout"], len(values["set"])) == (None, 1)
    assert values["over"].startswith("over seeds alone")
    more = command_line("run", "--study", "q", "--config", "study.json", "--n-trials", "3")
    assert "best/ was confirmed before trial 1; confirm it with: " in more.stdout.splitlines()[-1]
    assert read(tmp_path / "studies/q/q_best_params.json")["trial"] == 0
    again = command_line("confirm", "--study", "q")
    assert again.returncode == 0, again.stderr
    better = min(trials(tmp_path, "q"), key=lambda trial: trial.value or 0.0)
    assert confirmed(tmp_path, "q")["winner"]["trial"] == better.number > 0
    assert read(tmp_path / "studies/q/best/best_params.json")["params"] == better.params


def test_another_value_is_confirmed_beside_the_searched_one(study: Path, command_line: CommandLine) -> None:
    words = ("confirm", "--study", "s", "--top", "1", "--seeds", "2", "--set", "size=5")
    done = command_line(*words, "--prefer", "cheap")
    assert done.returncode == 0, done.stderr
    values = confirmed(study)
    assert [(one["set"], one["params"]["size"]) for one in values["candidates"]] == [({}, 500), ({"size": 5}, 5)]
    sizes = [one["adapter_bytes"] for one in values["candidates"]]
    assert sizes[0] > sizes[1] > 0
    assert values["winner"]["params"]["size"] == 5, "equal scores: the smaller adapter is taken"
    assert values["ended"] == "no configuration left differs from the best by more than is worth a run"
    changed = command_line("confirm", "--study", "s", "--set", "size=7")
    assert (changed.returncode, "was begun with --set size=5" in changed.stderr) == (2, True), changed.stderr


def test_hours_end_a_race_early_and_more_of_them_go_on(tmp_path: Path, command_line: CommandLine) -> None:
    """The search and its confirmation in one command; here with no hour to spend but that of the first runs."""
    noisy(tmp_path)
    ran = command_line("run", "--study", "s", "--config", "study.json", "--confirm")
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout.splitlines()[-1].startswith("s: confirmed by 8 fresh runs, ")
    hours = confirmed(tmp_path)["gpu_hours"]
    few = command_line("confirm", "--study", "s", "--seeds", "5", "--gpu-hours", str(hours * 1.01))
    assert (few.returncode, "(the hours are spent)" in few.stdout) == (0, True), few.stdout + few.stderr
    assert len(confirmed(tmp_path)["seeds"]) == 3
    more = command_line("confirm", "--study", "s", "--gpu-hours", "inf")
    assert (more.returncode, len(confirmed(tmp_path)["seeds"]) > 3) == (0, True), more.stdout + more.stderr


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (("--study", "nope"), 2, "there is no study 'nope' in this storage; studies: s"),
        (("--study", "s", "--set", "size"), 2, "--set takes KEY=VALUE"),
        (("--study", "s", "--set", "n_trials=3"), 2, "a setting of the study's trials"),
        (("--study", "s", "--set", "x=text"), 2, "x"),
        (("--study", "s", "--storage", "sqlite:///nope.db"), 3, "nope.db"),
        (("--study", "s", "--seeds", "1"), 2, "seeds"),
        (("--study", "none"), 2, "no trial of none has succeeded yet"),
    ],
)
def test_what_cannot_be_confirmed_is_refused_before_anything_is_run(
    searched: Path, command_line: CommandLine, words: tuple[str, ...], code: int, said: str
) -> None:
    if "none" in words:
        definition(searched, "none.json", command=["false", "{x}"], search_space={"x": SPACE["x"]})
        assert run_command(searched, "run", "--study", "none", "--config", "none.json").returncode == 4
    refused = run_command(searched, "confirm", *words)
    assert (refused.returncode, said in refused.stderr) == (code, True), refused.stdout + refused.stderr
    assert not (searched / "studies/s-confirm").exists()


def test_a_study_that_is_run_is_not_confirmed_meanwhile(searched: Path) -> None:
    with lease_for(StorageUrl(f"sqlite:///{searched}/studies/hpsearch.db"), "s"):
        refused = run_command(searched, "confirm", "--study", "s")
    assert (refused.returncode, "the study is owned by" in refused.stderr) == (5, True), refused.stderr


def test_a_study_stored_by_an_older_release_is_confirmed(tmp_path: Path, command_line: CommandLine) -> None:
    restore(tmp_path, "sqlite")
    done = command_line("confirm", "--study", "own", "--top", "2", "--seeds", "2")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "on held-out rows, which chose nothing:" in done.stdout


def test_from_python_it_is_the_same(study: Path) -> None:
    code = (
        "import hpsearch\n"
        "done = hpsearch.confirm('s', top=1, seeds=2)\n"
        "assert done.exit_code == 0, done\n"
        "assert done.confirmed.values['heldout']['value'] > 0\n"
    )
    ran = subprocess.run([sys.executable, "-c", code], cwd=study, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert "on held-out rows, which chose nothing:" in ran.stdout
