"""What is answered from memory is what the storage comes to hold, however often a change of it is made."""

from __future__ import annotations

import json
import math
import random
from pathlib import Path
from typing import Any

import optuna
import pytest
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.storages import BaseStorage, InMemoryStorage
from optuna.trial import FrozenTrial, TrialState
from sqlalchemy import event

from hpsearch.errors import StorageError
from hpsearch.study.storage.changes import KINDS, Change, StoredStudy
from hpsearch.study.storage.lease import FileLease
from hpsearch.study.storage.open import open_storage
from hpsearch.study.storage.replica import MirroredStorage
from hpsearch.study.storage.session import SPOOL_FILE, Session, StudyLocation
from hpsearch.study.storage.writer import Spool, StorageWriter

SPACE = {
    "lr": FloatDistribution(1e-5, 1e-1, log=True),
    "r": IntDistribution(4, 64, step=4),
    "which": CategoricalDistribution(["a", None, 1.5, True]),
}


def told(storage: BaseStorage) -> dict[str, Any]:
    """All there is of the study but times and ids."""
    (study,) = storage.get_all_studies()
    trials = storage.get_all_trials(study._study_id)
    return {
        "study": (study.user_attrs, study.system_attrs),
        "trials": [
            (one.number, one.state, one.values, one.params, one.user_attrs, one.system_attrs, _shown(one))
            for one in trials
        ],
    }


def _shown(trial: FrozenTrial) -> dict[int, str]:
    return {step: repr(value) for step, value in trial.intermediate_values.items()}  # NaN is not equal to itself


def live(study: optuna.Study, choose: random.Random) -> None:
    """What a search does to a study, by chance."""
    study.set_user_attr("hps:target", choose.randrange(100))
    study.set_metric_names(["cer"])
    for _ in range(12):
        if choose.random() < 0.3:
            study.enqueue_trial({"lr": 1e-3}, user_attrs={"hps:default": True})
        trial = study.ask(SPACE)
        trial.set_user_attr("hps:seed", choose.randrange(100))
        trial.storage.set_trial_system_attr(trial._trial_id, "sampler", [choose.random()])
        for step in range(choose.randrange(4)):
            trial.report(choose.choice([0.5, math.nan, math.inf, -1.0]), step)
        state = choose.choice([TrialState.COMPLETE, TrialState.PRUNED, TrialState.FAIL])
        study.tell(trial, choose.random() if state is TrialState.COMPLETE else None, state=state)


def refused(error: Exception) -> StorageError:
    """What a change was refused with."""
    return StorageError(f"refused: {error}")


@pytest.fixture
def sqlite(tmp_path: Path) -> BaseStorage:
    """A new storage on disk."""
    return open_storage(f"sqlite:///{tmp_path / 'x.db'}", create=True)


@pytest.mark.parametrize("seed", range(3))
def test_the_storage_comes_to_hold_what_memory_says(sqlite: BaseStorage, tmp_path: Path, seed: int) -> None:
    writer = StorageWriter(sqlite, "a", Spool(tmp_path / "spool"), lambda: None, refused, 0.0)
    mirror = MirroredStorage(sqlite, "a", writer.put)
    live(optuna.create_study(study_name="a", storage=mirror), random.Random(seed))
    writer.close()
    assert told(sqlite)["trials"] == told(mirror._memory)["trials"]
    assert told(sqlite) == told(MirroredStorage(sqlite, "a", writer.put)._memory), "what is read again"
    assert not (tmp_path / "spool").exists()


def test_a_change_made_twice_is_made_once(sqlite: BaseStorage) -> None:
    changes: list[Change] = []
    mirror = MirroredStorage(InMemoryStorage(), "a", changes.append)
    live(optuna.create_study(study_name="a", storage=mirror), random.Random(5))
    assert {change.kind for change in changes} == set(KINDS)
    stored = StoredStudy(sqlite, sqlite.create_new_study([optuna.study.StudyDirection.MINIMIZE], "a"))
    for number, change in enumerate(changes):
        again = Change.from_json(change.to_json())
        again.make(stored)
        for one in changes[max(0, number - 3) : number + 1]:
            one.make(StoredStudy(sqlite, stored.study_id))
    assert told(sqlite)["trials"] == told(mirror._memory)["trials"]


def test_a_trial_of_another_program_is_refused(sqlite: BaseStorage, tmp_path: Path) -> None:
    writer = StorageWriter(sqlite, "a", Spool(tmp_path / "spool"), lambda: None, refused, 0.0)
    study = optuna.create_study(study_name="a", storage=MirroredStorage(sqlite, "a", writer.put))
    study.ask(SPACE)
    writer.settle()
    optuna.load_study(study_name="a", storage=sqlite).ask(SPACE)
    with pytest.raises(StorageError, match="only the study's runner adds trials"):
        study.ask(SPACE)
        writer.close()
    with pytest.raises(StorageError, match="only the study's runner adds trials"):
        writer.close()


def test_a_spool_that_was_broken_off_ends_before_that(tmp_path: Path) -> None:
    spool = Spool(tmp_path / "folder" / "spool")
    spool.epoch = 3
    change = Change("report", 1, {"step": 2, "value": math.nan})
    spool.add([change, change])
    with spool.path.open("a") as file:
        file.write(change.to_json()[:10])
    epoch, changes = spool.read()
    assert (epoch, len(changes)) == (3, 2)
    assert spool.path.stat().st_mode & 0o777 == 0o600
    spool.path.write_text(json.dumps({"epoch": 3}) + "\nnonsense\n")
    with pytest.raises(StorageError, match="holds results that the storage lacks, and cannot be read"):
        spool.read()


def test_a_full_disk_is_named_in_one_line_and_the_spool_has_the_rest(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'x.db'}"
    storage: Any = open_storage(url, create=True)
    with FileLease(tmp_path / "lock") as lease:
        session = Session(StudyLocation(url, storage, "a", lease, tmp_path / SPOOL_FILE), 0.0)
        study = optuna.create_study(study_name="a", storage=session.storage)
        session.begin()
        with storage.engine.connect() as connection:
            pages = connection.exec_driver_sql("PRAGMA page_count").scalar()
        event.listen(storage.engine, "checkout", lambda raw, *_: raw.execute(f"PRAGMA max_page_count={pages}"))
        with pytest.raises(StorageError, match="no space left for the storage: sqlite") as caught:
            while True:
                study.ask(SPACE)
                session.writer.settle()
        session.writer.close(hurried=True)
        assert "\n" not in str(caught.value)
    again: Any = open_storage(url, create=True)
    with FileLease(tmp_path / "lock") as lease:
        other = Session(StudyLocation(url, again, "a", lease, tmp_path / SPOOL_FILE), 0.0)
        assert "kept back" in other.kept_back
        found, wanted = (told(each.storage._memory)["trials"] for each in (other, session))
        # Of the last trial, and perhaps of its making, the caller was told that it is not kept.
        assert len(wanted) - 1 <= len(found) <= len(wanted)
        assert found[: len(wanted) - 1] == wanted[:-1]
        other.writer.close()


def test_the_storage_may_be_looked_at_while_the_epoch_is_raised(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = f"sqlite:///{tmp_path / 'x.db'}"
    storage: Any = open_storage(url, create=True)
    with FileLease(tmp_path / "lock") as lease:
        session = Session(StudyLocation(url, storage, "a", lease, tmp_path / SPOOL_FILE), 0.0)
        optuna.create_study(study_name="a", storage=session.storage)
        store = storage.set_study_user_attr

        def store_while_looked_at(*change: Any) -> None:
            session._reach()  # as the writer's thread does each second
            store(*change)
            session._reach()

        monkeypatch.setattr(storage, "set_study_user_attr", store_while_looked_at)
        session.begin()
        session._reach()
        session.writer.close()
