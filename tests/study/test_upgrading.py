"""Storages of other versions of Optuna: named, left as they are, and upgraded with a copy kept.

tests/study/old has what these versions wrote, dumped as SQL.
"""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import optuna
import pytest

from hpsearch.study.storage.lease import lease_for
from hpsearch.study.storage.open import StorageUrl
from tests.conftest import CommandLine
from tests.e2e.conftest import definition

OLD = {path.stem: path for path in sorted((Path(__file__).parent / "old").glob("*.sql"))}


def old(folder: Path, version: str) -> Path:
    """A database as this version left it."""
    path = folder / "old.db"
    with closing(sqlite3.connect(path)) as connection:
        connection.executescript(OLD[version].read_text())
    return path


def trials_of(path: Path) -> list[tuple[object, ...]]:
    """The parts of the old study's trials."""
    study = optuna.load_study(study_name="old", storage=f"sqlite:///{path}")
    return [
        (trial.state, trial.value, trial.params, trial.intermediate_values, trial.user_attrs, trial.datetime_complete)
        for trial in study.trials
    ]


@pytest.mark.parametrize("version", OLD)
def test_an_older_schema_is_named_with_its_remedy_and_not_touched(
    tmp_path: Path, command_line: CommandLine, version: str
) -> None:
    path = old(tmp_path, version)
    before = path.read_bytes()
    definition(tmp_path)
    url = ("--storage", "sqlite:///old.db")
    for words in (("run", "--study", "new", "--config", "study.json"), ("resume",), ("status",), ("analyze",)):
        refused = command_line(*words, *url)
        assert refused.returncode == 3, refused.stdout + refused.stderr
        assert refused.stderr == (
            "hpsearch: error[3]: sqlite:///old.db was made by an older Optuna; "
            "run: hpsearch storage upgrade --storage sqlite:///old.db\n"
        )
    assert path.read_bytes() == before
    assert not list(tmp_path.glob("old.db-*"))


@pytest.mark.parametrize("version", OLD)
def test_an_upgrade_keeps_every_trial_and_a_copy(tmp_path: Path, command_line: CommandLine, version: str) -> None:
    path = old(tmp_path, version)
    with closing(sqlite3.connect(path)) as connection:
        rows = connection.execute("SELECT value FROM trial_values ORDER BY trial_id").fetchall()
    done = command_line("storage", "upgrade", "--storage", "sqlite:///old.db")
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    (copy,) = tmp_path.glob("old.db.before-upgrade-*")
    assert str(copy.name) in done.stdout
    assert copy.stat().st_mode & 0o777 == 0o600
    with closing(sqlite3.connect(copy)) as connection:
        assert connection.execute("SELECT value FROM trial_values ORDER BY trial_id").fetchall() == rows
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    assert [(value,) for _, value, *_ in trials_of(path)] == rows
    again = command_line("storage", "upgrade", "--storage", "sqlite:///old.db")
    assert again.returncode == 0
    assert "nothing to do" in again.stdout
    assert len(list(tmp_path.glob("old.db.before-upgrade-*"))) == 1
    definition(tmp_path)
    words = ("run", "--study", "new", "--config", "study.json", "--n-trials", "1", "--storage", "sqlite:///old.db")
    assert command_line(*words).returncode == 0


def test_a_newer_schema_is_refused_and_not_touched(tmp_path: Path, command_line: CommandLine) -> None:
    path = old(tmp_path, "optuna-3.1.0")
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("UPDATE alembic_version SET version_num = 'v9.9.0.a'")
        connection.commit()
    before = path.read_bytes()
    definition(tmp_path)
    for words in (("run", "--study", "new", "--config", "study.json"), ("status",), ("storage", "upgrade")):
        refused = command_line(*words, "--storage", "sqlite:///old.db")
        assert refused.returncode == 3, refused.stdout + refused.stderr
        assert "was made by a newer Optuna than the one that is installed; install that one:" in refused.stderr
        assert len(refused.stderr.splitlines()) == 1
    assert path.read_bytes() == before
    assert not list(tmp_path.glob("old.db.before-upgrade-*"))


def test_an_upgrade_that_fails_leaves_the_file_as_it_was(tmp_path: Path, command_line: CommandLine) -> None:
    path = old(tmp_path, "optuna-2.10.1")
    with closing(sqlite3.connect(path)) as connection:  # a table that the upgrade wants to make
        connection.execute("CREATE TABLE _alembic_tmp_trial_values (x)")
        connection.commit()
        before = list(connection.iterdump())
    refused = command_line("storage", "upgrade", "--storage", "sqlite:///old.db")
    assert refused.returncode == 3, refused.stdout
    assert len(refused.stderr.splitlines()) == 1
    with closing(sqlite3.connect(path)) as connection:
        assert list(connection.iterdump()) == before
    assert not list(tmp_path.glob("old.db.before-upgrade-*"))


def test_nobody_may_run_a_study_meanwhile(tmp_path: Path, command_line: CommandLine) -> None:
    path = old(tmp_path, "optuna-3.1.0")
    with lease_for(StorageUrl(f"sqlite:///{path}"), "old"):
        refused = command_line("storage", "upgrade", "--storage", "sqlite:///old.db")
    assert refused.returncode == 5, refused.stderr
    assert not list(tmp_path.glob("old.db.before-upgrade-*"))


def test_a_server_is_upgraded_by_its_owner(command_line: CommandLine) -> None:
    refused = command_line("storage", "upgrade", "--storage", "postgresql://me@db.local/searches")
    assert refused.returncode == 2
    assert "(pg_dump), then run: optuna storage upgrade --storage postgresql+psycopg://me@db.local" in refused.stderr
