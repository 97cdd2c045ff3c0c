"""Sample predictions of a trial: reference and prediction side by side, with the different characters marked."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby, islice
from pathlib import Path
from typing import Any

from hpsearch.data.metrics import graphemes
from hpsearch.report.rows import TrialRow, finite
from hpsearch.report.text import visible, visible_lines

_MOST_LINES = 2000  # of a predictions file; a study's judged rows are far fewer
_MOST_BYTES = 1_000_000  # of one line
_NAME_KEYS = ("split", "image_path", "image", "id", "row")
_REFERENCE_KEYS = ("reference", "label", "ocr_text", "text")
_PREDICTION_KEYS = ("prediction", "predicted", "output")


@dataclass(frozen=True)
class TextRun:
    """A run of characters; ``differs`` if the other text has others or none there."""

    text: str
    differs: bool


@dataclass(frozen=True)
class JudgedText:
    """One line of a predictions file: a row's reference, and what was read. ``split`` and ``id`` are "" if the file
    does not name them, ``cer`` is None if it does not have it; ``image_path`` is relative to the file."""

    name: str
    split: str
    id: str
    reference: str
    prediction: str
    cer: float | None
    image_path: str


def trial_folder(row: TrialRow, study_dir: Path | None) -> Path | None:
    """Return the trial's folder, or None if it does not exist or is not inside the study's."""
    if study_dir is None:
        return None
    retry = f"/attempt-{row.attempt}" if row.attempt > 1 else ""
    folder = (study_dir / (row.folder or f"trial_{row.root}{retry}")).resolve()
    inside = folder.is_relative_to(study_dir.resolve())
    return folder if inside and folder.is_dir() else None


def read_judged(path: Path | None) -> list[JudgedText]:
    """Read a predictions file, of hpsearch or of another program; lines that hold no prediction are skipped."""
    if path is None or not path.is_file():
        return []
    judged = (_judged(place, line) for place, line in enumerate(_lines(path)))
    return [text for text in judged if text is not None]


def _lines(path: Path) -> Iterator[Mapping[str, Any]]:
    with path.open(encoding="utf-8", errors="replace") as lines:
        for line in islice(lines, _MOST_LINES):
            try:
                value = json.loads(line) if len(line) <= _MOST_BYTES else None
            except (ValueError, RecursionError):
                value = None
            if isinstance(value, dict):
                yield value


def _judged(place: int, line: Mapping[str, Any]) -> JudgedText | None:
    def text(keys: Sequence[str]) -> str | None:
        return next((line[key] for key in keys if isinstance(line.get(key), str)), None)

    reference, prediction = text(_REFERENCE_KEYS), text(_PREDICTION_KEYS)
    if reference is None or prediction is None:
        return None
    names = [str(line[key]) for key in _NAME_KEYS if isinstance(line.get(key), (str, int))]
    if len(names) > 1 and names[1].startswith(names[0]):
        del names[0]
    split, image_path = text(["split"]) or "", text(["image_path"]) or ""
    return JudgedText(
        name=visible(" ".join(names) or place),
        split=split,
        id=next((str(line[key]) for key in ("id", "row") if isinstance(line.get(key), (str, int))), image_path),
        reference=reference,
        prediction=prediction,
        cer=finite(line.get("cer")),
        image_path=image_path,
    )


def align(reference: str, prediction: str) -> tuple[tuple[TextRun, ...], tuple[TextRun, ...], float]:
    """Align two texts by the fewest edits; return the runs of each, and the different share of the reference.

    A character is a grapheme, so that no mark is parted from its letter.
    """
    left, right = graphemes(reference), graphemes(prediction)
    if not left or not right:
        return _runs(left, set()), _runs(right, set()), float(left != right)
    import jiwer

    output = jiwer.process_words([left], [right], reference_transform=list, hypothesis_transform=list)
    same_left: set[int] = set()
    same_right: set[int] = set()
    for chunk in output.alignments[0]:
        if chunk.type == "equal":
            same_left.update(range(chunk.ref_start_idx, chunk.ref_end_idx))
            same_right.update(range(chunk.hyp_start_idx, chunk.hyp_end_idx))
    edits = output.substitutions + output.deletions + output.insertions
    return _runs(left, same_left), _runs(right, same_right), edits / len(left)


def _runs(text: Sequence[str], same: set[int]) -> tuple[TextRun, ...]:
    """Join neighbouring characters that are all the same, by their places in ``same``, or all different."""
    runs = []
    for differs, places in groupby(range(len(text)), lambda place: place not in same):
        shown = visible_lines("".join(text[place] for place in places))
        if differs:  # a missing line break or tab is a difference like any other, so it gets a sign
            shown = shown.replace("\n", "↵\n").replace("\t", "⇥\t")
        runs.append(TextRun(shown, differs))
    return tuple(runs)
