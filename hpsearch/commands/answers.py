"""What an evaluation writes: keys that scripts know (overall_cer, samples ...), and more beside them."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from hpsearch.commands.openai_client import Answer
from hpsearch.commands.scores import Interval, Overall, Score, overall, score
from hpsearch.data.rows import Sample


@dataclass
class Row:
    """A sample, and what was answered for it: an answer, or why there is none, or neither yet."""

    sample: Sample
    answer: Answer | None = None
    error: str = ""
    scores: Score | None = None

    def picture(self, beside: Path) -> str:
        """The path of its picture from the folder ``beside``; of one in the data itself, where it stands there."""
        if not isinstance(self.sample.image, Path):
            return self.sample.id
        return os.path.relpath(self.sample.image.resolve(), beside.resolve())

    @property
    def document(self) -> str:
        """What it is a part of: itself, where nothing is said."""
        return self.sample.document or self.sample.id

    def compare(self, normalization: str) -> Score:
        """Score the answer.

        Raises:
            ValueError: there is none.
        """
        if self.answer is None:
            raise ValueError("a row without an answer has no score")
        self.scores = score(self.sample.text, self.answer.text, normalization)
        return self.scores


def results(rows: Sequence[Row], model: str, normalization: str, beside: Path) -> dict[str, Any]:
    """The report, for a file in the folder ``beside``. Overall figures are of the rows that were answered; how many
    were not stands beside them."""
    scored = [(row, row.scores) for row in rows if row.scores is not None]
    failed = [row for row in rows if row.error]
    whole = overall([one for _, one in scored], [row.document for row, _ in scored]) if scored else None
    return {
        **figures_of(whole),
        "total_samples": len(scored),
        "failed_samples": len(failed),
        "open_samples": len(rows) - len(scored) - len(failed),
        "timestamp": datetime.now().astimezone().isoformat(timespec="seconds"),
        "model_name": model,
        "normalization": normalization,
        "empty_predictions": sum(not row.answer.text.strip() for row, _ in scored if row.answer),
        "cut_off_predictions": sum(row.answer.cut_off for row, _ in scored if row.answer),
        "samples": [_sample(row, beside) for row in rows if row.answer or row.error],
    }


def figures_of(whole: Overall | None) -> dict[str, Any]:
    """Overall figures under the keys of a report."""
    if whole is None:
        return {"overall_cer": None, "overall_f1": None, "overall_wer": None, "overall_f1_macro": None}
    named = {"cer": whole.cer, "f1": whole.f1, "wer": whole.wer, "f1_macro": whole.f1_macro}
    return {
        **{f"overall_{name}": round(each.value, 6) for name, each in named.items()},
        "intervals": {name: _ends(each) for name, each in named.items()},
        "perfect_samples": whole.perfect,
    }


def _ends(interval: Interval) -> list[float] | None:
    if interval.low is None or interval.high is None:
        return None
    return [round(interval.low, 6), round(interval.high, 6)]


def _sample(row: Row, beside: Path) -> dict[str, Any]:
    found: dict[str, Any] = {"image_path": row.picture(beside), "label": row.sample.text}
    if row.answer is None or row.scores is None:
        return {**found, "prediction": "", "error": row.error}
    return {
        **found,
        "prediction": row.answer.text,
        "cer_score": round(row.scores.characters.rate, 6),
        "f1_score": round(row.scores.overlap.f1, 6),
        "wer_score": round(row.scores.words.rate, 6),
        **({"cut_off": True} if row.answer.cut_off else {}),
        **({"document": row.sample.document} if row.sample.document else {}),
    }
