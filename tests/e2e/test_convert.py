"""`hpsearch data convert`: folders of transcribed scans become datasets, by the real command line."""

from __future__ import annotations

import importlib.util
import json
import os
import re
import shutil
import signal
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.conftest import CommandLine
from tests.e2e.conftest import Runner, alive
from tests.made_pages import alto, made_page, write_pages

pytestmark = pytest.mark.skipif(
    importlib.util.find_spec("lxml") is None, reason="needs the training side: pip install 'hpsearch[train]'"
)
CONVERT = ("data", "convert", "--input-dir", "scans", "--output-dir", "letters")


def rows(folder: Path, side: str = "train") -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / f"letters/metadata/{side}.jsonl").read_text().splitlines()]


def left_out(folder: Path) -> list[tuple[str, ...]]:
    lines = (folder / "letters/left_out.jsonl").read_text().splitlines()
    return [tuple(map(str, json.loads(line).values())) for line in lines]


def test_pages_become_a_dataset_that_init_and_searches_take(tmp_path: Path, command_line: CommandLine) -> None:
    from datasets import load_from_disk

    made = write_pages(tmp_path / "scans", 5, lines=4, size=(400, 300))
    words = ("--include-paragraphs", "--include-full-pages", "--aug-copies", "2", "--val-ratio", "0.3")
    done = command_line(*CONVERT, *words)
    assert done.returncode == 0, done.stderr
    assert "files: 5 pages taken, 0 refused, 0 XML files of other kinds" in done.stdout
    assert "rows: 44 lines, 22 paragraphs, 11 pages (42 of them augmented copies)" in done.stdout
    train, validation = rows(tmp_path), rows(tmp_path, "validation")
    assert len({row["document"] for row in train}) == 3 and len({row["document"] for row in validation}) == 2
    assert not {row["document"] for row in train} & {row["document"] for row in validation}
    assert Counter(row["kind"] for row in validation) == {"line": 8, "paragraph": 4, "page": 2}
    assert Counter((row["kind"], row["copy"]) for row in train) == {
        (kind, copy): count for kind, count in (("line", 12), ("paragraph", 6), ("page", 3)) for copy in range(3)
    }
    assert {row["copy"] for row in validation} == {0}
    dataset = load_from_disk(str(tmp_path / "letters/hf_dataset_chandra"))
    assert {side: len(each) for side, each in dataset.items()} == {"train": 63, "validation": 14}
    for line, row in zip(train, dataset["train"], strict=True):
        assert (row["text"], row["document"], row["kind"]) == (line["ocr_text"], line["document"], line["kind"])
        if line["kind"] == "page" and not line["copy"]:
            assert np.array_equal(row["image"], made[int(line["document"])].picture)
    both = [command_line("init", "--data", f"letters/{name}", "--model", "asset:digits/qwen3_vl", "--study", name[:2])
            for name in ("hf_dataset_chandra", "metadata")]  # fmt: skip
    assert [each.returncode for each in both] == [0, 0], both[0].stderr + both[1].stderr
    ranges = json.loads((tmp_path / "search_spaces/hf.json").read_text())
    assert "63 training rows" in ranges["num_train_epochs"]["why"]


def test_finevision_rows_and_a_longest_edge(tmp_path: Path, command_line: CommandLine) -> None:
    from datasets import load_from_disk

    write_pages(tmp_path / "scans", 1, lines=4, size=(400, 300))
    words = ("--no-lines", "--include_full_pages", "--output_format=finevision", "--max_image_edge", "200")
    assert command_line(*CONVERT, *words, "--instruction", "Read it.").returncode == 0
    (row,) = load_from_disk(str(tmp_path / "letters/hf_dataset_chandra"))["train"]
    state = json.loads((tmp_path / "letters/hf_dataset_chandra/train/state.json").read_text())
    assert len(state["_fingerprint"]) == 16, "of the rows: what the library has cached of others is not taken for them"
    (picture,), (turn,) = row["images"], row["texts"]
    assert picture.size == (200, 150) and turn["user"] == "Read it."
    assert turn["assistant"].count("\n") == 4, "two regions of two lines, an empty line between"


def test_what_cannot_be_used_is_listed_and_the_rest_is_taken(tmp_path: Path, command_line: CommandLine) -> None:
    scans = tmp_path / "scans"
    write_pages(scans, 2, lines=2, size=(400, 300))
    page = made_page(9, lines=2, size=(400, 300))
    (scans / "broken.xml").write_text("<PcGts><Page>")
    (scans / "alone.xml").write_text(alto(page, "gone.tif"))
    (scans / "mets.xml").write_text("<mets/>")
    (scans / "cut off.xml").write_text(alto(page, "cut off.png"))
    page.picture.save(scans / "cut off.png")
    (scans / "cut off.png").write_bytes((scans / "cut off.png").read_bytes()[:2000])
    page.picture.save(scans / "empty.png")
    (scans / "empty.xml").write_text(alto(page, "empty.png").replace("CONTENT=", "WC="))
    done = command_line(*CONVERT)
    assert done.returncode == 0, done.stderr
    assert "files: 3 pages taken, 3 refused, 1 XML files of other kinds" in done.stdout
    for line in (
        "refused: 1 x it is no well-formed XML",
        "refused: 1 x there is no picture of it",
        "refused: 1 x its picture cannot be read",
        "left out: 2 x line: it has no text",
        "everything that was not used: letters/left_out.jsonl",
    ):
        assert line in done.stdout, done.stdout
    found = left_out(tmp_path)
    assert ("alone", "file", "", "there is no picture of it", "gone.tif") in found
    assert {each[0] for each in found} >= {"broken", "alone", "cut off", "empty"}


@pytest.mark.parametrize(
    ("prepare", "words", "message"),
    [
        (lambda home: None, (), "--input-dir must be a folder, but"),
        (lambda home: (home / "scans").mkdir(), (), "must hold PAGE-XML or ALTO-XML files"),
        (lambda home: write_pages(home / "scans", 1), ("--no-lines",), "no rows to make"),
        (lambda home: write_pages(home / "scans", 1), ("--output-dir", "scans"), "but both are the same"),
        (lambda home: write_pages(home / "scans", 1), ("--val-ratio", "1"), "--val-ratio"),
        (lambda home: (write_pages(home / "scans", 1), (home / "letters").mkdir(), (home / "letters/mine").touch()), (),
         "convert writes into a new or empty folder"),
        (lambda home: ((home / "scans").mkdir(), (home / "scans/a.xml").write_text("<mets/>")), (),
         "nothing could be used: none is PAGE-XML or ALTO-XML"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_said_and_nothing_is_written(
    prepare: Any, words: tuple[str, ...], message: str, tmp_path: Path, command_line: CommandLine
) -> None:
    prepare(tmp_path)
    refused = command_line(*CONVERT, *words)
    assert refused.returncode == 2
    assert message in refused.stderr
    assert not (tmp_path / "letters/hf_dataset_chandra").exists()


def test_one_odd_page_or_name_does_not_cost_the_others(tmp_path: Path, command_line: CommandLine) -> None:
    write_pages(tmp_path / "scans", 1, lines=2, size=(400, 300))
    page = made_page(9, lines=2, size=(400, 300))
    odd = os.fsdecode(b"M\xfcller")
    page.picture.save(tmp_path / "scans" / f"{odd}.png")
    (tmp_path / "scans" / f"{odd}.xml").write_text(alto(page, "").replace('ID="l0"', f'ID="{chr(0x1F600) * 80}"'))
    page.picture.save(tmp_path / "scans/two.tif", save_all=True, append_images=[page.picture])
    (tmp_path / "scans/two.xml").write_text(alto(page, "two.tif"))
    done = command_line(*CONVERT, "--include-paragraphs")
    assert done.returncode == 0, done.stderr
    assert "refused: 1 x its picture has several pages" in done.stdout
    assert {row["document"] for row in rows(tmp_path)} == {"0000", "M\ufffdller"}
    assert all((tmp_path / "letters/metadata" / row["image_path"]).is_file() for row in rows(tmp_path))


def test_paragraphs_that_show_more_than_they_say_are_told(tmp_path: Path, command_line: CommandLine) -> None:
    write_pages(tmp_path / "scans", 1, lines=4, size=(400, 300))
    file = tmp_path / "scans/0000.xml"
    file.write_text(re.sub("<Unicode>[^<]*</Unicode>", "<Unicode></Unicode>", file.read_text(), count=1))
    warning = "warning: 1 lines have no text: pictures of paragraphs and pages with them show more"
    assert warning in command_line(*CONVERT, "--include-paragraphs").stdout
    assert warning not in command_line(*CONVERT).stdout


def test_rows_for_validation_alone_are_refused(tmp_path: Path, command_line: CommandLine) -> None:
    write_pages(tmp_path / "scans", 2, lines=2, size=(400, 300))
    assert command_line(*CONVERT, "--val-ratio", "0.5").returncode == 0
    (trained,) = {row["document"] for row in rows(tmp_path)}
    (tmp_path / f"scans/{trained}.png").write_bytes(b"")
    refused = command_line(*CONVERT, "--val-ratio", "0.5")
    assert refused.returncode == 2 and "a dataset has rows to train on" in refused.stderr
    assert (tmp_path / "letters/conversion.json").is_file(), "the earlier result stays"


def test_what_a_failed_run_left_is_no_leave_to_delete(tmp_path: Path, command_line: CommandLine) -> None:
    write_pages(tmp_path / "scans", 1, lines=2, size=(400, 300))
    (tmp_path / "letters/.converting").mkdir(parents=True)
    (tmp_path / "letters/crops").mkdir()
    (tmp_path / "letters/crops/mine.txt").touch()
    refused = command_line(*CONVERT)
    assert refused.returncode == 2 and "letters holds .converting, crops" in refused.stderr
    assert (tmp_path / "letters/crops/mine.txt").exists()


def test_a_page_in_both_formats_is_taken_once(tmp_path: Path, command_line: CommandLine) -> None:
    pages = write_pages(tmp_path / "scans", 6, lines=2, size=(400, 300))
    (tmp_path / "scans/alto").mkdir()
    for number, page in enumerate(pages):
        (tmp_path / f"scans/alto/{number:04}.xml").write_text(alto(page, f"{number:04}.png"))
    (tmp_path / "scans/mets.xml").write_text("<mets/>")
    done = command_line(*CONVERT, "--val-ratio", "0.3")
    assert "refused: 6 x its picture is transcribed in another file" in done.stdout, done.stdout + done.stderr
    sides = [{row["document"][-4:] for row in rows(tmp_path, side)} for side in ("train", "validation")]
    assert len(sides[0] | sides[1]) == 6 and not sides[0] & sides[1]
    assert len(sides[1]) == 2, "of the pages, not of the files"


def test_names_of_pieces_need_be_neither_files_nor_different(tmp_path: Path, command_line: CommandLine) -> None:
    write_pages(tmp_path / "scans", 1, lines=2, size=(400, 300))
    file = tmp_path / "scans/0000.xml"
    file.write_text(file.read_text().replace('id="l0"', 'id="../../x"').replace('id="l1"', 'id="../../x"'))
    assert command_line(*CONVERT).returncode == 0
    assert [row["id"] for row in rows(tmp_path)] == ["../../x", "../../x"]
    names = [row["image_path"] for row in rows(tmp_path)]
    assert names == [f"../crops/train/0000/line-.._.._x{end}.png" for end in ("", "-2")]
    assert all((tmp_path / "letters/metadata" / name).is_file() for name in names)


def test_an_earlier_result_stays_until_the_new_one_is_whole(
    tmp_path: Path, command_line: CommandLine, start: Callable[..., Runner]
) -> None:
    pages = write_pages(tmp_path / "scans", 2, lines=4, size=(400, 300))
    assert command_line(*CONVERT).returncode == 0
    before = {path: path.read_bytes() for path in (tmp_path / "letters").rglob("*") if path.is_file()}
    for number in range(2, 400):
        shutil.copy(tmp_path / "scans/0000.xml", tmp_path / f"scans/{number:04}.xml")
    converting = start(*CONVERT, "--aug-copies", "5")
    converting.wait_for("convert: cut pages")
    converting.send(signal.SIGINT)
    code, output = converting.end()
    assert (code, "stopped: nothing was replaced" in output) == (130, True), output
    there = [path for path in (tmp_path / "letters").rglob("*") if path.is_file() and ".converting" not in str(path)]
    assert {path: path.read_bytes() for path in there} == before
    for path in (tmp_path / "scans").glob("*.xml"):
        if int(path.stem) >= len(pages):
            path.unlink()
    again = command_line(*CONVERT)
    assert again.returncode == 0 and not (tmp_path / "letters/.converting").exists()
    assert len(rows(tmp_path)) == 8 and not alive(tmp_path)
