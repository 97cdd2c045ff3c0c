"""Opening the storage: durable settings, and one line for whatever is wrong."""

from __future__ import annotations

import os
import sqlite3
from contextlib import closing
from pathlib import Path

import optuna
import pytest

from hpsearch.errors import StorageError, UsageError
from hpsearch.study.storage import sqlite
from hpsearch.study.storage.open import StorageUrl


def test_sqlite_is_opened_in_wal_mode_with_full_synchronisation(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sqlite, "MOUNTS", tmp_path / "none")  # on whatever disk the tests lie
    url = StorageUrl.default(tmp_path / "new" / "folder")
    storage = url.open(create=True)
    optuna.create_study(study_name="a", storage=storage)
    path = url.sqlite_path
    assert path is not None
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    engine = storage.engine
    with engine.connect() as connection:
        assert connection.exec_driver_sql("PRAGMA synchronous").scalar() == 2


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (lambda data: b"x" * len(data), "not a database"),
        (lambda data: data[:4096] + b"\xff" * (len(data) - 4096), "malformed"),
        (lambda data: data[: len(data) // 2], "malformed"),
    ],
)
def test_damage_is_named_in_one_line(tmp_path: Path, damage: object, words: str) -> None:
    path = tmp_path / "x.db"
    url = StorageUrl(f"sqlite:///{path}")
    storage = url.open(create=True)
    optuna.create_study(study_name="a", storage=storage)
    storage.engine.dispose()
    path.write_bytes(damage(path.read_bytes()))  # type: ignore[operator]
    with pytest.raises(StorageError) as caught, url.opened() as opened:
        optuna.load_study(study_name="a", storage=opened).get_trials()
    assert words in caught.value.what
    assert "\n" not in str(caught.value)
    assert caught.value.remedy


@pytest.mark.parametrize("create", [False, True])
def test_what_is_no_regular_file_is_refused_at_once(tmp_path: Path, create: bool) -> None:
    (tmp_path / "folder").mkdir()
    os.mkfifo(tmp_path / "fifo")
    for path, what in (
        (tmp_path / "folder", "a folder"),
        (tmp_path / "fifo", "no regular file"),
        ("/dev/null", "no reg"),
    ):
        url = StorageUrl(f"sqlite:///{path}")
        for use in (lambda url=url: url.open(create=create), lambda url=url: url.check(print)):
            with pytest.raises(StorageError, match=f"a SQLite storage is a file, but .* is {what}"):
                use()
    with pytest.raises(StorageError, match="no driver") as refusal:
        StorageUrl("mysql://u@host/db").open(create=create)
    assert "postgresql://" in str(refusal.value)


def test_a_missing_file_is_not_made_by_looking(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match="there is no storage"):
        StorageUrl(f"sqlite:///{tmp_path / 'x.db'}").open()
    assert list(tmp_path.iterdir()) == []


def test_looking_at_another_programs_database_leaves_it_as_it_is(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'theirs.db'}"
    optuna.create_study(study_name="theirs", storage=url).optimize(lambda trial: trial.suggest_float("x", 0, 1), 2)
    before = (tmp_path / "theirs.db").read_bytes()
    assert len(optuna.load_study(study_name="theirs", storage=StorageUrl(url).open()).trials) == 2
    assert (tmp_path / "theirs.db").read_bytes() == before


@pytest.mark.parametrize("statement", ["CREATE TABLE t (x)", "SELECT 1", "CREATE TABLE version_info (x)"])
def test_a_database_without_studies_is_refused_and_gets_no_tables(tmp_path: Path, statement: str) -> None:
    path = tmp_path / "plain.db"
    path.touch()
    with closing(sqlite3.connect(path)) as connection:
        connection.execute(statement)
    before = path.read_bytes()
    with pytest.raises(StorageError, match="holds no studies"):
        StorageUrl(f"sqlite:///{path}").open()
    assert path.read_bytes() == before


@pytest.mark.parametrize(
    "url",
    [
        "sqlite://", "sqlite:///:memory:", "studies.db", "http://host/x", "sqlite:///a\0b",
        "postgresql://u:canary@host:port/db", "postgresql://[::1/db",
        "postgresql://u@h1:1,h2:2/db", "postgresql://u@a..b:1/db", "postgresql://u:canary\udcff@127.0.0.1:1/db",
    ],
)  # fmt: skip
@pytest.mark.parametrize("create", [False, True])
def test_what_is_no_storage_url_is_a_usage_error(url: str, create: bool) -> None:
    with pytest.raises(UsageError) as refusal:
        StorageUrl(url).open(create=create)
    assert "canary" not in str(refusal.value) and "canary" not in str(StorageUrl(url))


def test_braces_in_a_storage_url_are_no_template(tmp_path: Path) -> None:
    StorageUrl(f"sqlite:///{tmp_path}/{{x}}.db").open(create=True)
    assert (tmp_path / "{x}.db").exists()
    with pytest.raises(StorageError):
        StorageUrl("postgresql://u@{h}.invalid:1/db").open()


def test_a_password_is_never_shown() -> None:
    url = StorageUrl("postgresql://user:canary@host/db?password=canary")
    with pytest.raises(StorageError) as caught, url.errors():
        raise sqlite3.OperationalError("connection refused")
    for text in (str(url), repr(url), f"{url}", str(caught.value)):
        assert "canary" not in text
        assert "user" in text


def test_the_storage_is_the_option_else_the_variable_else_the_default(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert StorageUrl.of(None, tmp_path) == StorageUrl.default(tmp_path)
    assert StorageUrl.of(None, tmp_path).sqlite_path == tmp_path / "hpsearch.db"
    monkeypatch.setenv("HPSEARCH_STORAGE", "postgresql://host/db")
    assert StorageUrl.of(None, tmp_path).is_postgres
    assert StorageUrl.of("sqlite:///x.db", tmp_path).full == "sqlite:///x.db"
