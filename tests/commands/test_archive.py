"""Archives are somebody else's files: what they demand is bounded, and refused in one line."""

from __future__ import annotations

import shutil
import sqlite3
import tempfile
import zipfile
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import optuna
import pytest

from hpsearch.commands import archive as archives
from hpsearch.commands.archive import DATABASE, open_archive
from hpsearch.errors import UsageError
from hpsearch.study.open import study_names

FILE = "predictions.jsonl"
ENDLESS = "CREATE VIEW studies AS WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i FROM n) SELECT i FROM n"


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A database of one study."""
    path = tmp_path_factory.mktemp("made") / "made.db"
    optuna.create_study(storage=f"sqlite:///{path}", study_name="s")
    return path


@pytest.fixture
def database(made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of it; temporary folders are made beside it."""
    (tmp_path / "tmp").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "tmp"))
    return Path(shutil.copy(made, tmp_path))


def packed(database: Path, *names: str) -> Path:
    """An archive of it, with these further files."""
    path = database.with_name("a.zip")
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.write(database, DATABASE)
        for name in names:
            archive.writestr(name, "{}")
    return path


def patched(path: Path, local: int, central: int, value: int) -> None:
    """Set a number of the first member's headers: at ``local`` of its own, at ``central`` of the list's."""
    data = bytearray(path.read_bytes())
    listed = data.index(b"PK\1\2")
    data[local : local + 2] = data[listed + central : listed + central + 2] = value.to_bytes(2, "little")
    path.write_bytes(data)


def with_sql(database: Path, *statements: str) -> Path:
    with closing(sqlite3.connect(database)) as connection:
        for statement in statements:
            connection.execute(statement)
        connection.commit()
    return packed(database)


def encrypted(database: Path) -> Path:
    path = packed(database)
    patched(path, 6, 8, 1)
    return path


def odd_method(database: Path) -> Path:
    path = packed(database)
    patched(path, 8, 10, 97)
    return path


def corrupt(database: Path) -> Path:
    path = packed(database)
    data = bytearray(path.read_bytes())
    data[200:260] = bytes(60)
    path.write_bytes(data)
    return path


def torn_database(database: Path) -> Path:
    data = bytearray(database.read_bytes())
    data[4096 : 3 * 4096] = b"\xff" * 2 * 4096
    database.write_bytes(data)
    return packed(database)


def no_archive(database: Path) -> Path:
    return database


HOSTILE: dict[str, tuple[Callable[[Path], Path], str]] = {
    "members": (lambda path: packed(path, *(f"s/{n}.json" for n in range(12))), "more than 10"),
    "encrypted": (encrypted, "encrypted"),
    "odd method": (odd_method, "compression method"),
    "corrupt": (corrupt, "is damaged"),
    "not an archive": (no_archive, "not an archive"),
    "a file in a file": (lambda path: packed(path, f"s/{FILE}", f"s/{FILE}/{FILE}"), "cannot be unpacked"),
    "outside": (lambda path: packed(path, "../predictions.jsonl"), "outside itself"),
    "endless view": (lambda path: with_sql(path, "DROP TABLE studies", ENDLESS), "more than tables: 'studies'"),
    "computed": (lambda path: with_sql(path, "CREATE TABLE t (a, b AS (zeroblob(1000000000)))"), "computed columns"),
    "torn database": (torn_database, "database in"),
    "another's tables": (lambda path: with_sql(path, "DROP TABLE alembic_version"), "holds no studies"),
}


@pytest.mark.parametrize("kind", HOSTILE)
def test_a_hostile_archive_is_refused_and_leaves_nothing(
    database: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    monkeypatch.setattr(archives, "MOST_MEMBERS", 10)
    make, message = HOSTILE[kind]
    with pytest.raises(UsageError, match=message) as refusal, open_archive(make(database)) as opened:
        opened.url.open()
    assert "a.zip" in str(refusal.value) or "made.db" in str(refusal.value)
    assert list((database.parent / "tmp").iterdir()) == []


def test_a_good_archive_is_read(database: Path) -> None:
    with open_archive(packed(database, "s/trial_0/predictions.jsonl", "s/other.json")) as opened:
        with opened.url.opened() as storage:
            assert study_names(storage) == ["s"]
        assert (opened.base / "s/trial_0/predictions.jsonl").read_text() == "{}"
        assert not (opened.base / "s/other.json").exists()
