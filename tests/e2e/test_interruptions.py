"""Signals, kills and limits: nothing is lost, nothing is left running, the next run goes on."""

from __future__ import annotations

import json
import os
import shlex
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest
from optuna.trial import TrialState

from hpsearch.execution.outcome import Cause
from hpsearch.study.records import cause_of
from tests.conftest import CommandLine
from tests.e2e.conftest import QUADRATIC, Runner, alive, definition, trials

Start = Callable[..., Runner]
STUBBORN = """
import signal, subprocess, sys, time
from hpsearch import sdk
asked = []
signal.signal(signal.SIGTERM, lambda *_: asked.append(True))
daemon = "import signal, time; signal.signal(15, signal.SIG_IGN); time.sleep(600)"
subprocess.Popen([sys.executable, "-c", daemon, sys.argv[1]], start_new_session=True)
with open(sys.argv[1] + "/tenths", "w") as tenths:
    sdk.report(1, score=1.0)
    while True:
        time.sleep(0.1)
        tenths.write("." if asked else "")
        tenths.flush()
"""


def waiting(folder: Path, **keys: object) -> Path:
    """A definition whose trials wait at their first step for the file ``go``."""
    command = [*QUADRATIC, "--x", "{x}", "--wait", str(folder / "go")]
    return definition(folder, **{"command": command, **keys})


def stubborn(folder: Path) -> Path:
    """A definition whose trials ignore SIGTERM, and so does the process each starts in a session of its own. ``tenths``
    gets a dot for each tenth of a second that a trial goes on after it: no more where the machine stalls."""
    one = {"x": {"type": "categorical", "choices": [1]}}
    return definition(folder, command=[sys.executable, "-c", STUBBORN, str(folder)], search_space=one)


@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129), (signal.SIGUSR1, 138)]
)
def test_one_signal_stops_in_order_and_resume_repeats_the_trial(
    tmp_path: Path, start: Start, command_line: CommandLine, number: signal.Signals, code: int
) -> None:
    waiting(tmp_path)
    runner = start("run", "--study", "quad", "--config", "study.json", "--n-trials", "2")
    runner.wait_for("trial 0 step 1")
    runner.send(number)
    ended, output = runner.end()
    assert ended == code, output
    assert "hpsearch resume --study quad" in output
    assert alive(tmp_path) == []
    states = [trial.state for trial in trials(tmp_path, "quad")]
    assert states == [TrialState.FAIL, TrialState.WAITING]

    (tmp_path / "go").touch()
    resumed = command_line("resume")
    assert resumed.returncode == 0, resumed.stderr
    first, again, *_ = trials(tmp_path, "quad")
    assert first.user_attrs["hps:outcome"] == "interrupted"
    assert again.params == first.params
    assert again.user_attrs["hps:seed"] == first.user_attrs["hps:seed"]
    assert again.user_attrs["hps:root"] == 0
    seen = [(tmp_path / "studies/quad/trial_0" / part / "seen.txt").read_text() for part in (".", "attempt-2")]
    assert seen[0] == seen[1]


def test_a_trial_that_ends_within_the_grace_keeps_its_result(tmp_path: Path, start: Start) -> None:
    program = """
import pathlib, signal, sys, time
from hpsearch import sdk
signal.signal(signal.SIGTERM, lambda *_: pathlib.Path("asked").touch())
sdk.report(1, score=1.0)
while not pathlib.Path("asked").exists():
    time.sleep(0.01)
sdk.report(2, score=0.5)
sdk.finish(score=0.25)
"""
    definition(tmp_path, command=[sys.executable, "-c", program])
    runner = start("run", "--study", "quad", "--config", "study.json", "--n-trials", "2")
    runner.wait_for("trial 0 step 1")
    runner.send(signal.SIGINT)
    code, output = runner.end()
    assert code == 130, output
    (trial,) = trials(tmp_path, "quad")
    assert (trial.state, trial.value) == (TrialState.COMPLETE, 0.25)
    assert trial.intermediate_values == {1: 1.0, 2: 0.5}
    assert "after its final metrics: stopped on request" in output


@pytest.mark.parametrize("where", [("--base-output-dir", "my studies"), ("--storage", "sqlite:///mine.db")])
def test_the_command_that_is_printed_goes_on(
    tmp_path: Path, start: Start, command_line: CommandLine, where: tuple[str, str]
) -> None:
    waiting(tmp_path)
    runner = start("run", "--study", "quad", "--config", "study.json", "--n-trials", "1", *where)
    runner.wait_for("trial 0 step 1")
    runner.send(signal.SIGINT)
    _, output = runner.end()
    (tmp_path / "go").touch()
    printed = output.split("continue with: hpsearch ")[1].splitlines()[0]
    resumed = command_line(*shlex.split(printed))
    assert resumed.returncode == 0, resumed.stderr
    assert "target reached: 1 finished trials" in resumed.stdout


def test_a_trial_whose_folder_is_moved_away_under_it_is_run_again(tmp_path: Path, start: Start) -> None:
    waiting(tmp_path)
    runner = start("run", "--study", "quad", "--config", "study.json", "--n-trials", "1")
    runner.wait_for("trial 0 step 1")
    (tmp_path / "studies" / "quad").rename(tmp_path / "studies" / "moved")
    (tmp_path / "go").touch()
    code, text = runner.end()
    assert code == 0, text
    assert [cause_of(trial) for trial in trials(tmp_path, "quad")] == [Cause.LOST, Cause.OK]
    assert "was removed or moved away under this run; it is made again" in text
    assert {".study", "study.json"} <= {path.name for path in (tmp_path / "studies" / "quad").iterdir()}


def test_ctrl_c_while_the_command_line_is_loaded_shows_no_traceback() -> None:
    """An interruption in the middle of an import, which no signal of a test could hit for certain."""
    finder = "type('Ctrl', (), {'find_spec': lambda name, *rest: (_ for _ in ()).throw(KeyboardInterrupt)})"
    script = f"import sys, hpsearch.__main__ as main; sys.meta_path.insert(0, {finder}); main.main()"
    ended = subprocess.run([sys.executable, "-c", script], capture_output=True, timeout=60, check=False)
    assert (ended.returncode, ended.stderr) == (130, b"")


def test_ctrl_c_ends_a_trial_that_ignores_it_ten_seconds_later(tmp_path: Path, start: Start) -> None:
    stubborn(tmp_path)
    runner = start("run", "--study", "quad", "--config", "study.json")
    runner.wait_for("trial 0 step 1")
    runner.send(signal.SIGINT)
    code, output = runner.end()
    assert code == 130, output
    assert len((tmp_path / "tenths").read_text()) <= 110
    assert alive(tmp_path) == []


def test_ctrl_c_twice_ends_at_once(tmp_path: Path, start: Start) -> None:
    stubborn(tmp_path)
    runner = start("run", "--study", "quad", "--config", "study.json")
    runner.wait_for("trial 0 step 1")
    runner.send(signal.SIGINT)
    while not (tmp_path / "tenths").read_text():  # the trial was asked: two signals that wait together are one
        assert runner.process.poll() is None
        time.sleep(0.02)
    runner.send(signal.SIGINT)
    code, output = runner.end()
    assert code == 130, output
    assert len((tmp_path / "tenths").read_text()) < 80  # the grace of one Ctrl-C is 100 tenths
    assert [trial.state for trial in trials(tmp_path, "quad")] == [TrialState.FAIL, TrialState.WAITING]
    assert alive(tmp_path) == []


def test_a_killed_runner_leaves_no_process_and_the_next_run_repairs_the_study(
    tmp_path: Path, start: Start, command_line: CommandLine
) -> None:
    waiting(tmp_path)
    runner = start("run", "--study", "quad", "--config", "study.json", "--n-trials", "2")
    runner.wait_for("trial 0 step 1")
    runner.send(signal.SIGKILL)
    runner.end()
    _, left = psutil.wait_procs(alive(tmp_path), timeout=60)
    assert left == []
    assert trials(tmp_path, "quad")[0].state == TrialState.RUNNING
    assert "1 lost (hpsearch resume runs it again)" in command_line("status").stdout

    (tmp_path / "go").touch()
    done = command_line("run", "--study", "quad", "--config", "study.json", "--n-trials", "2")
    assert done.returncode == 0, done.stderr
    assert "queued trial 0 again" in done.stdout
    first, again, *_ = trials(tmp_path, "quad")
    assert first.user_attrs["hps:outcome"] == "lost"
    assert json.loads((tmp_path / "studies/quad/trial_0/trial_0_results.json").read_text())["cause"] == "lost"
    assert again.params == first.params
    assert again.state == TrialState.COMPLETE


def test_a_grid_is_covered_exactly_once_whatever_is_killed(
    tmp_path: Path, start: Start, command_line: CommandLine
) -> None:
    space = {"x": {"type": "categorical", "choices": [1, 2, 3]}, "y": {"type": "categorical", "choices": [0, 5]}}
    definition(tmp_path, search_space=space, search_mode="grid")
    words = ("run", "--study", "grid", "--config", "study.json")
    for phase in ("trial 0 started", "step 2", "ended: ok", "is the best so far"):
        runner = start(*words)
        runner.wait_for(phase)
        runner.send(signal.SIGKILL)
        runner.end()
    last = command_line(*words)
    assert last.returncode == 0, last.stderr
    found = trials(tmp_path, "grid")
    assert not [trial for trial in found if trial.state in (TrialState.RUNNING, TrialState.WAITING)]
    finished = Counter((t.params["x"], t.params["y"]) for t in found if t.state != TrialState.FAIL)
    assert finished == Counter({(x, y): 1 for x in (1, 2, 3) for y in (0, 5)})
    count = len(found)
    assert "nothing to do" in command_line(*words).stdout
    assert len(trials(tmp_path, "grid")) == count


def test_a_second_runner_is_refused_and_told_who_owns_the_study(
    tmp_path: Path, start: Start, command_line: CommandLine
) -> None:
    waiting(tmp_path)
    runner = start("run", "--study", "quad", "--config", "study.json", "--n-trials", "1")
    runner.wait_for("trial 0 step 1")
    refused = command_line("run", "--study", "quad", "--config", "study.json")
    assert refused.returncode == 5
    assert f"pid {runner.process.pid}" in refused.stderr
    (tmp_path / "go").touch()
    assert runner.end()[0] == 0


def test_the_time_limit_stops_and_requeues_what_runs(tmp_path: Path, command_line: CommandLine) -> None:
    waiting(tmp_path)
    limited = command_line("run", "--study", "quad", "--config", "study.json", "--timeout", "2")
    assert limited.returncode == 0, limited.stderr
    assert "time limit reached with 0 finished trials" in limited.stdout
    assert [trial.state for trial in trials(tmp_path, "quad")] == [TrialState.FAIL, TrialState.WAITING]
    assert alive(tmp_path) == []


def test_stop_asks_the_runner_and_status_and_logs_look_on(
    tmp_path: Path, start: Start, command_line: CommandLine
) -> None:
    waiting(tmp_path)
    runner = start("run", "--study", "quad", "--config", "study.json", "--n-trials", "1")
    runner.wait_for("trial 0 step 1")
    status = command_line("status", "--json")
    assert status.returncode == 0, status.stderr
    assert f'"pid": {runner.process.pid}' in status.stdout
    assert '"running": [\n        0\n      ]' in status.stdout
    assert command_line("logs", "--trial", "0").returncode == 0
    stopped = command_line("stop")
    assert stopped.returncode == 0, stopped.stderr
    assert runner.end()[0] == 143
    nothing = command_line("stop")
    assert nothing.returncode == 2
    assert "no runner is at work" in nothing.stderr


def test_logs_follow_a_trial_to_its_end(tmp_path: Path, start: Start, command_line: CommandLine) -> None:
    (tmp_path / "trial.sh").write_text(
        "printf 'first line \\033]0;title\\007\\n'; while [ ! -e go ]; do sleep 0.02; done; echo last line\n"
        "echo '{\"score\": 1}' > $HPSEARCH_REPORT\n"
    )
    definition(tmp_path, command=["sh", "trial.sh"], search_space={"x": {"type": "categorical", "choices": [1]}})
    runner = start("run", "--study", "quad", "--config", "study.json", "--n-trials", "1")
    runner.wait_for("trial 0 started")
    follower = start("logs", "--study", "quad", "--trial", "0", "--follow")
    follower.wait_for("first line ⟨U+001B⟩]0;title⟨U+0007⟩")
    (tmp_path / "go").touch()
    follower.wait_for("last line")
    assert follower.end()[0] == 0
    assert runner.end()[0] == 0


def test_the_best_files_are_written_by_the_next_run_where_a_kill_prevented_it(
    tmp_path: Path, command_line: CommandLine
) -> None:
    definition(tmp_path)
    words = ("run", "--study", "quad", "--config", "study.json", "--n-trials", "1")
    assert command_line(*words).returncode == 0
    study = tmp_path / "studies/quad"
    (study / "quad_best_params.json").unlink()
    assert command_line(*words).returncode == 0
    assert (study / "quad_best_params.json").exists()

    weights = (study / "best/weights.txt").read_text()
    (study / "best").unlink()
    assert command_line("export", "--study", "quad").returncode == 0
    assert command_line(*words).returncode == 0
    assert (study / "best/weights.txt").read_text() == weights


def test_nohup_outlives_its_terminal(tmp_path: Path, start: Start) -> None:
    waiting(tmp_path)
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)  # inherited, as nohup does it
    try:
        runner = start("run", "--study", "quad", "--config", "study.json", "--n-trials", "1")
    finally:
        signal.signal(signal.SIGHUP, before)
    runner.wait_for("trial 0 step 1")
    runner.send(signal.SIGHUP)
    (tmp_path / "go").touch()
    assert runner.end()[0] == 0


def test_a_search_goes_on_where_nobody_reads_its_output(tmp_path: Path, start: Start) -> None:
    waiting(tmp_path)
    runner = start("run", "--study", "quad", "--config", "study.json", "--n-trials", "2")
    runner.wait_for("trial 0 step 1")
    assert runner.process.stdout is not None
    runner.process.stdout.close()
    (tmp_path / "go").touch()
    assert runner.process.wait(timeout=120) == 0
    assert [trial.state for trial in trials(tmp_path, "quad")] == [TrialState.COMPLETE] * 2


def test_a_search_goes_on_after_its_terminal_is_gone(tmp_path: Path) -> None:
    waiting(tmp_path, pruner={"type": "none"})
    ours, terminal = os.openpty()
    command = [sys.executable, "-m", "hpsearch", "run", "--study", "quad", "--config", "study.json", "--n-trials", "2"]
    with subprocess.Popen(command, cwd=tmp_path, stdin=terminal, stdout=terminal, stderr=terminal) as process:
        os.close(terminal)
        shown = b""
        while b"running" not in shown:
            shown += os.read(ours, 4096)
        os.close(ours)
        (tmp_path / "go").touch()
        assert process.wait(timeout=120) == 0
    assert [trial.state for trial in trials(tmp_path, "quad")] == [TrialState.COMPLETE] * 2


def test_a_fine_tune_that_is_stopped_before_it_began_has_no_log_to_print(tmp_path: Path, start: Start) -> None:
    data = ("--model-name", "asset:digits/qwen3_vl", "--input-data", "asset:digits/data")
    runner = start("train", *data, "--output-dir", "out", "-v")
    runner.wait_for("prepare: ")
    runner.send(signal.SIGINT)
    ended, output = runner.end()
    assert ended == 130, output
    assert output.splitlines()[-1].startswith("stopped: ")
