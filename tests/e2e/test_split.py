"""`hpsearch data split` by the real command line."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest

from hpsearch.assets import asset_path
from hpsearch.data.rows import read_splits
from tests.conftest import CommandLine

SPLIT = ("data", "split", "--input", "raw/ocr.json", "--output-dir", "input")


def raw(folder: Path, count: int = 60, **more: Any) -> None:
    """Rows as split_dataset.py takes them."""
    (folder / "raw/p").mkdir(parents=True)
    rows = []
    for number in range(count):
        (folder / f"raw/p/{number}.png").write_bytes(b"%d" % number)
        rows.append({"img_path": f"p/{number}.png", "ocr_results": f"text {number}"})
        rows[-1] |= {name: value(number) for name, value in more.items()}
    (folder / "raw/ocr.json").write_text(json.dumps(rows))


def written(folder: Path) -> tuple[list[dict[str, str]], list[dict[str, str]]]:
    non_test, test = (json.loads((folder / f"input/ocr_{name}.json").read_text()) for name in ("non_test", "test"))
    return non_test, test


def test_the_preset_writes_the_files_that_scripts_know(tmp_path: Path, command_line: CommandLine) -> None:
    raw(tmp_path)
    done = command_line(*SPLIT, "--preset", "1:5")
    assert done.returncode == 0, done.stderr
    assert "input/ocr_non_test.json: 10 rows (16.7%) of 10 documents" in done.stdout
    assert "input/ocr_test.json: 50 rows (83.3%) of 50 documents" in done.stdout
    non_test, test = written(tmp_path)
    assert all(set(row) == {"image_path", "ocr_text"} for row in (*non_test, *test))
    assert sorted(row["ocr_text"] for row in (*non_test, *test)) == sorted(f"text {number}" for number in range(60))
    for row in test:
        assert (tmp_path / "input" / row["image_path"]).read_bytes() == row["ocr_text"][5:].encode()
    (read,) = read_splits(tmp_path / "input/ocr_test.json").values()
    assert all(sample.read() for sample in read)


def test_the_same_seed_draws_the_same_rows(tmp_path: Path, command_line: CommandLine) -> None:
    raw(tmp_path)
    found = []
    for seed in ("42", "42", "7"):
        assert command_line(*SPLIT, "--seed", seed, "--force").returncode == 0
        found.append(written(tmp_path))
    assert found[0] == found[1] != found[2]
    assert len(found[0][1]) == 12


def test_no_document_is_on_both_sides(tmp_path: Path, command_line: CommandLine) -> None:
    raw(tmp_path, page=lambda number: f"page {number // 6}")
    assert command_line(*SPLIT, "--document-column", "page", "--test-fraction", "0.3").returncode == 0
    non_test, test = written(tmp_path)
    assert (len(non_test), len(test)) == (42, 18)
    assert not {row["document"] for row in non_test} & {row["document"] for row in test}


def test_pictures_in_the_data_are_written_beside(tmp_path: Path, command_line: CommandLine) -> None:
    source = asset_path("asset:digits/data") / "validation.parquet"
    done = command_line("data", "split", "--input", str(source), "--output-dir", "input", "--test-fraction", "0.5")
    assert done.returncode == 0, done.stderr
    pictures = {sample.text: hashlib.sha256(sample.read()).digest() for sample in read_splits(source)["train"]}
    for row in (*written(tmp_path)[0], *written(tmp_path)[1]):
        assert row["image_path"].endswith(".png")
        content = (tmp_path / "input" / row["image_path"]).read_bytes()
        assert hashlib.sha256(content).digest() == pictures[row["ocr_text"]]


def test_rows_without_text_are_told(tmp_path: Path, command_line: CommandLine) -> None:
    raw(tmp_path, count=10)
    rows = json.loads((tmp_path / "raw/ocr.json").read_text())
    rows[3]["ocr_results"] = " "
    (tmp_path / "raw/ocr.json").write_text(json.dumps(rows))
    done = command_line(*SPLIT)
    assert "warning: 1 rows have no picture or no text and are in neither" in done.stdout
    assert sum(map(len, written(tmp_path))) == 9


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (("--input", "raw/nothing.json"), "nothing.json does not exist"),
        (("--preset", "1:5", "--test-fraction", "0.5"), "both set the fraction"),
        (("--test-fraction", "1"), "--test-fraction"),
        (("--document-column", "page"), "document_column must name a column of the data"),
        (("--document-column", "same"), "needs rows of two documents at least"),
    ],
)
def test_what_is_wrong_is_refused(more: tuple[str, ...], said: str, tmp_path: Path, command_line: CommandLine) -> None:
    raw(tmp_path, count=5, same=lambda number: "one")
    before = sorted(tmp_path.rglob("*"))
    refused = command_line(*SPLIT, *more)
    assert refused.returncode == 2 and said in refused.stderr, refused.stderr
    assert sorted(tmp_path.rglob("*")) == before


def test_links_and_other_spellings_of_a_path_are_seen_through(tmp_path: Path, command_line: CommandLine) -> None:
    raw(tmp_path, count=10)
    (tmp_path / "deep/real").mkdir(parents=True)
    (tmp_path / "input").symlink_to(tmp_path / "deep/real")
    more = json.loads((tmp_path / "raw/ocr.json").read_text())
    more += [{**row, "img_path": f"../raw/{row['img_path']}"} for row in more]
    (tmp_path / "raw/ocr.json").write_text(json.dumps(more))
    assert command_line(*SPLIT, "--test-fraction", "0.5").returncode == 0
    non_test, test = written(tmp_path)
    pictures = [
        {(tmp_path / "input" / row["image_path"]).resolve(strict=True) for row in side} for side in (non_test, test)
    ]
    assert [len(each) for each in pictures] == [5, 5] and not pictures[0] & pictures[1]


def test_the_input_is_not_replaced(tmp_path: Path, command_line: CommandLine) -> None:
    raw(tmp_path)
    assert command_line(*SPLIT).returncode == 0
    before = written(tmp_path)
    again = command_line("data", "split", "--input", "input/ocr_test.json", "--output-dir", "input", "--force")
    assert again.returncode == 2 and "the input is one of its files" in again.stderr
    assert written(tmp_path) == before


def test_files_that_are_there_stay(tmp_path: Path, command_line: CommandLine) -> None:
    raw(tmp_path)
    assert command_line(*SPLIT).returncode == 0
    before = written(tmp_path)
    refused = command_line(*SPLIT, "--seed", "1")
    assert refused.returncode == 2 and "are there already; name another --output-dir" in refused.stderr
    assert written(tmp_path) == before
