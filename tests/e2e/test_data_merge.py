"""`hpsearch data merge` by the real command line."""

from __future__ import annotations

import fcntl
import importlib.util
import json
import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from tests.conftest import CommandLine
from tests.data.test_duplicates import PAGE, stored
from tests.e2e.conftest import Runner
from tests.e2e.test_data_stats import save

pytestmark = pytest.mark.skipif(
    importlib.util.find_spec("torch") is None, reason="needs the training side: pip install 'hpsearch[train]'"
)
MERGE = ("data", "merge", "--output-dir", "all")


def line(number: int) -> Any:
    return Image.new("RGB", (60 + number, 20), (number * 20, 0, 0))


def two_datasets(folder: Path) -> tuple[str, ...]:
    """A folder with a test, and a file with columns of its own; three rows of the second are in the first, too."""
    save(
        folder / "scans",
        train=[("p1", PAGE, "the first page"), ("p2", line(1), "one"), ("p2", None, "gone")],
        test=[("p3", line(2), "two")],
    )
    again = stored(PAGE, 30)
    rows = [("p1", line(2), "two"), ("p1", line(1), "won"), ("p4", again, "the first page"), ("p5", line(5), "five")]
    save(folder / "more", train=rows)
    written = json.loads((folder / "more/train.json").read_text())
    renamed = [{"scan": row["image_path"], "reading": row["ocr_text"], "document": row["document"]} for row in written]
    (folder / "more/train.json").write_text(json.dumps(renamed))
    return "--data", "scans", "--data", "more/train.json?image_column=scan&text_column=reading"


def loaded(folder: Path) -> dict[str, list[dict[str, Any]]]:
    from datasets import load_dataset

    data = load_dataset(str(folder), cache_dir=str(folder / "cache"))
    return {split: [row | {"image": row["image"].size} for row in rows] for split, rows in data.items()}


def test_every_picture_is_there_once_where_it_is_judged_by(tmp_path: Path, command_line: CommandLine) -> None:
    done = command_line(*MERGE, *two_datasets(tmp_path))
    assert done.returncode == 0, done.stderr
    for told in (
        "scans: 1 rows of test, 2 rows of train",
        "scans: left out: 1 x No such file or directory",
        "train: 2 rows of train",
        "train: left out: 1 x the same picture and text",
        "train: left out: 1 x the same picture with another text",
        "warning: rows that look like an earlier one and have the same text: 1",
        "written: all (1 rows of test, 4 rows of train;",
    ):
        assert told in done.stdout, f"{told}\n{done.stdout}"
    found = loaded(tmp_path / "all")
    assert [(row["text"], row["document"], row["dataset"], row["row"]) for row in found["train"]] == [
        ("the first page", "scans/p1", "scans", "train.json#0"),
        ("one", "scans/p2", "scans", "train.json#1"),
        ("the first page", "train/p4", "train", "train.json#2"),
        ("five", "train/p5", "train", "train.json#3"),
    ]
    assert found["test"][0] | {"row": ""} == {
        "image": (62, 20), "text": "two", "document": "scans/p3", "dataset": "scans", "row": ""
    }  # fmt: skip
    summary = json.loads((tmp_path / "all/merged.json").read_text())
    assert summary["datasets"]["scans"]["rows"] == {"test": 1, "train": 2} and summary["alike"] == 1
    left = [json.loads(one) for one in (tmp_path / "all/left_out.jsonl").read_text().splitlines()]
    assert {each["row"]: each["reason"].partition(":")[0] for each in left} == {
        "scans: train.json#2": "No such file or directory",
        "train: train.json#0": "the same picture and text as scans",
        "train: train.json#1": "the same picture with another text as scans",
    }
    drafted = command_line("init", "--data", "all", "--model", "asset:digits/qwen3_vl", "--study", "all")
    assert drafted.returncode == 0, drafted.stderr


def test_rows_that_look_alike_can_be_dropped_and_an_earlier_result_is_replaced(
    tmp_path: Path, command_line: CommandLine
) -> None:
    words = (*MERGE, *two_datasets(tmp_path))
    assert command_line(*words).returncode == 0
    assert command_line(*words, "--drop-alike").returncode == 0
    assert [row["text"] for row in loaded(tmp_path / "all")["train"]] == ["the first page", "one", "five"]
    assert sorted(path.name for path in (tmp_path / "all").iterdir()) == [
        "README.md", "cache", "data", "left_out.jsonl", "merged.json"
    ]  # fmt: skip
    before = (tmp_path / "all/merged.json").read_bytes()
    refused = command_line(*MERGE, "--data", "scans", "--data", "more/train.json")
    assert refused.returncode == 2 and "a row must have image_path" in refused.stderr
    assert (tmp_path / "all/merged.json").read_bytes() == before


def test_large_pictures_are_written_a_few_at_a_time_and_files_are_cut(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from pyarrow.parquet import ParquetFile

    from hpsearch.data import write_dataset

    monkeypatch.setattr(write_dataset, "GROUP_BYTES", 2_000)
    monkeypatch.setattr(write_dataset, "FILE_BYTES", 5_000)
    rows = [{"image": {"bytes": bytes([n]) * 1_000, "path": None}, "text": str(n), "row": "r"} for n in range(9)]
    write_dataset.write_parquet(tmp_path, "train", iter(rows), ("row",))
    files = sorted(tmp_path.iterdir())
    assert [path.name for path in files] == ["train-00000-of-00002.parquet", "train-00001-of-00002.parquet"]
    groups = [[ParquetFile(path).metadata.row_group(n).num_rows for n in range(ParquetFile(path).num_row_groups)]
              for path in files]  # fmt: skip
    assert groups == [[2, 2, 2], [2, 1]]
    assert [row for path in files for row in ParquetFile(path).read().to_pylist()] == rows


def test_datasets_of_one_name_are_told_apart(tmp_path: Path, command_line: CommandLine) -> None:
    for number in (1, 2):
        (tmp_path / f"part{number}").mkdir()
        save(tmp_path / f"part{number}/rows", train=[("a", line(number), "text")])
    done = command_line(*MERGE, "--data", "part1/rows", "--data", "part2/rows")
    assert "part1/rows: 1 rows of train\npart2/rows: 1 rows of train\n" in done.stdout, done.stderr
    assert {row["document"] for row in loaded(tmp_path / "all")["train"]} == {"part1/rows/a", "part2/rows/a"}


def test_a_test_stays_a_test_however_it_is_called(tmp_path: Path, command_line: CommandLine) -> None:
    """`data split` writes ocr_test.json; others write Test or eval."""
    everything = [(str(number), line(number), f"line {number}") for number in range(10)]
    save(tmp_path / "all rows", train=everything)
    save(tmp_path / "parted", ocr_non_test=everything[:4], ocr_test=everything[4:7], Eval=everything[7:9])
    done = command_line(*MERGE, "--data", "all rows", "--data", "parted")
    assert "written: all (3 rows of test, 2 rows of validation, 5 rows of train;" in done.stdout, (
        done.stdout + done.stderr
    )
    assert {split: [row["text"][-1] for row in some] for split, some in loaded(tmp_path / "all").items()} == {
        "test": ["4", "5", "6"], "validation": ["7", "8"], "train": ["0", "1", "2", "3", "9"]
    }  # fmt: skip


def test_what_was_merged_before_keeps_where_it_is_from(tmp_path: Path, command_line: CommandLine) -> None:
    assert command_line(*MERGE, *two_datasets(tmp_path)).returncode == 0
    save(tmp_path / "later", train=[("p9", line(9), "nine"), ("p1", line(5), "five")])
    done = command_line("data", "merge", "--output-dir", "both", "--data", "all", "--data", "later")
    assert done.returncode == 0, done.stderr
    found = [(row["dataset"], row["row"], row["document"]) for row in loaded(tmp_path / "both")["train"]]
    assert found == [
        ("scans", "train.json#0", "scans/p1"),
        ("scans", "train.json#1", "scans/p2"),
        ("train", "train.json#2", "train/p4"),
        ("train", "train.json#3", "train/p5"),
        ("later", "train.json#0", "later/p9"),
    ]
    assert "| scans | train | 2 |" in (tmp_path / "both/README.md").read_text()


def test_ctrl_c_leaves_nothing(tmp_path: Path, start: Callable[..., Runner]) -> None:
    many = [("a", Image.new("RGB", (900 + number, 1200)), "x") for number in range(150)]
    save(tmp_path / "scans", train=many)
    save(tmp_path / "more", train=[("b", line(1), "y")])
    runner = start(*MERGE, "--data", "scans", "--data", "more")
    runner.wait_for("join: open the pictures")
    runner.send(signal.SIGINT)
    code, said = runner.end()
    assert code == 130 and "stopped: nothing was replaced" in said
    assert not (tmp_path / "all").exists()


def test_bad_input_is_refused(tmp_path: Path, command_line: CommandLine) -> None:
    data = two_datasets(tmp_path)
    save(tmp_path / "odd", **{"a b": [("p", line(1), "one")]})
    (tmp_path / "all").mkdir()
    (tmp_path / "all/mine.txt").write_text("keep")
    for words, told in (
        (data, "merge writes into a new or empty folder, or one of an earlier merge, but"),
        (("--output-dir", "new", "--data", "scans"), "merge makes one dataset of several, but got one"),
        (("--output-dir", "new", "--data", "scans", "--data", "./scans"), "each dataset is merged once, but scans"),
        (("--output-dir", "new", "--data", "scans", "--data", "more?colour=x"), "colour"),
        (("--output-dir", "new", "--data", "scans", "--data", "nowhere"), "nowhere does not exist"),
        (("--output-dir", "new", "--data", "scans", "--data", "more?train_split=train[:5]"), 'but not "train_split"'),
        (
            ("--output-dir", "new", "--data", "scans", "--data", "odd"),
            "letters, numbers and _, but one is called 'a b'",
        ),
    ):
        refused = command_line(*MERGE, *words)
        assert refused.returncode == 2 and told in refused.stderr, refused.stderr
    assert (tmp_path / "all/mine.txt").read_text() == "keep" and not (tmp_path / "new").exists()


def test_one_command_at_a_time_fills_a_folder(tmp_path: Path, command_line: CommandLine) -> None:
    words = (*MERGE, *two_datasets(tmp_path))
    (tmp_path / "all").mkdir()
    descriptor = os.open(tmp_path / "all", os.O_RDONLY)
    fcntl.flock(descriptor, fcntl.LOCK_EX)
    refused = command_line(*words)
    assert refused.returncode == 2 and "another one is filling" in refused.stderr
    os.close(descriptor)
    assert command_line(*words).returncode == 0
