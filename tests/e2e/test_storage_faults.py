"""SQLite files in trouble, by the real command line: one line, exit code 3, nothing lost, and the next run goes on."""

from __future__ import annotations

import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import optuna
import pytest
from optuna.trial import TrialState

from hpsearch.errors import StorageError
from hpsearch.study import folders
from hpsearch.study import run as service
from hpsearch.study.options import RunOptions
from hpsearch.study.storage import sqlite
from hpsearch.study.storage.patience import Patience
from tests.conftest import CommandLine
from tests.e2e.conftest import QUADRATIC, Runner, definition, trials

RUN = ("run", "--study", "quad", "--config", "study.json", "--n-trials")


def database(folder: Path) -> Path:
    return folder / "studies" / "hpsearch.db"


def finished(folder: Path) -> list[tuple[int, float | None]]:
    return [(t.number, t.value) for t in trials(folder, "quad") if t.state == TrialState.COMPLETE]


def page_of(path: Path, table: str) -> tuple[int, int]:
    """Where the first page of a table lies, and how long pages are, in bytes."""
    with closing(sqlite3.connect(path)) as connection:
        (size,) = connection.execute("PRAGMA page_size").fetchone()
        (page,) = connection.execute("SELECT rootpage FROM sqlite_master WHERE name = ?", (table,)).fetchone()
        return (page - 1) * size, size


def _zero_header(path: Path) -> None:
    with path.open("r+b") as file:
        file.write(bytes(100))


def _zero_page(path: Path) -> None:
    start, size = page_of(path, "trial_user_attributes")
    with path.open("r+b") as file:
        file.seek(start)
        file.write(bytes(size))


def _truncate(path: Path) -> None:
    with path.open("r+b") as file:
        file.truncate(path.stat().st_size - 4096)


def _no_json(path: Path) -> None:
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("UPDATE trial_user_attributes SET value_json = '{' WHERE key = 'hps:seed'")
        connection.commit()
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")


@pytest.mark.parametrize(
    ("damage", "said", "words"),
    [
        (_zero_header, "this file is not a database", (*RUN, "3")),
        (_zero_page, "the storage is damaged: studies/hpsearch.db (*** in database main *** ", (*RUN, "3")),
        (_truncate, "the storage is damaged", ("resume", "--study", "quad", "--add-trials", "1")),
        (
            _no_json,
            "the storage is damaged: sqlite:///studies/hpsearch.db (malformed value in study 'quad'",
            (*RUN, "3"),
        ),
    ],
)
def test_a_damaged_file_is_refused_untouched_and_a_copy_of_it_goes_on(
    tmp_path: Path, command_line: CommandLine, damage: Callable[[Path], None], said: str, words: tuple[str, ...]
) -> None:
    definition(tmp_path, pruner={"type": "none"})
    assert command_line(*RUN, "2").returncode == 0
    whole, path = tmp_path / "copy.db", database(tmp_path)
    shutil.copy(path, whole)
    damage(path)
    before = path.read_bytes()
    refused = command_line(*words)
    assert refused.returncode == 3, refused.stdout + refused.stderr
    assert refused.stderr.startswith(f"hpsearch: error[3]: {said}")
    assert len(refused.stderr.splitlines()) == 1
    assert "restore" in refused.stderr
    assert "make it again from its folder with `hpsearch storage rebuild --study quad`" in refused.stderr
    assert path.read_bytes() == before
    shutil.copy(whole, path)
    done = finished(tmp_path)
    assert command_line(*words).returncode == 0
    assert len(finished(tmp_path)) == 3
    assert finished(tmp_path)[:2] == done
    with closing(sqlite3.connect(path)) as connection:  # what is in the -wal would hide the damage
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    damage(path)
    whole = path.read_bytes()
    again = command_line("storage", "rebuild", "--study", "quad")
    assert again.returncode == 0, again.stderr
    kept = min(path.parent.glob("hpsearch.db.damaged-*"))  # others are those beside it
    assert f"the damaged file is kept as studies/{kept.name}" in again.stdout
    assert kept.read_bytes() == whole
    assert finished(tmp_path)[:2] == done


def test_a_large_file_is_not_looked_through(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "x.db"
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE t (x)")
        connection.commit()
    _zero_tail(path)
    with pytest.raises(StorageError, match="damaged"):
        sqlite.require_sound(path, Patience())
    monkeypatch.setattr(sqlite, "MOST_CHECKED_BYTES", 4096)
    sqlite.require_sound(path, Patience())


def test_an_index_that_differs_from_its_table_is_damage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "x.db"
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE t (x UNIQUE)")
        connection.execute("INSERT INTO t VALUES ('word')")
        connection.commit()
    whole = path.read_bytes()
    path.write_bytes(whole[:4096] + whole[4096:8192].replace(b"word", b"ward") + whole[8192:])
    with pytest.raises(StorageError, match="damaged"):
        sqlite.require_sound(path)
    monkeypatch.setattr(sqlite, "MOST_INDEXED_BYTES", 4096)
    sqlite.require_sound(path)


def _zero_tail(path: Path) -> None:
    with path.open("r+b") as file:
        file.seek(4096)
        file.write(bytes(4096))


def _ended_in_copy(folder: Path) -> int:
    """Trials that have ended in a plain copy of the file, without those beside it."""
    copy = folder / "copy.db"
    shutil.copy(database(folder), copy)
    with closing(sqlite3.connect(copy)) as connection:
        (count,) = connection.execute("SELECT COUNT(*) FROM trials WHERE state = 'COMPLETE'").fetchone()
        return int(count)


def test_a_file_deleted_under_a_run_ends_it_and_the_study_is_made_again_from_its_folder(
    tmp_path: Path, command_line: CommandLine, start: Callable[..., Runner]
) -> None:
    """A plain copy of the file, made under the run, holds the trials that had ended."""
    definition(tmp_path, pruner={"type": "none"}, command=[*QUADRATIC, "--x", "{x}", "--wait", "go_{trial}"])
    for number in (0, 1):
        (tmp_path / f"go_{number}").touch()
    run = start(*RUN, "5")
    run.wait_for("trial 2 step 1")
    give_up = time.monotonic() + 60
    while _ended_in_copy(tmp_path) < 2 and time.monotonic() < give_up:
        time.sleep(0.02)
    assert _ended_in_copy(tmp_path) == 2
    database(tmp_path).unlink()
    code, said = run.end()
    assert code == 3, said
    assert "the storage is gone: studies/hpsearch.db was deleted or replaced while this run wrote to it" in said
    rebuild = "hpsearch storage rebuild --study quad"
    assert f"make it again from its folder with `{rebuild}`" in said

    (tmp_path / "go_2").touch()
    for words, refusal in (((*RUN, "5"), 2), (("resume", "--study", "quad"), 3)):
        refused = command_line(*words)
        assert refused.returncode == refusal
        assert rebuild in refused.stderr
        database(tmp_path).unlink(missing_ok=True)
    again = command_line(*rebuild.split()[1:])
    assert again.returncode == 0, again.stderr
    assert again.stdout == ("quad: 4 trials were added to sqlite:///studies/hpsearch.db\nto be run again: trial 3\n")
    assert sqlite.checkpoint(database(tmp_path))
    shutil.copy(database(tmp_path), tmp_path / "older.db")
    copied = optuna.load_study(study_name="quad", storage=f"sqlite:///{tmp_path / 'copy.db'}").trials[:2]
    kept = [(t.number, t.value, t.params, t.intermediate_values) for t in copied]
    assert [(t.number, t.value, t.params, t.intermediate_values) for t in trials(tmp_path, "quad")[:2]] == kept

    for number in range(3, 6):
        (tmp_path / f"go_{number}").touch()
    assert command_line("resume", "--study", "quad").returncode == 0
    done = finished(tmp_path)
    for path in (database(tmp_path), *tmp_path.glob("studies/hpsearch.db-*")):
        path.unlink()
    shutil.copy(tmp_path / "older.db", database(tmp_path))
    refused = command_line("resume", "--study", "quad", "--add-trials", "1")
    assert refused.returncode == 2
    assert f"it is older: the storage has 4 trials of the study, but {tmp_path}/studies/quad holds" in refused.stderr
    assert command_line(*rebuild.split()[1:]).returncode == 0
    assert finished(tmp_path) == done
    assert len(done) == 5
    assert len([t for t in trials(tmp_path, "quad") if not t.state.is_finished()]) == 0


def test_a_study_deleted_under_a_run_is_not_taken_for_another_runners(
    tmp_path: Path, start: Callable[..., Runner], command_line: CommandLine
) -> None:
    definition(tmp_path, pruner={"type": "none"}, command=[*QUADRATIC, "--x", "{x}", "--wait", "go_{trial}"])
    (tmp_path / "go_0").touch()
    run = start(*RUN, "2")
    run.wait_for("trial 1 step 1")
    optuna.delete_study(study_name="quad", storage=f"sqlite:///{database(tmp_path)}")
    (tmp_path / "go_1").touch()
    code, said = run.end()
    assert code == 3, said
    assert "the study is gone: quad was deleted from the storage while this run wrote to it" in said
    again = command_line("storage", "rebuild", "--study", "quad")
    assert again.returncode == 0, again.stderr
    assert finished(tmp_path)


@contextmanager
def stranger(path: Path) -> Iterator[sqlite3.Connection]:
    """Another program that has the file locked for itself alone."""
    with closing(sqlite3.connect(path, isolation_level=None, check_same_thread=False)) as connection:
        connection.execute("BEGIN EXCLUSIVE")
        yield connection


@pytest.mark.parametrize("mode", ["WAL", "DELETE"])
def test_a_strangers_lock_is_waited_for_with_one_notice(
    tmp_path: Path, command_line: CommandLine, start: Callable[..., Runner], mode: str
) -> None:
    definition(tmp_path, pruner={"type": "none"})
    assert command_line(*RUN, "1").returncode == 0
    with closing(sqlite3.connect(database(tmp_path))) as connection:
        connection.execute(f"PRAGMA journal_mode={mode}")
    with stranger(database(tmp_path)) as connection:
        run = start(*RUN, "2")
        run.wait_for("warning: another program holds studies/hpsearch.db: waiting for it, up to 60 s")
        connection.execute("ROLLBACK")
        code, said = run.end()
    assert code == 0, said
    assert said.count("another program") == 1
    assert len(finished(tmp_path)) == 2


def test_a_lock_that_is_taken_during_a_run_is_told_once_and_outlived(
    tmp_path: Path, command_line: CommandLine, start: Callable[..., Runner]
) -> None:
    definition(tmp_path, pruner={"type": "none"})
    run = start(*RUN, "3")
    run.wait_for("trial 0 started")
    with stranger_once_free(database(tmp_path)) as connection:
        run.wait_for("warning: another program may hold the storage")
        connection.execute("ROLLBACK")
    code, said = run.end()
    assert code == 0, said
    assert said.count("another program") == 1
    assert len(finished(tmp_path)) == 3


def test_ctrl_c_does_not_wait_for_a_strangers_lock(
    tmp_path: Path, command_line: CommandLine, start: Callable[..., Runner]
) -> None:
    definition(tmp_path, pruner={"type": "none"})
    run = start(*RUN, "30")
    run.wait_for("trial 0 started")
    with stranger_once_free(database(tmp_path)):
        run.wait_for("warning: another program may hold the storage")
        run.send(signal.SIGINT)
        began = time.monotonic()
        code, said = run.end()
        assert time.monotonic() - began < 40, "the lock would be waited for up to 60 s"
    assert code == 130, said
    assert "what it lacks is spooled in" in said
    done = said.count(" ended: ok")
    again = command_line(*RUN, str(done + 1))
    assert (again.returncode, "that were spooled while the storage was away" in again.stdout) == (0, True), again.stderr
    assert len(finished(tmp_path)) == done + 1


@contextmanager
def stranger_once_free(path: Path) -> Iterator[sqlite3.Connection]:
    with closing(sqlite3.connect(path, isolation_level=None, timeout=60)) as connection:
        connection.execute("BEGIN EXCLUSIVE")
        yield connection


def test_a_lock_that_is_never_given_back_ends_the_run_naming_the_file(
    tmp_path: Path, command_line: CommandLine, monkeypatch: pytest.MonkeyPatch
) -> None:
    definition(tmp_path, pruner={"type": "none"})
    assert command_line(*RUN, "1").returncode == 0
    monkeypatch.setattr(sqlite, "QUIET_S", 0.1)
    monkeypatch.setattr(sqlite, "BUSY_TIMEOUT_S", 0.5)
    said: list[object] = []
    options = RunOptions(study="quad", config=tmp_path / "study.json", base_output_dir=tmp_path / "studies", n_trials=2)
    with stranger(database(tmp_path)), pytest.raises(StorageError) as caught:
        service.run_study(options, said.append)
    assert len(said) == 1
    assert f"another program holds the storage: sqlite:///{database(tmp_path)}" in str(caught.value)
    assert caught.value.exit_code == 3
    assert command_line(*RUN, "2").returncode == 0


def can_mount() -> bool:
    """Whether a disk of memory can be mounted here, in a namespace of its own."""
    words = ("unshare", "-rm", "mount", "-t", "tmpfs", "none", "/mnt")
    return bool(shutil.which("unshare")) and subprocess.run(words, capture_output=True, check=False).returncode == 0


SMALL_DISK = """
mount -t tmpfs -o size=72m none small && cp study.json small && cd small || exit 99
run() { "$PYTHON" -m hpsearch run --study quad --config study.json --n-trials "$1"; echo "exit $?"; }
run 2
head -c 20000000 /dev/zero > filler
run 4
rm filler
run 4
"""


@pytest.mark.skipif(not can_mount(), reason="needs unshare, and the right to mount")
def test_no_trial_is_launched_on_a_disk_that_is_nearly_full(tmp_path: Path) -> None:
    definition(tmp_path, pruner={"type": "none"})
    (tmp_path / "small").mkdir()
    words = ("unshare", "-rm", "env", f"PYTHON={sys.executable}", "sh", "-c", SMALL_DISK)
    done = subprocess.run(words, cwd=tmp_path, capture_output=True, text=True, timeout=300, check=False)
    assert [line for line in done.stdout.splitlines() if line.startswith("exit")] == ["exit 0", "exit 3", "exit 0"]
    (error,) = [line for line in done.stderr.splitlines() if line.startswith("hpsearch: error")]
    assert error.startswith("hpsearch: error[3]: no space left on the disk of ")
    assert "64 MB free" in error
    assert "quad: bayesian search" in done.stdout
    assert "2 of 4 trials finished" in done.stdout
    assert "4 finished trials" in done.stdout


FULL_DISK = """
mount -t tmpfs -o size=8m none small && cp study.json small && cd small || exit 99
run() { "$PYTHON" -c "$UNRESERVED" run --study quad --config study.json --n-trials "$1"; echo "exit $?"; }
run 2
cat /dev/zero > filler 2> /dev/null
run 4
rm filler
run 4
"""
# Without the reserve, so that the disk is full when the storage is written.
UNRESERVED = "from hpsearch.study import folders; folders.RESERVE_BYTES = 0; from hpsearch.cli import main; main()"


@pytest.mark.skipif(not can_mount(), reason="needs unshare, and the right to mount")
def test_a_disk_that_is_full_is_named_and_once_there_is_room_the_run_goes_on(tmp_path: Path) -> None:
    definition(tmp_path, pruner={"type": "none"})
    (tmp_path / "small").mkdir()
    words = ("unshare", "-rm", "env", f"PYTHON={sys.executable}", f"UNRESERVED={UNRESERVED}", "sh", "-c", FULL_DISK)
    done = subprocess.run(words, cwd=tmp_path, capture_output=True, text=True, timeout=300, check=False)
    codes = [line for line in done.stdout.splitlines() if line.startswith("exit")]
    assert codes == ["exit 0", "exit 3", "exit 0"], done.stdout + done.stderr
    assert "hpsearch: error[3]: no space left for the storage" in done.stderr
    assert "4 finished trials" in done.stdout


def test_the_reserve_holds_for_the_folder_and_for_the_storage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert folders.full_place((tmp_path,)) is None
    monkeypatch.setattr(folders, "RESERVE_BYTES", 2**80)
    assert folders.full_place((tmp_path,)) == tmp_path
    assert "no space left on the disk of" in str(folders.no_room((tmp_path,)))


# Root may write to all files; without this right it may not.
UNPRIVILEGED = ("setpriv", "--bounding-set=-dac_override,-dac_read_search") if os.geteuid() == 0 else ()


@pytest.mark.skipif(bool(UNPRIVILEGED) and not shutil.which("setpriv"), reason="root needs setpriv")
@pytest.mark.parametrize("place", ["studies", "studies/hpsearch.db"])
def test_what_is_read_only_is_named_before_the_first_trial(
    tmp_path: Path, command_line: CommandLine, place: str
) -> None:
    definition(tmp_path, pruner={"type": "none"})
    assert command_line(*RUN, "1").returncode == 0
    before, mode = database(tmp_path).read_bytes(), (tmp_path / place).stat().st_mode
    (tmp_path / place).chmod(0o500 if place == "studies" else 0o400)
    words = (*UNPRIVILEGED, sys.executable, "-m", "hpsearch", *RUN, "2")
    refused = subprocess.run(words, cwd=tmp_path, capture_output=True, text=True, timeout=300, check=False)
    (tmp_path / place).chmod(mode)
    assert refused.returncode == 3
    assert refused.stderr == (
        f"hpsearch: error[3]: cannot write {place}: read-only; make it writable, or choose another --storage\n"
    )
    assert database(tmp_path).read_bytes() == before
    assert command_line(*RUN, "2").returncode == 0


def test_a_run_on_a_full_disk_names_the_path(tmp_path: Path, command_line: CommandLine) -> None:
    definition(tmp_path)
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=64k", "none", str(disk)], capture_output=True, text=True, check=False
    )
    if mounted.returncode:
        pytest.skip(f"this user may not mount: {mounted.stderr.strip()}")
    try:
        with pytest.raises(OSError, match="No space left"):
            (disk / "filled").write_bytes(bytes(70_000))
        for more in ((), ("--storage", "sqlite:///elsewhere.db")):
            refused = command_line(*RUN, "1", "--base-output-dir", "disk", *more)
            assert refused.returncode == 3, refused.stderr
            assert "no space left" in refused.stderr and "disk/" in refused.stderr
    finally:
        subprocess.run(["umount", str(disk)], check=True)
