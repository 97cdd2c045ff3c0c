"""G24: the machine goes down at any moment, and what its disk has is all that is left (SQLite).

The studies lie in a file system of their own, which is shut down without a flush (FS_IOC_SHUTDOWN, as xfstests does it)
and mounted again; the truth log lies elsewhere. Before that all processes are killed at once, by their PID namespace.
"""

from __future__ import annotations

import fcntl
import json
import os
import random
import re
import shutil
import sqlite3
import struct
import subprocess
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import psutil

from tests.conftest import run_command
from tests.faults import plain
from tests.faults.crashes import Scene
from tests.faults.goals import Effort, Found, Goal, until
from tests.faults.kills import HPSEARCH
from tests.faults.programs.truth import STEPS
from tests.faults.results import trials_in

_SHUTDOWN = 0x8004587D  # FS_IOC_SHUTDOWN
_NO_FLUSH = struct.pack("I", 2)  # neither files nor the journal
_IMAGE_BYTES = 192 << 20  # a trial is launched with 64 MB free
# ext4 flushes a file that replaces another one, by default; other file systems do not.
OPTIONS = ("loop,noatime", "loop,noatime,noauto_da_alloc")
MOST_LINES = 40  # of a run's output
WINDOW_S = 1.0  # a result that was reported for longer than that must be there
# Never empty after a cut: files that are flushed before they get their name.
DURABLE = re.compile(r"(outcome|study|report|trial_\d+_results|\w+_best_\w+)\.json|\.study")
OF_ENDED = ("outcome.json", "metrics.jsonl", "job.json", "adapter/weights")


class Disk:
    """An ext4 file system in a file beside ``folder``, mounted there."""

    def __init__(self, folder: Path, options: str = OPTIONS[0]) -> None:
        self.folder, self._options = folder, options
        self._image = folder.with_name(f"{folder.name}.img")
        with self._image.open("wb") as file:
            file.truncate(_IMAGE_BYTES)
        _do("mkfs.ext4", "-q", "-F", str(self._image))
        folder.mkdir()
        self._mount()

    def go_down(self) -> None:
        """Lose what the disk does not have, and come back."""
        descriptor = os.open(self.folder, os.O_RDONLY)
        try:
            fcntl.ioctl(descriptor, _SHUTDOWN, _NO_FLUSH)
        finally:
            os.close(descriptor)
        _do("umount", str(self.folder))
        # Of a copy: a mount namespace that was made meanwhile keeps the file system that was shut down.
        copy = self._image.with_suffix(".copy")
        _do("cp", "--sparse=always", str(self._image), str(copy))
        copy.replace(self._image)
        self._mount()

    def remove(self) -> None:
        """Unmount it, and leave nothing of it."""
        _do("umount", str(self.folder))
        self._image.unlink()

    def _mount(self) -> None:
        _do("mount", "-o", self._options, str(self._image), str(self.folder))


def _do(*words: str) -> None:
    subprocess.run(words, check=True, capture_output=True)


@contextmanager
def disk(folder: Path, options: str = OPTIONS[0]) -> Iterator[Disk]:
    """A disk that is there for a while."""
    made = Disk(folder, options)
    try:
        yield made
    finally:
        made.remove()


def obstacle() -> str:
    """Why this cannot be tried here; empty where it can."""
    if os.geteuid():
        return "needs root, for a loop device"
    if missing := [name for name in ("mkfs.ext4", "mount", "unshare") if shutil.which(name) is None]:
        return f"needs {', '.join(missing)}"
    if subprocess.run(
        ("unshare", "--pid", "--fork", "--mount-proc", "true"), check=False, capture_output=True
    ).returncode:
        return "needs the right to make a PID namespace"
    with tempfile.TemporaryDirectory() as folder:
        try:
            with disk(Path(folder) / "disk") as made:
                made.go_down()
        except (OSError, subprocess.CalledProcessError) as error:
            return f"no loop device with ext4 can be made and shut down: {error}"
    return ""


@contextmanager
def machine(folder: Path, words: list[str]) -> Iterator[subprocess.Popen[str]]:
    """A program in a PID namespace of its own, all of whose processes die at once at the end."""
    process = subprocess.Popen(
        ("unshare", "--pid", "--fork", "--mount-proc", "sh", "-c", '"$@"; exit $?', "sh", *words),
        cwd=folder,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env={**os.environ, "COLUMNS": "200"},
    )
    try:
        yield process
    finally:
        for init in psutil.Process(process.pid).children() if process.poll() is None else []:
            init.kill()
        process.communicate()


class Cut:
    """A study of truth.py, and the machine that goes down under it."""

    def __init__(self, folder: Path, made: Disk, scene: Scene) -> None:
        self._disk, self._scene, self._beside = made, scene, folder / "seen"
        self._late: set[int] = set()  # trials that reported their result in the last moment
        self.lost = 0  # those of them that were not kept

    def run(self, rng: random.Random, *, hang: bool) -> None:
        """Run the study up to the moment, and let the machine go down."""
        if hang:
            (self._scene.folder / "hang").touch()
        with machine(self._scene.folder, list(HPSEARCH)) as process:
            assert process.stdout is not None
            if hang:
                next(line for line in process.stdout if f"step {STEPS}" in line)
                until(self._results, "a result")
                time.sleep(2 * WINDOW_S)
            else:
                for _ in range(rng.randrange(3, MOST_LINES)):
                    process.stdout.readline()
                time.sleep(rng.uniform(0.0, 0.3))
        self._at = time.time()
        pipes = shutil.ignore_patterns("*.fifo")
        shutil.copytree(self._disk.folder, self._beside, symlinks=True, ignore=pipes)  # as the processes saw it
        self._disk.go_down()
        (self._scene.folder / "hang").unlink(missing_ok=True)
        self._scene.kills += 1

    def _results(self) -> list[dict[str, Any]]:
        path = self._scene.folder / "truth.jsonl"
        lines = path.read_text().splitlines() if path.exists() else []
        return [line for line in map(json.loads, lines) if line["what"] == "result"]

    def problems(self, *, rebuild: bool) -> list[str]:
        """What is wrong on the disk, and after one more run; with ``rebuild``, the database is lost as well."""
        seen = self._ended(self._beside)
        wrong = self._of_files(seen)
        self._forget_last_moment()
        if rebuild and seen:
            for path in self._disk.folder.glob("hpsearch.db*"):
                path.unlink()
            done = run_command(self._scene.folder, "storage", "rebuild", "--study", "truth")
            wrong += [f"rebuild: {done.stderr}"] if done.returncode else []
        wrong += self._scene.problems()
        now = self._ended(self._disk.folder)
        causes = {number: trial.user_attrs.get("hps:outcome") for number, (trial, _) in now.items()}
        self.lost = sum(causes.get(number) == "lost" for number in self._late)
        for number, (trial, facts) in seen.items():
            if number not in now or now[number][1] != facts:
                wrong.append(f"trial {number} was stored as {facts}, and is now {now.get(number, (trial, None))[1]}")
        return wrong

    def _ended(self, studies: Path) -> dict[int, tuple[Any, tuple[str, ...]]]:
        if not (studies / "hpsearch.db").exists():
            return {}
        try:
            trials = trials_in(f"sqlite:///{studies / 'hpsearch.db'}", "truth")
        except KeyError:  # the study was not made yet
            return {}
        return {
            trial.number: (
                trial,
                (
                    trial.state.name,
                    repr(trial.values),
                    repr(trial.params),
                    repr(sorted(trial.intermediate_values.items())),
                ),
            )
            for trial in trials
            if trial.state.is_finished()
        }

    def _of_files(self, ended: dict[int, tuple[Any, tuple[str, ...]]]) -> list[str]:
        """Those that are empty or half after the cut, and must not be."""
        wrong = []
        for path in self._beside.rglob("*"):
            here = self._disk.folder / path.relative_to(self._beside)
            if not path.is_file() or not path.stat().st_size or not here.exists():
                continue
            is_durable = DURABLE.fullmatch(path.name) or "best" in path.parts
            if is_durable and not here.stat().st_size:
                wrong.append(f"{here.relative_to(self._disk.folder)} is empty after the cut")
        for trial, _ in ended.values():
            folder = Path("truth", trial.user_attrs.get("hps:folder", "nowhere"))
            for name in OF_ENDED:
                before, after = self._beside / folder / name, self._disk.folder / folder / name
                needed = name != "adapter/weights" or trial.state.name == "COMPLETE"
                if needed and before.exists() and not (after.exists() and after.read_bytes() == before.read_bytes()):
                    wrong.append(f"{folder / name} of an ended trial is lost")
        return wrong

    def _forget_last_moment(self) -> None:
        """Take out of the truth the results whose report was younger than the window, and are not on the disk."""
        path = self._scene.folder / "truth.jsonl"
        kept = []
        for line in map(json.loads, path.read_text().splitlines() if path.exists() else []):
            late = line["what"] == "result" and line["at"] > self._at - WINDOW_S
            folder = self._disk.folder / "truth" / f"trial_{line['root']}"
            folder = folder if line["attempt"] == 1 else folder / f"attempt-{line['attempt']}"
            if late and '"score"' not in _last_line(folder / "metrics.jsonl"):
                self._late.add(line["number"])
                continue
            kept.append(json.dumps(line))
        path.write_text("".join(f"{line}\n" for line in kept))


def _last_line(path: Path) -> str:
    """The last line, if it is a final one."""
    lines = path.read_text().splitlines() if path.exists() else []
    return lines[-1] if lines and '"step"' not in lines[-1] else ""


def cut(folder: Path, number: int) -> tuple[list[str], int]:
    """What is wrong after one cut, and how many results of the last moment were lost."""
    rng = random.Random(number)
    folder.mkdir()
    scene = Scene(folder / "scene")
    with disk(scene.folder / "studies", OPTIONS[number % 2]) as made:
        case = Cut(folder, made, scene)
        case.run(rng, hang=number % 5 == 0)
        return case.problems(rebuild=number % 3 == 2), case.lost


def _has_trials(database: Path) -> bool:
    """Whether there are any; without making the file or its tables."""
    try:
        with closing(sqlite3.connect(f"{database.as_uri()}?mode=ro", uri=True)) as connection:
            return bool(connection.execute("SELECT 1 FROM trials").fetchall())
    except sqlite3.Error:
        return False


def plain_cut(folder: Path, number: int) -> Counter[str]:
    """The states of a plain study after a cut and one more run."""
    folder.mkdir()
    with disk(folder / "disk", OPTIONS[number % 2]) as made:
        url = plain.url_in(made.folder)
        words = plain.command(url, 8)
        with machine(folder, words):
            until(lambda: _has_trials(made.folder / "plain.db"), "a trial")
            time.sleep(random.Random(number).uniform(0.0, 0.5))
        made.go_down()
        plain.run(folder, words)
        return plain.states(url)


def measure_cuts(folder: Path, effort: Effort) -> Found:
    """Cuts at random moments, in file systems with and without ext4's own care."""
    if why := obstacle():
        return Found(f"not tried: {why}", met=True)
    wrong, lost, count = [], 0, effort.times(20, 1)
    for number in range(count):
        found, late = cut(folder / f"cut-{number}", number)
        wrong += [f"cut {number}: {text}" for text in found]
        lost += late
        shutil.rmtree(folder / f"cut-{number}", ignore_errors=True)
    beside = "not tried"
    if effort.full:
        states = [plain_cut(folder / f"plain-{number}", number) for number in range(6)]
        beside = f"a trial left RUNNING for ever in {sum(each['RUNNING'] > 0 for each in states)} of {len(states)}"
    text = f"{len(wrong)} violations after {count} cuts; {lost} results of the last second were trained again"
    return Found(text + (f": {wrong[0]}" if wrong else ""), not wrong, beside)


GOALS = [
    Goal(
        "G24",
        "After the machine goes down at any moment, one plain run repairs all, with a lost database, too (SQLite)",
        f"0 recorded results, results reported {WINDOW_S:g} s before, or files of ended trials lost or empty",
        measure_cuts,
    ),
]
