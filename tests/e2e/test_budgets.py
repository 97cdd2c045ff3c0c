"""GPU-hours by the user's commands."""

from __future__ import annotations

import json
import signal
from collections.abc import Callable
from pathlib import Path

import pytest
from optuna.trial import TrialState

from hpsearch.study import attributes as attrs
from hpsearch.study.budget import spent_hours
from tests.conftest import CommandLine
from tests.e2e.conftest import QUADRATIC, Runner, alive, definition, trials
from tests.gpus import Gpus
from tests.plants import Plants

RUN = ("run", "--study", "quad", "--config", "study.json")


def waiting_study(folder: Path) -> None:
    """A study whose trials stay at their first step until there is a file named "go"."""
    definition(folder, command=[*QUADRATIC, "--x", "{x}", "--wait", str(folder / "go")])


def test_a_run_stops_at_its_gpu_hours_and_resume_counts_what_was_spent(
    tmp_path: Path, command_line: CommandLine
) -> None:
    waiting_study(tmp_path)
    first = command_line(*RUN, "--n-trials", "3", "--gpu-hours", "0.0002")  # 0.72 s
    assert first.returncode == 0, first.stderr
    assert "no hours of trials left: 0 finished trials" in first.stdout
    assert "GPU-hours" not in first.stdout
    assert "hpsearch resume --study quad --gpu-hours N" in first.stdout
    assert [trial.state for trial in trials(tmp_path, "quad")] == [TrialState.FAIL, TrialState.WAITING]
    assert spent_hours(trials(tmp_path, "quad")) >= 0.0002

    again = command_line("resume", "--study", "quad")
    assert again.returncode == 0
    assert all(words in again.stdout for words in ("nothing to do", "of 0.0002 hours of trials spent"))
    assert len(trials(tmp_path, "quad")) == 2

    (tmp_path / "go").touch()
    more = command_line("resume", "--study", "quad", "--gpu-hours", "inf")
    assert more.returncode == 0, more.stderr
    assert "target reached: 3 finished trials" in more.stdout
    spent = spent_hours(trials(tmp_path, "quad"))
    shown = json.loads(command_line("status", "--json").stdout)["studies"][0]
    assert shown["gpu_hours"] == pytest.approx(spent)
    assert shown["gpu_hours_limit"] is None
    for command in ("analyze", "status", "plan"):
        assert "GPU-hours" not in command_line(command, "--study", "quad").stdout
    assert json.loads((tmp_path / "studies/quad/report/report.json").read_text())["gpu_hours"] == pytest.approx(spent)


def test_the_gpus_of_a_trial_multiply_its_hours(
    tmp_path: Path, command_line: CommandLine, monkeypatch: pytest.MonkeyPatch
) -> None:
    plants = Plants(tmp_path / "planted")
    plants.folder.mkdir()
    gpus = Gpus(plants, tmp_path / "gpus", 4)
    monkeypatch.setenv("PATH", plants.environment["PATH"])
    definition(tmp_path, command=gpus.command())
    done = command_line(*RUN, "--n-trials", "2", "--gpus", "all", "--gpus-per-trial", "2", "--gpu-hours", "5")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "a slot without a GPU" not in done.stdout
    found = trials(tmp_path, "quad")
    assert [trial.user_attrs[attrs.GPUS] for trial in found] == [2, 2]
    assert spent_hours(found) == pytest.approx(sum(2 * trial.user_attrs[attrs.DURATION] for trial in found) / 3600)
    assert "/5 " in command_line("status").stdout


def test_what_a_trial_spent_counts_though_the_runner_and_its_supervisor_were_killed(
    tmp_path: Path, start: Callable[..., Runner], command_line: CommandLine
) -> None:
    waiting_study(tmp_path)
    runner = start(*RUN, "--n-trials", "1")
    runner.wait_for("trial 0 step 1")
    runner.send(signal.SIGSTOP)  # so that nobody is left to write an outcome
    for process in alive(tmp_path):
        process.send_signal(signal.SIGKILL)
    runner.send(signal.SIGKILL)
    runner.end()
    (tmp_path / "go").touch()
    resumed = command_line("resume")
    assert resumed.returncode == 0, resumed.stdout + resumed.stderr
    lost, again = trials(tmp_path, "quad")
    assert lost.user_attrs[attrs.OUTCOME] == "lost"
    assert lost.user_attrs[attrs.DURATION] > 0
    assert again.state is TrialState.COMPLETE


@pytest.mark.parametrize("hours", ["0", "-1", "nan", "much"])
def test_gpu_hours_that_mean_nothing_are_refused(tmp_path: Path, command_line: CommandLine, hours: str) -> None:
    definition(tmp_path)
    refused = command_line(*RUN, "--gpu-hours", hours)
    assert (refused.returncode, "gpu" in refused.stderr.lower()) == (2, True), refused.stderr
    assert not (tmp_path / "studies").exists()
