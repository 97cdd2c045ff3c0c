"""Data in the forms that users have them, through the prepare job."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from hpsearch.data.progress import ProgressReporter
from hpsearch.data.sources import SourceKind, find_source
from hpsearch.errors import UsageError
from hpsearch.settings import TrainSettings
from hpsearch.training.assign_rows import gather
from hpsearch.training.models.families import FAMILIES
from hpsearch.training.prepare import input_digest
from hpsearch.training.prepared import open_rows
from tests.training.conftest import WORDS, Door, picture
from tests.training.data_sets import SPLIT_WORDS, SUBSETS, finevision, repository, saved, simple
from tests.training.test_prepare import LISTS_TORCH

AS_USUAL = {"train_split": None, "val_split": None, "holdout_split": "test"}


def finevision_of_paths(folder: Path) -> Path:
    """JSON files of FineVision rows by split, and their pictures beside them."""
    folder.mkdir()
    for split, words in SPLIT_WORDS.items():
        for word in words:
            (folder / f"{word}.png").write_bytes(picture(word))
        rows = [{"images": [f"{word}.png"], "texts": [{"user": "", "assistant": word}]} for word in words]
        (folder / f"{split}.json").write_text(json.dumps(rows), encoding="utf-8")
    return folder


def finevision_files(folder: Path) -> Path:
    """Parquet files of FineVision rows, named by split."""
    folder.mkdir()
    for split, words in SPLIT_WORDS.items():
        pq.write_table(pa.table(finevision(words)), folder / f"{split}.parquet")
    return folder


def picture_folder(folder: Path) -> Path:
    """A folder of pictures for each split, listed in metadata.jsonl, as the library's ImageFolder has it."""
    for split, words in SPLIT_WORDS.items():
        (folder / split).mkdir(parents=True)
        for word in words:
            (folder / split / f"{word}.png").write_bytes(picture(word))
        lines = [json.dumps({"file_name": f"{word}.png", "text": word}) for word in words]
        (folder / split / "metadata.jsonl").write_text("\n".join(lines))
    return folder


def older_clone(folder: Path) -> Path:
    """A repository as the library wrote it before README.md described the columns."""
    repository(folder)
    (folder / "dataset_infos.json").write_text("{}")
    return folder


FORMS: dict[str, tuple[Callable[[Path], Path], SourceKind]] = {
    "FineVision rows of paths": (finevision_of_paths, SourceKind.FILES),
    "FineVision rows in parquet": (finevision_files, SourceKind.FILES),
    "a saved dataset": (saved, SourceKind.SAVED),
    "FineVision rows, saved": (lambda folder: saved(folder, columns=finevision), SourceKind.SAVED),
    "a clone": (repository, SourceKind.CLONE),
    "FineVision rows in a clone": (lambda folder: repository(folder, columns=finevision), SourceKind.CLONE),
    "an older clone": (older_clone, SourceKind.CLONE),
    "a folder of pictures": (picture_folder, SourceKind.CLONE),
}


class Gathering:
    """Reads, chooses and deals out rows, as the prepare job does."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.warnings: tuple[str, ...] = ()

    def texts(self, source: Path, **changes: Any) -> dict[str, list[str]]:
        """Each side's texts."""
        settings = TrainSettings(input_data=str(source), **changes)
        data = gather(find_source(settings), settings, FAMILIES["qwen3_vl"], self.folder, ProgressReporter("test"))
        self.warnings = data.warnings
        return {side: [row.sample.text for row in rows] for side, rows in data.rows.items()}

    def left_out(self) -> list[tuple[str, str, str]]:
        """Row, side and reason of each row that was left out."""
        path = self.folder / "left_out.jsonl"
        lines = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()] if path.exists() else []
        return [(line["row"], line["split"], line["reason"]) for line in lines]


@pytest.fixture
def gathering(tmp_path: Path) -> Gathering:
    folder = tmp_path / "prepare"
    folder.mkdir()
    return Gathering(folder)


@pytest.mark.parametrize("form", FORMS)
def test_each_form_is_read_with_its_splits(gathering: Gathering, tmp_path: Path, form: str) -> None:
    make, kind = FORMS[form]
    source = make(tmp_path / "data")
    assert find_source(TrainSettings(input_data=str(source))).kind is kind
    assert gathering.texts(source, holdout_split="test") == WORDS
    assert gathering.warnings == ()


def again_without_torch(door: Door, settings: dict[str, Any]) -> bool:
    """Run the same prepare job in a process of its own; True if it needs no torch."""
    path = door.folder / "prepare" / "job.json"
    path.write_text(door.job("prepare", settings).to_json())
    environment = {**os.environ, "HPSEARCH_JOB": str(path), "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run(
        [sys.executable, "-c", LISTS_TORCH], env=environment, capture_output=True, text=True, check=True, timeout=120
    )
    return done.stdout.split()[-2:] == ["0", "False"]


@pytest.mark.parametrize("form", ["FineVision rows, saved", "a clone"])
def test_the_prepare_job_reads_it_and_trials_need_nothing_else(door: Door, tmp_path: Path, form: str) -> None:
    source = FORMS[form][0](tmp_path / "data")
    settings = door.settings(input_data=str(source), **AS_USUAL)
    assert door.prepare(settings) == 0, door.lines
    assert again_without_torch(door, settings)
    shutil.rmtree(source)
    folder = tmp_path / "prepare"
    assert {split: [row.text for row in open_rows(folder, split)] for split in WORDS} == WORDS
    assert {row.image for row in open_rows(folder, "holdout")} == {picture(word) for word in WORDS["holdout"]}
    assert not (folder / "scratch").exists()
    assert door.run(door.job("trial", settings, "files")) == 0, door.lines


def test_a_dataset_saved_without_splits_is_train(gathering: Gathering, tmp_path: Path) -> None:
    source = saved(tmp_path / "data", {"train": [f"w{number}" for number in range(40)]}) / "train"
    sides = gathering.texts(source, val_ratio=0.2, holdout_fraction=0.5)
    assert {side: len(texts) for side, texts in sides.items()} == {"train": 32, "validation": 4, "holdout": 4}


def test_what_data_and_settings_have_and_nothing_uses_is_told(gathering: Gathering, tmp_path: Path) -> None:
    source = saved(tmp_path / "data")
    gathering.texts(source, val_ratio=0.5)
    assert gathering.warnings == (
        'the split test of the data is not used; with "holdout_split": "test" the best trial is evaluated on it',
        "val_ratio 0.5 does nothing: trials are evaluated on the data's validation split",
    )


def test_a_drawn_validation_never_parts_a_document(gathering: Gathering, tmp_path: Path) -> None:
    def books(words: list[str]) -> dict[str, list[Any]]:
        return simple(words) | {"document": [word.partition(".")[0] for word in words]}

    words = [f"book {book}.{page}" for book in range(10) for page in range(book + 1)]
    source = repository(tmp_path / "data", {"train": words}, columns=books)
    sides = gathering.texts(source, val_ratio=0.5)
    shown = {side: {word.partition(".")[0] for word in texts} for side, texts in sides.items()}
    assert sum(map(len, sides.values())) == len(words)
    assert sum(map(len, shown.values())) == 10
    assert gathering.left_out() == []


def test_a_few_large_documents_are_enough_for_three_sides(gathering: Gathering, tmp_path: Path) -> None:
    rows = [{"image": f"{n}.png", "text": f"w{n}", "document": f"book {n % 10}"} for n in range(60)]
    for row in rows:
        (tmp_path / row["image"]).write_bytes(picture(row["text"]))
    path = tmp_path / "rows.json"
    path.write_text(json.dumps(rows))
    assert {side: len(texts) for side, texts in gathering.texts(path).items()} == {
        "train": 48, "validation": 6, "holdout": 6,
    }  # fmt: skip


def test_columns_may_have_any_name(gathering: Gathering, tmp_path: Path) -> None:
    def own(words: list[str]) -> dict[str, list[Any]]:
        table = simple(words)
        return {"scan": table["image"], "words": table["text"], "page": ["a"] * len(words), "image": [1] * len(words)}

    source = repository(tmp_path / "data", columns=own)
    names = {"image_column": "scan", "text_column": "words"}
    assert gathering.texts(source, holdout_split="test", **names) == WORDS
    with pytest.raises(UsageError, match="but train has none"):
        gathering.texts(source, holdout_split="test", document_column="page", **names)


@pytest.mark.parametrize(
    ("names", "rule"),
    [
        (
            {"image_column": "scan"},
            "image_column must name a column of the data, but is 'scan', and the split train of",
        ),
        ({"text_column": "words"}, "has image, text, ocr_text; set text_column to one of these"),
        (
            {},
            "text_column must be given where several columns could be meant, .* has ocr_text and text; set text_column",
        ),
    ],
)
def test_columns_that_are_not_there_or_in_doubt_are_refused(
    gathering: Gathering, tmp_path: Path, names: dict[str, str], rule: str
) -> None:
    source = repository(tmp_path / "data", columns=lambda words: simple(words) | {"ocr_text": list(words)})
    with pytest.raises(UsageError, match=rule):
        gathering.texts(source, **names)
    assert gathering.texts(source, text_column="text", holdout_split="test") == WORDS


def test_rows_of_finevision_with_other_than_one_picture_are_left_out(gathering: Gathering, tmp_path: Path) -> None:
    def table(words: list[str]) -> dict[str, list[Any]]:
        made = finevision(words, user="<image> What is it?")
        if len(words) > 20:
            made["images"][3] = [*made["images"][3], *made["images"][4]]
            made["images"][5] = []
            made["texts"][7] = made["texts"][7] * 2
        return made

    source = saved(tmp_path / "data", {"train": [f"w{n}" for n in range(40)], "val": ["yak", "eel", "rat"]}, table)
    sides = gathering.texts(source)
    assert set(sides["train"]) == {f"w{n}" for n in range(40)} - {"w3", "w5", "w7"}
    assert gathering.left_out() == [
        ("train#3", "train", "it has 2 pictures, and only rows with exactly one are used"),
        ("train#5", "train", "it has 0 pictures, and only rows with exactly one are used"),
        ("train#7", "train", "it has 2 turns, and only rows with exactly one are used"),
    ]
    assert gathering.warnings[-2:] == (
        f"all 3 rows left out are listed in {gathering.folder}/left_out.jsonl",
        "the questions in 40 rows are not used (as in train#0: 'What is it?'): every picture is asked the "
        "instruction; to use one of them, set instruction",
    )
    gathering.texts(source, instruction="What is it?")
    assert "questions" not in gathering.warnings[-1]


def test_every_row_left_out_is_listed_with_its_reason(gathering: Gathering, tmp_path: Path) -> None:
    rows = [{"image": f"w{number}.png", "text": f"w{number}", "document": f"d{number}"} for number in range(100)]
    for number, row in enumerate(rows):
        (tmp_path / row["image"]).write_bytes(picture(row["text"]) if number not in (1, 2, 3) else b"broken")
    for number in range(11, 15):
        (tmp_path / f"w{number}.png").unlink()
    rows[20]["text"] = " "
    rows[21]["text"] = "\ud83d"
    rows[30]["document"] = "d95"
    (tmp_path / "w40.png").write_bytes(picture("w99"))
    (tmp_path / "w50.png").write_bytes(picture("w50", (2500, 10)))
    path = tmp_path / "rows.json"
    path.write_text(json.dumps(rows))
    sides = gathering.texts(path, train_split="train[:80]", val_split="train[80:90]", holdout_split="train[90:]")
    assert len(sides["train"]) == 80 - 12
    found = {row: (side, reason) for row, side, reason in gathering.left_out()}
    assert len(found) == len(gathering.left_out()) == 12
    assert found["rows.json#2"] == ("train", f"not a picture that can be read: {tmp_path}/w2.png")
    assert found["rows.json#14"] == ("train", f"No such file or directory: {tmp_path}/w14.png")
    assert found["rows.json#20"] == ("train", "its text is empty")
    assert found["rows.json#21"] == ("train", "its text has half a surrogate pair, which is no character")
    assert found["rows.json#30"] == ("train", "their document is also in validation or the holdout set")
    oblong = "its 2500x10 pixels are more oblong than 1:200, which the model refuses"
    assert found["rows.json#50"] == ("train", oblong)
    assert found["rows.json#40"] == ("train", "their picture is also in validation or the holdout set")
    assert f"all 12 rows left out are listed in {gathering.folder}/left_out.jsonl" in gathering.warnings
    gathering.texts(path, train_split="train[51:80]", val_split="train[80:90]", holdout_split="train[90:]")
    assert gathering.left_out() == []


def test_all_are_listed_where_they_are_too_many(gathering: Gathering, tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_text("\n".join(json.dumps({"image": f"{n}.png", "text": "x"}) for n in range(30)))
    with pytest.raises(UsageError, match=r"at most 10% .* 30 of 30 are") as refusal:
        gathering.texts(path)
    assert f"all are listed in {gathering.folder}/left_out.jsonl" in refusal.value.remedy
    assert len(gathering.left_out()) == 30


def test_paths_lead_from_image_root(gathering: Gathering, tmp_path: Path) -> None:
    scans = tmp_path / "scans"
    scans.mkdir()
    for split, words in SPLIT_WORDS.items():
        for word in words:
            (scans / f"{word}.png").write_bytes(picture(word))
        rows = [{"image_path": f"{word}.png", "ocr_text": word} for word in words]
        (tmp_path / f"{split}.json").write_text(json.dumps(rows))
    assert gathering.texts(tmp_path, holdout_split="test", image_root=str(scans)) == WORDS
    source = repository(
        tmp_path / "clone", columns=lambda words: {"image": [f"{word}.png" for word in words], "text": words}
    )
    assert gathering.texts(source, holdout_split="test", image_root=str(scans)) == WORDS
    gathering.texts(saved(tmp_path / "saved"), image_root=str(scans))
    assert "image_root does nothing: no row names its picture by a path" in gathering.warnings


def test_a_document_in_two_splits_leaves_train(gathering: Gathering, tmp_path: Path) -> None:
    def book(words: list[str]) -> dict[str, list[Any]]:
        return finevision(words) | {"book": ["last" if word in ("cow", "pig", "asp") else word for word in words]}

    source = repository(tmp_path / "data", columns=book)
    sides = gathering.texts(source, holdout_split="test", document_column="book")
    assert sides["train"] == [word for word in WORDS["train"] if word not in ("cow", "pig")]
    assert [row for row, _, _ in gathering.left_out()] == ["train#9", "train#10"]


def test_a_subset_is_chosen_by_name(gathering: Gathering, tmp_path: Path) -> None:
    source = repository(tmp_path / "data", card=SUBSETS)
    sides = gathering.texts(source, dataset_subset="many", holdout_fraction=0.5)
    assert sorted([*sides["validation"], *sides["holdout"]]) == sorted(WORDS["validation"])
    for subset, said in ((None, "not given"), ("other", "'other'")):
        with pytest.raises(UsageError, match=f"must name one of the subsets of .*, which are few, many, but is {said}"):
            gathering.texts(source, dataset_subset=subset)
    with pytest.raises(UsageError, match="dataset_subset goes with a dataset repository's folder or a dataset on the"):
        gathering.texts(saved(tmp_path / "saved"), dataset_subset="many")


@pytest.mark.parametrize("form", ["a saved dataset", "a clone", "a folder of pictures"])
def test_the_input_digest_changes_with_the_files_and_only_then(tmp_path: Path, form: str) -> None:
    source = FORMS[form][0](tmp_path / "data")
    settings = TrainSettings(input_data=str(source))

    def digest() -> str:
        return input_digest([settings], find_source(settings))

    first = digest()
    (source / "studies").mkdir()
    (source / "studies" / "hpsearch.db").write_text("written by a run in this folder")
    assert digest() == first
    data = next(path for path in sorted(source.rglob("*")) if path.suffix in (".arrow", ".parquet", ".png"))
    data.write_bytes(data.read_bytes() + b"x")
    assert digest() != first


def test_a_changed_clone_is_read_again(gathering: Gathering, tmp_path: Path) -> None:
    source = repository(tmp_path / "data", card=SUBSETS)
    gathering.texts(source, dataset_subset="many")
    repository(source, {"train": ["new", *WORDS["train"]]}, card=SUBSETS)
    assert "new" in gathering.texts(source, dataset_subset="many")["train"]


@pytest.mark.parametrize("content", [b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n", b"broken"])
def test_a_clone_that_cannot_be_read_is_refused(gathering: Gathering, tmp_path: Path, content: bytes) -> None:
    source = repository(tmp_path / "data")
    (source / "data" / "train-00000-of-00001.parquet").write_bytes(content)
    with pytest.raises(UsageError, match="git lfs pull" if b"lfs" in content else "cannot be read: .*Parquet") as said:
        gathering.texts(source)
    assert said.value.remedy


def test_a_broken_saved_dataset_and_folders_without_data_are_refused(gathering: Gathering, tmp_path: Path) -> None:
    source = saved(tmp_path / "data")
    shutil.rmtree(source / "validation")
    with pytest.raises(UsageError, match="cannot be read"):
        gathering.texts(source)
    (tmp_path / "nothing" / "here").mkdir(parents=True)
    with pytest.raises(UsageError, match="doesn't contain any data files"):
        gathering.texts(tmp_path / "nothing")


def test_pictures_of_datasets_are_read_one_at_a_time(tmp_path: Path) -> None:
    source = saved(tmp_path / "data")
    settings = TrainSettings(input_data=str(source))
    rows = find_source(settings).read(tmp_path, ProgressReporter("test")).splits["train"]
    assert not any(isinstance(row.image, bytes) for row in rows)
    assert [row.read() for row in rows] == [picture(word) for word in WORDS["train"]]
