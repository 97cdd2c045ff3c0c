"""Network file systems, by lists of mounts as the kernel writes them: no WAL there, and a word on it."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import optuna
import pytest

from hpsearch.commands.doctor import study as doctor
from hpsearch.commands.doctor.machine import DoctorContext
from hpsearch.errors import StorageError
from hpsearch.execution.doctor_question import Level
from hpsearch.execution.gpu import Driver
from hpsearch.study.options import RunOptions
from hpsearch.study.storage import sqlite
from hpsearch.study.storage.lease import FileLease
from hpsearch.study.storage.open import StorageUrl
from hpsearch.study.storage.sqlite import network_file_system

ROOT = "22 1 254:0 / / rw,relatime shared:1 - ext4 /dev/root rw"


@pytest.fixture
def mounted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The test's folder is the root of a mount of NFS."""
    _mount(tmp_path, monkeypatch, f"99 22 0:52 / {tmp_path} rw,relatime shared:9 - nfs4 server:/export rw,vers=4.2")


def _mount(folder: Path, monkeypatch: pytest.MonkeyPatch, *lines: str) -> None:
    (folder / "mountinfo").write_text("\n".join([ROOT, *lines]) + "\n")
    monkeypatch.setattr(sqlite, "MOUNTS", folder / "mountinfo")


def journal_mode(path: Path) -> str:
    with closing(sqlite3.connect(path)) as connection:
        return str(connection.execute("PRAGMA journal_mode").fetchone()[0])


@pytest.mark.parametrize(
    ("kind", "found"),
    [
        ("nfs", "nfs"), ("nfs4", "nfs4"), ("cifs", "cifs"), ("smb3", "smb3"), ("lustre", "lustre"), ("9p", "9p"),
        ("fuse.sshfs", "fuse.sshfs"), ("fuse", "fuse"), ("ceph", "ceph"), ("ext4", ""), ("xfs", ""), ("tmpfs", ""),
        ("overlay", ""), ("fuseblk", ""), ("fuse.fuse-overlayfs", ""), ("btrfs", ""), ("zfs", ""),
    ],
)  # fmt: skip
def test_network_file_systems_are_known_by_their_type(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str, found: str
) -> None:
    _mount(tmp_path, monkeypatch, rf"99 22 0:52 / {tmp_path}/a\040disk rw - {kind} server:/export rw")
    assert network_file_system(tmp_path / "a disk" / "not" / "there.db") == found
    assert network_file_system(tmp_path / "a disk" / ".." / "here.db") == ""
    (tmp_path / "link").symlink_to(tmp_path / "a disk")
    assert network_file_system(tmp_path / "link" / "x.db") == found


def test_the_deepest_mount_counts_and_of_several_at_one_point_the_last(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _mount(
        tmp_path,
        monkeypatch,
        f"97 22 0:50 / {tmp_path}/a rw - nfs4 server:/a rw",
        f"98 97 0:51 / {tmp_path}/a/local rw shared:1 master:2 - ext4 /dev/sdb rw",
        f"99 22 0:52 / {tmp_path}/b rw - ext4 /dev/sdc rw",
        f"99 22 0:53 / {tmp_path}/b rw - cifs //server/b rw",
    )
    places = ("a/x.db", "a/local/x.db", "ab/x.db", "b/x.db")
    assert [network_file_system(tmp_path / place) for place in places] == ["nfs4", "", "", "cifs"]
    monkeypatch.setattr(sqlite, "MOUNTS", tmp_path / "none")
    assert network_file_system(tmp_path / "a/x.db") == ""


@pytest.mark.usefixtures("mounted")
def test_on_a_network_file_system_there_is_no_wal_and_a_warning(tmp_path: Path) -> None:
    said: list[str] = []
    url = StorageUrl(f"sqlite:///{tmp_path / 'x.db'}")
    url.check(said.append)
    assert len(said) == 1
    assert "is on a network file system (nfs4)" in said[0]
    assert "on a local disk, or PostgreSQL" in said[0]
    warned, _ = doctor.storage(DoctorContext(RunOptions(storage=url.full), Driver()))
    assert warned.level is Level.WARNING
    assert "(nfs4)" in warned.text
    optuna.create_study(study_name="a", storage=url.open(create=True)).ask()
    assert journal_mode(tmp_path / "x.db") == "delete"
    assert not list(tmp_path.glob("x.db-*"))


def test_a_file_in_wal_mode_is_taken_out_of_it_with_all_that_is_in_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "x.db"
    url = StorageUrl(f"sqlite:///{path}")
    _mount(tmp_path, monkeypatch)
    reader = url.open(create=True)
    optuna.create_study(study_name="a", storage=reader).ask()
    assert journal_mode(path) == "wal"
    _mount(tmp_path, monkeypatch, f"99 22 0:52 / {tmp_path} rw - nfs server:/export rw")
    with pytest.raises(StorageError, match=r"cannot be in WAL mode, but .* is, and is open elsewhere"):
        url.open(create=True)
    assert journal_mode(path) == "wal"
    reader.engine.dispose()
    again = url.open(create=True)
    assert journal_mode(path) == "delete"
    assert len(optuna.load_study(study_name="a", storage=again).trials) == 1


def test_a_file_system_without_locks_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise OSError(38, "Function not implemented")  # Lustre's answer without its mount option flock

    monkeypatch.setattr("fcntl.flock", refuse)
    with pytest.raises(StorageError, match="refuses them: Function not implemented; name a file on a local disk"):
        StorageUrl(f"sqlite:///{tmp_path / 'x.db'}").open(create=True)
    with pytest.raises(StorageError, match="refuses them"), FileLease(tmp_path / "lock"):
        pass
