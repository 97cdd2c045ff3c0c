"""Data in the forms that users have them, of pictures of words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from tests.training.conftest import WORDS, picture

Words = Mapping[str, Sequence[str]]

SPLIT_WORDS = {"train": WORDS["train"], "validation": WORDS["validation"], "test": WORDS["holdout"]}


def simple(words: Sequence[str]) -> dict[str, list[Any]]:
    """Columns image and text, as Hugging Face datasets store pictures."""
    return {"image": [{"bytes": picture(word), "path": None} for word in words], "text": list(words)}


def finevision(words: Sequence[str], user: str = "") -> dict[str, list[Any]]:
    """Columns images and texts, with one picture and one turn."""
    return {
        "images": [[{"bytes": picture(word), "path": None}] for word in words],
        "texts": [[{"user": user, "assistant": word}] for word in words],
    }


def saved(folder: Path, words: Words = SPLIT_WORDS, columns: Any = simple) -> Path:
    """Write a dataset as ``DatasetDict.save_to_disk`` does."""
    from datasets import Dataset, DatasetDict, Features, Image, List, Value, disable_progress_bars

    disable_progress_bars()
    turn = {"user": Value("string"), "assistant": Value("string")}
    kinds = {"image": Image(), "text": Value("string"), "images": List(Image()), "texts": List(turn)}
    tables = {split: columns(texts) for split, texts in words.items()}
    DatasetDict(
        {
            split: Dataset.from_dict(table, features=Features({name: kinds[name] for name in table}))
            for split, table in tables.items()
        }
    ).save_to_disk(str(folder))
    return folder


def repository(
    folder: Path, words: Words = SPLIT_WORDS, columns: Any = simple, card: str = "", infos: str = ""
) -> Path:
    """A clone of a dataset's repository: data/train-00000-of-00001.parquet and so on, and a README.md."""
    (folder / "data").mkdir(parents=True, exist_ok=True)
    for split, texts in words.items():
        pq.write_table(pa.table(columns(texts)), folder / "data" / f"{split}-00000-of-00001.parquet")
    (folder / "README.md").write_text(card or "# Words\n")
    return folder


SUBSETS = """---
configs:
- config_name: few
  data_files:
  - split: train
    path: data/test-*
- config_name: many
  data_files:
  - split: train
    path: data/train-*
  - split: dev
    path: data/validation-*
---
# Words
"""
