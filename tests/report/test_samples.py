"""Two texts side by side: which characters are marked; and the folder of a trial."""

from __future__ import annotations

from pathlib import Path

import pytest

from hpsearch.report.rows import TrialRow
from hpsearch.report.samples import TextRun, align, trial_folder


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
