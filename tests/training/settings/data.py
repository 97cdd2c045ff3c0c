"""Settings of the data and of its splits."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from hpsearch.data.progress import ProgressReporter
from hpsearch.data.sources import find_source
from hpsearch.errors import UsageError
from hpsearch.training.assign_rows import gather
from tests.training.conftest import picture
from tests.training.data_sets import SUBSETS, repository
from tests.training.settings.bench import QWEN, Bench, shows

DRAWN: dict[str, Any] = {"train_split": None, "val_split": None, "holdout_split": None}  # rows by themselves


def counts(bench: Bench, **changes: Any) -> dict[str, int]:
    """Count the rows of each split."""
    settings = bench.settings(**changes)
    data = gather(find_source(settings), settings, QWEN, bench.folder, ProgressReporter("test"))
    return {split: len(rows) for split, rows in data.rows.items()}


def named_otherwise(folder: Path, **columns: Sequence[Any]) -> Path:
    """A JSON file of twenty pictures beside it, with columns besides or instead of image and text."""
    for number in range(20):
        (folder / f"{number}.png").write_bytes(picture(f"w{number}"))
    table: dict[str, Any] = {"image": [f"{n}.png" for n in range(20)], "text": [f"w{n}" for n in range(20)], **columns}
    rows = [dict(zip(table, values, strict=True)) for values in zip(*table.values(), strict=True)]
    path = folder / "rows.json"
    path.write_text(json.dumps(rows), encoding="utf-8")
    return path


@shows("input_data")
def _(bench: Bench) -> None:
    assert counts(
        bench,
    ) == {"train": 12, "validation": 5, "holdout": 3}


@shows("dataset_subset")
def _(bench: Bench, tmp_path: Path) -> None:
    source = repository(tmp_path / "data", card=SUBSETS)
    assert counts(bench, **DRAWN, input_data=str(source), dataset_subset="many")["train"] == 12


@shows("dataset_revision")
def _(bench: Bench) -> None:
    settings = bench.settings(input_data="hub:owner/name", dataset_revision="v2")
    assert find_source(settings).revision == "v2"
    with pytest.raises(UsageError, match="dataset_revision goes with a dataset on the Hub"):
        counts(bench, dataset_revision="v2")


@shows("image_column")
def _(bench: Bench, tmp_path: Path) -> None:
    path = named_otherwise(tmp_path, image=[5] * 20, scan=[f"{number}.png" for number in range(20)])
    assert sum(counts(bench, **DRAWN, input_data=str(path), image_column="scan").values()) == 20


@shows("text_column")
def _(bench: Bench, tmp_path: Path) -> None:
    path = named_otherwise(tmp_path, text=[5] * 20, words=["a"] * 20)
    assert sum(counts(bench, **DRAWN, input_data=str(path), text_column="words").values()) == 20


@shows("document_column")
def _(bench: Bench, tmp_path: Path) -> None:
    path = named_otherwise(tmp_path, book=[number // 5 for number in range(20)])
    rows = counts(bench, **DRAWN, input_data=str(path), document_column="book", val_ratio=0.5, holdout_fraction=0.5)
    assert rows == {"train": 10, "validation": 5, "holdout": 5}


@shows("image_root")
def _(bench: Bench, tmp_path: Path) -> None:
    path = named_otherwise(tmp_path)
    (tmp_path / "elsewhere").mkdir()
    moved = path.rename(tmp_path / "elsewhere" / "rows.json")
    assert sum(counts(bench, **DRAWN, input_data=str(moved), image_root=str(tmp_path)).values()) == 20


@shows("train_split")
def _(bench: Bench) -> None:
    assert counts(bench, train_split="train[:25%]")["train"] == 3


@shows("val_split")
def _(bench: Bench) -> None:
    assert counts(bench, val_split="validation[1:]")["validation"] == 4


@shows("val_ratio")
def _(bench: Bench, tmp_path: Path) -> None:
    path = named_otherwise(tmp_path)
    for ratio, judged in ((0.2, 4), (0.5, 10)):
        rows = counts(bench, **DRAWN, input_data=str(path), val_ratio=ratio)
        assert rows["validation"] + rows["holdout"] == judged


@shows("holdout_split")
def _(bench: Bench) -> None:
    assert counts(bench, holdout_split="holdout[:1]")["holdout"] == 1


@shows("holdout_fraction")
def _(bench: Bench) -> None:
    for fraction, held in ((0.2, 1), (0.6, 3)):
        assert counts(bench, holdout_split=None, holdout_fraction=fraction)["holdout"] == held
