"""A study's folder: files that a dead process left half written."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from hpsearch.execution.files import write_text
from hpsearch.study.folders import publish_folder, study_folders


@pytest.mark.parametrize("folder", [".", "trial_0", "trial_0/attempt-2", "prepared"])
def test_files_that_a_dead_process_was_writing_are_removed(
    tmp_path: Path, folder: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    folders = study_folders(tmp_path, "quad")
    write_text(folders.root / folder / "report.json", "{}")
    monkeypatch.setattr("os.replace", lambda *_: None)  # as if killed before it renames
    write_text(folders.root / folder / "report.json", "{1}")
    assert len(list((folders.root / folder).iterdir())) >= 2
    folders.drop_half_written()
    assert [path.name for path in folders.root.rglob("*") if path.is_file()] == ["report.json"]


def test_a_report_that_is_being_written_is_let_be(tmp_path: Path) -> None:
    folders = study_folders(tmp_path, "quad")
    write_text(folders.root / "report" / ".index.html.1.tmp", "<html>")
    folders.drop_half_written()
    assert (folders.root / "report" / ".index.html.1.tmp").exists()


def _published(root: Path, text: str) -> None:
    staged = root / ".best.staged"
    staged.mkdir(parents=True)
    (staged / "weights.txt").write_text(text)
    publish_folder(staged, root / "best")


def test_a_copy_that_followed_links_is_published_into(tmp_path: Path) -> None:
    """Also one made while a link was about to be put in its place, and one that left links out."""
    folders = study_folders(tmp_path, "quad")
    _published(folders.root, "1")
    (folders.root / ".best.17.tmp").symlink_to((folders.root / "best").readlink())
    for number, leave_out in enumerate((None, shutil.ignore_patterns("best"))):
        copy = study_folders(tmp_path / str(number), "quad")
        shutil.copytree(folders.root, copy.root, ignore=leave_out)
        assert not copy.best.is_symlink()
        copy.drop_half_written()
        for text in ("2", "3"):
            _published(copy.root, text)
            assert (copy.best / "weights.txt").read_text() == text
        assert sorted(path.name for path in copy.root.iterdir()) == [copy.best.readlink().name, "best"]
