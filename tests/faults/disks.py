"""G10: a disk that is full or broken, and a database that is damaged (SQLite)."""

from __future__ import annotations

import os
import re
import resource
import shutil
import subprocess
from collections.abc import Callable
from functools import partial
from pathlib import Path

from tests.faults import plain
from tests.faults.crashes import Scene, found, tried
from tests.faults.goals import Effort, Found, Goal
from tests.faults.kills import HPSEARCH, can_trace, strace

LIMIT_BYTES = 200_000
STORAGE_EXIT = 3


def limited(scene: Scene) -> tuple[int, str]:
    """Run where no file may grow beyond some bytes."""

    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (LIMIT_BYTES, LIMIT_BYTES))

    done = subprocess.run(HPSEARCH, cwd=scene.folder, preexec_fn=limit, capture_output=True, text=True, check=False)
    return done.returncode, done.stdout + done.stderr


def injected(scene: Scene, call: str) -> tuple[int, str]:
    """Run where a system call fails."""
    done = strace(scene.folder, HPSEARCH, "-e", f"inject={call}")
    return done.returncode, (done.stdout + done.stderr).decode()


def in_small_folder(scene: Scene) -> tuple[int, str]:
    """Run in a file system of some hundred kilobytes."""
    small = scene.folder / "studies"
    small.mkdir()
    mount = ("mount", "-t", "tmpfs", "-o", "size=300k", "none", str(small))
    subprocess.run(mount, check=True, capture_output=True)
    try:
        return run(scene)
    finally:
        shutil.copytree(small, scene.folder / "kept")
        subprocess.run(("umount", str(small)), check=True)
        shutil.rmtree(small)
        (scene.folder / "kept").rename(small)


def run(scene: Scene) -> tuple[int, str]:
    """Run the study."""
    code = scene.run()
    return code, scene.said[-1]


def damaged(scene: Scene, spoil: Callable[[Path], None]) -> tuple[int, str]:
    """Run with a database that was damaged after a run, and restore it afterwards."""
    scene.run()
    database = scene.folder / "studies" / "hpsearch.db"
    before = database.read_bytes()
    spoil(database)
    spoiled = database.read_bytes()
    told = run(scene)
    assert database.read_bytes() == spoiled, "the damaged file was changed"
    database.write_bytes(before)
    return told


def _zero(database: Path, start: int, count: int) -> None:
    with database.open("r+b") as file:
        file.seek(start)
        file.write(b"\0" * count)


FAULTS: dict[str, tuple[Callable[[Scene], tuple[int, str]], str]] = {
    "file limit": (limited, "no space left|cannot be written|disk I/O error"),
    "small disk": (in_small_folder, "no space left"),
    "ENOSPC": (partial(injected, call="pwrite64:error=ENOSPC:when=60+"), "no space left"),
    "EIO": (partial(injected, call="fdatasync:error=EIO:when=12+"), "disk I/O error|cannot be"),
    "header zeroed": (partial(damaged, spoil=partial(_zero, start=0, count=100)), "not a database"),
    "page zeroed": (partial(damaged, spoil=partial(_zero, start=4096, count=4096)), "damaged"),
    "truncated": (partial(damaged, spoil=lambda path: os.truncate(path, 3 * 4096)), "damaged"),
}


def problems(fault: str, folder: Path) -> list[str]:
    """What is wrong with a run that met the fault, and with the plain run once its cause is gone."""
    scene = Scene(folder)
    strike, said = FAULTS[fault]
    code, output = strike(scene)
    scene.kills += 1
    wrong = [] if code == STORAGE_EXIT else [f"exit code {code}: {output[-300:]}"]
    last = output.strip().splitlines()[-1] if output.strip() else ""
    if not re.search(said, last):
        wrong.append(f"it says {last[-300:]!r}")
    return wrong + scene.problems()


def possible() -> list[str]:
    """Those that can be tried here."""
    without = set() if os.geteuid() == 0 and _can_mount() else {"small disk"}
    without |= set() if can_trace() else {"ENOSPC", "EIO"}
    return [name for name in FAULTS if name not in without]


def _can_mount() -> bool:
    return subprocess.run(("unshare", "-m", "true"), check=False, capture_output=True).returncode == 0


def measure_disks(folder: Path, effort: Effort) -> Found:
    """Each fault once."""
    names = possible() if effort.full else ["file limit", "page zeroed"]
    count, wrong = tried(folder, ((name, partial(problems, name)) for name in names))
    beside = _plain(folder / "plain") if effort.full else "not tried"
    return found(count, wrong, beside, "without exit code 3, the cause in one line, or a whole study afterwards")


def _plain(folder: Path) -> str:
    folder.mkdir()

    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (LIMIT_BYTES, LIMIT_BYTES))

    code, said = plain.run(folder, plain.command(plain.url_in(folder), 300), preexec_fn=limit)
    lines = said.strip().splitlines()
    return f"file limit: exit code {code}, {len(lines)} lines, the last: {lines[-1][:120] if lines else ''}"


GOALS = [
    Goal(
        "G10",
        "A full or broken disk and a damaged file are reported in one line, and cost no result",
        "exit code 3, the cause, the file untouched, the next run continues",
        measure_disks,
    )
]
