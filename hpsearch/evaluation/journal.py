"""Answers as they come, a line for each, so that nothing is asked twice whatever happens to the evaluation."""

from __future__ import annotations

import json
import threading
from dataclasses import asdict
from pathlib import Path
from typing import Any

from hpsearch.errors import UsageError
from hpsearch.evaluation.endpoint import Answer, Question


class Journal:
    """A file of answers by the digest of the picture. May be written by several threads."""

    def __init__(self, path: Path, question: Question) -> None:
        """Open a journal, or go on with one.

        Raises:
            UsageError: it has answers to another question, or of another model.
        """
        self._known: dict[str, Answer] = {}
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
            self._known[line["picture"]] = Answer(line["prediction"], line["cut_off"])
        path.parent.mkdir(parents=True, exist_ok=True)
        whole = "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines or [{"asked": asked}])
        path.write_text(whole, encoding="utf-8")  # without a last line that was broken off
        self._file = path.open("a", encoding="utf-8")

    def get(self, picture: str) -> Answer | None:
        """The answer for a picture, if there is one."""
        return self._known.get(picture)

    def add(self, picture: str, answer: Answer) -> None:
        """Keep an answer."""
        line = {"picture": picture, "prediction": answer.text, "cut_off": answer.cut_off}
        with self._lock:
            self._known[picture] = answer
            self._file.write(json.dumps(line, ensure_ascii=False) + "\n")
            self._file.flush()

    def close(self) -> None:
        """Close the file."""
        self._file.close()


def _lines(path: Path) -> list[dict[str, Any]]:
    """The whole lines of a journal; the last one may have been broken off."""
    if not path.is_file():
        return []
    found = []
    for line in path.read_bytes().split(b"\n")[:-1]:
        try:
            found.append(json.loads(line))
        except ValueError:
            break
    return found
