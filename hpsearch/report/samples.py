"""Reference and prediction side by side, with the different characters marked; and the folder of a trial."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

from hpsearch.data.metrics import graphemes
from hpsearch.report.rows import TrialRow
from hpsearch.report.text import visible_lines
from hpsearch.study.folders import attempt_folder


@dataclass(frozen=True)
class TextRun:
    """A run of characters; ``differs`` if the other text has others or none there."""

    text: str
    differs: bool


def trial_folder(row: TrialRow, study_dir: Path | None) -> Path | None:
    """Return the trial's folder, or None if it does not exist or is not inside the study's."""
    return None if study_dir is None else attempt_folder(study_dir, row.folder, row.root, row.attempt)


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
