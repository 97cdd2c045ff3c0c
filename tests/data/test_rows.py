"""Rows from JSON, JSON lines, parquet and folders of them, and the values in them: pictures, and answers."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from hpsearch.data.rows import (
    ConversationAnswer,
    Layout,
    Sample,
    Unusable,
    answer_of,
    data_files,
    picture_of,
    read_splits,
)
from hpsearch.errors import UsageError


def write_json(path: Path, rows: Any) -> Path:
    path.write_text(json.dumps(rows), encoding="utf-8")
    return path


def write_parquet(path: Path, **columns: Sequence[Any]) -> Path:
    pq.write_table(pa.table(columns), path)
    return path


def test_a_json_file_names_pictures_relative_to_itself(tmp_path: Path) -> None:
    (tmp_path / "pages").mkdir()
    (tmp_path / "pages" / "a.png").write_bytes(b"picture")
    path = write_json(tmp_path / "rows.json", [{"image_path": "pages/a.png", "ocr_text": "hello", "other": 1}])
    (sample,) = read_splits(path)["train"]
    assert sample == Sample("rows.json#0", tmp_path / "pages" / "a.png", "hello")
    assert sample.read() == b"picture"


@pytest.mark.parametrize(("name", "content"), [("a.json", "[{}]"), ("a.jsonl", "{}")])
def test_a_byte_order_mark_is_passed_over(tmp_path: Path, name: str, content: str) -> None:
    row = '{"image_path": "a.png", "ocr_text": "অ"}'
    (tmp_path / name).write_text(content.replace("{}", row), encoding="utf-8-sig")
    (sample,) = read_splits(tmp_path / name)["train"]
    assert sample.text == "অ"


def test_json_lines_may_have_empty_lines(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_text('{"image": "a", "text": "1"}\n\n{"image": "b", "text": "2", "document": 7}\n', encoding="utf-8")
    first, second = read_splits(path)["train"]
    assert (first.text, first.document) == ("1", None)
    assert (second.id, second.text, second.document) == ("rows.jsonl#1", "2", "7")


def test_a_parquet_file_holds_pictures_as_bytes_or_as_hugging_face_stores_them(tmp_path: Path) -> None:
    plain = write_parquet(tmp_path / "plain.parquet", image=[b"x"], text=["1"], sources=[[3, 4]])
    nested = write_parquet(tmp_path / "nested.parquet", image=[{"bytes": b"y", "path": None}], text=["2"])
    assert read_splits(plain)["train"] == [Sample("plain.parquet#0", b"x", "1", sources=("3", "4"))]
    assert read_splits(nested)["train"][0].image == b"y"
    other = write_parquet(tmp_path / "other.parquet", image=[b"x", b"y"], text=["1", "2"], sources=["web", "web"])
    assert [sample.sources for sample in read_splits(other)["train"]] == [(), ()]


def test_a_folder_is_read_by_split(tmp_path: Path) -> None:
    for name in ("train-00001-of-00002", "train-00000-of-00002", "val"):
        write_parquet(tmp_path / f"{name}.parquet", image=[b"x"], text=[name])
    write_json(tmp_path / "test.json", [{"image": "a.png", "text": "t"}])
    (tmp_path / "README.md").write_text("not data")
    splits = read_splits(tmp_path)
    assert {name: [sample.text for sample in rows] for name, rows in splits.items()} == {
        "train": ["train-00000-of-00002", "train-00001-of-00002"],
        "validation": ["val"],
        "test": ["t"],
    }
    assert len(data_files(tmp_path)) == 4


def test_a_row_without_text_is_kept_for_whoever_opens_it(tmp_path: Path) -> None:
    path = write_json(tmp_path / "rows.json", [{"image": "a.png", "text": None}])
    assert read_splits(path)["train"][0].text == ""


def test_each_row_says_its_own_columns_unless_they_are_named(tmp_path: Path) -> None:
    rows = [{"image": "a.png", "text": "1"}, {"image_path": "b.png", "ocr_text": "2"}, {"images": [], "texts": []}]
    samples = read_splits(write_json(tmp_path / "rows.json", rows))["train"]
    assert [sample.image for sample in samples[:2]] == [tmp_path / "a.png", tmp_path / "b.png"]
    assert samples[2].fault == "it has 0 turns, and only rows with exactly one are used"
    with pytest.raises(
        UsageError, match=r"image_column must name a column of the data, but is .image., and rows.json#1"
    ):
        read_splits(tmp_path / "rows.json", Layout(image_column="image"))
    both = write_json(tmp_path / "both.json", [{"image": "a.png", "image_path": "b.png", "text": "1"}])
    with pytest.raises(UsageError, match=r"image_column must be given .* both.json#0 has image_path and image; set"):
        read_splits(both)
    (sample,) = read_splits(both, Layout(image_column="image", image_root=tmp_path / "scans"))["train"]
    assert sample.image == tmp_path / "scans" / "a.png"


@pytest.mark.parametrize(
    ("name", "content", "rule"),
    [
        ("rows.json", "{", "must be JSON"),
        ("rows.json", '{"a": 1}', "must hold a list of rows"),
        ("rows.json", "[1]", "a row must be an object, but rows.json#0"),
        (
            "rows.json",
            '[{"image": "a.png"}]',
            "must have ocr_text, text, texts or ocr_results, but rows.json#0 has only image",
        ),
        ("rows.json", '[{"text": "a"}]', "must have image_path, image, images or img_path"),
        ("rows.json", '[{"image": 5, "text": "a"}]', "picture must be a path"),
        ("rows.json", '[{"image": "a.png", "text": 5}]', "text must be a string"),
        ("rows.jsonl", '{"image": "a.png", "text": "a"}\n{', "line 2 is not"),
        ("rows.parquet", "no parquet", "must be a parquet file"),
        ("rows.csv", "image,text", "must end in one of .json, .jsonl, .parquet"),
    ],
)
def test_what_cannot_be_read_is_refused_by_name(tmp_path: Path, name: str, content: str, rule: str) -> None:
    path = tmp_path / name
    path.write_text(content, encoding="utf-8")
    with pytest.raises(UsageError, match=rule) as refusal:
        read_splits(path)
    assert refusal.value.remedy


@pytest.mark.parametrize(("name", "rule"), [("rows.json", "must be JSON in UTF-8"), ("rows.jsonl", "line 1 is not")])
def test_another_encoding_is_refused_by_name(tmp_path: Path, name: str, rule: str) -> None:
    (tmp_path / name).write_text('[{"image": "a.png", "text": "é"}]', encoding="latin-1")
    with pytest.raises(UsageError, match=rule):
        read_splits(tmp_path / name)


def test_a_missing_file_and_a_folder_without_data_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="does not exist"):
        read_splits(tmp_path / "rows.json")
    with pytest.raises(UsageError, match="must hold files named by split"):
        read_splits(tmp_path)


def test_an_empty_cell_names_no_document(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    cells = ("null", '""', '" "', "NaN", "0")
    path.write_text("".join(f'{{"image": "a", "text": "1", "document": {cell}}}\n' for cell in cells))
    assert [sample.document for sample in read_splits(path)["train"]] == [None, None, None, None, "0"]


FOLDER = Path("/pages")


@pytest.mark.parametrize(
    ("value", "picture"),
    [
        (b"x", b"x"),
        ("a.png", FOLDER / "a.png"),
        ("/other/a.png", Path("/other/a.png")),
        ({"bytes": b"x", "path": "a.png"}, b"x"),
        ({"bytes": None, "path": "a.png"}, FOLDER / "a.png"),
        ([{"bytes": b"x", "path": None}], b"x"),
        (["a.png"], FOLDER / "a.png"),
    ],
)
def test_a_picture_in_each_way_it_is_stored(value: Any, picture: bytes | Path) -> None:
    assert picture_of(value, FOLDER, "row 1") == picture


@pytest.mark.parametrize(
    ("value", "why"),
    [
        (None, "it has no picture"),
        ("", "it has no picture"),
        (b"", "it has no picture"),
        ({"bytes": None, "path": None}, "it has no picture"),
        ([None], "it has no picture"),
        ([], "it has 0 pictures"),
        ([b"x", b"y"], "it has 2 pictures"),
    ],
)
def test_a_row_without_its_one_picture_is_unusable(value: Any, why: str) -> None:
    with pytest.raises(Unusable, match=why):
        picture_of(value, FOLDER, "row 1")


@pytest.mark.parametrize(
    ("value", "answer"),
    [
        ("hello", ConversationAnswer("hello")),
        (None, ConversationAnswer("")),
        ([{"user": "", "assistant": "hello"}], ConversationAnswer("hello")),
        ([{"user": " Read! ", "assistant": "hello"}], ConversationAnswer("hello", "Read!")),
        ([{"user": "<image>\n", "assistant": "hello"}], ConversationAnswer("hello")),
        ([{"user": None, "assistant": None}], ConversationAnswer("")),
        ({"user": "Read!", "assistant": "hello"}, ConversationAnswer("hello", "Read!")),
        ({"user": ["Read!"], "assistant": ["hello"]}, ConversationAnswer("hello", "Read!")),
    ],
)
def test_an_answer_in_each_way_it_is_written(value: Any, answer: ConversationAnswer) -> None:
    assert answer_of(value, "row 1") == answer


@pytest.mark.parametrize(
    ("value", "turns"),
    [([], 0), ([{"assistant": "a"}, {"assistant": "b"}], 2), ({"user": ["a", "b"], "assistant": ["c", "d"]}, 2)],
)
def test_a_talk_with_other_than_one_turn_is_unusable(value: Any, turns: int) -> None:
    with pytest.raises(Unusable, match=f"it has {turns} turns"):
        answer_of(value, "row 1")


@pytest.mark.parametrize("value", [5, [5], [{"user": "a"}], {"assistant": 5}, b"text", ["hello"]])
def test_another_kind_of_value_is_refused_for_all_rows(value: Any) -> None:
    with pytest.raises(UsageError, match="but row 1 has") as text:
        answer_of(value, "row 1")
    assert "text_column" in text.value.remedy


def test_another_kind_of_picture_is_refused_for_all_rows() -> None:
    with pytest.raises(UsageError, match="but row 1 has 5") as refusal:
        picture_of(5, FOLDER, "row 1")
    assert "image_column" in refusal.value.remedy
