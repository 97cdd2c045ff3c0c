"""The registry of metrics: each a function of rows that were read, with its direction, range, unit and source.

The built-in training reports each as ``eval_NAME`` and ``holdout_NAME``; docs/metrics.md lists them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

from hpsearch.data.metrics.edits import Edits, total

LONG_FACTOR, LONG_SPARE = 2, 16  # as the evaluation bounds what is generated, there in tokens
# As the evaluation's stopper has it in tokens (training/evaluate/scores.py), at four characters a token.
LONGEST_PIECE, LEAST_REPEATS, LEAST_SPAN = 128, 4, 384


class ReadRow(Protocol):
    """The parts of a row that metrics depend on; its edits are between the normalised texts."""

    @property
    def reference(self) -> str:
        """The right text."""

    @property
    def prediction(self) -> str | None:
        """The text that was read; None where nothing was generated."""

    @property
    def characters(self) -> Edits:
        """Edits in characters."""

    @property
    def words(self) -> Edits:
        """Edits in words."""

    @property
    def repeats(self) -> bool:
        """The text ends in a loop."""


Rows = Sequence[ReadRow]


@dataclass(frozen=True)
class Metric:
    """A metric of rows: ``value`` of no rows is 0 or 1, whichever is best. ``range`` and ``unit`` are in words."""

    name: str
    value: Callable[[Rows], float]
    direction: Literal["minimize", "maximize"]
    range: str
    unit: str
    meaning: str
    source: str


def _share(rows: Rows, has: Callable[[ReadRow], bool], of_none: float = 0.0) -> float:
    return sum(map(has, rows)) / len(rows) if rows else of_none


def _cer(rows: Rows) -> float:
    return total(row.characters for row in rows).rate


def _insertions(rows: Rows) -> float:
    edits = total(row.characters for row in rows)
    return edits.insertions / max(edits.length, 1)


def _is_empty(row: ReadRow) -> bool:
    return not (row.prediction or "").strip() and bool(row.reference.strip())


def _is_too_long(row: ReadRow) -> bool:
    edits = row.characters
    predicted = edits.length - edits.deletions + edits.insertions
    return predicted > LONG_FACTOR * edits.length + LONG_SPARE


def _identical(rows: Rows) -> float:
    """Return the share of the different references that the most frequent prediction was given for."""
    references = defaultdict(set)
    for row in rows:
        references[row.prediction].add(row.reference)
    most = max(map(len, references.values()), default=0)
    return most / len(set().union(*references.values())) if most > 1 else 0.0


def is_looping(text: str) -> bool:
    """Return True if a text's end is one piece again and again; for files that do not say if generation was stopped."""
    for period in range(1, LONGEST_PIECE + 1):
        window = max(period * LEAST_REPEATS, LEAST_SPAN)
        if window > len(text):
            return False
        tail = text[-window:]
        if tail[period:] == tail[:-period]:
            return True
    return False


_JIWER = "jiwer's definition, over all rows"
_RICE = "Rice 1996, Measuring the accuracy of page-reading systems"
_STOPPER = "the evaluation's stopper (training.md, Repetition)"
METRICS: dict[str, Metric] = {
    metric.name: metric
    for metric in (
        Metric(
            "cer",
            _cer,
            "minimize",
            "0 up, may exceed 1",
            "edits per character of the references",
            "character error rate",
            _JIWER,
        ),
        Metric(
            "wer",
            lambda rows: total(row.words for row in rows).rate,
            "minimize",
            "0 up, may exceed 1",
            "edits per word of the references",
            "word error rate",
            _JIWER,
        ),
        Metric(
            "exact",
            lambda rows: _share(rows, lambda row: row.characters.errors == 0, 1.0),
            "maximize",
            "0 to 1",
            "share of rows",
            "rows (pages) read without an error",
            "no edits in characters",
        ),
        Metric(
            "accuracy",
            lambda rows: 1.0 - _cer(rows),
            "maximize",
            "at most 1, may be below 0",
            "1 - CER",
            "character accuracy",
            _RICE,
        ),
        Metric(
            "insertions",
            _insertions,
            "minimize",
            "0 up, may exceed 1",
            "inserted characters per character of the references",
            "invented text: the insertions of CER alone",
            _RICE,
        ),
        Metric(
            "empty",
            lambda rows: _share(rows, _is_empty),
            "minimize",
            "0 to 1",
            "share of rows",
            "nothing but white space is read where the reference has text",
            "hpsearch's own rule",
        ),
        Metric(
            "identical",
            _identical,
            "minimize",
            "0 to 1",
            "share of the different references",
            "the most frequent prediction, if it is given for two different references or more",
            "hpsearch's own rule",
        ),
        Metric(
            "repeats",
            lambda rows: _share(rows, lambda row: row.repeats),
            "minimize",
            "0 to 1",
            "share of rows",
            "looping: generation was stopped because it repeated itself",
            _STOPPER,
        ),
        Metric(
            "too_long",
            lambda rows: _share(rows, _is_too_long),
            "minimize",
            "0 to 1",
            "share of rows",
            "more than twice the reference's characters and 16",
            "the evaluation's bound of generated tokens (training.md, Repetition)",
        ),
    )
}


def figures_of(rows: Rows, prefix: str) -> dict[str, float]:
    """Return every metric of rows by the name it is reported by, such as ``eval_cer``."""
    return {f"{prefix}_{name}": metric.value(rows) for name, metric in METRICS.items()}
