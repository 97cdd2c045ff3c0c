"""The answers of an evaluation: the journal that keeps each as it comes, and the report, with keys that scripts know
(overall_cer, samples ...) and more beside them."""

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
from hpsearch.commands.scores import Overall, PredictionScore, overall, score
from hpsearch.data.rows import Sample
from hpsearch.errors import UsageError


@dataclass
class AnsweredRow:
    """A sample with its answer, or the error in place of one, or neither yet."""

    sample: Sample
    answer: ServerAnswer | None = None
    error: str = ""
    scores: PredictionScore | None = None

    @property
    def document(self) -> str:
        """The document that it is a part of: itself, where none is named."""
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

    def report(self, folder: Path) -> dict[str, Any]:
        """Return the row for a report in ``folder``, from which its picture's path leads."""
        picture = self.sample.id  # where the picture is in the data itself
        if isinstance(self.sample.image, Path):
            picture = os.path.relpath(self.sample.image.resolve(), folder.resolve())
        known = {"image_path": picture, "label": self.sample.text}
        if self.answer is None or self.scores is None:
            return {**known, "prediction": "", "error": self.error}
        return {
            **known,
            "prediction": self.answer.text,
            "cer_score": round(self.scores.characters.rate, 6),
            "f1_score": round(self.scores.overlap.f1, 6),
            "wer_score": round(self.scores.words.rate, 6),
            **({"cut_off": True} if self.answer.cut_off else {}),
            **({"document": self.sample.document} if self.sample.document else {}),
        }


def results(rows: Sequence[AnsweredRow], model: str, normalization: str, folder: Path) -> dict[str, Any]:
    """Return the report, for a file in ``folder``. Overall figures are of the answered rows; the number of the others
    is beside them."""
    scored = [(row, row.scores) for row in rows if row.scores is not None]
    failed = sum(bool(row.error) for row in rows)
    whole = overall([scores for _, scores in scored], [row.document for row, _ in scored]) if scored else None
    return {
        **figures_of(whole),
        "total_samples": len(scored),
        "failed_samples": failed,
        "open_samples": len(rows) - len(scored) - failed,
        "timestamp": datetime.now().astimezone().isoformat(timespec="seconds"),
        "model_name": model,
        "normalization": normalization,
        "empty_predictions": sum(not row.answer.text.strip() for row, _ in scored if row.answer),
        "cut_off_predictions": sum(row.answer.cut_off for row, _ in scored if row.answer),
        "samples": [row.report(folder) for row in rows if row.answer or row.error],
    }


def figures_of(whole: Overall | None) -> dict[str, Any]:
    """Return overall figures under the keys of a report."""
    if whole is None:
        return {"overall_cer": None, "overall_f1": None, "overall_wer": None, "overall_f1_macro": None}
    intervals = {"cer": whole.cer, "f1": whole.f1, "wer": whole.wer, "f1_macro": whole.f1_macro}
    return {
        **{f"overall_{name}": round(interval.value, 6) for name, interval in intervals.items()},
        "intervals": {
            name: None if ends.low is None or ends.high is None else [round(ends.low, 6), round(ends.high, 6)]
            for name, ends in intervals.items()
        },
        "perfect_samples": whole.perfect,
    }


class Journal:
    """A file of answers by the digest of the picture, a line for each, so that no picture is asked twice if the
    evaluation is interrupted. May be written by several threads."""

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
            before = lines[0].get("asked", {})
            changed = [name for name in asked if before.get(name) != asked[name]]
            raise UsageError(
                f"answers are kept in {path} for {', '.join(f'{name} {before.get(name)!r}' for name in changed)}, "
                f"and this evaluation has {', '.join(f'{name} {asked[name]!r}' for name in changed)}",
                "name another --output-file, or start again with --restart",
            )
        for line in lines[1:]:
            if isinstance(line.get("picture"), str) and isinstance(line.get("prediction"), str):
                self._known[line["picture"]] = ServerAnswer(line["prediction"], bool(line.get("cut_off")))
        path.parent.mkdir(parents=True, exist_ok=True)
        self._file = path.open("a", encoding="utf-8")
        if not lines:
            self._write({"asked": asked})
        elif not path.read_bytes().endswith(b"\n"):
            self._file.write("\n")  # behind a last line that was broken off

    def get(self, picture: str) -> ServerAnswer | None:
        """Return the answer for a picture, if there is one."""
        return self._known.get(picture)

    def add(self, picture: str, answer: ServerAnswer) -> None:
        """Keep an answer."""
        with self._lock:
            self._known[picture] = answer
            self._write({"picture": picture, "prediction": answer.text, "cut_off": answer.cut_off})

    def _write(self, line: dict[str, Any]) -> None:
        self._file.write(json.dumps(line, ensure_ascii=False) + "\n")
        self._file.flush()

    def close(self) -> None:
        """Close the file."""
        self._file.close()


def _lines(path: Path) -> list[dict[str, Any]]:
    """Return the lines of a journal that can be read: the last one may have been broken off, others damaged."""
    lines = []
    for text in path.read_bytes().split(b"\n") if path.is_file() else ():
        with suppress(ValueError, RecursionError):
            line = json.loads(text)
            lines += [line] if isinstance(line, dict) else []
    return lines
