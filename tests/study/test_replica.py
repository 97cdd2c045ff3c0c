"""The storage gets exactly what the replica in memory has, however often a change is made."""

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
from hpsearch.study.storage.open import StorageUrl
from hpsearch.study.storage.patience import Patience
from hpsearch.study.storage.replica import StudyReplica
from hpsearch.study.storage.session import SPOOL_FILE, Session, StudyLocation
from hpsearch.study.storage.writer import Spool, StorageWriter

SPACE = {
    "lr": FloatDistribution(1e-5, 1e-1, log=True),
    "r": IntDistribution(4, 64, step=4),
    "which": CategoricalDistribution(["a", None, 1.5, True]),
}


def contents(storage: BaseStorage) -> dict[str, Any]:
    """Everything in the study but times and ids."""
    study_id = storage.get_study_id_from_name("a")
    trials = storage.get_all_trials(study_id)
    return {
        "study": (storage.get_study_user_attrs(study_id), storage.get_study_system_attrs(study_id)),
        "trials": [
            (trial.number, trial.state, trial.values, trial.params, trial.user_attrs, trial.system_attrs, _shown(trial))
            for trial in trials
        ],
    }


def _shown(trial: FrozenTrial) -> dict[int, str]:
    return {step: repr(value) for step, value in trial.intermediate_values.items()}  # NaN is not equal to itself


def live(study: optuna.Study, rng: random.Random) -> None:
    """Do what a search does to a study, at random."""
    study.set_user_attr("hps:target", rng.randrange(100))
    study.set_metric_names(["cer"])
    for _ in range(12):
        if rng.random() < 0.3:
            study.enqueue_trial({"lr": 1e-3}, user_attrs={"hps:default": True})
        trial = study.ask(SPACE)
        trial.set_user_attr("hps:seed", rng.randrange(100))
        trial.storage.set_trial_system_attr(trial._trial_id, "sampler", [rng.random()])
        for step in range(rng.randrange(4)):
            trial.report(rng.choice([0.5, math.nan, math.inf, -1.0]), step)
        state = rng.choice([TrialState.COMPLETE, TrialState.PRUNED, TrialState.FAIL])
        study.tell(trial, rng.random() if state is TrialState.COMPLETE else None, state=state)


def refused(error: Exception) -> StorageError:
    """The error of a refused change."""
    return StorageError(f"refused: {error}")


@pytest.fixture
def sqlite(tmp_path: Path) -> BaseStorage:
    """A new storage on disk."""
    return StorageUrl(f"sqlite:///{tmp_path / 'x.db'}").open(create=True)


@pytest.mark.parametrize("seed", range(3))
def test_the_storage_gets_what_the_replica_has(sqlite: BaseStorage, tmp_path: Path, seed: int) -> None:
    writer = StorageWriter(sqlite, "a", Spool(tmp_path / "spool"), lambda: None, refused, Patience())
    replica = StudyReplica(sqlite, "a", writer.put)
    live(optuna.create_study(study_name="a", storage=replica), random.Random(seed))
    writer.close()
    assert contents(sqlite)["trials"] == contents(replica)["trials"]
    assert contents(sqlite) == contents(StudyReplica(sqlite, "a", writer.put)), "what is read again"
    assert not (tmp_path / "spool").exists()


def test_a_change_made_twice_is_made_once(sqlite: BaseStorage) -> None:
    changes: list[Change] = []
    replica = StudyReplica(InMemoryStorage(), "a", changes.append)
    live(optuna.create_study(study_name="a", storage=replica), random.Random(5))
    assert {change.kind for change in changes} == set(KINDS)
    stored = StoredStudy(sqlite, sqlite.create_new_study([optuna.study.StudyDirection.MINIMIZE], "a"))
    for number, change in enumerate(changes):
        again = Change.from_json(change.to_json())
        stored.make(again)
        for repeated in changes[max(0, number - 3) : number + 1]:
            StoredStudy(sqlite, stored.study_id).make(repeated)
    assert contents(sqlite)["trials"] == contents(replica)["trials"]


def test_a_trial_of_another_program_is_refused(sqlite: BaseStorage, tmp_path: Path) -> None:
    writer = StorageWriter(sqlite, "a", Spool(tmp_path / "spool"), lambda: None, refused, Patience())
    study = optuna.create_study(study_name="a", storage=StudyReplica(sqlite, "a", writer.put))
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
    storage: Any = StorageUrl(url).open(create=True)
    with FileLease(tmp_path / "lock") as lease:
        session = Session(StudyLocation(StorageUrl(url), storage, "a", lease, tmp_path / SPOOL_FILE), 0.0)
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
    again: Any = StorageUrl(url).open(create=True)
    with FileLease(tmp_path / "lock") as lease:
        other = Session(StudyLocation(StorageUrl(url), again, "a", lease, tmp_path / SPOOL_FILE), 0.0)
        assert "while the storage was away" in other.recovered
        found, expected = (contents(run.storage)["trials"] for run in (other, session))
        # The last trial, and perhaps its making, was refused.
        assert len(expected) - 1 <= len(found) <= len(expected)
        assert found[: len(expected) - 1] == expected[:-1]
        other.writer.close()


def test_the_storage_may_be_checked_while_the_epoch_is_raised(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    url = f"sqlite:///{tmp_path / 'x.db'}"
    storage: Any = StorageUrl(url).open(create=True)
    with FileLease(tmp_path / "lock") as lease:
        session = Session(StudyLocation(StorageUrl(url), storage, "a", lease, tmp_path / SPOOL_FILE), 0.0)
        optuna.create_study(study_name="a", storage=session.storage)
        store = storage.set_study_user_attr

        def store_while_checked(*change: Any) -> None:
            session._reach()  # as the writer's thread does each second
            store(*change)
            session._reach()

        monkeypatch.setattr(storage, "set_study_user_attr", store_while_checked)
        session.begin()
        session._reach()
        session.writer.close()
