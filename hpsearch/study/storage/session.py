"""Writing to a study's storage during one run of it, which holds the lease.

What an earlier run could not write comes first. An epoch, raised by each run in the study itself, tells whether another
one had the lease in between: then the spooled changes belong to trials whose end was recorded otherwise.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from optuna.storages import BaseStorage

from hpsearch.crash_points import reached
from hpsearch.errors import StorageError, StudyOwned
from hpsearch.study import attributes as attrs
from hpsearch.study.storage.changes import StoredStudy
from hpsearch.study.storage.lease import Lease
from hpsearch.study.storage.open import StorageUrl
from hpsearch.study.storage.patience import NO_ANSWER
from hpsearch.study.storage.replica import StudyReplica
from hpsearch.study.storage.sqlite import Checkpoints, identity
from hpsearch.study.storage.writer import Spool, StorageWriter

SPOOL_FILE = "kept_back.jsonl"


@dataclass(frozen=True)
class StudyLocation:
    """The place a study is written to: ``storage`` is the one at ``url``, ``spool`` the file for what it lacks.
    ``remedy`` is for a SQLite file, or a study in it, that is deleted meanwhile."""

    url: StorageUrl
    storage: BaseStorage
    study: str
    lease: Lease
    spool: Path
    remedy: str = ""


class Session:
    """One run's writing: ``storage`` is the study as the run sees it, ``writer`` makes its changes. ``recovered`` says
    what became of changes that an earlier run could not write; ``is_superseded``: they were moved away."""

    def __init__(self, location: StudyLocation, outage_s: float) -> None:
        self._location = location
        self._backend, self._name = location.storage, location.study
        self._spool = Spool(location.spool)
        self._epoch: int | None = None
        self._path = location.url.sqlite_path
        self._file = self._path and identity(self._path)
        self.is_superseded = False
        self.recovered = self._recover()
        self._patience = replace(location.url.patience, outage_s=outage_s)
        explain, checkpoints = location.url.explain, Checkpoints(self._path)
        self.writer = StorageWriter(
            self._backend, self._name, self._spool, self._reach, explain, self._patience, checkpoints
        )
        self.storage = StudyReplica(self._backend, self._name, self.writer.put)

    def begin(self) -> None:
        """Raise the epoch of the study, which exists by now.

        Raises:
            StorageError: the storage cannot be used, or the user asked for the end before it had all changes.
        """
        if not self.writer.settle():
            raise self._location.url.explain(TimeoutError(NO_ANSWER))
        epoch = (self._stored_epoch() or 0) + 1
        study_id = self._backend.get_study_id_from_name(self._name)
        self._backend.set_study_user_attr(study_id, attrs.EPOCH, epoch)
        self._epoch = self._spool.epoch = epoch  # only now: the writer's thread compares it with what is stored

    def require_file(self) -> None:
        """Refuse to write on to a SQLite file that is no longer the one at its path. Raises StorageError."""
        if self._path is not None and identity(self._path) != self._file:
            what = f"the storage is gone: {self._path} was deleted or replaced while this run wrote to it"
            raise StorageError(what, self._location.remedy)

    def _recover(self) -> str:
        """Make the changes that an earlier run spooled. Returns a message, "" if there were none."""
        epoch, changes = self._spool.read()
        if not changes:
            self._spool.remove()
            return ""
        stored = self._stored_epoch()
        if epoch != stored:
            self.is_superseded = True
            aside = self._spool.set_aside(time.strftime("%Y%m%d-%H%M%S"))
            why = "the storage has no such study" if stored is None else "another run continued the study meanwhile"
            return f"{why}, so {len(changes)} spooled changes were moved to {aside}"
        study = StoredStudy(self._backend, self._backend.get_study_id_from_name(self._name))
        for change in changes:
            study.make(change)
            reached("kept-back-made")
        self._spool.remove()
        return f"wrote {len(changes)} changes that were spooled while the storage was away"

    def _reach(self) -> None:
        """See ``StorageWriter``."""
        self.require_file()
        with self._location.url.errors():
            self._location.lease.check()
            self._backend.remove_session()
            stored = self._stored_epoch()
        if self._epoch is not None and stored is None:
            what = f"the study is gone: {self._name} was deleted from the storage while this run wrote to it"
            raise StorageError(what, self._location.remedy)
        if self._epoch is not None and stored != self._epoch:
            raise StudyOwned("another runner continued the study while the storage was away", "see `hpsearch status`")

    def _stored_epoch(self) -> int | None:
        """Return the study's epoch, 0 before its first run; None if there is no such study."""
        try:
            study_id = self._backend.get_study_id_from_name(self._name)
        except KeyError:
            return None
        return int(self._backend.get_study_user_attrs(study_id).get(attrs.EPOCH, 0))


@contextmanager
def writing(location: StudyLocation) -> Iterator[Session]:
    """Open a session, which ends when all of its changes are made, or once the user does not wait for that.

    Raises:
        StorageError: the storage cannot be used, or stayed away too long; what it lacks is spooled.
        StudyOwned: the lease was lost.
    """
    patience = location.url.patience
    session = Session(location, patience.outage_s if location.url.is_postgres else 0.0)
    if session.recovered:
        patience.say(session.recovered)
    try:
        yield session
    except BaseException:
        session.writer.close(hurried=True)
        raise
    session.writer.close()
    session.require_file()
    for text in session.writer.notices():
        patience.say(text)
