"""One live runner per study: held by the kernel, not by a clock."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from hpsearch.errors import StudyOwned, UsageError
from hpsearch.study.storage.lease import lease_for, live_owner, lock_path
from hpsearch.study.storage.open import StorageUrl

HOLD = """
import sys
from hpsearch.study.storage.lease import lease_for
from hpsearch.study.storage.open import StorageUrl
with lease_for(StorageUrl(sys.argv[1]), 'a'):
    print('held', flush=True)
    sys.stdin.read()
"""


def holder(url: StorageUrl) -> subprocess.Popen[str]:
    """Another process that holds the lease of study a until its standard input ends."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, url.full], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "held\n"
    return process


def test_the_second_of_two_processes_is_refused_and_learns_the_first(tmp_path: Path) -> None:
    url = StorageUrl(f"sqlite:///{tmp_path / 'x.db'}")
    with holder(url) as other:
        with pytest.raises(StudyOwned, match=f"pid {other.pid} on "), lease_for(url, "a"):
            pass
        owner = live_owner(url, "a")
        assert owner is not None
        assert owner.pid == other.pid
        with lease_for(url, "b"):
            assert live_owner(url, "b") is not None
        other.communicate()
    assert live_owner(url, "a") is None


def test_one_database_has_one_lock_however_its_path_is_written(tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    (tmp_path / "x.db").touch()
    (tmp_path / "other" / "link.db").symlink_to(tmp_path / "x.db")
    link, file = (StorageUrl(f"sqlite:///{tmp_path / name}") for name in ("other/link.db", "x.db"))
    assert lock_path(link, "a") == lock_path(file, "a")


def test_no_two_databases_have_the_same_lease_and_each_keeps_its_own(tmp_path: Path) -> None:
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "x.db").touch()
    (tmp_path / "link").symlink_to("one")

    def identity(folder: str, study: str = "a") -> str:
        with lease_for(StorageUrl(f"sqlite:///{tmp_path / folder / 'x.db'}"), study) as lease:
            return lease.identity

    first = identity("one")
    assert identity("one") == identity("link") == first
    assert first not in (identity("two"), identity("one", "b"))
    (tmp_path / "one").rename(tmp_path / "moved")
    assert identity("moved") == first


def test_a_killed_owner_gives_the_lease_up_at_once(tmp_path: Path) -> None:
    url = StorageUrl(f"sqlite:///{tmp_path / 'x.db'}")
    with holder(url) as other:
        other.kill()
        other.wait()
        with lease_for(url, "a"):
            assert live_owner(url, "a") is not None


def test_the_lock_lies_beside_the_database_and_only_its_owner_reads_it(tmp_path: Path) -> None:
    url = StorageUrl(f"sqlite:///{tmp_path / 'x.db'}")
    with lease_for(url, "a"):
        path = lock_path(url, "a")
    assert path == tmp_path / "x.db.a.lock"
    assert path.stat().st_mode & 0o777 == 0o600


def test_a_lease_on_another_database_is_refused() -> None:
    with pytest.raises(UsageError, match="SQLite"):
        lock_path(StorageUrl("mysql://host/db"), "a")
