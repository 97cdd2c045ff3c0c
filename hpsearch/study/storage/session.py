"""Writing to a study's storage during one run of it, which holds the lease.

What an earlier run could not write comes first. An epoch, raised by each run in the study itself, tells whether another
one had the lease in between: then what was kept back belongs to trials that were dealt with otherwise.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from optuna.storages import BaseStorage

from hpsearch.crash_points import reached
from hpsearch.errors import StorageError, StudyOwned
from hpsearch.study import attributes as attrs
from hpsearch.study.storage.changes import StoredStudy
from hpsearch.study.storage.lease import Lease
from hpsearch.study.storage.open import explained, storage_errors
from hpsearch.study.storage.postgres import is_postgres
from hpsearch.study.storage.replica import MirroredStorage
from hpsearch.study.storage.writer import Spool, StorageWriter

SPOOL_FILE = "kept_back.jsonl"


@dataclass(frozen=True)
class StudyLocation:
    """Where a study is written: ``storage`` is what is at ``url``, ``spool`` the file for what it lacks."""

    url: str
    storage: BaseStorage
    study: str
    lease: Lease
    spool: Path


@dataclass(frozen=True)
class Patience:
    """How long a database server may stay away; ``stopped`` tells whether somebody waits for the run to end."""

    seconds: float
    stopped: Callable[[], bool] = lambda: False


class Session:
    """One run's writing: ``storage`` is the study as the run sees it, ``writer`` makes its changes. ``kept_back`` tells
    of what an earlier run could not write."""

    def __init__(self, place: StudyLocation, outage_s: float) -> None:
        self._place = place
        self._backend, self._name = place.storage, place.study
        self._spool = Spool(place.spool)
        self._epoch: int | None = None
        self.kept_back = self._import()
        self.writer = StorageWriter(self._backend, self._name, self._spool, self._reach, self._explain, outage_s)
        self.storage = MirroredStorage(self._backend, self._name, self.writer.put)

    def begin(self) -> None:
        """Raise the epoch of the study, which exists by now."""
        self.writer.settle()
        epoch = self._stored_epoch() + 1
        self._backend.set_study_user_attr(self._id(), attrs.EPOCH, epoch)
        self._epoch = self._spool.epoch = epoch  # only now: the writer's thread compares it with what is stored

    def _import(self) -> str:
        """Make the changes that an earlier run kept back; what there is to say of it."""
        epoch, changes = self._spool.read()
        if not changes:
            self._spool.remove()
            return ""
        if not self._exists() or epoch != self._stored_epoch():
            aside = self._spool.put_aside(time.strftime("%Y%m%d-%H%M%S"))
            return f"another run went on with the study, so {len(changes)} changes that were kept back are in {aside}"
        study = StoredStudy(self._backend, self._id())
        for change in changes:
            change.make(study)
            reached("kept-back-made")
        self._spool.remove()
        return f"took in {len(changes)} changes that were kept back while the storage was away"

    def _reach(self) -> None:
        """See ``StorageWriter``."""
        with storage_errors(self._place.url):
            self._place.lease.check()
            self._backend.remove_session()
            stored = self._stored_epoch() if self._exists() else None
        if self._epoch is not None and stored != self._epoch:
            raise StudyOwned(
                "another runner went on with the study while the storage was away", "see `hpsearch status`"
            )

    def _explain(self, error: Exception) -> StorageError:
        return explained(self._place.url, error)

    def _exists(self) -> bool:
        try:
            self._id()
        except KeyError:
            return False
        return True

    def _id(self) -> int:
        return self._backend.get_study_id_from_name(self._name)

    def _stored_epoch(self) -> int:
        return int(self._backend.get_study_user_attrs(self._id()).get(attrs.EPOCH, 0))


@contextmanager
def writing(place: StudyLocation, patience: Patience, say: Callable[[str], None]) -> Iterator[Session]:
    """A session, which ends when all of its changes are made. What there is to say of it goes to ``say``.

    Raises:
        StorageError: the storage cannot be used, or stayed away too long; what it lacks is kept in the spool.
        StudyOwned: the lease was lost.
    """
    session = Session(place, patience.seconds if is_postgres(place.url) else 0.0)
    if session.kept_back:
        say(session.kept_back)
    try:
        yield session
    except BaseException:
        session.writer.close(hurried=True)
        raise
    session.writer.close(hurried=patience.stopped())
    for text in session.writer.notices():
        say(text)
