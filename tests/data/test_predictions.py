"""Files of predictions: of today, of before, of another program, and lines that are none."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from hpsearch.data.metrics import Edits
from hpsearch.data.predictions import MOST_COUNTED, MOST_LINE_CHARACTERS, Prediction, read_predictions
from hpsearch.errors import UsageError

TODAY = {
    "split": "holdout",
    "id": "7",
    "document": "letter 3",
    "reference": "ab cd",
    "prediction": "ab cx",
    "cer": 0.2,
    "characters": [1, 0, 0, 5],
    "words": [1, 0, 0, 2],
    "repeats": True,
}
BAD = {
    "{": "no JSON",
    "[" * 100_000: "no JSON",
    "[1]": "a JSON object",
    '{"reference": 1, "prediction": "x"}': '"reference"',
    '{"reference": "x"}': '"prediction"',
    '{"reference": "x", "prediction": "x", "words": [0, 0, 0]}': '"words"',
    '{"reference": "x", "prediction": "x", "characters": [0, 0, -1, 1]}': '"characters"',
    json.dumps({"reference": "x" * (MOST_COUNTED + 1), "prediction": "x"}): f"at most {MOST_COUNTED}",
    json.dumps({"reference": "x", "prediction": "x" * MOST_LINE_CHARACTERS}): f"at most {MOST_LINE_CHARACTERS}",
}


def written(folder: Path, *lines: dict[str, Any] | str) -> Path:
    path = folder / "predictions.jsonl"
    texts = [line if isinstance(line, str) else json.dumps(line) for line in lines]
    path.write_text("\n".join(texts) + "\n", encoding="utf-8")
    return path


def test_lines_of_today_of_before_and_of_a_program(tmp_path: Path) -> None:
    before = {key: TODAY[key] for key in ("split", "id", "reference", "prediction", "cer")}
    program = {"label": "abc", "output": "abcd"}
    unread = {"split": "holdout", "id": "8", "reference": "x", "prediction": None, "cer": None}
    path = written(tmp_path, TODAY, before, "", unread, program)
    characters, words = Edits(1, 0, 0, 5), Edits(1, 0, 0, 2)
    assert read_predictions(path, "nfc") == [
        Prediction("holdout", "7", "letter 3", "ab cd", "ab cx", characters, words, True, 0.2),
        Prediction("holdout", "7", "7", "ab cd", "ab cx", characters, words, False, 0.2),
        Prediction("validation", "4", "4", "abc", "abcd", Edits(0, 0, 1, 3), Edits(1, 0, 0, 1), False),
    ]


def test_the_normalisation_counts_where_a_line_has_no_edits(tmp_path: Path) -> None:
    path = written(tmp_path, {"reference": "a  b", "prediction": "a b"})
    assert [read_predictions(path, name)[0].characters.errors for name in ("nfc", "whitespace")] == [1, 0]


@pytest.mark.parametrize("line", BAD, ids=range(len(BAD)))
def test_a_bad_line_is_named_or_left_out(tmp_path: Path, line: str) -> None:
    path = written(tmp_path, TODAY, line, TODAY)
    with pytest.raises(UsageError, match="line 2: ") as refusal:
        read_predictions(path)
    assert BAD[line] in str(refusal.value)
    assert len(read_predictions(path, skip_bad=True)) == 2


def test_a_file_that_is_missing_or_too_long(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="cannot read"):
        read_predictions(tmp_path / "none.jsonl")
    assert read_predictions(tmp_path / "none.jsonl", skip_bad=True) == []
    path = written(tmp_path, TODAY, TODAY, TODAY)
    with pytest.raises(UsageError, match="at most 2 lines"):
        read_predictions(path, most=2)
    assert len(read_predictions(path, skip_bad=True, most=2)) == 2
