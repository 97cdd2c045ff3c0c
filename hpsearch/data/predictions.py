"""Predictions row by row, as a trial leaves them in predictions.jsonl: read from files of hpsearch, of today and of
before, and of other programs, whose lines may have fewer keys."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hpsearch.data.metrics import Edits, character_edits, word_edits
from hpsearch.data.metrics.registry import METRICS, is_looping
from hpsearch.data.uncertainty import DocumentScores
from hpsearch.errors import UsageError

MOST_LINES = 100_000  # of a file; the evaluations at a trial's end are on far fewer rows
MOST_LINE_CHARACTERS = 1_000_000
MOST_COUNTED = 50_000  # characters of a text whose edits are not in the file: counting them takes their square
SPLIT = "validation"  # of a line that names none
REFERENCE_KEYS = ("reference", "label", "ocr_text", "text")
PREDICTION_KEYS = ("prediction", "predicted", "output")
NAME_KEYS = ("id", "image_path", "image", "row")
_MOST_EDITS = 10**9  # of a row; a file of others may name any number


@dataclass(frozen=True)
class Prediction:
    """What a model read of one row, beside what is there. ``document`` is the row's own id where the file names none.
    ``repeats``: generation was stopped because it repeated itself, or the text looks so where the file does not say.
    ``cer`` is the file's own score of the row, if it has a finite one; ``image_path`` is its picture's, "" if the file
    names none."""

    split: str
    id: str
    document: str
    reference: str
    prediction: str
    characters: Edits
    words: Edits
    repeats: bool
    cer: float | None = None
    image_path: str = ""

    @property
    def rate(self) -> float:
        """The file's own score of the row, or else its character error rate."""
        return self.characters.rate if self.cer is None else self.cer


def read_predictions(
    path: Path, normalization: str = "nfc", *, skip_bad: bool = False, most: int = MOST_LINES
) -> list[Prediction]:
    """Read a file of predictions, a JSON object a line: at most ``most`` lines. Edits are the file's; where it has
    none, they are counted between the texts, both changed by ``normalization``. Lines whose prediction is null, as
    nothing was generated, are left out.

    ``skip_bad`` leaves out the lines that hold no prediction, and a file that cannot be read or is longer; for reports
    of what others wrote.

    Raises:
        UsageError: the file cannot be read, is too long, or a line of it is refused: number and rule are named.
    """
    predictions = []
    try:
        with path.open(encoding="utf-8", errors="replace") as lines:
            for number, line in enumerate(_bounded(lines), 1):
                if number > most:
                    if skip_bad:
                        break
                    raise UsageError(f"predictions have at most {most} lines, but {path} has more", "split the file")
                try:
                    prediction = _prediction(line, number, normalization)
                except _Refused as error:
                    if skip_bad:
                        continue
                    raise UsageError(f"{path}, line {number}: {error}", "correct the line, or delete it") from None
                if prediction is not None:
                    predictions.append(prediction)
    except OSError as error:
        if skip_bad:
            return []
        raise UsageError(f"cannot read {path}: {error.strerror}", "name a file of predictions") from error
    return predictions


# Metrics that are a sum over rows divided by another one: both, for a row.
ROW_METRICS: Mapping[str, Callable[[Prediction], tuple[float, float]]] = {
    "cer": lambda row: (row.characters.errors, row.characters.length),
    "wer": lambda row: (row.words.errors, row.words.length),
    "accuracy": lambda row: (row.characters.length - row.characters.errors, row.characters.length),
    "insertions": lambda row: (row.characters.insertions, row.characters.length),
    "exact": lambda row: (METRICS["exact"].value([row]), 1),
    "empty": lambda row: (METRICS["empty"].value([row]), 1),
    "repeats": lambda row: (METRICS["repeats"].value([row]), 1),
    "too_long": lambda row: (METRICS["too_long"].value([row]), 1),
}


def document_scores(rows: Iterable[Prediction], metric: str) -> DocumentScores | None:
    """Return one run's scores by document, in order of name; None if there are no rows, if the metric (without its
    prefix) is not made of single rows, or if a row names more edits than texts have."""
    if metric not in ROW_METRICS:
        return None
    sums: dict[str, tuple[float, float]] = {}
    for row in rows:
        above, below = ROW_METRICS[metric](row)
        if max(above, below) > _MOST_EDITS:
            return None
        before = sums.get(row.document, (0.0, 0.0))
        sums[row.document] = (before[0] + above, before[1] + below)
    if not sums:
        return None
    import numpy as np

    documents = tuple(sorted(sums))
    above_below = np.array([sums[name] for name in documents], dtype=float).T
    return DocumentScores(documents, above_below[:1], above_below[1:])


class _Refused(ValueError):
    """The rule that a line breaks."""


def _bounded(lines: Any) -> Iterator[str]:
    """Read lines, of a longer one only so much that it is known to be too long."""
    while line := lines.readline(MOST_LINE_CHARACTERS + 1):
        yield line
        while line and len(line) > MOST_LINE_CHARACTERS and not line.endswith("\n"):
            line = lines.readline(MOST_LINE_CHARACTERS + 1)


def _prediction(line: str, number: int, normalization: str) -> Prediction | None:
    if not line.strip():
        return None
    if len(line) > MOST_LINE_CHARACTERS:
        raise _Refused(f"a line has at most {MOST_LINE_CHARACTERS} characters, but this one has more")
    try:
        values = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise _Refused("a line is a JSON object, but this one is no JSON") from error
    if not isinstance(values, dict):
        raise _Refused("a line is a JSON object, but this one is none")
    if any(key in values and values[key] is None for key in PREDICTION_KEYS):
        return None
    reference, prediction = _text(values, REFERENCE_KEYS), _text(values, PREDICTION_KEYS)
    names = [str(values[key]) for key in NAME_KEYS if isinstance(values.get(key), (str, int))]
    name = names[0] if names else str(number - 1)
    document, split, cer, repeats = (values.get(key) for key in ("document", "split", "cer", "repeats"))
    finite = isinstance(cer, (int, float)) and not isinstance(cer, bool) and math.isfinite(cer)
    return Prediction(
        split if isinstance(split, str) else SPLIT,
        name,
        document if isinstance(document, str) else name,
        reference,
        prediction,
        _edits(values, "characters", reference, prediction, normalization),
        _edits(values, "words", reference, prediction, normalization),
        repeats if isinstance(repeats, bool) else is_looping(prediction),
        float(cer) if finite and cer is not None else None,
        values["image_path"] if isinstance(values.get("image_path"), str) else "",
    )


def _text(values: Mapping[str, Any], keys: Sequence[str]) -> str:
    for key in keys:
        if isinstance(values.get(key), str):
            return str(values[key])
    raise _Refused(f'a line has the text "{keys[0]}", but this one has none')


def _edits(values: Mapping[str, Any], key: str, reference: str, prediction: str, normalization: str) -> Edits:
    """Return the edits that a line names, or count them."""
    if key in values:
        counts = values[key]
        if (
            not isinstance(counts, list)
            or len(counts) != 4
            or not all(type(count) is int and count >= 0 for count in counts)
        ):
            rule = "lists substitutions, deletions, insertions and the reference's length"
            raise _Refused(f'"{key}" {rule}, each an integer of at least 0, but is {str(counts)[:80]}')
        return Edits(*counts)
    longest = max(len(reference), len(prediction))
    if longest > MOST_COUNTED:
        raise _Refused(f'a text without "{key}" has at most {MOST_COUNTED} characters, but this one has {longest}')
    count = character_edits if key == "characters" else word_edits
    return count(reference, prediction, normalization)
