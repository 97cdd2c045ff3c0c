"""The writer of a study: a thread that makes its changes in the storage, in order, through failures of it.

While the storage is away the changes are spooled to a file as well, so that not even the runner's death loses them; the
next run of the study makes them first. A storage that stays away for longer than the run's patience ends the run.

The thread may hang in a call. So the one that waits for it judges the call from outside: it spools what a silent
server lacks, and ends the writing when the time is over.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import math
import os
import threading
from collections import deque
from collections.abc import Callable, Iterator
from pathlib import Path

from optuna.storages import BaseStorage

from hpsearch.crash_points import reached
from hpsearch.errors import HpsearchError, StorageError
from hpsearch.execution.files import make_folder, open_private
from hpsearch.execution.own_time import OwnTime
from hpsearch.study.storage.changes import Change, StoredStudy
from hpsearch.study.storage.patience import NO_ANSWER, SAY_S, Patience, Wait
from hpsearch.study.storage.sqlite import BUSY_TIMEOUT_S, QUIET_S, Checkpoints

# Pauses between two attempts, in seconds: a restart takes one or two, an outage is checked every few.
FIRST_PAUSE_S, LONGEST_PAUSE_S = 0.1, 5.0
# The lease may be lost without the storage being away, so it is checked this often, in seconds.
CHECK_S = 1.0
# A change that fails this often while the storage answers is not the connection's fault.
ATTEMPTS = 3
# Seconds between two looks at the thread, and the most that one of them counts for: this process may have been stopped.
LOOK_S, COUNTED_S = 0.5, 6.0
# Seconds for the thread to make the last changes, once the user waits for the end of the run: asked once, and again.
HURRIED_S, HURRIED_TWICE_S = 4.0, 1.0
# Most changes in one transaction: those of a trial with its parameters and attributes.
MOST_TOGETHER = 200


class Spool:
    """Changes that the storage does not have yet, in a file: one JSON object a line, the first with the epoch."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.epoch = 0

    def add(self, changes: list[Change]) -> None:
        """Append changes durably.

        Raises:
            OSError: they cannot be written.
        """
        make_folder(self.path.parent)
        with open_private(self.path) as file:
            if not file.seek(0, os.SEEK_END):
                file.write(json.dumps({"epoch": self.epoch}) + "\n")
            file.writelines(change.to_json() + "\n" for change in changes)
            file.flush()
            os.fsync(file.fileno())

    def read(self) -> tuple[int, list[Change]]:
        """Return the epoch it was written in, and its changes. A last line that was broken off is no change: nothing
        was done on the strength of it.

        Raises:
            StorageError: it cannot be read.
        """
        try:
            first, *lines = self.path.read_text(encoding="utf-8").split("\n")[:-1] or ["{}"]
            return json.loads(first).get("epoch", 0), [Change.from_json(line) for line in lines]
        except (FileNotFoundError, NotADirectoryError):
            return 0, []
        except (OSError, ValueError, TypeError) as error:
            raise StorageError(
                f"{self.path} holds results that the storage lacks, and cannot be read: {error}",
                "fix it, or move it away, which loses them",
            ) from error

    def set_aside(self, suffix: str) -> Path:
        """Rename the file, so that it is kept and not read again. Returns its new path."""
        return self.path.rename(self.path.with_name(f"{self.path.stem}-{suffix}{self.path.suffix}"))

    def remove(self) -> None:
        """Remove the file: the storage has all changes."""
        with contextlib.suppress(FileNotFoundError, NotADirectoryError):
            self.path.unlink()


class StorageWriter:
    """Makes changes of the study called ``study`` in ``storage``, by a thread of its own.

    ``reach`` is called until it no longer raises before anything is tried again: it checks that the storage answers,
    and that the study's lease is still held (StudyOwned ends the run at once). ``explain`` says in one line why a
    change was refused. With an outage of 0 s in ``patience`` nothing is tried twice. ``checkpoints`` follow changes.
    """

    def __init__(
        self,
        storage: BaseStorage,
        study: str,
        spool: Spool,
        reach: Callable[[], None],
        explain: Callable[[Exception], StorageError],
        patience: Patience,
        checkpoints: Checkpoints | None = None,
    ) -> None:
        self._storage, self._study, self._spool = storage, study, spool
        self._reach, self._explain, self._patience = reach, explain, patience
        self._budget_s = patience.outage_s
        self._checkpoints = checkpoints or Checkpoints(None)
        self._queue: deque[Change] = deque()
        self._changed = threading.Condition()
        self._away = False
        self._failure: HpsearchError | None = None
        self._closing = False
        self._hurried = threading.Event()
        self._notices: list[str] = []
        self._clock = OwnTime(COUNTED_S)
        self._refusal: StorageError | None = None  # why it does not, as far as it says
        self._since: float | None = None  # since when the storage is asked and does not answer
        self._lock_reported = False
        self._thread = threading.Thread(target=self._work, name="storage", daemon=True)
        self._thread.start()

    def put(self, change: Change) -> None:
        """Queue a change. Raises what ended the writing before."""
        with self._changed:
            self.check()
            if self._away:
                try:
                    self._spool.add([change])
                    reached("kept-back")
                except OSError as error:
                    what = f"the storage is away, and {self._spool.path} cannot be written: {error.strerror}"
                    raise StorageError(what, "free some space, then run the same command again") from error
            self._queue.append(change)
            self._changed.notify_all()

    def settle(self, seconds: float = math.inf) -> bool:
        """Wait until all changes are durable: in the storage, or in the spool. Returns False on timeout, or if the user
        asks for the end meanwhile, and raises what ended the writing."""
        waiting = Wait(self._patience, seconds)
        with self._changed:
            while True:
                self._judge()
                self.check()
                if not self._queue or self._away:
                    return True
                if waiting.is_over:
                    return False
                self._changed.wait(min(seconds, LOOK_S))

    @contextlib.contextmanager
    def together(self) -> Iterator[None]:
        """Hold back the changes put meanwhile: a trial is made together with the changes that fill it."""
        with self._changed:
            yield

    def check(self) -> None:
        """Raise what ended the writing, if anything has."""
        with self._changed:
            if self._failure is not None:
                raise self._failure

    def notices(self) -> list[str]:
        """Return the messages since the last call."""
        with self._changed:
            self._judge()
            notices, self._notices = self._notices, []
            return notices

    def close(self, *, hurried: bool = False) -> None:
        """Make the remaining changes, and end. If ``hurried``, or once the user asks for the end, what a storage that
        is away lacks is left in the spool; else it is waited for, and what ended the writing is raised."""
        with self._changed:
            self._closing = True
            self._changed.notify_all()
        clock, give_up = OwnTime(COUNTED_S), math.inf
        while self._thread.is_alive() and self._failure is None:
            stops = self._patience.stops()
            if hurried or stops:
                most_s = HURRIED_TWICE_S if stops > 1 or self._away else HURRIED_S  # away: everything is spooled
                give_up = min(give_up, clock.now() + most_s)
                self._hurried.set()
                self._patience.hurry()
            self._thread.join(LOOK_S)
            for text in self.notices():
                self._patience.say(text)
            if clock.now() >= give_up:
                self._give_up(self._explain(TimeoutError(NO_ANSWER)))
        if self._failure is not None or self._away:
            self._patience.end()  # the thread may hang, and what closes connections would
        if self._failure is not None and not hurried:
            if not self._patience.stops():
                raise self._failure
            self._patience.say(str(self._failure))

    def _judge(self) -> None:
        """Judge the call in which the thread may hang. The lock is held."""
        if self._since is None or self._failure is not None:
            return
        silent = self._clock.now() - self._since
        if not self._budget_s:
            if silent >= QUIET_S and not self._lock_reported:  # a change that takes long is reported once
                self._lock_reported = True
                text = f"another program may hold the storage: waiting for it, up to {BUSY_TIMEOUT_S:g} s"
                self._notices.append(text)
        elif silent >= min(SAY_S, self._budget_s):
            away = self._refusal or self._explain(TimeoutError(NO_ANSWER))
            self._keep(away.what)
            if silent >= self._budget_s:
                self._give_up(StorageError(f"{away.what}, for more than {self._budget_s:g} s", away.remedy))

    def _work(self) -> None:
        try:
            self._make_all()
        except Exception as error:  # noqa: BLE001 - whatever it is, nobody may wait for this thread for ever
            self._give_up(HpsearchError(f"writing to the storage failed: {type(error).__name__}: {error}"))

    def _make_all(self) -> None:
        attempts, study, checked = 0, None, self._clock.now()
        while not self._is_over():
            if self._clock.now() - checked >= CHECK_S:
                if not self._wait_for_storage():
                    return
                checked = self._clock.now()
                if not attempts:
                    self._made(0)
            self._checkpoints.make_due()
            change, count = self._next(again=attempts > 0)
            if change is None:
                continue
            began = self._clock.now()
            try:
                study = study or StoredStudy(self._storage, self._storage.get_study_id_from_name(self._study))
                reached(f"before-{change.point}")
                study.make(change)
                reached(f"after-{change.point}")
            except HpsearchError as error:
                self._give_up(error)
                return
            except Exception as error:  # noqa: BLE001 - Optuna raises AssertionError and worse where a connection breaks
                # One that waited was not refused: a frozen session of the server may hold rows for as long as it likes.
                waited = bool(self._budget_s) and self._clock.now() - began >= SAY_S
                attempts, study = attempts + (0 if waited and attempts else 1), None
                if not self._wait_for_storage():
                    return
                if attempts >= (ATTEMPTS if self._budget_s else 1):
                    self._give_up(self._explain(error))
                    return
            else:
                attempts = 0
                self._made(count)
                self._checkpoints.note(ended=change.ends_trial)

    def _is_over(self) -> bool:
        with self._changed:
            return self._failure is not None or (self._closing and not self._queue)

    def _next(self, *, again: bool) -> tuple[Change | None, int]:
        """Wait for the next change, until the storage is to be checked again. Returns it and the number of queue
        entries it covers: one, if a failure left open what was made, so that nothing may be folded."""
        with self._changed:
            self._changed.wait_for(lambda: self._queue or self._closing, min(CHECK_S, self._checkpoints.pause_s))
            if not self._queue:
                return None, 0
            self._ask()
            first, *others = itertools.islice(self._queue, 1 if again else MOST_TOGETHER)
            change, more = first.fold(others)
            return change, 1 + more

    def _ask(self) -> float:
        """Note that the storage is asked for something; returns since when it has not answered."""
        with self._changed:
            now = self._clock.now()
            self._since = now if self._since is None else self._since
            return self._since

    def _made(self, count: int) -> None:
        """Drop the first ``count`` queue entries. The storage answers: once it has everything, the spool is of no use
        any more."""
        with self._changed:
            if self._failure is not None:
                return  # the spool is what counts from here on
            self._since, self._refusal, self._lock_reported = None, None, False
            for _ in range(count):
                self._queue.popleft()
            if not self._queue and self._away:
                self._away = False
                self._spool.remove()
                self._notices.append("the storage answers again and has everything")
            self._changed.notify_all()

    def _wait_for_storage(self) -> bool:
        """Wait until the storage answers and the lease is held. Returns False if the writing ends instead."""
        since, pause = self._ask(), FIRST_PAUSE_S
        while self._failure is None:
            try:
                self._reach()
                return self._failure is None
            except StorageError as away:
                self._refusal = away
                if self._clock.now() - since >= self._budget_s:
                    what = f"{away.what}, for more than {self._budget_s:g} s" if self._budget_s else away.what
                    self._give_up(StorageError(what, away.remedy))
                    return False
                self._keep(away.what)
                if self._hurried.wait(pause):
                    return False
                pause = min(2 * pause, LONGEST_PAUSE_S)
            except HpsearchError as lost:  # the lease
                self._give_up(lost)
        return False

    def _keep(self, what: str) -> None:
        """Spool all open changes from now on, because of ``what``, which is said once."""
        with self._changed:
            if self._spool_all():
                self._notices.append(f"{what}: trials continue, and their results are spooled to {self._spool.path}")

    def _spool_all(self) -> bool:
        """Spool all open changes, from now on. Returns False if they were spooled already."""
        with self._changed:
            if self._away or (not self._queue and self._closing):
                return False
            self._away = True
            with contextlib.suppress(OSError):  # then they are in memory alone
                self._spool.add(list(self._queue))
            self._changed.notify_all()
            return True

    def _give_up(self, error: HpsearchError) -> None:
        """End the writing, unless it has ended; the changes that were not made are in the spool."""
        with self._changed:
            if self._failure is not None:
                return
            self._spool_all()
            kept = (
                f"; what it lacks is spooled in {self._spool.path}" if self._queue and self._spool.path.exists() else ""
            )
            self._failure = type(error)(error.what + kept, error.remedy)
            self._changed.notify_all()
