"""A storage that is a SQLite file: how it is opened, the checks before a run writes to it, and network file systems."""

from __future__ import annotations

import contextlib
import math
import os
import re
import sqlite3
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any, TypeVar

from hpsearch.errors import StorageError
from hpsearch.study.storage.patience import Patience, Wait

# Another program's lock is waited for this long, in seconds; shorter waits killed writers when it was measured. After
# the first few the user is told.
BUSY_TIMEOUT_S, QUIET_S = 60.0, 2.0
# SQLite itself waits in pieces of this many seconds: no signal gets through to it meanwhile.
_PIECE_S = 0.5
# Larger files are not checked at the start. quick_check took 0.1 s for 10,000 trials of 40 reports (48 MB) and 0.3 s
# for three times as much, 1.9 s where nothing of that was in memory yet.
MOST_CHECKED_BYTES = 256 * 2**20
# These are checked with their indices too: 0.25 s for 16 MB, quick_check 0.07 s. A check is broken off after CHECK_S.
MOST_INDEXED_BYTES, CHECK_S = 16 * 2**20, 10.0
DAMAGE_REMEDY = "restore a copy of it, or take out what is whole: sqlite3 FILE .recover | sqlite3 NEW.db"

# Seconds from a trial's end to the checkpoint, so that the next trial is made before it, and from any other change.
AFTER_END_S, AFTER_CHANGE_S = 0.05, 1.0

MOUNTS = Path("/proc/self/mountinfo")  # its fields: man 5 proc_pid_mountinfo
# File systems, by their names in this list, whose files another host may have open at the same time.
_SHARED = {
    "9p", "afs", "beegfs", "ceph", "cifs", "coda", "gfs2", "gpfs", "lustre", "nfs", "nfs4", "ocfs2", "orangefs",
    "prl_fs", "smb3", "smbfs", "vboxsf", "virtiofs",
}  # fmt: skip
# FUSE is mostly of that kind (sshfs, s3fs, glusterfs), and does not say so; but for what containers lie on.
_FUSE, _LOCAL_FUSE = "fuse.", {"fuse.fuse-overlayfs"}

Result = TypeVar("Result")


class _PatientCursor(sqlite3.Cursor):
    """A cursor that can be stopped while it waits for another program's lock."""

    connection: PatientConnection

    def execute(self, *arguments: Any) -> _PatientCursor:
        self.connection.patiently(super().execute, *arguments)
        return self

    def executemany(self, *arguments: Any) -> _PatientCursor:
        self.connection.patiently(super().executemany, *arguments)
        return self


class PatientConnection(sqlite3.Connection):
    """A connection that waits for other programs' locks in pieces, so that ``patience`` can end it."""

    patience = Patience()
    most_s = BUSY_TIMEOUT_S

    def cursor(self, factory: Any = None) -> Any:
        return super().cursor(factory or _PatientCursor)

    def commit(self) -> None:
        self.patiently(super().commit)

    def patiently(self, act: Callable[..., object], *arguments: Any) -> None:
        """Do something until no lock is in its way, or the wait is over.

        Raises:
            sqlite3.OperationalError: something is still locked.
        """
        waiting = Wait(self.patience, self.most_s)
        while True:
            began = time.monotonic()
            try:
                act(*arguments)
                return
            except sqlite3.OperationalError as error:
                # Where SQLite does not wait itself, waiting would not help: two programs wait for each other.
                waited = time.monotonic() - began >= _PIECE_S / 2
                if getattr(error, "sqlite_errorcode", 0) & 0xFF != sqlite3.SQLITE_BUSY or not waited or waiting.is_over:
                    raise


def connect(target: Path | str, patience: Patience, seconds: float | None = None, **options: Any) -> PatientConnection:
    """Open a file, by its path or its URI, whose locks are waited for ``seconds``, a minute by default."""
    connection = sqlite3.connect(target, timeout=_PIECE_S, factory=PatientConnection, **options)
    connection.patience = patience
    connection.most_s = BUSY_TIMEOUT_S if seconds is None else seconds
    return connection


def connector(path: Path, patience: Patience, *, wal: bool = False) -> Callable[[], sqlite3.Connection]:
    """Return a function that opens the file: each commit is on the disk when it returns. With ``wal`` the file is put
    into that mode, which it keeps. Where nothing can be written, the file is only read."""

    def open_file() -> sqlite3.Connection:
        # In WAL mode even a reader makes files beside it, unless it knows that nobody else writes; a file with changes
        # would be there already.
        unchanging = not wal and not os.access(path.parent, os.W_OK) and _in_wal(path) and not _has_changes(path)
        uri = f"{path.absolute().as_uri()}?mode=ro&immutable=1" if unchanging else str(path)
        connection = connect(uri, patience, check_same_thread=False, uri=unchanging)
        try:
            connection.execute("PRAGMA synchronous=FULL")
        except UnicodeDecodeError as error:  # in the names of its tables
            connection.close()
            raise sqlite3.DatabaseError(f"malformed names: {error}") from error
        if wal:
            connection.execute("PRAGMA journal_mode=WAL")
        return connection

    return open_file


def make_file(path: Path) -> None:
    """Make the file, if it is missing, readable by its owner alone; SQLite gives those beside it the same mode.

    Raises:
        OSError: it cannot be made.
    """
    with contextlib.suppress(FileExistsError):
        os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))


class Checkpoints:
    """Keeps a file in WAL mode whole while a run writes to it: SQLite alone would leave all changes in the one beside
    it (-wal) until that has 4 MB, so that a copy of the file had none of them. ``path`` is None for another storage.

    A checkpoint waits for nobody: what a reader keeps it from copying is copied by the next one.
    """

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self._due = math.inf

    def note(self, *, ended: bool) -> None:
        """Have a checkpoint follow a change: at once where a trial ``ended``."""
        if self._path is not None:
            self._due = min(self._due, time.monotonic() + (AFTER_END_S if ended else AFTER_CHANGE_S))

    @property
    def pause_s(self) -> float:
        """Seconds until the next checkpoint is due."""
        return max(0.0, self._due - time.monotonic())

    def make_due(self) -> None:
        """Make the checkpoint, if one is due."""
        if self._path is None or time.monotonic() < self._due:
            return
        self._due = math.inf
        with contextlib.suppress(sqlite3.Error):  # whatever it is, the next change meets it
            if not checkpoint(self._path):
                self.note(ended=False)


def checkpoint(path: Path) -> bool:
    """Copy what the file beside it (-wal) holds into the file, as far as others let it. Returns True if it has all.

    Raises:
        sqlite3.Error: the file cannot be written.
    """
    with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=rw", timeout=0, uri=True)) as connection:
        busy, *_ = connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
        return not busy


def identity(path: Path) -> tuple[int, int] | None:
    """Return what tells a file from another one in its place; None where there is none."""
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_dev, status.st_ino


def require_sound(path: Path, patience: Patience | None = None, *, any_size: bool = False) -> None:
    """Check the file, without changing it; waiting for another program's lock is reported. A file over 256 MiB is
    checked only with ``any_size``.

    Raises:
        StorageError: it is damaged; the message has the first thing that SQLite found.
        sqlite3.Error: it cannot be read.
    """
    if not path.exists() or (path.stat().st_size > MOST_CHECKED_BYTES and not any_size):
        return

    patience = patience or Patience()

    def check(seconds: float) -> str:
        # What a rollback journal holds must first be put back, as by all who open the file.
        mode = "rw" if path.with_name(f"{path.name}-journal").exists() else "ro"
        uri = f"{path.absolute().as_uri()}?mode={mode}"
        with closing(connect(uri, patience, seconds, uri=True)) as connection:
            pragma = "integrity_check" if path.stat().st_size <= MOST_INDEXED_BYTES else "quick_check"
            until = math.inf if any_size else time.monotonic() + CHECK_S
            connection.set_progress_handler(lambda: time.monotonic() > until, 100_000)
            try:
                (answer,) = connection.execute(f"PRAGMA {pragma}(1)").fetchone()
            except UnicodeDecodeError as error:  # in the names of its tables
                return f"no text: {error}"
            except sqlite3.OperationalError as error:
                if str(error) == "interrupted":
                    return "ok"
                raise
            return " ".join(str(answer).split())

    answer = _wait_for_lock(path, check, patience.say)
    if answer != "ok":
        what = f"the storage is damaged: {path} ({answer})"
        raise StorageError(what, DAMAGE_REMEDY.replace("FILE", str(path)))


def wait_for_others(path: Path, patience: Patience) -> None:
    """Wait until no other program writes to the file, or keeps it locked; the waiting is reported.

    Raises:
        sqlite3.OperationalError: it is still locked after a minute.
    """

    def begin(seconds: float) -> None:
        with closing(connect(path, patience, seconds, isolation_level=None)) as connection:
            connection.execute("BEGIN IMMEDIATE")
            connection.execute("ROLLBACK")

    _wait_for_lock(path, begin, patience.say)


def _wait_for_lock(path: Path, act: Callable[[float], Result], say: Callable[[str], None]) -> Result:
    """Call ``act`` with the seconds to wait for a lock: first a few, then, after a message, the rest of a minute."""
    try:
        return act(QUIET_S)
    except sqlite3.OperationalError as error:
        if "locked" not in str(error):
            raise
    say(f"another program holds {path}: waiting for it, up to {BUSY_TIMEOUT_S:g} s")
    return act(BUSY_TIMEOUT_S - QUIET_S)


def leave_wal(path: Path) -> None:
    """Put the file out of WAL mode, whose memory beside it is shared on one host only (sqlite.org/wal.html).

    Raises:
        StorageError: another program has it open.
    """
    if not _in_wal(path):
        return
    with closing(sqlite3.connect(path, timeout=QUIET_S)) as connection:
        try:
            connection.execute("PRAGMA locking_mode=EXCLUSIVE")  # so that not even this needs the shared memory
            connection.execute("PRAGMA journal_mode=DELETE")
        except sqlite3.OperationalError as error:
            if "locked" not in str(error):
                raise
            raise StorageError(
                f"a storage on a network file system cannot be in WAL mode, but {path} is, and is open elsewhere",
                "end the programs that read it, then run the same command again",
            ) from error


def _in_wal(path: Path) -> bool:
    """Return True for a file in WAL mode, by its header: asking SQLite would already use the shared memory
    (sqlite.org/fileformat2.html)."""
    with path.open("rb") as file:
        return file.read(20)[18:] == b"\x02\x02"


def _has_changes(path: Path) -> bool:
    changes = path.with_name(f"{path.name}-wal")
    return changes.exists() and changes.stat().st_size > 0


def network_warning(path: Path) -> tuple[str, str] | None:
    """Return a warning of a file on a network file system, and its remedy; None on a local disk."""
    kind = network_file_system(path)
    if not kind:
        return None
    what = f"{path} is on a network file system ({kind}), on whose locks SQLite cannot always rely"
    return what, "name a file on a local disk, or PostgreSQL, with --storage; else run all its studies on one machine"


def network_file_system(path: Path) -> str:
    """Return the type of the network file system that ``path`` is on, or would be; "" on a local disk, and if the
    machine does not say. Read from the kernel's list of mounts: statvfs does not say it."""
    path = path.absolute().resolve()
    try:
        lines = MOUNTS.read_text(encoding="utf-8", errors="surrogateescape").splitlines()
    except OSError:  # not Linux
        return ""
    kind, most = "", -1
    for line in lines:
        mounted, _, source = line.partition(" - ")
        # Blanks and the like are written as octal numbers.
        point = Path(re.sub(r"\\([0-7]{3})", lambda code: chr(int(code[1], 8)), mounted.split(" ")[4]))
        # The deepest counts; of several at one point the last, which lies over the others.
        if path.is_relative_to(point) and len(point.parts) >= most:
            kind, most = source.partition(" ")[0], len(point.parts)
    is_fuse = (kind == "fuse" or kind.startswith(_FUSE)) and kind not in _LOCAL_FUSE
    return kind if kind in _SHARED or is_fuse else ""
