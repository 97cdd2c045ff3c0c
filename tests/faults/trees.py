"""G3, G4, G13, G20: nothing of a trial is left, however it or its runner ends, and stopping takes no longer than said,
whatever is frozen."""

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


def study(folder: Path, command: Sequence[str], **keys: object) -> None:
    """A definition whose trials are this command."""
    folder.mkdir()
    fields = {
        **keys,
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


def processes_of(runner: Runner, mark: str) -> list[psutil.Process]:
    """The processes below a runner whose environment holds a mark."""
    marked = []
    for process in psutil.Process(runner.process.pid).children(recursive=True):
        with contextlib.suppress(OSError):  # it has ended
            if mark.encode() in Path(f"/proc/{process.pid}/environ").read_bytes():
                marked.append(process)
    return marked


def frozen(folder: Path, way: str, cold: bool) -> list[str]:
    """What is wrong with a run whose supervisor or fork server stands still, or is killed together with it."""
    keys = {"trial_timeout_s": 4} if way == "timeout" else {}
    study(folder, [sys.executable, str(TREE), str(folder / "pids"), "hang"], **keys)
    words = ("run", "--study", "tree", "--config", "study.json", "--n-trials", "1", *(("--cold",) if cold else ()))
    with Runner(folder, *words) as runner:
        runner.wait_for("step 1")
        supervisors = processes_of(runner, "HPSEARCH_SUPERVISES=tree/trial")
        runner_too = [psutil.Process(runner.process.pid)] if way == "killed" else []
        for process in (*runner_too, *supervisors):
            process.suspend()
        began = time.monotonic()
        for process in (*supervisors, *runner_too) if way == "killed" else ():
            process.kill()
        for _ in range({"ctrl-c": 1, "twice": 2}.get(way, 0)):
            runner.send(signal.SIGINT)
            time.sleep(0.2)
        code, said = runner.end()
        seconds = time.monotonic() - began
    left, expected, most = len(orphans(folder / "pids")), *FROZEN[way]
    wrong = [f"{left} processes left"] if left else []
    if code != expected or seconds > most:
        wrong.append(f"exit code {code} after {seconds:.0f} s: {said[-300:]}")
    return wrong


# What is done beside a frozen supervisor: the run's exit code, and the most seconds that it takes.
FROZEN = {"ctrl-c": (130, 15.0), "twice": (130, 8.0), "timeout": (4, 30.0), "killed": (-signal.SIGKILL, 5.0)}


def measure_frozen_supervisors(folder: Path, effort: Effort) -> Found:
    """Each way, with forked and with single supervisors."""
    cases = [(way, cold) for way in FROZEN for cold in (False, True)] * effort.times(3, 1)
    wrong = [text for n, case in enumerate(cases) for text in frozen(folder / str(n), *case)]
    text = f"{len(wrong)} faults in {len(cases)} runs"
    return Found(f"{text}: {wrong[0]}" if wrong else text, not wrong)


GOALS = [
    Goal("G3", "A runner killed by SIGKILL leaves no process of its trials", "0 left", measure_killed_runners),
    Goal("G4", "When a trial's end is reported, none of its processes is left", "0 left", measure_ended_trials),
    Goal(
        "G13",
        "Ctrl-C and SIGTERM end a run in order, even if its trial ignores them",
        f"within {STOP_GRACE_S:g} + 5 s, codes 130 and 143, trial queued again, no process left",
        measure_signals,
    ),
    Goal(
        "G20",
        "A frozen supervisor, or one that is killed together with its runner, holds no run and leaves no process",
        "Ctrl-C within 10 + 5 s, time limits kept, 0 processes left 5 s later",
        measure_frozen_supervisors,
    ),
]
