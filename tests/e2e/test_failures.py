"""Trials and storages that fail: each cause told as the table says, each message with its exit code, nothing lost."""

from __future__ import annotations

import json
import os
import sqlite3
import sys
from pathlib import Path

import pytest
from optuna.trial import TrialState

from tests.conftest import CommandLine
from tests.e2e.conftest import definition, trials

ONE = {"x": {"type": "categorical", "choices": [1]}}


def python(code: str) -> list[str]:
    return [sys.executable, "-c", code]


@pytest.mark.parametrize(
    ("code", "cause"),
    [
        ("raise SystemExit('no such file')", "crash"),
        ("pass", "protocol"),
        ("import os, signal; os.kill(os.getpid(), signal.SIGSEGV)", "signal"),
        ("import sys; sys.exit('torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 2 GiB')", "cuda_oom"),
        ("from hpsearch import sdk; sdk.report(1, score=float('nan'))", "diverged"),
    ],
)
def test_a_study_whose_trials_all_fail_alike_ends_after_five_with_exit_code_4(
    tmp_path: Path, command_line: CommandLine, code: str, cause: str
) -> None:
    definition(tmp_path, command=python(code))
    ended = command_line("run", "--study", "bad", "--config", "study.json")
    assert ended.returncode == 4, ended.stdout + ended.stderr
    assert f"5 trials in a row ended with {cause}" in ended.stdout
    found = [trial for trial in trials(tmp_path, "bad") if trial.state != TrialState.WAITING]
    assert [trial.user_attrs["hps:outcome"] for trial in found] == [cause] * 5


def test_a_command_may_be_corrected_while_no_trial_has_succeeded(tmp_path: Path, command_line: CommandLine) -> None:
    (tmp_path / "program.py").write_text("from hpsearch import sdk; sdk.finish(score=1.0)")
    run = ("run", "--study", "own", "--config", "study.json", "--n-trials", "6")
    definition(tmp_path, command=[sys.executable, "porgram.py"], search_space=ONE)
    broken = command_line(*run)
    assert broken.returncode == 4
    assert "correct the program, or the command in the definition" in broken.stdout
    definition(tmp_path, command=[sys.executable, "program.py"], search_space=ONE)
    assert command_line(*run, "--seed", "5").returncode == 6  # of other changes nothing is accepted
    corrected = command_line(*run)
    assert corrected.returncode == 0, corrected.stdout + corrected.stderr
    assert "the command was corrected: queued trial 0, 1, 2, 3, 4 again" in corrected.stdout
    completed = [trial for trial in trials(tmp_path, "own") if trial.state == TrialState.COMPLETE]
    assert [trial.user_attrs["hps:root"] for trial in completed] == [0, 1, 2, 3, 4, 10]
    definition(tmp_path, command=[sys.executable, "./program.py"], search_space=ONE)
    assert command_line(*run).returncode == 6


def test_signal_deaths_are_run_again_with_the_same_parameters_until_retries_are_spent(
    tmp_path: Path, command_line: CommandLine
) -> None:
    definition(tmp_path, command=python("import os; os.abort()"), max_retries=1)
    command_line("run", "--study", "bad", "--config", "study.json")
    roots = [trial.user_attrs["hps:root"] for trial in trials(tmp_path, "bad") if trial.state == TrialState.FAIL]
    assert roots == [0, 0, 2, 2, 4]
    assert trials(tmp_path, "bad")[0].params == trials(tmp_path, "bad")[1].params


def test_a_failed_grid_point_stays_open_and_is_tried_again_by_resume(tmp_path: Path, command_line: CommandLine) -> None:
    code = (
        "import pathlib, sys; from hpsearch import sdk\n"
        "if sys.argv[1] == '2' and not pathlib.Path('mended').exists(): raise SystemExit('broken')\n"
        "sdk.finish(score=float(sys.argv[1]))"
    )
    space = {"x": {"type": "categorical", "choices": [1, 2, 3]}}
    definition(tmp_path, command=[*python(code), "{x}"], search_space=space, search_mode="grid")
    first = command_line("run", "--study", "grid", "--config", "study.json")
    assert first.returncode == 4
    assert "2 grid points finished, 1 failed" in first.stdout
    assert "x=2 failed 2 of 2 times, and never without it" in first.stdout  # as the default, and as a grid point
    words = "x=2 failed 3 of 3 times, and never without it"
    assert words in command_line("resume").stdout
    assert f"grid: {words}" in command_line("status").stdout
    assert words in command_line("analyze", "--study", "grid").stdout
    assert words in (tmp_path / "studies/grid/report/index.html").read_text()
    (tmp_path / "mended").touch()
    assert command_line("resume").returncode == 0
    assert words not in command_line("status").stdout
    done = sorted(t.params["x"] for t in trials(tmp_path, "grid") if t.state == TrialState.COMPLETE)
    assert done == [1, 2, 3]


def test_a_shell_script_can_be_a_trial(tmp_path: Path, command_line: CommandLine) -> None:
    script = tmp_path / "trial.sh"
    script.write_text(
        "#!/bin/sh\n"
        'echo "working on $1"\n'
        'echo \'{"step": 1, "cer": 0.4}\' > $HPSEARCH_REPORT\n'
        'echo \'{"step": 2, "cer": 0.2}\' > $HPSEARCH_REPORT\n'
    )
    objective = {"metric": "cer", "direction": "minimize"}
    definition(tmp_path, command=["sh", "trial.sh", "{x}"], search_space=ONE, objective=objective)
    done = command_line("run", "--study", "shell", "--config", "study.json", "--n-trials", "1")
    assert done.returncode == 0, done.stderr
    (trial,) = trials(tmp_path, "shell")
    assert trial.value == 0.2
    assert trial.intermediate_values == {1: 0.4, 2: 0.2}
    assert "working on 1" in command_line("logs", "--study", "shell").stdout


def test_withheld_variables_are_named_and_reach_a_trial_only_through_env_pass(
    tmp_path: Path, command_line: CommandLine
) -> None:
    code = "import os; from hpsearch import sdk; sdk.finish(score=float('WANDB_API_KEY' in os.environ))"
    definition(tmp_path, command=python(code), search_space=ONE)
    shown = command_line("run", "--study", "a", "--config", "study.json", "--n-trials", "1", WANDB_API_KEY="canary")
    assert "not passed to trials:" in shown.stdout
    assert "WANDB_API_KEY" in shown.stdout
    assert "canary" not in shown.stdout
    assert trials(tmp_path, "a")[0].value == 0.0
    definition(tmp_path, command=python(code), search_space=ONE, env_pass=["WANDB_API_KEY"])
    command_line("run", "--study", "b", "--config", "study.json", "--n-trials", "1", WANDB_API_KEY="canary")
    assert trials(tmp_path, "b")[0].value == 1.0


def test_a_file_that_is_no_database_is_named_in_one_line(tmp_path: Path, command_line: CommandLine) -> None:
    definition(tmp_path)
    (tmp_path / "notes.db").write_bytes(b"this is not a database, it is a note" * 100)
    refused = command_line("run", "--study", "a", "--config", "study.json", "--storage", "sqlite:///notes.db")
    assert refused.returncode == 3
    assert refused.stderr.startswith("hpsearch: error[3]: this file is not a database: sqlite:///notes.db")
    assert len(refused.stderr.strip().splitlines()) == 1


def test_a_missing_storage_is_named(tmp_path: Path, command_line: CommandLine) -> None:
    refused = command_line("status")
    assert refused.returncode == 3
    assert "there is no storage at studies/hpsearch.db" in refused.stderr


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write to read-only folders")
def test_a_read_only_folder_is_named(tmp_path: Path, command_line: CommandLine) -> None:
    definition(tmp_path)
    (tmp_path / "studies").mkdir(mode=0o555)
    refused = command_line("run", "--study", "a", "--config", "study.json")
    assert refused.returncode == 3
    assert "read-only" in refused.stderr


def test_a_database_that_a_stranger_made_has_no_studies(tmp_path: Path, command_line: CommandLine) -> None:
    with sqlite3.connect(tmp_path / "other.db") as connection:
        connection.execute("create table pages (id integer)")
    shown = command_line("status", "--storage", "sqlite:///other.db")
    assert shown.returncode == 3
    assert "this database holds no studies" in shown.stderr


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (("run", "--studdy", "a"), "No such option"),
        (("train", "--push_to_hub", "a/b"), "use hpsearch merge --push-to-hub OWNER/NAME"),
        (("runn",), "did you mean `hpsearch run`?"),
        (("run", "--study", "../a"), "a study's name"),
        (("run", "--study", "a", "--search-mode", "genetic"), "bayesian"),
        (("run", "--study", "a", "--n-trials", "0"), "x>=1"),
        (("run", "--study", "a", "--n-trials", "2", "--add-trials", "2"), "give one of them"),
        (("run", "--study", "a"), "--input-data"),
        (("run", "--study", "a", "--set", "learning_rat=1"), "learning_rate"),
        (("train", "--output-dir", "out"), "--input-data"),
    ],
)
def test_a_wrong_word_is_answered_in_one_line_with_exit_code_2(
    tmp_path: Path, command_line: CommandLine, words: tuple[str, ...], expected: str
) -> None:
    refused = command_line(*words)
    assert refused.returncode == 2, refused.stdout + refused.stderr
    assert refused.stderr.startswith("hpsearch: error[2]: ")
    assert expected in refused.stderr
    assert not (tmp_path / "studies").exists()


def test_the_folder_of_another_study_is_not_mixed_with_a_new_one(tmp_path: Path, command_line: CommandLine) -> None:
    definition(tmp_path)
    words = ("run", "--study", "quad", "--config", "study.json", "--n-trials", "1")
    assert command_line(*words).returncode == 0
    best = (tmp_path / "studies/quad/quad_best_params.json").read_text()
    for elsewhere in (("--storage", "sqlite:///other.db"), ("--seed", "7")):
        refused = command_line(*words, *elsewhere)
        assert refused.returncode == 2, refused.stdout
        assert "holds the results of another study" in refused.stderr
        (tmp_path / "studies/hpsearch.db").unlink(missing_ok=True)
    assert (tmp_path / "studies/quad/quad_best_params.json").read_text() == best
    status = command_line("status", "--storage", "sqlite:///other.db", "--json")
    assert json.loads(status.stdout) == {"studies": []}


def test_a_study_in_which_nothing_succeeded_never_exits_0(tmp_path: Path, command_line: CommandLine) -> None:
    definition(tmp_path, command=python("from hpsearch import sdk; sdk.report(1, score=float('nan'))"))
    for _ in range(2):
        ended = command_line("run", "--study", "bad", "--config", "study.json", "--n-trials", "2")
        assert ended.returncode == 4, ended.stdout


def test_a_study_name_that_is_a_file_is_refused(tmp_path: Path, command_line: CommandLine) -> None:
    path = definition(tmp_path)
    (tmp_path / "studies").mkdir()
    path.rename(tmp_path / "studies/quad.json")
    refused = command_line("run", "--study", "quad.json", "--config", "studies/quad.json")
    assert refused.returncode == 2
    assert "cannot use the folder" in refused.stderr


def test_an_output_that_cannot_be_written_is_named(tmp_path: Path, command_line: CommandLine) -> None:
    definition(tmp_path)
    command_line("run", "--study", "quad", "--config", "study.json", "--n-trials", "1")
    (tmp_path / "file").touch()
    refused = command_line("export", "--study", "quad", "--archive", "file/x.zip")
    assert refused.returncode == 2
    assert "file: File exists; name another path" in refused.stderr or "Not a directory" in refused.stderr


def test_a_narrow_terminal_ends_no_search(tmp_path: Path, command_line: CommandLine) -> None:
    space = {
        "x": {"type": "categorical", "choices": [1.0, 2.0]},
        "word": {"type": "categorical", "choices": ["é", "语"]},
    }
    code = "from hpsearch import sdk; sdk.finish(score=1.0)"
    definition(tmp_path, command=[*python(code), "{x}", "{word}"], search_space=space)
    words = ("run", "--study", "quad", "--config", "study.json", "--n-trials", "2")
    done = command_line(*words, PYTHONIOENCODING="ascii", PYTHONUTF8="0")
    assert done.returncode == 0, done.stderr
    assert "word=\\u8bed" in done.stdout or "word=\\xe9" in done.stdout


def test_a_program_that_is_not_there_is_refused_before_any_trial(tmp_path: Path, command_line: CommandLine) -> None:
    for program in ("pythn", "./trial.sh"):
        definition(tmp_path, command=[program, "{x}"])
        refused = command_line("run", "--study", "bad", "--config", "study.json")
        assert refused.returncode == 2, refused.stdout
        assert f"but '{program}' is neither" in refused.stderr
    assert not (tmp_path / "studies").exists()


def test_a_step_without_the_objective_says_what_was_reported(tmp_path: Path, command_line: CommandLine) -> None:
    definition(tmp_path, command=python("from hpsearch import sdk; sdk.report(1, cer=0.5); sdk.finish(score=1)"))
    done = command_line("run", "--study", "one", "--config", "study.json", "--n-trials", "1")
    assert "trial 0 step 1: no score reported, but cer" in done.stdout


def test_logs_before_the_first_trial_say_where_to_look(tmp_path: Path, command_line: CommandLine) -> None:
    (tmp_path / "rows.json").write_text("[]")
    words = ("run", "--study", "digits-ocr", "--input-data", "rows.json")
    assert command_line(*words).returncode == 2
    refused = command_line("logs", "--study", "digits-ocr")
    assert refused.returncode == 2
    assert "studies/digits-ocr/prepared/log.txt" in refused.stderr
