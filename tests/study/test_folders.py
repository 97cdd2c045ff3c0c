"""A study's folder: files that a dead process left half written."""

from __future__ import annotations

from pathlib import Path

import pytest

from hpsearch.execution.files import write_text
from hpsearch.study.folders import study_folders


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
