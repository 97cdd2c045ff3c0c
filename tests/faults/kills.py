"""G2: a runner killed at a system call that changes a file, as a power cut would; with SQLite."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from functools import partial
from pathlib import Path

from tests.faults import plain
from tests.faults.crashes import RUN, Scene, found, tried
from tests.faults.goals import Effort, Found, Goal

# System calls by which SQLite changes its files, and hpsearch its own.
CALLS = "pwrite64,fdatasync,fsync,unlink,rename"
HPSEARCH = (sys.executable, "-m", "hpsearch", *RUN)
_ENVIRONMENT = {**os.environ, "PYTHONDONTWRITEBYTECODE": "1"}


def can_trace() -> bool:
    """Whether strace is here and may do its work."""
    if shutil.which("strace") is None:
        return False
    return subprocess.run(("strace", "-o", os.devnull, "true"), check=False, capture_output=True).returncode == 0


def strace(folder: Path, words: tuple[str, ...], *options: str) -> subprocess.CompletedProcess[bytes]:
    """Run words under strace, which writes into a file of its own."""
    tracing = ("strace", "-f", "-qq", "-o", str(folder / "trace"), "-e", f"trace={CALLS}", *options)
    return subprocess.run([*tracing, *words], cwd=folder, env=_ENVIRONMENT, check=False, capture_output=True)


def calls(folder: Path, words: tuple[str, ...]) -> int:
    """How many of these calls the program makes in a whole run, its threads' counted, its children's not."""
    strace(folder, words)
    lines = [line.split(maxsplit=1) for line in (folder / "trace").read_text().splitlines()]
    ours = {pid for pid, call in lines if str(folder) in call or "hpsearch.db" in call}
    return sum(pid in (ours or {lines[0][0]}) for pid, _ in lines)


def killed(scene: Scene, when: int) -> None:
    """Run the study under strace, to be killed at this call of any of its threads."""
    strace(scene.folder, HPSEARCH, "-e", f"inject={CALLS}:signal=KILL:when={when}")
    scene.kills += 1


def problems(when: int, folder: Path) -> list[str]:
    """What is wrong after a death at a call, and one plain run."""
    scene = Scene(folder)
    killed(scene, when)
    return scene.problems()


def plain_problems(folder: Path, when: int) -> Mapping[str, int]:
    """The states of a plain study after a death at a call, and one more run."""
    folder.mkdir()
    words = tuple(plain.command(plain.url_in(folder), 4))
    strace(folder, words, "-e", f"inject={CALLS}:signal=KILL:when={when}")
    plain.run(folder, list(words))
    return plain.states(plain.url_in(folder))


def measure_calls(folder: Path, effort: Effort) -> Found:
    """Points evenly spread over all calls of a run."""
    if not can_trace():
        return Found("not tried: needs strace, and the right to trace", met=True)
    whole = Scene(folder / "whole")
    last = calls(whole.folder, HPSEARCH)
    # strace counts each thread's calls for themselves; the storage's thread makes nearly all of them.
    points = sorted({1 + number * (last - 1) // effort.times(74, 2) for number in range(effort.times(74, 2))})
    count, wrong = tried(folder, ((f"call {when}", partial(problems, when)) for when in points))
    beside = "not tried"
    if effort.full:
        (folder / "plain").mkdir()
        last = calls(folder / "plain", tuple(plain.command(plain.url_in(folder / "plain"), 4)))
        states = [plain_problems(folder / f"plain-{when}", when) for when in range(1, last, max(1, last // 12))]
        beside = f"a trial left RUNNING for ever in {sum(each['RUNNING'] > 0 for each in states)} of {len(states)}"
    return found(count, wrong, beside, "studies not whole")


GOALS = [
    Goal(
        "G2",
        "The same at any system call that changes a file (SQLite)",
        "0 studies with a result lost, a trial left RUNNING, or a damaged file",
        measure_calls,
    ),
]
