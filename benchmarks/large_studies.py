"""What a study's size costs: ``python benchmarks/large_studies.py``, about a quarter of an hour on one core.

Whole commands on studies of 100, 1,000 and 10,000 trials (grown_studies.py), each beside a plain Optuna script that
does the same: `status`; `resume` until the first trial has started; what one trial's bookkeeping costs (ask, 16 reports
with the pruner's answer, tell, files), after the first; and the report. Medians of a few runs. CPU seconds are those of
the process and of what it waited for, memory is its peak. The last line of each table has the last over the first.

    python benchmarks/large_studies.py --trials 100 1000 --only status resume       # a quicker look
    python benchmarks/large_studies.py --only report --trials 5000                  # one of the tables
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import re
import shutil
import signal
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import psutil
from grown_studies import STEPS, definition_of, make_study, search

from hpsearch.study.events import RunEvent, TrialEnded

NAME, MORE = "large", 6  # trials played to tell what one costs: the first is left out
PLAIN = Path(__file__).with_name("plain_optuna.py")
# Runs a command from a process that is small itself: a child's peak of memory begins with that of its parent.
MEASURING = """
import json, os, sys
nowhere = (os.POSIX_SPAWN_OPEN, 1, os.devnull, os.O_WRONLY, 0)
_, status, used = os.wait4(os.posix_spawn(sys.argv[1], sys.argv[1:], os.environ, file_actions=[nowhere]), 0)
print(json.dumps([os.waitstatus_to_exitcode(status), used.ru_utime + used.ru_stime, used.ru_maxrss]))
"""


@dataclass(frozen=True)
class Cost:
    """What something took: CPU and wall in seconds, memory in bytes, and the ``size`` of what it made in bytes."""

    cpu: float
    wall: float
    memory: float
    size: float = 0.0


@dataclass(frozen=True)
class Place:
    """A grown study: its folder and its storage, with a copy of the file to go back to."""

    base: Path
    url: str
    count: int

    def restore(self) -> None:
        """Have the storage and the folder as they were."""
        database = self.base / "hpsearch.db"
        for path in self.base.glob("hpsearch.db*"):
            path.unlink()
        shutil.copyfile(self.base / "kept.db", database)
        for path in (self.base / NAME).glob("trial_*"):
            if int(path.name.removeprefix("trial_")) >= self.count:
                shutil.rmtree(path)

    def words(self, verb: str, *more: str) -> list[str]:
        """A command of hpsearch on this study."""
        where = ("--study", NAME, "--storage", self.url, "--base-output-dir", str(self.base))
        return [sys.executable, "-m", "hpsearch", verb, *where, *more]

    def plain(self, what: str) -> list[str]:
        """The same by Optuna alone."""
        return [sys.executable, str(PLAIN), what, self.url, NAME, str(self.base)]


def run(words: Sequence[str], **environment: str) -> Cost:
    """Run a command to its end."""
    began = time.monotonic()
    argv = [sys.executable, "-I", "-S", "-c", MEASURING, *words]
    told = subprocess.run(argv, env={**os.environ, **environment}, check=True, capture_output=True, text=True).stdout
    code, cpu, peak = json.loads(told)
    if code:
        raise SystemExit(f"{' '.join(words)} ended with {code}")
    return Cost(cpu, time.monotonic() - began, 1024.0 * peak)


def run_until(words: Sequence[str], said: str) -> Cost:
    """Run a command until it says something, then end it as a crash would."""
    began = time.monotonic()
    process = subprocess.Popen(words, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    lines = []
    for line in process.stdout:
        lines.append(line)
        if re.search(said, line):
            break
    else:
        raise SystemExit(f"{' '.join(words)} ended without {said!r}: {''.join(lines)}")
    wall, used = time.monotonic() - began, psutil.Process(process.pid).cpu_times()
    peak = re.search(r"VmHWM:\s+(\d+)", Path(f"/proc/{process.pid}/status").read_text())
    process.send_signal(signal.SIGKILL)
    process.communicate()
    return Cost(used.user + used.system, wall, 1024.0 * float(peak[1] if peak else 0))


def status(place: Place) -> tuple[Cost, Cost]:
    """`hpsearch status`."""
    return run(place.words("status", "--json")), run(place.plain("status"))


def resume(place: Place) -> tuple[Cost, Cost]:
    """`hpsearch resume` until its first trial has reported."""
    place.restore()
    cost = run_until(place.words("resume", "--add-trials", "1"), "step 1: cer")
    place.restore()
    return cost, run(place.plain("ask"))


def bookkeeping(place: Place) -> tuple[Cost, Cost]:
    """One trial of a run that is under way, its training played."""
    costs = []
    for words in ([sys.executable, __file__, "--inside", str(place.base), place.url], place.plain("trials")):
        place.restore()
        told = subprocess.run([*words, str(MORE)], check=True, capture_output=True, text=True).stdout
        costs.append(Cost(*json.loads(told.splitlines()[-1])))
    place.restore()
    return costs[0], costs[1]


def report(place: Place) -> tuple[Cost, Cost]:
    """`hpsearch analyze`, without the pictures that a browser draws; the six figures of optuna.visualization."""
    place.restore()
    with tempfile.TemporaryDirectory() as folder:
        nowhere = {"PATH": folder, "BROWSER_PATH": f"{folder}/none"}  # so that there is no browser
        ours = run(place.words("analyze", "--output-dir", folder), **nowhere)
        size = (Path(folder) / "index.html").stat().st_size
    theirs = run(place.plain("report"))
    plain = place.base / "plain.html"
    return Cost(ours.cpu, ours.wall, ours.memory, size), Cost(
        theirs.cpu, theirs.wall, theirs.memory, plain.stat().st_size
    )


MEASURES: dict[str, Callable[[Place], tuple[Cost, Cost]]] = {
    "status": status,
    "resume": resume,
    "bookkeeping": bookkeeping,
    "report": report,
}


def inside(base: Path, url: str, more: int) -> Cost:
    """Go on with the study in this process, its trials played: the cost of each after the first."""
    marks: list[tuple[float, float]] = []

    def view(happening: RunEvent) -> None:
        if isinstance(happening, TrialEnded):
            marks.append((time.process_time(), time.monotonic()))

    search(url, base, NAME, definition_of(base, **json.loads((base / "keys.json").read_text())), more, view)
    (cpu, wall), (last_cpu, last_wall) = marks[0], marks[-1]
    peak = re.search(r"VmHWM:\s+(\d+)", Path("/proc/self/status").read_text())
    count = len(marks) - 1
    return Cost((last_cpu - cpu) / count, (last_wall - wall) / count, 1024.0 * float(peak[1] if peak else 0))


def median(costs: Sequence[Cost]) -> Cost:
    """The median of each figure."""
    figures = zip(*((one.cpu, one.wall, one.memory, one.size) for one in costs), strict=True)
    return Cost(*(statistics.median(each) for each in figures))


def table(name: str, places: Sequence[Place], repeats: int) -> None:
    """Print a measure's table."""
    measure, found = MEASURES[name], []
    print(f"\n{name}: {(measure.__doc__ or '').strip()}")
    print(
        f"  {'trials':>8}{'hpsearch: CPU s':>18}{'wall s':>9}{'MB':>7}{'Optuna: CPU s':>17}{'wall s':>9}{'MB':>7}",
        end="",
    )
    print(f"{'of it':>8}{'file MB':>10}{'Optuna':>8}" if name == "report" else f"{'of it':>8}")
    for place in places:
        pairs = [measure(place) for _ in range(repeats)]
        ours, theirs = median([one for one, _ in pairs]), median([other for _, other in pairs])
        found.append((ours, theirs))
        print(
            f"  {place.count:8,}{ours.cpu:18.3f}{ours.wall:9.3f}{ours.memory / 1e6:7.0f}"
            f"{theirs.cpu:17.3f}{theirs.wall:9.3f}{theirs.memory / 1e6:7.0f}{ours.cpu / theirs.cpu:8.2f}"
            + (f"{ours.size / 1e6:10.1f}{theirs.size / 1e6:8.1f}" if name == "report" else ""),
            flush=True,
        )
    if len(found) > 1:
        (ours, theirs), (last, theirs_last) = found[0], found[-1]
        print(
            f"  {'growth':>8}{last.cpu / ours.cpu:17.2f}x{last.wall / ours.wall:8.2f}x{last.memory / ours.memory:6.1f}x"
            f"{theirs_last.cpu / theirs.cpu:16.2f}x{theirs_last.wall / theirs.wall:8.2f}x"
            f"{theirs_last.memory / theirs.memory:6.1f}x"
        )


def made(folder: Path, count: int, keys: dict[str, str]) -> Place:
    """A study of so many trials, with a copy of its storage."""
    base = folder / f"{count}"
    if not (base / "kept.db").exists():
        shutil.rmtree(base, ignore_errors=True)
        make_study(base, NAME, count, **keys)
        (base / "keys.json").write_text(json.dumps(keys))
        with (
            closing(sqlite3.connect(base / "hpsearch.db")) as database,
            closing(sqlite3.connect(base / "kept.db")) as kept,
        ):
            database.backup(kept)  # with what the write-ahead log holds
    return Place(base, f"sqlite:///{base / 'hpsearch.db'}", count)


def main() -> None:
    """Print the tables."""
    if sys.argv[1:2] == ["--inside"]:
        cost = inside(Path(sys.argv[2]), sys.argv[3], int(sys.argv[4]))
        print(json.dumps([cost.cpu, cost.wall, cost.memory]))
        return
    options = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    options.add_argument("--trials", type=int, nargs="+", default=[100, 1000, 10000], help="sizes of the studies")
    options.add_argument("--only", nargs="+", choices=MEASURES, default=list(MEASURES), help="which tables")
    options.add_argument("--repeats", type=int, default=3, help="runs of each, of which the median is shown")
    options.add_argument("--mode", default="bayesian", help="the studies' search_mode: bayesian or random")
    options.add_argument("--folder", type=Path, help="where the studies are kept [default: nowhere]")
    chosen = options.parse_args()
    print(f"{platform.platform()}, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}; trials of {STEPS} reports")
    with tempfile.TemporaryDirectory() as scratch:
        folder = chosen.folder or Path(scratch)
        places = [made(folder, count, {"search_mode": chosen.mode}) for count in chosen.trials]
        for name in chosen.only:
            table(name, places, chosen.repeats)


if __name__ == "__main__":
    main()
