"""Several trials at once, by the user's commands, on stand-in GPUs and without any."""

from __future__ import annotations

import importlib.util
import json
import os
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from optuna.trial import TrialState

from tests.conftest import CommandLine
from tests.e2e.conftest import QUADRATIC, Runner, definition, trials
from tests.gpus import Gpus
from tests.plants import Plants

ONE_RATE = {"x": {"type": "uniform", "low": 0.0, "high": 1.0}}


@pytest.fixture
def gpus(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Gpus:
    """Four GPUs that every command in this test sees."""
    plants = Plants(tmp_path / "planted")
    plants.folder.mkdir()
    found = Gpus(plants, tmp_path / "gpus", 4)
    monkeypatch.setenv("PATH", plants.environment["PATH"])
    return found


def study(folder: Path, gpus: Gpus, *words: str, **keys: Any) -> None:
    """A definition whose trials hold the GPUs that they are shown, all of them to their end."""
    keys = {"pruner": {"type": "none"}, **keys}
    definition(folder, command=gpus.command(*words), search_space=ONE_RATE, **keys)


RUN = ("run", "--study", "quad", "--config", "study.json")


def seen(folder: Path) -> list[tuple[int, ...]]:
    """The GPUs of each trial, by its number."""
    found = [json.loads((folder / f"studies/quad/trial_{one.number}/job.json").read_text()) for one in ended(folder)]
    return [tuple(job["gpus"]) for job in found]


def ended(folder: Path) -> list[Any]:
    """The study's trials, all of which succeeded."""
    found = trials(folder, "quad")
    assert [one.state for one in found] == [TrialState.COMPLETE] * len(found), [one.user_attrs for one in found]
    return found


def test_three_gpus_run_three_trials_at_once_each_on_its_own(
    tmp_path: Path, gpus: Gpus, command_line: CommandLine
) -> None:
    study(tmp_path, gpus, "--meet", "3")
    done = command_line(*RUN, "--n-trials", "9", "--gpus", "3,0,1")
    assert done.returncode == 0, done.stdout + done.stderr
    used = seen(tmp_path)
    assert len(used) == 9
    assert sorted(used[:3]) == [(0,), (1,), (3,)]
    assert set(used) == {(0,), (1,), (3,)}


def test_a_trial_of_two_gpus_sees_two(tmp_path: Path, gpus: Gpus, command_line: CommandLine) -> None:
    study(tmp_path, gpus, "--meet", "2")
    done = command_line(*RUN, "--n-trials", "4", "--gpus", "all", "--gpus-per-trial", "2")
    assert done.returncode == 0, done.stdout + done.stderr
    assert set(seen(tmp_path)) == {(0, 1), (2, 3)}


@pytest.mark.skipif(importlib.util.find_spec("torch") is None, reason="needs the training side: hpsearch[train]")
def test_the_built_in_training_takes_a_process_for_each_of_its_gpus(
    tmp_path: Path, gpus: Gpus, command_line: CommandLine
) -> None:
    brief = ("num_train_epochs=0.3", "evaluations=3", "eval_stride=1", "eval_samples=8", "pruner.type=none")
    words = [word for setting in brief for word in ("--set", setting)]
    done = command_line(
        "run", "--study", "digits-ocr", "--n-trials", "1", *words, "--gpus", "1,3", "--gpus-per-trial", "2"
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "backend hf (unsloth cannot work here: it trains on one GPU)" in done.stdout
    job = json.loads((tmp_path / "studies/digits-ocr/trial_0/job.json").read_text())
    assert (job["gpus"], "torch.distributed.run" in job["command"]) == ([1, 3], True)
    assert trials(tmp_path, "digits-ocr")[0].state is TrialState.COMPLETE
    refused = command_line(
        "run", "--study", "digits-ocr", "--set", "backend=unsloth", "--gpus", "1,3", "--gpus-per-trial", "2"
    )
    assert (refused.returncode, "unsloth trains on one GPU" in refused.stderr) == (2, True), refused.stderr


def test_what_a_trial_leaves_running_on_its_gpu_is_gone_before_the_next_one(
    tmp_path: Path, gpus: Gpus, command_line: CommandLine
) -> None:
    study(tmp_path, gpus, "--daemon")
    done = command_line(*RUN, "--n-trials", "3", "--gpus", "2")
    assert done.returncode == 0, done.stdout + done.stderr
    assert seen(tmp_path) == [(2,)] * 3
    assert gpus.holders(2) == []


def test_by_itself_a_run_of_the_studys_own_program_shows_it_all_gpus(
    tmp_path: Path, gpus: Gpus, command_line: CommandLine
) -> None:
    study(tmp_path, gpus)
    gpus.hold(1, 9000, os.getpid())
    done = command_line(*RUN, "--n-trials", "2")
    assert done.returncode == 0, done.stdout + done.stderr
    assert seen(tmp_path) == [(0, 1, 2, 3)] * 2
    assert "warning: of GPU 1 9.86 GB of 25.2 GB are in use already" in done.stdout


def test_gpus_that_are_not_there_are_refused_before_anything_is_made(
    tmp_path: Path, gpus: Gpus, command_line: CommandLine
) -> None:
    study(tmp_path, gpus)
    for words, said in (
        (("--gpus", "0,9"), "there is no '9'; there are: GPUs 0, 1, 2, 3"),
        (("--gpus", "0", "--slots", "2"), "2 slots of 1 GPU each must not need more GPUs than there are"),
        (("--gpus", ""), "it is empty: name GPUs"),
        (("--slots", "0"), "0 is not in the range x>=1"),
    ):
        refused = command_line(*RUN, *words)
        assert (refused.returncode, said in refused.stderr) == (2, True), refused.stderr
    gpus.lose()
    refused = command_line(*RUN, "--gpus", "0")
    assert (refused.returncode, "nvidia-smi fails: Unable to determine" in refused.stderr) == (2, True), refused.stderr
    assert not (tmp_path / "studies").exists()


def test_a_dry_run_shows_the_slots(tmp_path: Path, gpus: Gpus, command_line: CommandLine) -> None:
    study(tmp_path, gpus)
    shown = command_line(*RUN, "--gpus", "0,1", "--dry-run")
    assert "slots: 2 (GPU 0; GPU 1)\n" in shown.stdout


def test_slots_without_gpus_cover_a_grid_once_and_a_second_runner_is_refused(
    tmp_path: Path, start: Callable[..., Runner], command_line: CommandLine
) -> None:
    space = {name: {"type": "categorical", "choices": list(range(6))} for name in ("x", "y")}
    command = [*QUADRATIC, "--x", "{x}", "--y", "{y}", "--wait", str(tmp_path / "go")]
    definition(tmp_path, command=command, search_space=space, search_mode="grid", pruner={"type": "none"})
    runner = start(*RUN, "--slots", "6")
    for _ in range(6):
        runner.wait_for("step 1")
    refused = command_line(*RUN, "--slots", "6")
    assert (refused.returncode, f"owned by pid {runner.process.pid}" in refused.stderr) == (5, True)
    (tmp_path / "go").touch()
    code, output = runner.end()
    assert code == 0, output
    points = Counter((one.params["x"], one.params["y"]) for one in ended(tmp_path))
    assert points == Counter({(x, y): 1 for x in range(6) for y in range(6)})


def test_the_queue_hands_each_trial_out_once_to_six_slots(tmp_path: Path, command_line: CommandLine) -> None:
    definition(tmp_path, search_space={"x": {"type": "uniform", "low": 0.0, "high": 1.0}}, pruner={"type": "none"})
    assert command_line(*RUN, "--n-trials", "1").returncode == 0
    import optuna

    queued = optuna.load_study(study_name="quad", storage=f"sqlite:///{tmp_path / 'studies' / 'hpsearch.db'}")
    for number in range(18):
        queued.enqueue_trial({"x": number / 18})
    done = command_line(*RUN, "--n-trials", "19", "--slots", "6")
    assert done.returncode == 0, done.stdout + done.stderr
    assert sorted(one.params["x"] for one in ended(tmp_path)[1:]) == [number / 18 for number in range(18)]
