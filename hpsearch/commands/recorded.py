"""Predictions that an evaluation has written: hpsearch's own, or another program's with the same keys."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hpsearch.errors import UsageError


@dataclass(frozen=True)
class Recorded:
    """A sample: what it reads, what was predicted, and the ``figures`` that were written for it."""

    picture: str
    label: str
    prediction: str
    document: str
    figures: Mapping[str, Any]


@dataclass(frozen=True)
class Evaluation:
    """A file: its samples that have a prediction, how many have none (``unanswered``), and its overall figures."""

    samples: Sequence[Recorded]
    unanswered: int
    figures: Mapping[str, Any]
    model: str


def read_evaluation(path: Path) -> Evaluation:
    """Read a file of predictions.

    Raises:
        UsageError: it is not there, or no evaluation, or has no prediction.
    """
    try:
        found = json.loads(path.read_text(encoding="utf-8-sig"))
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror}", "name the output of an evaluation") from error
    except (ValueError, RecursionError) as error:
        raise UsageError(f"{path} is no JSON: {error}", "name the output of an evaluation") from error
    rows = found.get("samples") if isinstance(found, dict) else None
    if not isinstance(rows, list):
        raise UsageError(
            f'an evaluation has "samples", a list, but {path} has none', "name the output of `hpsearch evaluate`"
        )
    samples = [_sample(row, f"{path}#/samples/{number}") for number, row in enumerate(rows)]
    answered = [each for each in samples if each is not None]
    if not answered:
        raise UsageError(f"scores need predictions, but no sample of {path} has one", "evaluate again")
    figures = {key: value for key, value in found.items() if key.startswith("overall_")}
    return Evaluation(answered, len(samples) - len(answered), figures, str(found.get("model_name", "")))


def _sample(row: Any, where: str) -> Recorded | None:
    if not isinstance(row, dict) or not all(isinstance(row.get(key), str) for key in ("label", "prediction")):
        raise UsageError(f'a sample has the texts "label" and "prediction", but {where} has not', "mend it there")
    if row.get("error"):
        return None
    picture = str(row.get("image_path", where))
    label, prediction = (row[key].encode("utf-8", "replace").decode("utf-8") for key in ("label", "prediction"))
    figures = {key: value for key, value in row.items() if key.endswith("_score")}
    return Recorded(picture, label, prediction, str(row.get("document") or picture), figures)
