"""An output folder holds the old result or the new one, whatever breaks off when."""

from __future__ import annotations

import errno
import fcntl
import json
import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest

from hpsearch.errors import UsageError
from hpsearch.execution.output_folder import finish, replacing

PARTS = ("data", "notes.txt", "gone.txt")
OLD = {"data/rows": "old", "notes.txt": "old", "gone.txt": "old", "summary.json": "old"}
NEW = {"data/rows": "new", "data/more": "new", "notes.txt": "new", "summary.json": "new"}


def fill(folder: Path, files: dict[str, str]) -> None:
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)


def held(folder: Path) -> dict[str, str]:
    return {str(path.relative_to(folder)): path.read_text() for path in folder.rglob("*") if path.is_file()}


def make(target: Path, files: dict[str, str] = NEW) -> None:
    with replacing(target, "make", ".making", "summary.json", PARTS) as work:
        fill(work, files)


def test_the_new_takes_the_place_of_the_old_and_of_nothing_else(tmp_path: Path) -> None:
    target = tmp_path / "made"
    fill(target, OLD)
    with replacing(target, "make", ".making", "summary.json", PARTS) as work:
        fill(work, NEW)
        assert held(target) == OLD | {f".making/{name}": text for name, text in NEW.items()}
        fill(target, {"mine/kept.txt": "mine"})  # what comes meanwhile is the user's
    assert held(target) == NEW | {"mine/kept.txt": "mine"}


class Broken(BaseException):
    """As if the process had been killed."""


def breaking(monkeypatch: pytest.MonkeyPatch, at: int, error: BaseException) -> Callable[[], int]:
    """Let the so-many-th change of a folder fail; how many there were."""
    made = 0

    def counted(real: Callable[..., None]) -> Callable[..., None]:
        def step(*words: object, **more: object) -> None:
            nonlocal made
            made += 1
            if made == at:
                raise error
            real(*words, **more)

        return step

    for name in ("rename", "replace", "unlink", "rmdir"):
        monkeypatch.setattr(Path, name, counted(getattr(Path, name)))
    return lambda: made


@pytest.mark.parametrize("error", [Broken(), OSError(errno.EIO, "I/O error")], ids=["killed", "a disk"])
def test_broken_off_at_any_moment_the_old_is_there_or_the_new_comes(
    error: BaseException, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    at, whole = 1, 0
    while True:
        target = tmp_path / str(at)
        fill(target, OLD)
        with monkeypatch.context() as patch:
            steps = breaking(patch, at, error)
            with suppress(Broken, OSError):
                make(target)
            if steps() < at:
                break
        done = finish(target, "summary.json")
        if done or held(target).get("summary.json") == "new":
            whole += 1
            assert held(target) == NEW, at
        else:
            assert {name: text for name, text in held(target).items() if not name.startswith(".making")} == OLD, at
        make(target)
        assert held(target) == NEW, at
        at += 1
    assert at > 8 and whole > 4


def test_an_error_leaves_the_old_and_of_the_new_the_list_of_what_was_left_out(tmp_path: Path) -> None:
    target = tmp_path / "made"
    fill(target, OLD)
    with pytest.raises(ValueError), replacing(target, "make", ".making", "summary.json", PARTS) as work:
        fill(work, {**NEW, "left_out.jsonl": "a line"})
        raise ValueError
    assert held(target) == OLD | {".making/left_out.jsonl": "a line"}
    with pytest.raises(ValueError), replacing(tmp_path / "new", "make", ".making", "summary.json", PARTS):
        raise ValueError
    assert not (tmp_path / "new").exists()


def test_a_full_disk_is_refused_and_another_error_is_itself(tmp_path: Path) -> None:
    with (
        pytest.raises(UsageError, match=r"the disk of .* is full"),
        replacing(tmp_path / "made", "make", ".making", "summary.json", PARTS),
    ):
        raise OSError(errno.ENOSPC, "No space left on device")
    with pytest.raises(OSError, match="I/O"), replacing(tmp_path / "made", "make", ".making", "summary.json", PARTS):
        raise OSError(errno.EIO, "I/O error")


def test_one_at_a_time_and_nothing_of_others(tmp_path: Path) -> None:
    fill(tmp_path / "other", {"mine.txt": "mine"})
    with pytest.raises(UsageError, match="make writes into a new or empty folder"):
        make(tmp_path / "other")
    (tmp_path / "file").touch()
    with pytest.raises(UsageError, match="must be a folder"):
        make(tmp_path / "file")
    (tmp_path / "held").mkdir()
    descriptor = os.open(tmp_path / "held", os.O_RDONLY)
    fcntl.flock(descriptor, fcntl.LOCK_EX)
    with pytest.raises(UsageError, match="another one is filling"):
        make(tmp_path / "held")
    os.close(descriptor)
    make(tmp_path / "held")
    assert held(tmp_path / "held") == NEW


def test_what_was_whole_before_is_in_its_place_before_more_is_made(tmp_path: Path) -> None:
    target = tmp_path / "made"
    fill(target, OLD)
    fill(target / ".whole", NEW | {".obsolete": json.dumps(["gone.txt"])})
    with replacing(target, "make", ".making", "summary.json", PARTS) as work:
        assert held(target) == NEW
        fill(work, OLD)
    assert held(target) == OLD
