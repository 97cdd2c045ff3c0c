"""Answers as they come, a line for each, so that nothing is asked twice whatever happens to the evaluation."""

from __future__ import annotations

import json
import threading
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any

from hpsearch.commands.openai_client import Answer, Question
from hpsearch.errors import UsageError


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
            if isinstance(line.get("picture"), str) and isinstance(line.get("prediction"), str):
                self._known[line["picture"]] = Answer(line["prediction"], bool(line.get("cut_off")))
        path.parent.mkdir(parents=True, exist_ok=True)
        self._file = path.open("a", encoding="utf-8")
        if not lines:
            self._line({"asked": asked})
        elif not path.read_bytes().endswith(b"\n"):
            self._file.write("\n")  # behind a last line that was broken off

    def get(self, picture: str) -> Answer | None:
        """The answer for a picture, if there is one."""
        return self._known.get(picture)

    def add(self, picture: str, answer: Answer) -> None:
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
