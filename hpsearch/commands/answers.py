"""What an evaluation writes: keys that scripts know (overall_cer, samples ...), and more beside them."""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from hpsearch.commands.openai_client import ReadRequest, ServerAnswer
from hpsearch.commands.scores import Interval, Overall, PredictionScore, overall, score
from hpsearch.data.rows import Sample
from hpsearch.errors import UsageError


@dataclass
class AnsweredRow:
    """A sample, and what was answered for it: an answer, or why there is none, or neither yet."""

    sample: Sample
    answer: ServerAnswer | None = None
    error: str = ""
    scores: PredictionScore | None = None

    def picture(self, beside: Path) -> str:
        """The path of its picture from the folder ``beside``; of one in the data itself, where it stands there."""
        if not isinstance(self.sample.image, Path):
            return self.sample.id
        return os.path.relpath(self.sample.image.resolve(), beside.resolve())

    @property
    def document(self) -> str:
        """What it is a part of: itself, where nothing is said."""
        return self.sample.document or self.sample.id

    def compare(self, normalization: str) -> PredictionScore:
        """Score the answer.

        Raises:
            ValueError: there is none.
        """
        if self.answer is None:
            raise ValueError("a row without an answer has no score")
        self.scores = score(self.sample.text, self.answer.text, normalization)
        return self.scores


def results(rows: Sequence[AnsweredRow], model: str, normalization: str, beside: Path) -> dict[str, Any]:
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


def _sample(row: AnsweredRow, beside: Path) -> dict[str, Any]:
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


# Answers as they come, a line for each, so that nothing is asked twice whatever happens to the evaluation.


class Journal:
    """A file of answers by the digest of the picture. May be written by several threads."""

    def __init__(self, path: Path, question: ReadRequest) -> None:
        """Open a journal, or go on with one.

        Raises:
            UsageError: it has answers to another question, or of another model.
        """
        self._known: dict[str, ServerAnswer] = {}
        self._lock = threading.Lock()
        asked = asdict(question)
        lines = _lines(path)
        if lines and lines[0].get("asked") != asked:
            was = lines[0].get("asked", {})
            differing = ", ".join(f"{name} {was.get(name)!r}" for name in asked if was.get(name) != asked[name])
            raise UsageError(
                f"answers are kept in {path} for {differing}, and this evaluation has "
                + ", ".join(f"{name} {asked[name]!r}" for name in asked if was.get(name) != asked[name]),
                "name another --output-file, or begin anew with --restart",
            )
        for line in lines[1:]:
            if isinstance(line.get("picture"), str) and isinstance(line.get("prediction"), str):
                self._known[line["picture"]] = ServerAnswer(line["prediction"], bool(line.get("cut_off")))
        path.parent.mkdir(parents=True, exist_ok=True)
        self._file = path.open("a", encoding="utf-8")
        if not lines:
            self._line({"asked": asked})
        elif not path.read_bytes().endswith(b"\n"):
            self._file.write("\n")  # behind a last line that was broken off

    def get(self, picture: str) -> ServerAnswer | None:
        """The answer for a picture, if there is one."""
        return self._known.get(picture)

    def add(self, picture: str, answer: ServerAnswer) -> None:
        """Keep an answer."""
        line = {"picture": picture, "prediction": answer.text, "cut_off": answer.cut_off}
        with self._lock:
            self._known[picture] = answer
            self._line(line)

    def _line(self, line: dict[str, Any]) -> None:
        self._file.write(json.dumps(line, ensure_ascii=False) + "\n")
        self._file.flush()

    def close(self) -> None:
        """Close the file."""
        self._file.close()


def _lines(path: Path) -> list[dict[str, Any]]:
    """The lines of a journal that can be read: the last one may have been broken off, others damaged."""
    found = []
    for line in path.read_bytes().split(b"\n") if path.is_file() else ():
        with suppress(ValueError, RecursionError):
            value = json.loads(line)
            found += [value] if isinstance(value, dict) else []
    return found
