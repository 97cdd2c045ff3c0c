"""`hpsearch score` by the real command line."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from tests.conftest import CommandLine

SCORE = ("score", "--input", "results.json", "--output", "scores/norm.json")


def evaluation(folder: Path, *samples: tuple[str, str], **keys: Any) -> Path:
    """A file as other programs write it."""
    rows = [
        {"image_path": f"{number}.png", "label": label, "prediction": prediction, "cer_score": 0.5, "f1_score": 0.25}
        for number, (label, prediction) in enumerate(samples)
    ]
    file = folder / "results.json"
    whole = {"overall_cer": 0.5, "overall_f1": 0.25, "total_samples": len(rows), "model_name": "gemma", "samples": rows}
    file.write_text(json.dumps(whole | keys, ensure_ascii=False))
    return file


def test_both_results_stand_side_by_side_and_predictions_stay(tmp_path: Path, command_line: CommandLine) -> None:
    Image.new("RGB", (30, 10), "white").save(tmp_path / "0.png")
    file = evaluation(tmp_path, ("a b, c", "ab c"), ("中文。", "中文"), ("x", "y"), ("z", ""))
    before = file.read_bytes()
    done = command_line(*SCORE)
    assert done.returncode == 0, done.stderr
    assert "no_punctuation *" in done.stdout and "4 scored, 0 without an answer" in done.stdout
    report = json.loads((tmp_path / "scores/norm.json").read_text())
    assert (report["overall_cer"], report["recorded"]) == (round(2 / 7, 6), {"overall_cer": 0.5, "overall_f1": 0.25})
    assert report["by_normalization"]["none"]["overall_cer"] == round(5 / 11, 6)
    assert [sample["prediction"] for sample in report["samples"]] == ["ab c", "中文", "y", ""]
    assert report["samples"][0]["cer_score"] == 0.0
    assert report["samples"][0]["recorded"] == {"cer_score": 0.5, "f1_score": 0.25}
    assert file.read_bytes() == before
    page = (tmp_path / "scores/norm.html").read_text()
    for text in ("Confusions", "Empty predictions", "<li>3.png</li>", "Han", "Latin", "compared as no_punctuation"):
        assert text in page, text


def test_pictures_of_the_worst_samples_are_on_the_page(tmp_path: Path, command_line: CommandLine) -> None:
    Image.new("RGB", (3000, 10), "white").save(tmp_path / "0.png")
    (tmp_path / "1.png").write_text("no picture")
    evaluation(tmp_path, ("abc", "x"), ("abc", "y"), ("right", "right"))
    assert command_line(*SCORE, "--page", "look.html").returncode == 0
    page = (tmp_path / "look.html").read_text()
    assert page.count('<img src="data:image/jpeg;base64,') == 1
    assert page.count("<ins>") == 3 and "right</dd>" not in page, "one of them is the legend"


def test_texts_of_others_are_no_markup(tmp_path: Path, command_line: CommandLine) -> None:
    evil = "<script>alert(1)</script>"
    evaluation(tmp_path, (evil, evil + "x"), model_name=evil)
    assert command_line(*SCORE).returncode == 0
    assert "<script>alert" not in (tmp_path / "scores/norm.html").read_text()


def test_rows_without_an_answer_are_in_no_score(tmp_path: Path, command_line: CommandLine) -> None:
    samples = [
        {"image_path": "a", "label": "abc", "prediction": "abc"},
        {"image_path": "b", "label": "abc", "prediction": "", "error": "no answer within 5 s"},
    ]
    (tmp_path / "results.json").write_text(json.dumps({"samples": samples}))
    assert "1 scored, 1 without an answer" in command_line(*SCORE).stdout
    assert json.loads((tmp_path / "scores/norm.json").read_text())["overall_cer"] == 0.0


@pytest.mark.parametrize(
    ("content", "more", "said"),
    [
        (None, (), "results.json cannot be read: No such file or directory"),
        ("{", (), "results.json is no JSON"),
        ("[]", (), 'an evaluation has "samples"'),
        ('{"samples": []}', (), "no sample of results.json has one"),
        ('{"samples": [{"label": 1, "prediction": "x"}]}', (), "results.json#/samples/0 has not"),
        ('{"samples": [{"label": "1", "prediction": "x"}]}', ("--output", "results.json"), "different files"),
        ('{"samples": [{"label": "1", "prediction": "x"}]}', ("--page", "results.json"), "different files"),
        ('{"samples": [{"label": "1", "prediction": "x"}]}', ("--normalization", "upper"), "--normalization"),
    ],
)
def test_what_is_wrong_is_refused(
    content: str | None, more: tuple[str, ...], said: str, tmp_path: Path, command_line: CommandLine
) -> None:
    if content is not None:
        (tmp_path / "results.json").write_text(content)
    before = sorted(tmp_path.rglob("*"))
    refused = command_line(*SCORE, *more)
    assert refused.returncode == 2 and said in refused.stderr, refused.stderr
    assert sorted(tmp_path.rglob("*")) == before
