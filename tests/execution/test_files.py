"""How files are written: whole, for this user alone where that matters, and durably where that is asked for."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from hpsearch.errors import UsageError
from hpsearch.execution.bootstrap import PACKAGE, STUB
from hpsearch.execution.files import (
    open_new,
    remove_channel,
    remove_file,
    replace_file,
    require_space,
    sync_tree,
    write_json,
    write_text,
)
from hpsearch.execution.units import bytes_text, duration_text


def test_a_file_is_replaced(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_text("old")
    replace_file(str(path), b"new" * 100_000)
    assert path.read_bytes() == b"new" * 100_000
    assert path.stat().st_mode & 0o777 == 0o600
    assert list(tmp_path.iterdir()) == [path]


def test_the_old_file_stays_when_the_new_one_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "taken" / "inside").mkdir(parents=True)
    with pytest.raises(OSError):
        replace_file(str(tmp_path / "taken"), b"new")
    with pytest.raises(OSError):
        replace_file(str(tmp_path / "missing" / "file"), b"new")
    assert [path.name for path in tmp_path.iterdir()] == ["taken"]


def test_a_durable_file_is_on_disk_before_its_name_and_its_name_before_the_return(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[str] = []

    def spy(name: str) -> None:
        real = getattr(os, name)

        def call(*arguments: Any) -> Any:
            on_folder = name == "fsync" and Path(f"/proc/self/fd/{arguments[0]}").resolve() == tmp_path
            calls.append(f"{name} folder" if on_folder else name)
            return real(*arguments)

        monkeypatch.setattr(os, name, call)

    spy("fsync")
    spy("replace")
    replace_file(str(tmp_path / "file"), b"new", durable=True)
    assert calls == ["fsync", "replace", "fsync folder"]


def test_a_folder_is_flushed_with_all_below_it_and_special_files_hold_nothing_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    flushed: list[Path] = []
    fsync = os.fsync

    def spy(descriptor: int) -> None:
        flushed.append(Path(f"/proc/self/fd/{descriptor}").resolve())
        fsync(descriptor)

    folder = tmp_path / "adapter"
    (folder / "below").mkdir(parents=True)
    (folder / "weights").write_text("1")
    (folder / "below" / "config").write_text("2")
    (folder / "link").symlink_to(tmp_path / "nowhere")
    os.mkfifo(folder / "fifo")
    monkeypatch.setattr(os, "fsync", spy)
    sync_tree(str(folder))
    assert sorted(flushed) == sorted([folder, folder / "weights", folder / "below", folder / "below" / "config"])


def test_a_new_file_takes_the_place_of_a_link(tmp_path: Path) -> None:
    (tmp_path / "precious").write_text("mine")
    (tmp_path / "link").symlink_to(tmp_path / "precious")
    os.close(open_new(str(tmp_path / "link")))
    assert (tmp_path / "precious").read_text() == "mine"
    assert not (tmp_path / "link").is_symlink()


def test_removing_what_is_not_there(tmp_path: Path) -> None:
    remove_file(str(tmp_path / "missing"))
    remove_channel(str(tmp_path / "missing"))
    assert list(tmp_path.iterdir()) == []


def test_a_text_is_written_with_the_folders_above_it_and_read_by_others_as_the_umask_says(tmp_path: Path) -> None:
    path = tmp_path / "a" / "b" / "file.json"
    before = os.umask(0o027)
    try:
        assert write_text(path, "old") == path
        write_json(path, {"ä": [1]})
    finally:
        os.umask(before)
    assert path.read_text(encoding="utf-8") == '{\n  "ä": [\n    1\n  ]\n}\n'
    assert path.stat().st_mode & 0o777 == 0o640
    assert path.parent.stat().st_mode & 0o777 == 0o700
    assert list(path.parent.iterdir()) == [path]


def test_nothing_is_left_of_a_text_that_was_broken_off(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("old")

    def interrupt(point: str) -> None:
        assert [path.name for path in tmp_path.glob(".file.*.tmp")], point
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        replace_file(str(tmp_path / "file"), b"new", reached=interrupt)
    with pytest.raises(UnicodeEncodeError):
        write_text(tmp_path / "file", "\ud800")
    assert [path.read_text() for path in tmp_path.iterdir()] == ["old"]


def test_what_the_disk_has_no_space_for_is_refused(tmp_path: Path) -> None:
    missing = tmp_path / "not" / "yet"
    require_space(missing, 1.0, "a file", "free some space", spare=0)
    with pytest.raises(
        UsageError, match=r"a file must fit on the disk.* 1e\+09 GB needed.*; free some space"
    ) as refused:
        require_space(missing, 1e18, "a file", "free some space")
    assert f"free in {tmp_path};" in str(refused.value)
    with pytest.raises(UsageError, match="to spare"):
        require_space(missing, 1.0, "a file", "free some space", spare=10**18)


def test_the_supervisor_loads_no_heavy_module_before_it_starts_the_program() -> None:
    code = f"{STUB}import hpsearch.execution.supervisor; print(*sys.modules)"
    started = (sys.executable, "-I", "-S", "-c", code, PACKAGE)
    loaded = subprocess.run(started, capture_output=True, text=True, check=True).stdout.split()
    assert not {"dataclasses", "json", "pathlib", "shutil", "subprocess", "typing", "hpsearch.errors"} & set(loaded)
    assert len(loaded) <= 60  # 49 with Python 3.11


def test_durations_and_sizes_as_text() -> None:
    seconds = (0.2, 42, 185, 7800)
    assert [duration_text(value) for value in seconds] == ["0.2 s", "42 s", "3 min 05 s", "2 h 10 min"]
    assert [duration_text(value, short=True) for value in seconds] == ["0.2s", "42s", "3m05s", "2h10m"]
    sizes = (12, 999, 4500, 320e6, 999_700_000, 1.53e9)
    assert [bytes_text(size) for size in sizes] == ["12 bytes", "999 bytes", "4.5 kB", "320 MB", "1 GB", "1.53 GB"]
