"""G25, G26: a copy of a study goes on, and a study is made again from its folder; at random moments of a run."""

from __future__ import annotations

import os
import random
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

from tests.conftest import run_command
from tests.faults import plain
from tests.faults.crashes import RUN, TARGET, Scene, found, tried
from tests.faults.goals import WITHIN_S, Effort, Found, Goal, until
from tests.faults.history import violations
from tests.postgres import Server, server

REBUILD = ("storage", "rebuild", "--study", "truth")
NAMED = "hpsearch storage rebuild --study truth"
ELSEWHERE = ("unshare", "--uts", "sh", "-c", 'hostname elsewhere && exec "$@"', "sh")
MOST_LINES = 13  # of the truth log, of the 15 or more of a whole run


def lines(folder: Path) -> list[str]:
    """What the trials have done until now."""
    path = folder / "truth.jsonl"
    return path.read_text().splitlines() if path.exists() else []


def begun(scene: Scene, moment: int) -> subprocess.Popen[bytes]:
    """A run that has come to a moment, a number of lines of the truth log."""
    with (scene.folder / "said").open("ab") as said:
        runner = subprocess.Popen(
            [sys.executable, "-m", "hpsearch", *RUN, "--storage-timeout", "5"],  # a server without tables is waited for
            cwd=scene.folder,
            stdin=subprocess.DEVNULL,
            stdout=said,
            stderr=said,
            env={**os.environ, **scene.storage},
        )
    until(lambda: len(lines(scene.folder)) >= moment or runner.poll() is not None, "the moment")
    return runner


def end(runner: subprocess.Popen[bytes], number: signal.Signals) -> None:
    """End a run."""
    runner.send_signal(number)
    runner.wait(WITHIN_S)


def database(folder: Path) -> Path:
    """The SQLite file."""
    return folder / "studies" / "hpsearch.db"


def goes_on(scene: Scene, *, rebuilt: bool) -> list[str]:
    """What is wrong after one plain run; where it names the rebuild, if it may be needed, after that and another."""
    code = scene.run()
    if code and rebuilt and NAMED in scene.said[-1]:
        for _ in range(2):  # what was made again is made again once more, and nothing changes
            done = run_command(scene.folder, *REBUILD, **scene.storage)
            if done.returncode:
                return [f"rebuild: exit code {done.returncode}: {done.stderr[-300:]}"]
        code = scene.run()
    if code:
        return [f"exit code {code}: {scene.said[-1][-300:]}"]
    return violations(scene.folder, scene.url, "truth", TARGET, scene.kills)


# How a folder is copied, by name.
COPIES: dict[str, tuple[str, ...]] = {
    "cp -r": ("cp", "-r"),
    "cp -rL": ("cp", "-rL"),
    "rsync": ("rsync", "-a"),
    "cp -r of the folder, and cp of the database": ("cp", "-r"),
}


def copied(name: str, moment: int, running: bool, elsewhere: bool, folder: Path) -> list[str]:
    """What is wrong with a copy of a study, made at a moment of its run or once it was killed there, and with the study
    itself, whose run continues meanwhile."""
    folder.mkdir()
    first, copy = Scene(folder / "first"), folder / "other" / "copy"
    copy.parent.mkdir()
    runner = begun(first, moment)
    if not running:
        end(runner, signal.SIGKILL)
    before = lines(first.folder)
    words = [*COPIES[name], f"{first.folder}/", str(copy)]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    if running:  # a copy is made without these files then (docs/storage.md)
        if name.endswith("database"):
            database(copy).unlink(missing_ok=True)
            shutil.copy(database(first.folder), database(copy))
        for path in database(copy).parent.glob("hpsearch.db-*"):
            path.unlink()
    elif done.returncode:
        return [f"{words}: {done.stderr}"]
    # What happened while the copy was made may be in it or not.
    (copy / "truth.jsonl").write_text("".join(f"{line}\n" for line in before))
    scene = Scene.__new__(Scene)
    scene.folder, scene.server, scene.kills, scene.said = copy, None, 2, []
    if elsewhere:
        argv = [*ELSEWHERE, sys.executable, "-m", "hpsearch", *RUN]
        environment = {**os.environ, "HOME": str(folder / "home"), "HF_HOME": str(folder / "home" / "none")}
        subprocess.run(argv, cwd=copy, env=environment, capture_output=True, timeout=300, check=False)
    wrong = [f"copy: {text}" for text in goes_on(scene, rebuilt=running)]
    if running:
        runner.wait(WITHIN_S)
    first.kills += not running
    return wrong + [f"first: {text}" for text in goes_on(first, rebuilt=False)]


def measure_copies(folder: Path, effort: Effort) -> Found:
    """Each way of copying, at random moments."""
    rng, ways = random.Random(25), [name for name in COPIES if shutil.which(COPIES[name][0])]
    can_move = subprocess.run((*ELSEWHERE, "true"), capture_output=True, check=False).returncode == 0

    def cases() -> Iterator[tuple[str, Callable[[Path], list[str]]]]:
        chosen = [(name, running) for running in (True, False) for name in ways] if effort.full else [(ways[-1], True)]
        for turn in range(effort.times(3, 1)):
            for name, running in chosen:
                moment, elsewhere = rng.randrange(1, MOST_LINES), can_move and turn == 1
                yield f"{name}, at {moment}", partial(copied, name, moment, running, elsewhere)

    count, wrong = tried(folder, cases())
    beside = "not tried"
    if effort.full:
        states = [plain_copy(folder / f"plain-{number}", 2 + number) for number in range(6)]
        beside = f"a trial left RUNNING for ever in {sum(map(bool, states))} of {len(states)}"
    if "rsync" not in ways:
        beside += " (rsync is not installed)"
    return found(count, wrong, beside, "copies, or the studies that they were made of, not whole")


def plain_begun(folder: Path, finished: int) -> Any:
    """A plain study at work with some finished trials."""
    folder.mkdir()
    process = plain.start(folder, plain.command(plain.url_in(folder), 40))

    def enough() -> bool:
        with suppress(Exception):  # there are no tables yet
            return plain.states(plain.url_in(folder))["COMPLETE"] >= finished
        return False

    until(enough, "finished trials")
    return process


def plain_copy(folder: Path, finished: int) -> int:
    """How many trials are RUNNING in the end in a copy of a plain study, made under its run, that is run again."""
    process = plain_begun(folder, finished)
    copy = folder / "copy"
    copy.mkdir()
    for path in folder.glob("plain.db*"):
        with suppress(FileNotFoundError):
            shutil.copy(path, copy)
    process.kill()
    process.communicate()
    plain.run(copy, plain.command(plain.url_in(copy), finished + 4))
    return plain.states(plain.url_in(copy))["RUNNING"]


def delete(scene: Scene, rng: random.Random) -> None:
    """Delete the database."""
    for path in database(scene.folder).parent.glob("hpsearch.db*"):
        if path.suffix != ".locks":
            path.unlink()


def truncate(scene: Scene, rng: random.Random) -> None:
    """Cut off its end."""
    path = database(scene.folder)
    os.truncate(path, rng.randrange(path.stat().st_size))


def overwrite(scene: Scene, rng: random.Random) -> None:
    """Write other bytes over a part of it."""
    path = database(scene.folder)
    with path.open("r+b") as file:
        file.seek(rng.randrange(path.stat().st_size // 4096) * 4096)
        file.write(rng.randbytes(4096))


def empty(scene: Scene, rng: random.Random) -> None:
    """Take all tables away from the server."""
    assert scene.server is not None
    scene.server.empty()


LOSSES = {"deleted": delete, "truncated": truncate, "overwritten": overwrite, "emptied": empty}


def lost(name: str, moment: int, running: bool, server: Server | None, folder: Path) -> list[str]:
    """What is wrong with a study whose database was lost, at a moment of its run or once it was killed there."""
    scene, rng = Scene(folder, server), random.Random(moment)
    runner = begun(scene, moment)
    if not running:
        end(runner, signal.SIGKILL)
        if server is None:
            for path in database(folder).parent.glob("hpsearch.db-*"):  # what is newer there would hide the damage
                if path.suffix == ".db-wal":
                    path.unlink()
    LOSSES[name](scene, rng)
    code = runner.wait(WITHIN_S)
    scene.kills += 2
    wrong = [] if code in (0, 3, -signal.SIGKILL) else [f"exit code {code}: {(folder / 'said').read_text()[-300:]}"]
    return wrong + goes_on(scene, rebuilt=True)


def measure_losses(folder: Path, effort: Effort) -> Found:
    """Each loss at random moments."""
    rng = random.Random(26)
    with server() as running_server:

        def cases() -> Iterator[tuple[str, Callable[[Path], list[str]]]]:
            for _ in range(effort.times(3, 1)):
                for name in LOSSES if effort.full else ("overwritten",):
                    for running in (True, False) if effort.full else (False,):
                        moment = rng.randrange(3, MOST_LINES)
                        where = running_server if name == "emptied" else None
                        case = f"{name}, {'under a run' if running else 'after a kill'}, at {moment}"
                        yield case, partial(lost, name, moment, running, where)

        count, wrong = tried(folder, cases())
    beside = "not tried"
    if effort.full:
        counts = [plain_loss(folder / f"plain-{number}", 3 + number) for number in range(3)]
        beside = f"{sum(gone for gone, _ in counts)} of {sum(done for _, done in counts)} results lost"
    return found(count, wrong, beside, "studies not whole")


def plain_loss(folder: Path, finished: int) -> tuple[int, int]:
    """How many of the finished trials of a plain study are lost with its database, and how many there were."""
    process = plain_begun(folder, finished)
    process.kill()
    process.communicate()
    before = {trial.params["x"]: trial.value for trial in plain.trials(plain.url_in(folder)) if trial.value is not None}
    for path in folder.glob("plain.db*"):
        path.unlink()
    plain.run(folder, plain.command(plain.url_in(folder), 0))
    after = {trial.params["x"] for trial in plain.trials(plain.url_in(folder)) if trial.value is not None}
    return len(before.keys() - after), len(before)


GOALS = [
    Goal(
        "G25",
        "A copy of a study, made at any moment, continues on another path or machine, and so does the study itself",
        "0 not whole",
        measure_copies,
    ),
    Goal(
        "G26",
        "A study whose database was deleted, damaged or emptied, also under a run, is made again from its folder",
        "0 results lost",
        measure_losses,
    ),
]
