"""G3, G4, G13: nothing of a trial is left, however it or its runner ends, and stopping takes no longer than said."""

from __future__ import annotations

import contextlib
import json
import signal
import sys
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psutil

from hpsearch.execution.executors.local import LocalExecutor
from hpsearch.execution.job import Finished, Job, Report
from hpsearch.execution.run_job import STOP_GRACE_S
from tests.e2e.conftest import Runner, alive, trials
from tests.faults import plain
from tests.faults.goals import Effort, Found, Goal

TREE = Path(__file__).parents[1] / "execution" / "programs" / "tree.py"
PROCESSES = 6  # of the tree: five that try to get away, and its root
LATER_S = 5.0
CODES = {signal.SIGINT: 130, signal.SIGTERM: 143}


def study(folder: Path, command: Sequence[str]) -> None:
    """A definition whose trials are this command."""
    folder.mkdir()
    fields = {
        "command": list(command),
        "preload": ["decimal"],
        "search_space": {"x": {"type": "uniform", "low": 0.0, "high": 1.0}},
    }
    objective = {"metric": "cer", "direction": "minimize"}
    (folder / "study.json").write_text(json.dumps({**fields, "objective": objective, "settings": {}}))


def orphans(pids: Path, wait_s: float = LATER_S) -> list[int]:
    """The tree's processes that live after some seconds; less where all are gone before."""
    found = [int(line) for line in pids.read_text().split()]
    living = []
    for pid in found:
        with contextlib.suppress(psutil.NoSuchProcess):
            living.append(psutil.Process(pid))
    _, left = psutil.wait_procs(living, timeout=wait_s)
    for process in left:
        process.kill()
    return [process.pid for process in left]


def after_a_killed_runner(folder: Path) -> int:
    """How many processes are left after SIGKILL of the runner."""
    study(folder, [sys.executable, str(TREE), str(folder / "pids"), "hang"])
    with Runner(folder, "run", "--study", "tree", "--config", "study.json") as runner:
        runner.wait_for("step 1")
        runner.send(signal.SIGKILL)
        runner.end()
    return len(orphans(folder / "pids"))


def after_plain(folder: Path, number: signal.Signals) -> int:
    """How many are left after this signal to plain Optuna, whose trial is the tree."""
    folder.mkdir()
    pids = folder / "pids"
    report = folder / "report"
    code = (
        f"import os, subprocess, sys; os.environ['HPSEARCH_REPORT'] = {str(report)!r}; "
        f"subprocess.run([sys.executable, {str(TREE)!r}, {str(pids)!r}, 'hang'])"
    )
    process = plain.start(folder, plain.command(plain.url_in(folder), 1, sys.executable, "-c", code))
    while not report.exists() or not report.read_text():
        time.sleep(0.01)
    process.send_signal(number)
    process.wait(timeout=60)
    assert process.stdout is not None
    process.stdout.close()
    return len(orphans(pids))


def measure_killed_runners(folder: Path, effort: Effort) -> Found:
    """SIGKILL of the runner while its trial hangs."""
    runs = effort.times(50, 2)
    left = sum(after_a_killed_runner(folder / str(number)) for number in range(runs))
    beside = "not tried"
    if effort.full:
        beside = f"{sum(after_plain(folder / f'plain-{n}', signal.SIGKILL) for n in range(3))} of {3 * PROCESSES}"
    return Found(f"{left} of {runs * PROCESSES} processes left {LATER_S:g} s later", left == 0, beside)


def ways() -> dict[str, Callable[[LocalExecutor, str], None]]:
    """What is done to a trial whose tree stands."""
    return {
        "stop": lambda executor, job: executor.stop(job, 0.1),
        "prune": lambda executor, job: (executor.answer(job, 1, True), executor.stop(job, 0.1))[0],  # type: ignore[func-returns-value]
        "timeout": lambda executor, job: None,
        "success": lambda executor, job: None,
    }


def after_a_trial(executor: LocalExecutor, folder: Path, way: str) -> int:
    """How many processes are there at the moment at which the trial's end is told."""
    folder.mkdir()
    then = "leave" if way == "success" else "hang"
    command = (sys.executable, str(TREE), str(folder / "pids"), then)
    limit = 2.0 if way == "timeout" else None  # the tree stands after some tenths of a second
    job = Job(
        way, "trial", "tree", command, str(folder / "out"), {}, metric="cer", timeout_s=limit, preload=("decimal",)
    )
    executor.launch(job)
    while True:
        for event in executor.events(60.0):
            if isinstance(event, Report):
                ways()[way](executor, job.id)
            if isinstance(event, Finished):
                assert len((folder / "pids").read_text().split()) == PROCESSES, "the tree never stood"
                return len(orphans(folder / "pids", 0.0))


def measure_ended_trials(folder: Path, effort: Effort) -> Found:
    """Each way in which a trial ends, at the moment at which its end is told."""
    runs, executor = effort.times(50, 2), LocalExecutor()
    try:
        left = {way: sum(after_a_trial(executor, folder / f"{way}-{n}", way) for n in range(runs)) for way in ways()}
    finally:
        executor.close()
    beside = "not tried"
    if effort.full:
        beside = f"stop: {after_plain(folder / 'plain', signal.SIGTERM)} of {PROCESSES}"
    text = ", ".join(f"{way} {count}" for way, count in left.items())
    return Found(f"{text} of {runs * PROCESSES} each", not any(left.values()), beside)


def stopped(folder: Path, number: signal.Signals) -> tuple[float, bool]:
    """Seconds from a signal to the runner's end, whose trial ignores SIGTERM, and whether all was as promised."""
    study(folder, [sys.executable, str(TREE), str(folder / "pids"), "hang"])
    with Runner(folder, "run", "--study", "tree", "--config", "study.json") as runner:
        runner.wait_for("step 1")
        began = time.monotonic()
        runner.send(number)
        code, _ = runner.end()
        seconds = time.monotonic() - began
    states = [trial.state.name for trial in trials(folder, "tree")]
    return seconds, (code, states, alive(folder)) == (CODES[number], ["FAIL", "WAITING"], [])


def measure_signals(folder: Path, effort: Effort) -> Found:
    """Several at once: they wait for most of the time."""
    runs, numbers = effort.times(100, 2), tuple(CODES)
    with ThreadPoolExecutor(effort.times(6, 2)) as pool:
        ended = list(pool.map(lambda n: stopped(folder / str(n), numbers[n % len(numbers)]), range(runs)))
    slowest, good = max(seconds for seconds, _ in ended), sum(right for _, right in ended)
    beside = "not tried"
    if effort.full:
        left = after_plain(folder / "plain", signal.SIGTERM)
        beside = f"SIGTERM: {left} processes left, trial {dict(plain.states(plain.url_in(folder / 'plain')))}"
    text = f"{good} of {runs}, the slowest after {slowest:.1f} s"
    return Found(text, good == runs and slowest <= STOP_GRACE_S + 5, beside)


GOALS = [
    Goal("G3", "A runner killed by SIGKILL leaves no process of its trials", "0 left", measure_killed_runners),
    Goal("G4", "When a trial's end is reported, none of its processes is left", "0 left", measure_ended_trials),
    Goal(
        "G13",
        "Ctrl-C and SIGTERM end a run in order, even if its trial ignores them",
        f"within {STOP_GRACE_S:g} + 5 s, codes 130 and 143, trial queued again, no process left",
        measure_signals,
    ),
]
