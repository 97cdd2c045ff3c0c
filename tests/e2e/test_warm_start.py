"""A warm start by the user's commands."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from hpsearch.study import attributes as attrs
from tests.conftest import CommandLine, run_command
from tests.e2e.conftest import QUADRATIC, X, definition, trials

NEW = ("run", "--study", "new", "--config", "study.json")


@pytest.fixture
def with_source(tmp_path: Path) -> Path:
    """A folder with the finished study old, whose best x is about 3."""
    definition(
        tmp_path, "old.json", seed=5, search_space={"x": {"type": "int", "low": 1, "high": 5}}, pruner={"type": "none"}
    )
    done = run_command(tmp_path, "run", "--study", "old", "--config", "old.json", "--n-trials", "6")
    assert done.returncode == 0, done.stderr
    return tmp_path


def test_the_best_points_of_another_study_come_first(with_source: Path, command_line: CommandLine) -> None:
    definition(with_source, search_space={"x": {**X, "default": 9.5}}, pruner={"type": "none"})
    planned = command_line(*NEW, "--warm-start-from", "old", "--dry-run")
    assert "warm start: from old, 6 completed trials\n" in planned.stdout
    done = command_line(*NEW, "--warm-start-from", "old", "--n-trials", "4")
    assert done.returncode == 0, done.stdout + done.stderr
    best = min(trials(with_source, "old"), key=lambda trial: trial.value or 0.0)
    assert "warm start from old: its best 3 points are tried in turn with others" in done.stdout
    assert "6 of its 6 values are shown to the sampler once its points help" in done.stdout
    assert f"trial 1 started: x={best.params['x']} [point of trial {best.number} of the warm start]" in done.stdout
    found = trials(with_source, "new")
    assert [attrs.CARRIED in trial.user_attrs for trial in found] == [False, True, False, True]
    assert (len(found), found[1].value) == (4, best.value)
    status = json.loads(command_line("status", "--study", "new", "--json").stdout)["studies"][0]
    assert status["finished"] == 4  # six of the other study are no trials of this one

    again = command_line(*NEW, "--warm-start-from", "old", "--n-trials", "5")
    assert (again.returncode, len(trials(with_source, "new"))) == (0, 5), again.stderr
    resumed = command_line("resume", "--study", "new", "--n-trials", "7")
    assert (resumed.returncode, len(trials(with_source, "new"))) == (0, 7), resumed.stderr
    assert "the points of old did better than others here: its values are shown to the sampler" in resumed.stdout
    taken = [attrs.CARRIED in trial.user_attrs for trial in trials(with_source, "new")]
    assert taken == [False, True, False, True, False, True, False]


def test_points_that_mislead_are_given_up(with_source: Path, command_line: CommandLine) -> None:
    """A study in which the default is the best there is, after one that found the farthest x best."""
    definition(with_source, search_space={"x": {**X, "default": 3.0}}, pruner={"type": "none"})
    definition(with_source, "bad.json", command=[*QUADRATIC, "--x", "3", "--y", "-{x}"], pruner={"type": "none"})
    assert command_line("run", "--study", "bad", "--config", "bad.json", "--n-trials", "6").returncode == 0
    done = command_line(*NEW, "--warm-start-from", "bad", "--n-trials", "8")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "its values are not used here: command" in done.stdout
    assert "the points of bad did no better than others here: the warm start is given up" in done.stdout
    assert sum(attrs.CARRIED in trial.user_attrs for trial in trials(with_source, "new")) == 3


def test_from_python_it_is_the_same(with_source: Path) -> None:
    code = (
        "import hpsearch\n"
        "done = hpsearch.run(study='new', config='study.json', n_trials=2, gpu_hours=1, warm_start_from='old')\n"
        "assert 0 < done.gpu_hours < 1, done\n"
        "more = hpsearch.run(study='new', config='study.json', n_trials=3, gpu_hours=None, warm_start_from=None)\n"
        "assert more.gpu_hours > done.gpu_hours\n"
        "done = hpsearch.resume(study='new', n_trials=4, gpu_hours=done.gpu_hours / 2)\n"
        "assert 'nothing to do' in done.text, done.text\n"
    )
    definition(with_source, pruner={"type": "none"})
    ran = subprocess.run([sys.executable, "-c", code], cwd=with_source, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert len(trials(with_source, "new")) == 3
    assert "warm start from old" in ran.stdout


def test_a_study_in_another_storage_is_a_source_too(with_source: Path, command_line: CommandLine) -> None:
    url = f"sqlite:///{with_source / 'studies' / 'hpsearch.db'}"
    definition(with_source, pruner={"type": "none"})
    words = ("--warm-start-from", "old", "--warm-start-storage", url, "--base-output-dir", "elsewhere")
    done = command_line(*NEW, *words, "--n-trials", "2")
    assert (done.returncode, "warm start from old" in done.stdout) == (0, True), done.stderr
    assert len(trials(with_source, "old")) == 6


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (("--warm-start-from", "nope"), 2, "there is no study 'nope' in this storage; studies: old"),
        (("--warm-start-from", "new"), 2, "names another study, but 'new' is this one"),
        (("--warm-start-from", "old", "--warm-start-storage", "sqlite:///nope.db"), 3, "nope.db"),
        (("--warm-start-storage", "sqlite:///nope.db"), 2, "none is named"),
        (("--warm-start-from", "old", "--search-mode", "grid", "--set", "search_space.x.points=3"), 2, "a grid tries"),
    ],
)
def test_sources_that_cannot_be_are_refused_before_anything_is_made(
    with_source: Path, command_line: CommandLine, words: tuple[str, ...], code: int, said: str
) -> None:
    definition(with_source, pruner={"type": "none"})
    refused = command_line(*NEW, *words)
    assert (refused.returncode, said in refused.stderr) == (code, True), refused.stderr
    assert not (with_source / "studies" / "new").exists()


def test_a_study_that_has_begun_is_not_warm_started(with_source: Path, command_line: CommandLine) -> None:
    definition(with_source, pruner={"type": "none"})
    assert command_line(*NEW, "--n-trials", "1").returncode == 0
    refused = command_line(*NEW, "--warm-start-from", "old", "--n-trials", "2")
    assert (refused.returncode, "warm-started before its first trial" in refused.stderr) == (6, True), refused.stderr
    assert len(trials(with_source, "new")) == 1
