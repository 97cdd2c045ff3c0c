"""G5 to G8: what was interrupted goes on at once, and no point of a grid or place in the queue is given out twice."""

from __future__ import annotations

import json
import random
import signal
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

import optuna
from optuna.trial import FrozenTrial, TrialState

from hpsearch.crash_points import VARIABLE
from hpsearch.study.storage.postgres import driver_url
from tests.conftest import run_command
from tests.e2e.conftest import Runner, trials
from tests.faults import plain
from tests.faults.crashes import points
from tests.faults.goals import Effort, Found, Goal
from tests.postgres import server

SIDE = 6
# A grid point that takes some hundredths of a second, and says so by the standard library alone.
POINT = (
    "import json, os, sys\n"
    "said = json.dumps(dict(score=float(sys.argv[1]) + float(sys.argv[2])))\n"
    "open(os.environ['HPSEARCH_REPORT'], 'w').write(said + chr(10))\n"
)
# One that never ends by itself.
HANGS = "from hpsearch import sdk; import time; sdk.report(1, score=1); time.sleep(600)"
NOTHING_SAID = "print(float(sys.argv[1]) + float(sys.argv[2]))"


def grid(folder: Path, side: int = SIDE, **keys: Any) -> None:
    """A study of ``side`` by ``side`` points."""
    folder.mkdir()
    space = {name: {"type": "categorical", "choices": list(range(side))} for name in ("x", "y")}
    fields = {
        "command": [sys.executable, "-I", "-S", "-c", POINT, "{x}", "{y}"],
        "search_space": space,
        "search_mode": "grid",
        "objective": {"metric": "score", "direction": "minimize"},
        "preload": ["decimal"],
    }
    (folder / "study.json").write_text(json.dumps({**fields, **keys}))


RUN = ("run", "--study", "grid", "--config", "study.json")


def wasted(found: list[FrozenTrial], side: int = SIDE) -> int:
    """Points that were finished more than once, or not at all."""
    done = Counter((one.params["x"], one.params["y"]) for one in found if one.state is TrialState.COMPLETE)
    return sum(abs(done[x, y] - 1) for x in range(side) for y in range(side))


def killed_often(folder: Path, chance: random.Random, kills: int, side: int) -> list[str]:
    """What is wrong with a grid after kills at random points, one plain run, and another."""
    grid(folder, side)
    names = [name for name in points() if name not in ("stop-sent", "lost-told", "prune-decided")]
    for _ in range(kills):
        run_command(folder, *RUN, **{VARIABLE: f"{chance.choice(names)}:{chance.randint(1, 6)}"})
    codes = [run_command(folder, *RUN).returncode]
    found = trials(folder, "grid")
    codes.append(run_command(folder, *RUN).returncode)
    problems = [f"exit codes {codes}"] if any(codes) else []
    problems += [f"{count} points twice or not at all"] if (count := wasted(found, side)) else []
    problems += ["a trial is RUNNING"] if any(one.state is TrialState.RUNNING for one in found) else []
    return problems + (["another run added trials"] if len(trials(folder, "grid")) != len(found) else [])


def measure_kills(folder: Path, effort: Effort) -> Found:
    """Grids killed ten times each."""
    runs, kills, side = effort.times(20, 1), effort.times(10, 2), effort.times(SIDE, 3)
    wrong = [each for n in range(runs) for each in killed_often(folder / str(n), random.Random(n), kills, side)]
    beside = "not tried"
    if effort.full:
        beside = _plain_kills(folder / "plain")
    text = f"{runs - len(wrong)} of {runs} grids whole" + (f": {wrong[0]}" if wrong else "")
    return Found(text, not wrong, beside)


def _plain_kills(folder: Path) -> str:
    folder.mkdir()
    words = plain.command(plain.url_in(folder), 4 * 4, grid=4)
    for number in range(4):
        process = plain.start(folder, words)
        time.sleep(2.0 + 0.3 * number)
        process.kill()
        process.communicate()
    plain.run(folder, words)
    left = plain.states(plain.url_in(folder))["RUNNING"]
    before = len(plain.trials(plain.url_in(folder)))
    plain.run(folder, plain.command(plain.url_in(folder), before + 1, grid=4))
    more = len(plain.trials(plain.url_in(folder))) - before
    return f"{left} RUNNING for ever after 4 kills, {more} more trial by running it again"


def repaired(folder: Path) -> float:
    """Seconds from the command to the start of the trial that a killed runner left."""
    folder.mkdir()
    fields = {
        "command": [sys.executable, "-c", HANGS],
        "search_space": {"x": {"type": "uniform", "low": 0.0, "high": 1.0}},
        "objective": {"metric": "score", "direction": "minimize"},
        "preload": ["decimal"],
    }
    (folder / "study.json").write_text(json.dumps(fields))
    with Runner(folder, *RUN) as runner:
        runner.wait_for("step 1")
        runner.send(signal.SIGKILL)
        runner.end()
    began = time.monotonic()
    with Runner(folder, *RUN) as again:
        again.wait_for("2nd attempt")
        seconds = time.monotonic() - began
        again.send(signal.SIGINT)
        again.end()
    return seconds


def measure_repair(folder: Path, effort: Effort) -> Found:
    """The slowest of several."""
    runs = effort.times(10, 1)
    slowest = max(repaired(folder / str(number)) for number in range(runs))
    text = f"{slowest:.1f} s at most, of {runs}, the interpreter's start included"
    return Found(text, slowest < 2 or not effort.full, "never: RUNNING for ever" if effort.full else "not tried")


def measure_slots(folder: Path, effort: Effort) -> Found:
    """A grid on PostgreSQL by six slots of one runner, while a second runner is refused."""
    runs, lost, refused = effort.times(5, 1), 0, 0
    with server() as running:
        for number in range(runs):
            running.empty()
            grid(folder / str(number))
            with Runner(folder / str(number), *RUN, "--slots", "6", HPSEARCH_STORAGE=running.url) as runner:
                runner.wait_for("trial 0 started")
                second = run_command(folder / str(number), *RUN, "--slots", "6", HPSEARCH_STORAGE=running.url)
                refused += second.returncode == 5
                code, _ = runner.end()
            storage = optuna.storages.RDBStorage(driver_url(running.url))
            lost += wasted(optuna.load_study(study_name="grid", storage=storage).get_trials()) + bool(code)
            storage.remove_session()
            storage.engine.dispose()
        beside = _plain_workers(folder / "plain", running) if effort.full else "not tried"
    text = f"{lost} of {runs * SIDE * SIDE} points wasted; the second runner was refused {refused} of {runs} times"
    return Found(text, lost == 0 and refused == runs, beside)


def _plain_workers(folder: Path, running: Any) -> str:
    folder.mkdir()
    running.empty()
    url = driver_url(running.url)
    program = ("import sys; " + NOTHING_SAID,)
    words = plain.command(url, SIDE * SIDE, sys.executable, "-I", "-S", "-c", *program, grid=SIDE)
    plain.run(folder, plain.command(url, 1, sys.executable, "-I", "-S", "-c", *program, grid=SIDE))
    workers = [plain.start(folder, words) for _ in range(6)]
    for worker in workers:
        worker.communicate(timeout=300)
    return f"{plain.wasted(url)} of {SIDE * SIDE} points done twice by six workers"


def queue_of(folder: Path, count: int) -> int:
    """How many of so many queued trials six slots gave out twice or not at all."""
    folder.mkdir()
    command = [sys.executable, "-I", "-S", "-c", POINT, "{x}", "0"]
    fields = {"command": command, "search_space": {"x": {"type": "uniform", "low": 0.0, "high": 1.0}}}
    fields["objective"] = {"metric": "score", "direction": "minimize"}
    (folder / "study.json").write_text(json.dumps(fields))
    words = ("run", "--study", "queue", "--config", "study.json", "--n-trials")
    run_command(folder, *words, "1")
    url = f"sqlite:///{folder / 'studies' / 'hpsearch.db'}"
    study = optuna.load_study(study_name="queue", storage=url)
    for number in range(count):
        study.enqueue_trial({"x": number / count})
    run_command(folder, *words, str(1 + count), "--slots", "6")
    done = Counter(one.params["x"] for one in trials(folder, "queue")[1:] if one.state is TrialState.COMPLETE)
    return sum(abs(done[number / count] - 1) for number in range(count))


def measure_queue(folder: Path, effort: Effort) -> Found:
    """Queues in SQLite."""
    runs, count = effort.times(20, 1), effort.times(48, 12)
    wrong = sum(queue_of(folder / str(number), count) for number in range(runs))
    beside = _plain_queue(folder / "plain", count) if effort.full else "not tried"
    return Found(f"{wrong} of {runs * count} handed out twice or not at all", wrong == 0, beside)


def _plain_queue(folder: Path, count: int) -> str:
    folder.mkdir()
    url = plain.url_in(folder)
    study = optuna.create_study(study_name="plain", storage=url)
    for number in range(count):
        study.enqueue_trial({"x": number / count})
    words = plain.command(url, 10**6, sys.executable, "-I", "-S", "-c", "import sys; print(sys.argv[1])")
    workers = [plain.start(folder, words) for _ in range(6)]
    while study.get_trials(deepcopy=False, states=(TrialState.WAITING,)) and any(w.poll() is None for w in workers):
        time.sleep(0.1)
    died = sum(worker.poll() is not None for worker in workers)
    for worker in workers:
        worker.kill()
        worker.communicate()
    taken = Counter(one.params.get("x") for one in plain.trials(url))
    twice = sum(taken[number / count] > 1 for number in range(count))
    left = plain.states(url)
    return (
        f"{twice} of {count} done twice, {died} of 6 workers died, {left['RUNNING']} RUNNING, {left['WAITING']} waiting"
    )


GOALS = [
    Goal("G5", "A restarted run continues the interrupted trial at once", "< 2 s, no grace period", measure_repair),
    Goal(
        "G6",
        "A grid is covered once, whatever is killed, and running it again adds nothing",
        "36 of 36 points, 0 twice, 0 more trials",
        measure_kills,
    ),
    Goal("G7", "Parallel trials waste no grid point (PostgreSQL)", "0 wasted", measure_slots),
    Goal("G8", "No queued trial is started twice (SQLite)", "0", measure_queue),
]
