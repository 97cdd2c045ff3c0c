"""The meaning of a text that names data."""

from __future__ import annotations

from pathlib import Path

import pytest

from hpsearch.data.places import hub_id, may_be_hub_id
from hpsearch.errors import UsageError


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("hub:unsloth/LaTeX_OCR", "unsloth/LaTeX_OCR"),
        ("hub:mnist", "mnist"),
        ("https://huggingface.co/datasets/unsloth/LaTeX_OCR/", "unsloth/LaTeX_OCR"),
        ("unsloth/LaTeX_OCR", None),
        ("pages.json", None),
    ],
)
def test_a_marked_name_is_an_id(text: str, name: str | None) -> None:
    assert hub_id(text) == name


@pytest.mark.parametrize("text", ["hub:", "hub:/x", "hub:a/b/c", "hub:a b", "hub:a--b/c", "hub:../x", "hub:a/b@main"])
def test_a_mark_before_something_else_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="is written hub:owner/name") as refusal:
        hub_id(text)
    assert "dataset_revision" in refusal.value.remedy


def test_an_unmarked_name_is_one_only_where_it_can_be_no_path(tmp_path: Path) -> None:
    (tmp_path / "scans").mkdir()
    assert may_be_hub_id("unsloth/LaTeX_OCR", tmp_path)
    assert may_be_hub_id("org/pages-v1.5", tmp_path)
    for path in ("scans/page", "other/rows.json", "rows", "./a/b", "a/b/c", "/a/b", "~/b", "a/", "a\0/b", "rows.JSONL"):
        assert not may_be_hub_id(path, tmp_path), path
