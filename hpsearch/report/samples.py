"""Sample predictions of a trial: reference and prediction side by side, with the different characters marked."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby, islice
from pathlib import Path
from typing import Any

from hpsearch.data.metrics import graphemes
from hpsearch.report.rows import TrialRow, evenly, finite
from hpsearch.report.text import visible, visible_lines

_MOST_LINES = 2000  # of a predictions file; a study's samples are far fewer
_MOST_BYTES = 1_000_000  # of one line
_MOST_CHARACTERS = 600  # of a text; the file has all of it
_NAME_KEYS = ("split", "image_path", "image", "id", "row")
_REFERENCE_KEYS = ("reference", "label", "ocr_text", "text")
_PREDICTION_KEYS = ("prediction", "predicted", "output")


@dataclass(frozen=True)
class TextRun:
    """A run of characters; ``differs`` if the other text has others or none there."""

    text: str
    differs: bool


@dataclass(frozen=True)
class ComparedSample:
    """The two texts of one row. ``cer`` is the file's own score, or the share of different characters."""

    name: str
    reference: tuple[TextRun, ...]
    prediction: tuple[TextRun, ...]
    cer: float

    @property
    def exact(self) -> bool:
        """True if the prediction equals the reference."""
        return not any(piece.differs for piece in (*self.reference, *self.prediction))


@dataclass(frozen=True)
class Samples:
    """The ``shown`` samples, worst to best, of ``total`` in the file; ``exact`` of them are perfect."""

    shown: tuple[ComparedSample, ...]
    total: int
    exact: int


def trial_folder(row: TrialRow, study_dir: Path | None) -> Path | None:
    """Return the trial's folder, or None if it does not exist or is not inside the study's."""
    if study_dir is None:
        return None
    retry = f"/attempt-{row.attempt}" if row.attempt > 1 else ""
    folder = (study_dir / (row.folder or f"trial_{row.root}{retry}")).resolve()
    inside = folder.is_relative_to(study_dir.resolve())
    return folder if inside and folder.is_dir() else None


def read_samples(folder: Path | None, limit: int = 12) -> Samples | None:
    """Read ``predictions.jsonl`` of ``folder``, skipping lines that hold no sample; None if there are none."""
    if folder is None or not (folder / "predictions.jsonl").is_file():
        return None
    samples = [
        sample for place, line in enumerate(_lines(folder / "predictions.jsonl")) if (sample := _sample(place, line))
    ]
    if not samples:
        return None
    order = sorted(samples, key=lambda sample: -sample.cer)
    return Samples(tuple(evenly(order, limit)), len(samples), sum(sample.exact for sample in samples))


def _lines(path: Path) -> Iterator[Mapping[str, Any]]:
    with path.open(encoding="utf-8", errors="replace") as lines:
        for line in islice(lines, _MOST_LINES):
            try:
                value = json.loads(line) if len(line) <= _MOST_BYTES else None
            except (ValueError, RecursionError):
                value = None
            if isinstance(value, dict):
                yield value


def _sample(place: int, line: Mapping[str, Any]) -> ComparedSample | None:
    def text(keys: Sequence[str]) -> str | None:
        return next((line[key] for key in keys if isinstance(line.get(key), str)), None)

    reference, prediction = text(_REFERENCE_KEYS), text(_PREDICTION_KEYS)
    if reference is None or prediction is None:
        return None
    left, right, share = align(_cut(reference), _cut(prediction))
    recorded = finite(line.get("cer"))
    names = [str(line[key]) for key in _NAME_KEYS if isinstance(line.get(key), (str, int))]
    if len(names) > 1 and names[1].startswith(names[0]):
        del names[0]
    return ComparedSample(visible(" ".join(names) or place), left, right, share if recorded is None else recorded)


def _cut(text: str) -> str:
    return text if len(text) <= _MOST_CHARACTERS else f"{text[:_MOST_CHARACTERS]}…"


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
