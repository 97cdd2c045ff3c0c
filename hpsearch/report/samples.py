"""Sample predictions of a trial: reference and prediction side by side, with the characters that differ marked."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from hpsearch.data.metrics import graphemes
from hpsearch.report.rows import TrialRow, evenly, finite
from hpsearch.report.text import visible, visible_lines

_MOST_LINES = 2000  # of a predictions file; a study's samples are far fewer
_MOST_BYTES = 1_000_000  # of one line
_MOST_CHARACTERS = 600  # of a text; the whole of it is in the file
_NAME_KEYS = ("split", "image_path", "image", "id", "row")
_REFERENCE_KEYS = ("reference", "label", "ocr_text", "text")
_PREDICTION_KEYS = ("prediction", "predicted", "output")


@dataclass(frozen=True)
class TextRun:
    """A run of characters, ``differs`` where the other text has something else or nothing."""

    text: str
    differs: bool


@dataclass(frozen=True)
class ComparedSample:
    """One row's texts. ``cer`` is the file's own score, or the share of characters that differ."""

    name: str
    reference: tuple[TextRun, ...]
    prediction: tuple[TextRun, ...]
    cer: float

    @property
    def exact(self) -> bool:
        """Whether the prediction is the reference."""
        return not any(piece.differs for piece in (*self.reference, *self.prediction))


@dataclass(frozen=True)
class Samples:
    """The ``shown`` samples, from the worst to the best, of ``total`` in the file; ``exact`` are without a fault."""

    shown: tuple[ComparedSample, ...]
    total: int
    exact: int


def trial_folder(row: TrialRow, study_dir: Path | None) -> Path | None:
    """The trial's folder, or None where it is not there or does not lie inside the study's."""
    if study_dir is None:
        return None
    retry = f"/attempt-{row.attempt}" if row.attempt > 1 else ""
    folder = (study_dir / (row.folder or f"trial_{row.root}{retry}")).resolve()
    inside = folder.is_relative_to(study_dir.resolve())
    return folder if inside and folder.is_dir() else None


def read_samples(folder: Path | None, limit: int = 12) -> Samples | None:
    """Read ``predictions.jsonl`` of ``folder``, skipping lines that are no sample; None where there is nothing."""
    if folder is None or not (folder / "predictions.jsonl").is_file():
        return None
    found = [_sample(place, line) for place, line in enumerate(_lines(folder / "predictions.jsonl"))]
    samples = [sample for sample in found if sample]
    if not samples:
        return None
    order = sorted(samples, key=lambda sample: -sample.cer)
    return Samples(tuple(evenly(order, limit)), len(samples), sum(sample.exact for sample in samples))


def align(reference: str, prediction: str) -> tuple[tuple[TextRun, ...], tuple[TextRun, ...], float]:
    """Both texts in runs that are alike or differ, by the fewest edits, and the differing share of the reference.

    A character is a grapheme, so that no mark is parted from its letter.
    """
    left, right = graphemes(reference), graphemes(prediction)
    if not left or not right:
        share = float(left != right)
        return _whole(left), _whole(right), share
    same_left, same_right, edits = _matches(left, right)
    return _runs(left, same_left), _runs(right, same_right), edits / len(left)


def _matches(left: Sequence[str], right: Sequence[str]) -> tuple[set[int], set[int], int]:
    """Places in ``left`` and ``right`` that match in a shortest alignment, and the number of edits."""
    import jiwer

    output = jiwer.process_words([left], [right], reference_transform=list, hypothesis_transform=list)
    same_left: set[int] = set()
    same_right: set[int] = set()
    for chunk in output.alignments[0]:
        if chunk.type == "equal":
            same_left.update(range(chunk.ref_start_idx, chunk.ref_end_idx))
            same_right.update(range(chunk.hyp_start_idx, chunk.hyp_end_idx))
    return same_left, same_right, output.substitutions + output.deletions + output.insertions


def _runs(text: Sequence[str], same: set[int]) -> tuple[TextRun, ...]:
    runs: list[tuple[bool, list[str]]] = []
    for place, item in enumerate(text):
        differs = place not in same
        if not runs or runs[-1][0] != differs:
            runs.append((differs, []))
        runs[-1][1].append(item)
    return tuple(_piece("".join(items), differs) for differs, items in runs)


def _piece(text: str, differs: bool) -> TextRun:
    """A missing line break or tab is a difference like any other, so it gets a sign."""
    signs = visible_lines(text).replace("\n", "↵\n").replace("\t", "⇥\t") if differs else visible_lines(text)
    return TextRun(signs, differs)


def _whole(text: Sequence[str]) -> tuple[TextRun, ...]:
    return (_piece("".join(text), True),) if text else ()


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
    reference, prediction = _text(line, _REFERENCE_KEYS), _text(line, _PREDICTION_KEYS)
    if reference is None or prediction is None:
        return None
    left, right, share = align(_cut(reference), _cut(prediction))
    told = finite(line.get("cer"))
    named = [str(line[key]) for key in _NAME_KEYS if isinstance(line.get(key), (str, int))]
    if len(named) > 1 and named[1].startswith(named[0]):
        del named[0]
    return ComparedSample(visible(" ".join(named) or place), left, right, share if told is None else told)


def _text(line: Mapping[str, Any], keys: Sequence[str]) -> str | None:
    return next((line[key] for key in keys if isinstance(line.get(key), str)), None)


def _cut(text: str) -> str:
    return text if len(text) <= _MOST_CHARACTERS else f"{text[:_MOST_CHARACTERS]}…"
