"""A study on a PostgreSQL server that is restarted, cuts connections or stays away, and who may write to it."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import optuna
import pytest
from optuna.trial import FrozenTrial, TrialState

from hpsearch.errors import StorageError, StudyOwned
from hpsearch.study.attributes import EPOCH
from hpsearch.study.storage.lease import lease_for, live_owner
from hpsearch.study.storage.open import StorageUrl
from hpsearch.study.storage.patience import Patience
from hpsearch.study.storage.session import SPOOL_FILE, Session, StudyLocation
from tests.postgres import Server, own_server, server

optuna.logging.set_verbosity(optuna.logging.WARNING)


@pytest.fixture(scope="module")
def running() -> Iterator[Server]:
    """A server for this file's tests."""
    with server() as found:
        yield found


OPENED: list[Any] = []  # storages, whose connections are closed after each test


@pytest.fixture
def postgres(running: Server) -> Iterator[Server]:
    """The server, with no studies in it."""
    running.empty()
    yield running
    while OPENED:
        OPENED.pop().engine.dispose()


def url_of(server: Server) -> StorageUrl:
    return StorageUrl(server.url)


def opened(server: Server, *, create: bool = False) -> Any:
    """The server's storage."""
    OPENED.append(url_of(server).open(create=create))
    return OPENED[-1]


def session(server: Server, folder: Path, lease: Any, budget_s: float = 60.0) -> Session:
    """One run's writing of the study "a"."""
    storage = opened(server, create=True)
    return Session(StudyLocation(url_of(server), storage, "a", lease, folder / SPOOL_FILE), budget_s)


def study_of(session: Session) -> optuna.Study:
    """The study, as a run opens it."""
    study = optuna.create_study(study_name="a", storage=session.storage, load_if_exists=True)
    session.begin()
    return study


def try_one(study: optuna.Study) -> None:
    """Run a trial with reports and attributes."""
    trial = study.ask({"x": optuna.distributions.FloatDistribution(0, 1)})
    for step in range(3):
        trial.report(trial.params["x"] + step, step)
    trial.set_user_attr("hps:outcome", "ok")
    study.tell(trial, trial.params["x"])


def parts_of(trials: list[FrozenTrial]) -> list[Any]:
    """The parts of trials that must be the same in memory and in the storage."""
    return [
        (
            trial.number,
            trial.state,
            trial.values,
            trial.params,
            trial.intermediate_values,
            trial.user_attrs,
            trial.system_attrs,
        )
        for trial in trials
    ]


def stored(server: Server) -> list[FrozenTrial]:
    """The study's trials, read again."""
    return optuna.load_study(study_name="a", storage=opened(server)).get_trials()


FAULTS: dict[str, Callable[[Server], object]] = {
    "an immediate restart": lambda server: server.restart("immediate"),
    "a fast restart": lambda server: server.restart("fast"),
    "every session ended": lambda server: server.terminate(),
    "the lease's session ended": lambda server: server.terminate("hps/%"),
}


@pytest.mark.parametrize("fault", FAULTS)
@own_server
def test_nothing_is_lost_and_nothing_is_there_twice(postgres: Server, tmp_path: Path, fault: str) -> None:
    with lease_for(url_of(postgres), "a") as lease:
        writing = session(postgres, tmp_path, lease)
        study = study_of(writing)
        nemesis = threading.Thread(target=lambda: [FAULTS[fault](postgres) for _ in range(3)])
        nemesis.start()
        while nemesis.is_alive() or len(study.trials) < 20:
            try_one(study)
            time.sleep(0.02)  # all that is made while the server is away is to be written afterwards
        while live_owner(url_of(postgres), "a") is None:  # it is checked once a second
            time.sleep(0.01)
        writing.writer.close()
    assert parts_of(stored(postgres)) == parts_of(study.trials)
    assert not (tmp_path / "kept_back.jsonl").exists()


@own_server
def test_each_database_of_a_server_has_leases_of_its_own_and_any_user_can_tell_them(postgres: Server) -> None:
    """An administrator's rights are not needed; a restart changes nothing."""
    postgres.ask("CREATE ROLE plain LOGIN PASSWORD 'word'")
    postgres.ask("CREATE DATABASE another OWNER plain")
    url = postgres.url.replace("postgres:@", "plain:word@")

    def identity(database: str) -> str:
        with lease_for(StorageUrl(url.replace("/postgres?", f"/{database}?")), "a") as lease:
            return lease.identity

    try:
        first, other = identity("postgres"), identity("another")
        assert first != other
        postgres.restart()
        assert identity("postgres") == first
    finally:
        postgres.ask("DROP DATABASE another")
        postgres.ask("DROP ROLE plain")


def test_who_asks_for_the_end_does_not_wait_for_a_connection() -> None:
    """The machine is reached, but nobody answers there."""
    said: list[str] = []
    with socket.create_server(("127.0.0.1", 0)) as nobody:
        patience = Patience(stops=lambda: 2 if said else 0, say=said.append)
        url = StorageUrl(f"postgresql://user@127.0.0.1:{nobody.getsockname()[1]}/x?connect_timeout=300", patience)
        with pytest.raises(StorageError, match="the server does not answer"), lease_for(url, "a"):
            pass
    assert said == ["the server does not answer: waiting for it"]


@own_server
def test_what_a_dead_server_lacks_is_made_by_the_next_run(postgres: Server, tmp_path: Path) -> None:
    with lease_for(url_of(postgres), "a") as lease:
        writing = session(postgres, tmp_path, lease, budget_s=1.0)
        study = study_of(writing)
        try_one(study)
        writing.writer.settle()
        postgres.stop("immediate")
        with pytest.raises(StorageError, match=r"for more than 1 s; what it lacks is spooled in .*kept_back.jsonl"):
            while True:
                try_one(study)
                time.sleep(0.01)
        writing.writer.close(hurried=True)
        assert any(SPOOL_FILE in notice for notice in writing.writer.notices())
    known = [trial for trial in study.trials if trial.state is TrialState.COMPLETE]
    postgres.start()
    with lease_for(url_of(postgres), "a") as lease:
        again = session(postgres, tmp_path, lease)
        assert "while the storage was away" in again.recovered
        assert not (tmp_path / "kept_back.jsonl").exists()
        found = study_of(again).trials
        again.writer.close()
    *sure, _ = known  # the run may have been refused the last one
    assert parts_of(found)[: len(sure)] == parts_of(sure)
    assert len(sure) > 1


@own_server
def test_a_run_that_is_stopped_does_not_wait_for_the_server(postgres: Server, tmp_path: Path) -> None:
    with lease_for(url_of(postgres), "a") as lease:
        writing = session(postgres, tmp_path, lease, budget_s=600.0)
        study = study_of(writing)
        postgres.stop("immediate")
        try_one(study)
        began = time.monotonic()
        writing.writer.close(hurried=True)
        assert time.monotonic() - began < 60
    postgres.start()
    with lease_for(url_of(postgres), "a") as lease:
        again = session(postgres, tmp_path, lease)
        assert parts_of(study_of(again).trials) == parts_of(study.trials)
        again.writer.close()


@own_server
def test_a_spool_is_set_aside_where_another_run_went_on(postgres: Server, tmp_path: Path) -> None:
    with lease_for(url_of(postgres), "a") as lease:
        writing = session(postgres, tmp_path, lease)
        study = study_of(writing)
        postgres.stop("immediate")
        try_one(study)
        writing.writer.close(hurried=True)
    postgres.start()
    with lease_for(url_of(postgres), "a") as lease:
        other = session(postgres, tmp_path / "elsewhere", lease)
        try_one(study_of(other))
        other.writer.close()
    before = parts_of(stored(postgres))
    with lease_for(url_of(postgres), "a") as lease:
        again = session(postgres, tmp_path, lease)
        assert "another run continued the study" in again.recovered
        again.writer.close()
    assert parts_of(stored(postgres)) == before
    assert len(list(tmp_path.glob("kept_back-*.jsonl"))) == 1


HOLDS = """
import sys, time
from hpsearch.errors import StudyOwned
from hpsearch.study.storage.lease import lease_for
from hpsearch.study.storage.open import StorageUrl
print("trying", flush=True)
while True:
    try:
        with lease_for(StorageUrl(sys.argv[1]), "a"):
            print("held", flush=True)
            sys.stdin.read()
    except StudyOwned:
        time.sleep(0.01)
"""


@contextmanager
def another(server: Server) -> Iterator[subprocess.Popen[str]]:
    """Another process that takes the lease of the study "a" as soon as it can."""
    argv = [sys.executable, "-c", HOLDS, server.url]
    with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "trying\n"
        yield holder
        holder.kill()


@own_server
def test_a_lease_that_another_run_took_meanwhile_ends_this_one(postgres: Server, tmp_path: Path) -> None:
    with lease_for(url_of(postgres), "a") as lease:
        writing = session(postgres, tmp_path, lease)
        study = study_of(writing)
        with another(postgres) as holder:
            while (owner := live_owner(url_of(postgres), "a")) is None or owner.pid == os.getpid():
                postgres.terminate(f"hps/{os.getpid()}/%")
            with pytest.raises(StudyOwned, match=f"owned by pid {holder.pid} on "):
                while True:
                    try_one(study)
                    time.sleep(0.01)
        writing.writer.close(hurried=True)


def test_a_run_between_is_known_by_its_epoch(postgres: Server, tmp_path: Path) -> None:
    with lease_for(url_of(postgres), "a") as lease:
        writing = session(postgres, tmp_path, lease)
        study = study_of(writing)
        storage = opened(postgres)
        study_id = storage.get_study_id_from_name("a")
        storage.set_study_user_attr(study_id, EPOCH, storage.get_study_user_attrs(study_id)[EPOCH] + 1)
        with pytest.raises(StudyOwned, match="another runner continued the study"):
            while True:
                try_one(study)
                time.sleep(0.01)
        writing.writer.close(hurried=True)


def test_the_lease_names_its_owner_and_goes_with_its_process(postgres: Server) -> None:
    with another(postgres) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        with pytest.raises(StudyOwned, match=f"owned by pid {holder.pid} on "), lease_for(url_of(postgres), "a"):
            pass
        owner = live_owner(url_of(postgres), "a")
        assert owner is not None
        assert owner.pid == holder.pid
        with lease_for(url_of(postgres), "b"):
            assert live_owner(url_of(postgres), "b") is not None
    while live_owner(url_of(postgres), "a") is not None:
        time.sleep(0.01)
    with lease_for(url_of(postgres), "a"):
        pass
