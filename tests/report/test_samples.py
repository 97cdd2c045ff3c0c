"""Predictions: which characters are marked, and what a predictions file may be."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from hpsearch.report.rows import TrialRow
from hpsearch.report.samples import TextRun, align, read_judged, trial_folder


def marked(pieces: tuple[TextRun, ...]) -> str:
    return "".join(f"[{piece.text}]" if piece.differs else piece.text for piece in pieces)


def row(number: int = 3, attempt: int = 1, folder: str | None = None) -> TrialRow:
    return TrialRow(number, "COMPLETE", "ok", "", 0.1, {}, root=3, attempt=attempt, folder=folder)


@pytest.mark.parametrize(
    ("reference", "prediction", "left", "right", "share"),
    [
        ("40713", "40713", "40713", "40713", 0.0),
        ("9921", "9971", "99[2]1", "99[7]1", 0.25),
        ("305 7", "3057", "305[ ]7", "3057", 0.2),
        ("12", "1342", "12", "1[34]2", 1.0),
        ("", "1", "", "[1]", 1.0),
        ("66", "", "[66]", "", 1.0),
        ("", "", "", "", 0.0),
        ("a\nb", "ab", "a[↵\n]b", "ab", 1 / 3),
        ("e\u0301t", "et", "[e\u0301]t", "[e]t", 0.5),  # a mark is not parted from its letter
        ("ଓଡ଼ିଆ", "ଓଡିଆ", "ଓ[ଡ଼ି]ଆ", "ଓ[ଡି]ଆ", 1 / 3),
        ("א\u202eב", "אב", "א[⟨U+202E⟩]ב", "אב", 1 / 3),
    ],
)
def test_align(reference: str, prediction: str, left: str, right: str, share: float) -> None:
    first, second, cer = align(reference, prediction)
    assert (marked(first), marked(second)) == (left, right)
    assert cer == pytest.approx(share)


def test_lines_of_hpsearch_and_of_other_programs_are_read(tmp_path: Path) -> None:
    ours = {"split": "holdout", "id": "rows.json#3", "reference": "12", "prediction": "1", "cer": 0.5}
    theirs = {"image_path": "a/1.png", "label": "x", "output": "y", "cer": "nan"}
    path = tmp_path / "predictions.jsonl"
    path.write_text("\n".join(json.dumps(line) for line in (ours, theirs)), encoding="utf-8")
    first, second = read_judged(path)
    assert (first.name, first.split, first.id, first.cer) == ("holdout rows.json#3", "holdout", "rows.json#3", 0.5)
    assert (second.name, second.id, second.image_path, second.prediction) == ("a/1.png", "a/1.png", "a/1.png", "y")
    assert second.cer is None


def test_lines_that_are_no_sample_are_skipped(tmp_path: Path) -> None:
    good = json.dumps({"reference": "1", "prediction": "1", "cer": "nan"})
    lines = ["", "{", "[1]", '{"reference": 1, "prediction": "1"}', "[" * 100_000, good]
    path = tmp_path / "predictions.jsonl"
    path.write_bytes("\n".join(lines).encode() + b'\n{"reference": "\xff", "prediction": ""}')
    assert len(read_judged(path)) == 2


def test_nothing_to_read(tmp_path: Path) -> None:
    path = tmp_path / "predictions.jsonl"
    assert read_judged(None) == [] and read_judged(path) == []
    path.write_text("nothing\n", encoding="utf-8")
    assert read_judged(path) == []


def test_the_folder_of_a_trial(tmp_path: Path) -> None:
    retry = tmp_path / "trial_3" / "attempt-2"
    retry.mkdir(parents=True)
    assert trial_folder(row(), tmp_path) == (tmp_path / "trial_3").resolve()
    assert trial_folder(row(9, attempt=2), tmp_path) == retry.resolve()
    assert trial_folder(row(folder="trial_3/attempt-2"), tmp_path) == retry.resolve()
    assert trial_folder(row(folder="trial_8"), tmp_path) is None
    assert trial_folder(row(), None) is None


@pytest.mark.parametrize("folder", ["..", "../other", "/", "trial_3/../../other"])
def test_a_folder_outside_the_studys_is_not_read(tmp_path: Path, folder: str) -> None:
    (tmp_path / "study" / "trial_3").mkdir(parents=True)
    (tmp_path / "other").mkdir()
    assert trial_folder(row(folder=folder), tmp_path / "study") is None


def test_a_link_out_of_the_studys_folder_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "study").mkdir()
    (tmp_path / "other").mkdir()
    (tmp_path / "study" / "trial_3").symlink_to(tmp_path / "other")
    assert trial_folder(row(), tmp_path / "study") is None
