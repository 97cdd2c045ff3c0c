"""`hpsearch data stats` by the real command line."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from tests.conftest import CommandLine
from tests.data.test_duplicates import OTHER, PAGE, stored
from tests.report.pages import read_page, rendered

pytestmark = pytest.mark.skipif(
    importlib.util.find_spec("torch") is None, reason="needs the training side: pip install 'hpsearch[train]'"
)
EVIL = "<script>document.documentElement.dataset.active=1</script>"


def save(folder: Path, **splits: list[tuple[str, Any, str]]) -> Path:
    """A folder of rows by split: of each the document, the picture (None: a missing file) and the text."""
    folder.mkdir()
    for split, rows in splits.items():
        written = []
        for number, (document, picture, text) in enumerate(rows):
            name = f"{split}-{number}.png"
            if picture is not None:
                picture.save(folder / name)
            written.append({"image_path": name, "ocr_text": text, "document": document})
        (folder / f"{split}.json").write_text(json.dumps(written))
    return folder


def rows(folder: Path) -> Path:
    large = OTHER.resize((1200, 900))
    lines = [Image.new("RGB", (60 + number, 20), (number * 20, 0, 0)) for number in range(10)]
    return save(
        folder,
        train=[
            ("a", PAGE, "the first page"),
            ("a", large, "the second page"),
            *(("b", picture, f"line {number} ক") for number, picture in enumerate(lines)),
            ("b", None, "gone"),
            ("b", lines[0], ""),
            ("c", large, "something else"),
        ],
        test=[
            ("a", stored(PAGE, 30), "the  first page"),
            ("d", lines[3], "line 3 ক"),
            ("d", PAGE.resize((90, 80)), EVIL),
        ],
    )


def test_what_is_found_is_printed_written_and_shown(tmp_path: Path, command_line: CommandLine, chromium: str) -> None:
    rows(tmp_path / "scans")
    done = command_line(
        "data", "stats", "--data", "scans", "--model", "asset:digits/qwen3_vl", "--output-dir", "out/found"
    )
    assert done.returncode == 0, done.stderr
    for line in (
        "test   3     2          15 (8 to 58)",
        "train  13    3",
        "unusable    1 x No such file or directory",
        "unusable    1 x its text is empty",
        "repeated    1 x the same picture and text, 1 of them of another split",
        "repeated    1 x the same picture with another text",
        "repeated    1 x a picture that looks alike, with the same text, 1 of them of another split",
        "documents   in more than one split: 1",
        "tokens      the model's own size: ",
        "tokens      longest_edge 1024: ",
    ):
        assert line in done.stdout, f"{line}\n{done.stdout}"
    found = json.loads((tmp_path / "out/found/stats.json").read_text())
    assert {name: part["rows"] for name, part in found["parts"].items()} == {"test": 3, "train": 13}
    assert found["parts"]["train"]["widths"]["most"] == 1200 and found["parts"]["train"]["unusable"] == 2
    assert {"name": "Bengali", "characters": 11, "rows": 11} in found["scripts"]
    assert "examples" not in found and "findings" not in found
    findings = [json.loads(line) for line in (tmp_path / "out/found/findings.jsonl").read_text().splitlines()]
    assert [each["row"] for each in findings] == [
        "train.json#12",
        "train.json#13",
        "train.json#0",
        "train.json#5",
        "train.json#14",
    ]
    assert findings[3] == {
        "row": "train.json#5", "split": "train", "reason": "the same picture and text", "first": "test.json#1",
        "first_split": "test",
    }  # fmt: skip
    page = read_page(html := (tmp_path / "out/found/stats.html").read_text())
    assert not page.unclosed and EVIL not in html
    shown = rendered(chromium, (tmp_path / "out/found/stats.html").as_uri(), tmp_path / "profile")
    assert "data-active" not in shown and shown.count("main-svg") >= 2
    for text in (
        "duplicates, 2 of them in two splits",
        "train.json#14 · train · 1200 x 900 · repeats train.json#1",
        "Bengali",
    ):
        assert text in page.text, text
    assert page.elements["img"] > 20


def test_columns_are_named_and_a_wrong_word_is_refused(tmp_path: Path, command_line: CommandLine) -> None:
    rows(tmp_path / "scans")
    done = command_line("data", "stats", "--data", "scans/test.json", "--set", "document_column=ocr_text")
    assert done.returncode == 0, done.stderr
    assert "train  3     3" in done.stdout and "tokens" not in done.stdout
    for words, told in (
        (("--data", "scans/tset.json"), "scans/tset.json does not exist"),
        (("--data", "scans", "--set", "text_colum=x"), 'did you mean "text_column"'),
        (("--data", "scans", "--set", "lora_r=8"), 'but not "lora_r"; leave it out'),
        (("--data", "scans", "--set", "train_split=train[:5]"), 'but not "train_split"'),
        (("--data", "scans?longest_edge=512"), 'but not "longest_edge"'),
        (("--data", "scans?text_column"), "as KEY=VALUE, but 'text_column' is none"),
        (("--data", ""), "--data must name rows, but is empty"),
        (("--data", "scans", "--output-dir", "scans"), "--output-dir must be another folder than the data's"),
        (("--data", "scans/test.json", "--output-dir", "scans"), "--output-dir must be another folder than the data's"),
        (("--data", "scans", "--model", "a//b"), "model_name must be"),
        (("--data", "scans", "--output-dir", "scans/test.json"), "--output-dir must be a folder"),
    ):
        refused = command_line("data", "stats", *words)
        assert refused.returncode == 2 and told in refused.stderr, refused.stderr


def test_a_split_without_rows_is_one_without_rows(tmp_path: Path, command_line: CommandLine) -> None:
    from datasets import Dataset, DatasetDict, Features, Image, Value

    features = Features({"image": Image(), "text": Value("string")})
    rows = Dataset.from_dict({"image": [PAGE], "text": ["a page"]}, features=features)
    none = Dataset.from_dict({"image": [], "text": []}, features=features)
    DatasetDict({"train": rows, "test": none}).save_to_disk(str(tmp_path / "saved"))
    done = command_line("data", "stats", "--data", "saved")
    assert done.returncode == 0 and "train  1 " in done.stdout, done.stderr


def test_a_question_mark_may_be_a_part_of_a_name_or_part_settings_from_it(
    tmp_path: Path, command_line: CommandLine
) -> None:
    save(tmp_path / "what?", train=[("a", PAGE, "x")])
    assert "train  1     1 " in command_line("data", "stats", "--data", "what?").stdout
    done = command_line("data", "stats", "--data", "what?/train.json?document_column=image_path")
    assert "train  1     1 " in done.stdout, done.stderr


def test_many_splits_share_a_colour(tmp_path: Path, command_line: CommandLine) -> None:
    save(tmp_path / "scans", **{f"part{number}": [("a", PAGE, "x" * number)] for number in range(1, 9)})
    assert command_line("data", "stats", "--data", "scans").returncode == 0
    page = (tmp_path / "analysis/stats.html").read_text()
    assert page.count('"type":"bar"') == 1 and "all splits" in page


def test_data_without_a_row_that_can_be_used_is_refused_with_the_reason(
    tmp_path: Path, command_line: CommandLine
) -> None:
    save(tmp_path / "scans", train=[("a", None, "x"), ("a", None, "y")])
    done = command_line("data", "stats", "--data", "scans")
    assert done.returncode == 2
    assert "scans has none: No such file or directory (2)" in done.stderr
