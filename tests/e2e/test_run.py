"""`hpsearch run` and `resume`: what a user types, and what is there afterwards."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from optuna.trial import TrialState

from tests.conftest import CommandLine
from tests.e2e.conftest import definition, trials


def test_a_search_ends_with_best_files_and_a_second_run_has_nothing_to_do(
    tmp_path: Path, command_line: CommandLine
) -> None:
    definition(tmp_path)
    words = ("run", "--study", "quad", "--config", "study.json", "--n-trials", "3")

    first = command_line(*words)
    assert first.returncode == 0, first.stderr
    assert "target reached: 3 finished trials" in first.stdout

    best = json.loads((tmp_path / "studies/quad/quad_best_params.json").read_text())
    assert best["value"] == min(trial.value for trial in trials(tmp_path, "quad") if trial.value is not None)
    assert {"params", "metric", "trial", "study", "versions", "time", "data_fingerprint"} <= set(best)
    weights = (tmp_path / "studies/quad/best/weights.txt").read_text()
    assert float(weights) == best["value"]

    second = command_line(*words)
    assert second.returncode == 0
    assert "nothing to do" in second.stdout
    assert "--add-trials" in second.stdout
    assert len(trials(tmp_path, "quad")) == 3

    third = command_line("resume", "--study", "quad", "--add-trials", "2")
    assert third.returncode == 0, third.stderr
    assert len(trials(tmp_path, "quad")) == 5


def test_trial_zero_is_the_default_configuration(tmp_path: Path, command_line: CommandLine) -> None:
    definition(tmp_path, search_space={"x": {"type": "uniform", "low": 0.0, "high": 10.0, "default": 4.0}})
    assert command_line("run", "--study", "quad", "--config", "study.json", "--n-trials", "2").returncode == 0
    first = trials(tmp_path, "quad")[0]
    assert first.params == {"x": 4.0}
    assert first.user_attrs["hps:default"] is True


def test_the_same_seed_gives_the_same_search_whether_interrupted_or_not(
    tmp_path: Path, command_line: CommandLine
) -> None:
    definition(tmp_path)
    once = ("run", "--config", "study.json", "--seed", "5")
    assert command_line(*once, "--study", "whole", "--n-trials", "4").returncode == 0
    assert command_line(*once, "--study", "parts", "--n-trials", "2").returncode == 0
    assert command_line("resume", "--study", "parts", "--n-trials", "4").returncode == 0
    assert [trial.params for trial in trials(tmp_path, "whole")] == [
        trial.params for trial in trials(tmp_path, "parts")
    ]
    seeds = [trial.user_attrs["hps:seed"] for trial in trials(tmp_path, "whole")]
    assert len(set(seeds)) == 4
    assert seeds == [trial.user_attrs["hps:seed"] for trial in trials(tmp_path, "parts")]


def test_a_grid_runs_every_point_once_and_is_then_done(tmp_path: Path, command_line: CommandLine) -> None:
    space = {
        "x": {"type": "uniform", "low": 0.0, "high": 4.0, "values": [0.0, 2.0, 4.0]},
        "y": {"type": "int", "low": 0, "high": 1},
    }
    definition(tmp_path, search_space=space)
    words = ("run", "--study", "grid", "--config", "study.json", "--search-mode", "grid")
    first = command_line(*words)
    assert first.returncode == 0, first.stderr
    points = [(trial.params["x"], trial.params["y"]) for trial in trials(tmp_path, "grid")]
    assert sorted(points) == [(x, y) for x in (0.0, 2.0, 4.0) for y in (0, 1)]
    again = command_line(*words)
    assert again.returncode == 0
    assert "nothing to do: 6 of 6 grid points" in again.stdout
    assert len(trials(tmp_path, "grid")) == 6


def test_a_changed_definition_is_refused_before_any_trial(tmp_path: Path, command_line: CommandLine) -> None:
    definition(tmp_path)
    assert command_line("run", "--study", "quad", "--config", "study.json", "--n-trials", "1").returncode == 0
    definition(tmp_path, "other.json", search_space={"x": {"type": "uniform", "low": 0.0, "high": 20.0}})
    refused = command_line("run", "--study", "quad", "--config", "other.json", "--n-trials", "2")
    assert refused.returncode == 6
    assert "search_space.x.high" in refused.stderr
    assert "10.0" in refused.stderr
    assert "20.0" in refused.stderr
    assert len(trials(tmp_path, "quad")) == 1


def test_pruner_and_target_may_change(tmp_path: Path, command_line: CommandLine) -> None:
    definition(tmp_path)
    assert command_line("run", "--study", "quad", "--config", "study.json", "--n-trials", "1").returncode == 0
    definition(tmp_path, "other.json", pruner={"type": "none"}, n_trials=2)
    assert command_line("run", "--study", "quad", "--config", "other.json", "--n-trials", "2").returncode == 0
    assert len(trials(tmp_path, "quad")) == 2


def test_a_new_study_gets_a_pruner_for_its_target_or_budget_and_keeps_it(
    tmp_path: Path, command_line: CommandLine
) -> None:
    definition(tmp_path)
    words = ("run", "--config", "study.json", "--n-trials")
    counted = "pruner: median (n_startup_trials=2, n_warmup_steps=a fifth of the steps), "
    limited = "pruner: curve (n_startup_trials=2, n_warmup_steps=a fifth of the steps), "
    new = f"{counted}the default if trials are counted"
    assert new in command_line(*words, "2", "--study", "a", "--dry-run").stdout
    assert new in command_line(*words, "2", "--study", "a").stdout
    later = command_line(*words, "3", "--study", "a", "--gpu-hours", "1")
    assert f"{counted}as stored with the study" in later.stdout
    assert f"{counted}as stored with the study" in command_line("resume", "--study", "a").stdout
    budget = command_line(*words, "1", "--study", "b", "--gpu-hours", "1").stdout
    assert f"{limited}the default with --timeout or --gpu-hours" in budget
    assert f"{limited}as stored with the study" in command_line(*words, "2", "--study", "b").stdout
    named = command_line(*words, "2", "--study", "b", "--set", "pruner=none").stdout
    assert "pruner: none, as the definition says" in named


def test_samplers_are_chosen_by_name_and_may_change(tmp_path: Path, command_line: CommandLine) -> None:
    definition(tmp_path, try_first=[{"x": 9.0}])
    words = ("run", "--study", "quad", "--config", "study.json", "--n-trials")
    first = command_line(*words, "3", "--sampler", "cmaes")
    assert first.returncode == 0, first.stderr
    assert "trial 1 started: x=9 [named in try_first]" in first.stdout
    for count, name in ((5, "qmc"), (7, "tpe"), (9, "auto")):
        assert command_line(*words, str(count), "--sampler", name).returncode == 0
    made = trials(tmp_path, "quad")
    assert [trial.number for trial in made if "hps:try_first" in trial.user_attrs] == [1]
    assert made[1].params == {"x": 9.0}
    assert len({trial.params["x"] for trial in made}) == 9
    refused = command_line(*words, "10", "--sampler", "best")
    assert refused.returncode == 2
    refused = command_line(*words, "10", "--sampler", "tpe", "--search-mode", "random")
    assert refused.returncode == 2
    assert 'the sampler "tpe" searches in the mode "bayesian", but search_mode is "random"' in refused.stderr


def test_the_default_search_finds_the_lowest_point_of_a_line(tmp_path: Path, command_line: CommandLine) -> None:
    definition(tmp_path)
    assert command_line("run", "--study", "quad", "--config", "study.json", "--n-trials", "12").returncode == 0
    found = json.loads((tmp_path / "studies/quad/quad_best_params.json").read_text())
    assert abs(found["params"]["x"] - 3.0) < 0.5


def test_dry_run_shows_the_definition_and_writes_nothing(tmp_path: Path, command_line: CommandLine) -> None:
    definition(tmp_path, search_space={"x": {"type": "categorical", "choices": [1, 2, 3]}}, search_mode="grid")
    shown = command_line("run", "--study", "quad", "--config", "study.json", "--dry-run")
    assert shown.returncode == 0, shown.stderr
    assert "grid: 3 points" in shown.stdout
    assert "searched: x" in shown.stdout
    assert '"choices"' in shown.stdout
    assert not (tmp_path / "studies").exists()


def test_options_answer_to_both_spellings(tmp_path: Path, command_line: CommandLine) -> None:
    definition(tmp_path)
    done = command_line(
        "run", "--study_name", "quad", "--config", "study.json", "--n_trials", "1", "--base_output_dir", "elsewhere"
    )
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "elsewhere/quad/quad_best_config.json").exists()


def test_a_study_without_a_name_gets_a_timestamp(tmp_path: Path, command_line: CommandLine) -> None:
    definition(tmp_path)
    assert command_line("run", "--config", "study.json", "--n-trials", "1").returncode == 0
    names = [path.name for path in (tmp_path / "studies").iterdir() if path.is_dir()]
    assert len(names) == 1
    assert names[0].startswith("study-20")


def test_resume_without_a_name_takes_the_only_unfinished_study(tmp_path: Path, command_line: CommandLine) -> None:
    definition(tmp_path)
    for name in ("one", "two"):
        assert command_line("run", "--study", name, "--config", "study.json", "--n-trials", "1").returncode == 0
    none = command_line("resume")
    assert none.returncode == 2
    assert "no study is unfinished" in none.stderr
    assert command_line("resume", "--study", "one", "--timeout", "0.001", "--n-trials", "2").returncode == 0
    found = command_line("resume")
    assert found.returncode == 0, found.stderr
    assert "study one" in found.stdout
    assert len(trials(tmp_path, "one")) == 2


def test_run_resume_refuses_a_study_that_does_not_exist(tmp_path: Path, command_line: CommandLine) -> None:
    definition(tmp_path)
    command_line("run", "--study", "quad", "--config", "study.json", "--n-trials", "1")
    refused = command_line("run", "--study", "other", "--config", "study.json", "--resume")
    assert refused.returncode == 2
    assert "no study 'other' to resume" in refused.stderr


def test_a_mistyped_study_is_refused_and_a_new_one_says_first_what_it_trains(
    tmp_path: Path, command_line: CommandLine
) -> None:
    (tmp_path / "numbers.json").write_text("[]")
    rows = ("--input-data", "numbers.json")
    for words in (("run",), ("run", "--dry-run"), ("validate",), ("plan",)):
        refused = command_line(words[0], "--study", "gema-ocr", *rows, *words[1:])
        assert refused.returncode == 2
        assert 'no definition is named "gema-ocr"; did you mean "gemma-ocr"?' in refused.stderr
        assert not refused.stdout
    first = f"it trains google/gemma-3-12b-it on {tmp_path / 'numbers.json'}"
    for name, option in (("gema-ocr", "--new"), ("gemma-ocr2", "--dry-run"), ("letters", "--dry-run")):
        begun = command_line("run", "--study", name, *rows, "--dry-run", option)
        assert begun.stdout.splitlines()[0].startswith(f'warning: no definition is named "{name}"')
        assert begun.stdout.splitlines()[0].endswith(first)
    ran = command_line("run", "--study", "letters", *rows)  # refused by the job that prepares it
    assert ran.stdout.splitlines()[0].endswith(first)
    assert "warning:" not in command_line("run", "--study", "digits-ocr", "--dry-run").stdout

    definition(tmp_path)
    assert command_line("run", "--study", "quad", "--config", "study.json", "--n-trials", "1").returncode == 0
    assert 'did you mean "quad"?' in command_line("run", "--study", "qaud", *rows).stderr
    assert "did you mean `hpsearch run`?" in command_line("runn").stderr


def test_a_dry_run_says_what_the_run_would_say(tmp_path: Path, command_line: CommandLine) -> None:
    definition(tmp_path, pruner="curve")
    words = ("run", "--study", "quad", "--config", "study.json", "--n-trials", "2")
    never = "warning: the curve pruner can never stop a trial: n_startup_trials=2, but the study ends after 2 trials"
    assert never in command_line(*words, "--dry-run").stdout
    assert never in command_line(*words).stdout
    changed = command_line(*words, "--seed", "8", "--dry-run")
    assert changed.returncode == 6
    assert "seed: 3407 -> 8" in changed.stderr


def test_run_resume_goes_on_with_the_stored_definition(tmp_path: Path, command_line: CommandLine) -> None:
    definition(tmp_path)
    start = ("run", "--study", "quad", "--config", "study.json", "--n-trials", "1")
    assert command_line(*start, "--seed", "5").returncode == 0
    done = command_line("run", "--study", "quad", "--resume", "--n-trials", "2")
    assert done.returncode == 0, done.stderr
    assert "2 finished trials" in done.stdout
    assert command_line("run", "--study", "quad", "--config", "study.json", "--resume").returncode == 6

    planned = command_line("run", "--study", "quad", "--resume", "--dry-run", "--add-trials", "3")
    assert '"seed": 5' in planned.stdout
    assert "target: 5 finished trials" in planned.stdout

    unnamed = command_line("run", "--config", "study.json", "--resume")
    assert unnamed.returncode == 2
    assert "name it with --study" in unnamed.stderr

    both = command_line("resume", "--study", "quad", "--n-trials", "3", "--add-trials", "1")
    assert both.returncode == 2
    assert "give one of them" in both.stderr


def test_pruning_stops_bad_trials_and_keeps_their_last_report(tmp_path: Path, command_line: CommandLine) -> None:
    definition(
        tmp_path,
        search_space={"x": {"type": "categorical", "choices": [3.0, 3.1, 9.0]}},
        search_mode="grid",
        pruner={"type": "median", "n_startup_trials": 1, "n_warmup_steps": 1},
    )
    assert command_line("run", "--study", "quad", "--config", "study.json").returncode == 0
    states = {trial.params["x"]: trial for trial in trials(tmp_path, "quad")}
    assert states[9.0].state == TrialState.PRUNED
    assert states[9.0].user_attrs["hps:outcome"] == "pruned"
    assert states[9.0].value == states[9.0].intermediate_values[max(states[9.0].intermediate_values)]
    assert states[3.0].state == TrialState.COMPLETE


def test_only_the_best_adapters_are_kept(tmp_path: Path, command_line: CommandLine) -> None:
    definition(
        tmp_path,
        search_space={"x": {"type": "categorical", "choices": [1.0, 2.0, 3.0, 4.5]}},
        search_mode="grid",
        keep_adapters=2,
    )
    assert command_line("run", "--study", "quad", "--config", "study.json").returncode == 0
    kept = {
        trial.params["x"]
        for trial in trials(tmp_path, "quad")
        if (tmp_path / f"studies/quad/trial_{trial.number}/adapter").exists()
    }
    assert kept == {2.0, 3.0}
    assert (tmp_path / "studies/quad/best/weights.txt").read_text() == "0.0"


def test_the_best_folder_is_the_best_trials_also_where_it_left_no_adapter(
    tmp_path: Path, command_line: CommandLine
) -> None:
    code = (
        "import pathlib, sys; from hpsearch import sdk\n"
        "x, out = float(sys.argv[1]), pathlib.Path(sys.argv[2])\n"
        "if x == 2: (out / 'adapter').mkdir(); (out / 'adapter/weights.txt').write_text('2')\n"
        "sdk.finish(score=x)"
    )
    command = [sys.executable, "-c", code, "{x}", "{output_dir}"]
    space = {"x": {"type": "categorical", "choices": [2, 1], "default": 2}}
    definition(tmp_path, command=command, search_space=space, search_mode="grid")
    best = tmp_path / "studies/quad/best"
    words = ("run", "--study", "quad", "--config", "study.json")
    assert command_line(*words, "--n-trials", "1").returncode == 0
    assert (best / "weights.txt").exists()
    assert command_line(*words, "--n-trials", "2").returncode == 0
    assert not (best / "weights.txt").exists()
    assert json.loads((best / "best_params.json").read_text())["params"] == {"x": 1}


def test_a_searched_seed_is_the_one_that_is_written(tmp_path: Path, command_line: CommandLine) -> None:
    space = {"x": {"type": "uniform", "low": 0.0, "high": 1.0}, "seed": {"type": "categorical", "choices": [3, 4]}}
    definition(tmp_path, search_space=space)
    path = tmp_path / "study.json"
    command = [word for word in json.loads(path.read_text())["command"] if word not in ("--seed", "{seed}")]
    path.write_text(json.dumps({**json.loads(path.read_text()), "command": [*command, "--seed", "{seed}"]}))
    assert command_line("run", "--study", "quad", "--config", "study.json", "--n-trials", "1").returncode == 0
    (trial,) = trials(tmp_path, "quad")
    best = json.loads((tmp_path / "studies/quad/quad_best_params.json").read_text())
    assert best["seed"] == trial.params["seed"] == trial.user_attrs["hps:seed"]


def test_a_resumed_study_runs_its_program_from_where_it_was_started(tmp_path: Path, command_line: CommandLine) -> None:
    (tmp_path / "trial.sh").write_text("#!/bin/sh\necho '{\"score\": 1}' > $HPSEARCH_REPORT\n")
    definition(tmp_path, command=["sh", "trial.sh", "{x}"])
    assert command_line("run", "--study", "quad", "--config", "study.json", "--n-trials", "1").returncode == 0
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    done = command_line(
        "resume", "--base-output-dir", "../studies", "--add-trials", "1", "--study", "quad", cwd=elsewhere
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert [trial.state for trial in trials(tmp_path, "quad")] == [TrialState.COMPLETE] * 2


def test_a_study_without_a_file_goes_on_with_its_stored_definition(tmp_path: Path, command_line: CommandLine) -> None:
    definition(tmp_path)
    assert command_line("run", "--study", "quad", "--config", "study.json", "--n-trials", "1").returncode == 0
    more = command_line("run", "--study", "quad", "--add-trials", "1")
    assert more.returncode == 0, more.stderr
    assert "target reached: 2 finished trials" in more.stdout
    assert "default one" not in more.stdout
    changed = command_line("run", "--study", "quad", "--set", "x=2", "--set", "search_space.y={}")
    assert changed.returncode == 2
    fixed = command_line("run", "--study", "quad", "--seed", "5")
    assert fixed.returncode == 6
    assert "seed: 3407 -> 5" in fixed.stderr


def test_a_mistyped_key_is_no_setting_of_a_program(tmp_path: Path, command_line: CommandLine) -> None:
    definition(tmp_path)
    words = ("run", "--study", "quad", "--config", "study.json", "--dry-run", "--set")
    refused = command_line(*words, "n_trial=1")
    assert refused.returncode == 2
    assert 'did you mean "n_trials"?' in refused.stderr
    assert command_line(*words, "settings.n_trial=1").returncode == 0


def test_a_programs_steps_are_seen_and_the_pruner_that_cannot_fire_is_told_of(
    tmp_path: Path, command_line: CommandLine
) -> None:
    definition(tmp_path, pruner="median")
    never = "the median pruner can never stop a trial: n_warmup_steps=10, but a trial has 4 steps; use 1"
    unknown = command_line("run", "--study", "seen", "--config", "study.json", "--n-trials", "6")
    assert unknown.stdout.count(never) == 1
    assert unknown.stdout.index("trial 0 ended") < unknown.stdout.index(never)
    known = command_line("run", "--study", "known", "--config", "study.json", "--dry-run", "--set", "last_step=4")
    assert never in known.stdout


def test_a_program_without_steps_is_told_that_nothing_is_pruned(tmp_path: Path, command_line: CommandLine) -> None:
    (tmp_path / "program.py").write_text("from hpsearch import sdk; sdk.finish(score=1.0)")
    pruner = {"type": "median", "n_startup_trials": 1, "n_warmup_steps": 0}
    one = {"x": {"type": "categorical", "choices": [1]}}
    definition(tmp_path, command=[sys.executable, "program.py"], search_space=one, pruner=pruner)
    done = command_line("run", "--study", "final", "--config", "study.json", "--n-trials", "2")
    assert done.stdout.count("can never stop a trial: a trial reports no more than its last step; report more") == 1


def test_reports_without_number_are_told_of(tmp_path: Path, command_line: CommandLine) -> None:
    space = {"x": {"type": "categorical", "choices": [1]}}
    definition(tmp_path, command=["sh", "program.sh"], search_space=space)
    (tmp_path / "program.sh").write_text("""echo '{"score": "0.31"}' > "$HPSEARCH_REPORT"\n""")
    failed = command_line("run", "--study", "none", "--config", "study.json", "--n-trials", "1")
    assert failed.returncode == 4
    reason = "a report was refused: 'score' must be a number, but is '0.31'"
    assert f"exited 0 without reporting score; {reason}" in failed.stdout

    with (tmp_path / "program.sh").open("a") as program:
        program.write("""echo '{"score": 0.31}' > "$HPSEARCH_REPORT"\n""")
    passed = command_line("run", "--study", "one", "--config", "study.json", "--n-trials", "1")
    assert passed.returncode == 0
    assert f"warning: trial 0: {reason}" in passed.stdout


def test_a_run_goes_on_with_closed_output(tmp_path: Path) -> None:
    definition(tmp_path)
    words = f"{sys.executable} -m hpsearch run --study quad --config study.json --n-trials 1 >&-"
    closed = subprocess.run(["sh", "-c", words], cwd=tmp_path, capture_output=True, text=True, check=False, timeout=300)
    assert closed.returncode == 0, closed.stderr


def test_a_stored_command_starts_where_it_was_first_run(tmp_path: Path, command_line: CommandLine) -> None:
    (tmp_path / "program.py").write_text("from hpsearch import sdk; sdk.finish(score=1.0)")
    one = {"x": {"type": "categorical", "choices": [1]}}
    definition(tmp_path, command=[sys.executable, "program.py"], search_space=one)
    assert command_line("run", "--study", "here", "--config", "study.json", "--n-trials", "1").returncode == 0
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    more = ("run", "--study", "here", "--base-output-dir", "../studies", "--add-trials", "1")
    done = command_line(*more, cwd=elsewhere)
    assert done.returncode == 0, done.stdout + done.stderr


def test_a_dry_run_knows_a_target_that_changed(tmp_path: Path, command_line: CommandLine) -> None:
    (tmp_path / "studies").mkdir()
    definition(tmp_path / "studies", "quad.json", n_trials=4)
    assert command_line("run", "--study", "quad", "--n-trials", "2").returncode == 0
    assert "target: 2 finished trials" in command_line("run", "--study", "quad", "--dry-run").stdout
    definition(tmp_path / "studies", "quad.json", n_trials=3)
    assert "target: 3 finished trials" in command_line("run", "--study", "quad", "--dry-run").stdout
    assert "target reached: 3 finished trials" in command_line("run", "--study", "quad").stdout
