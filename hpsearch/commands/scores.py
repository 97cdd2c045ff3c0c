"""Scores of predictions: each and overall, with intervals; and where errors are, by character, script and length."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import reduce
from itertools import zip_longest
from operator import add

from hpsearch.data.metrics import NORMALIZATIONS, Edits, Overlap, character_edits, character_overlap, total, word_edits
from hpsearch.data.text_stats import script_of
from hpsearch.data.uncertainty import DocumentScores, Interval, interval

LENGTHS = (10, 30, 100, 300, 1000)  # characters: the longest label of each group but the last
NOTHING = ""  # in a confusion: the character is missing on that side


@dataclass(frozen=True)
class PredictionScore:
    """One prediction beside its reference, in characters and words."""

    characters: Edits
    words: Edits
    overlap: Overlap


@dataclass(frozen=True)
class Overall:
    """A corpus: CER and WER are all errors over all characters or words of the references (micro-averages); F1 is that
    of all characters together (``f1``) and the mean of the samples' own (``f1_macro``)."""

    cer: Interval
    wer: Interval
    f1: Interval
    f1_macro: Interval
    perfect: int


def score(reference: str, prediction: str, normalization: str) -> PredictionScore:
    """Compare two texts after a normalisation of metrics.NORMALIZATIONS."""
    return PredictionScore(
        character_edits(reference, prediction, normalization),
        word_edits(reference, prediction, normalization),
        character_overlap(reference, prediction, normalization),
    )


def overall(scores: Sequence[PredictionScore], documents: Sequence[str]) -> Overall:
    """Score all samples together. ``documents`` name the document of each: rows of one page err together, so intervals
    are over pages and not rows (Bisani and Ney, ICASSP 2004), and of this model alone: it is one run.

    Raises:
        ValueError: there is none.
    """
    import numpy as np

    if not scores:
        raise ValueError("a corpus has at least one sample")
    by_document: dict[str, list[PredictionScore]] = {}
    for row, document in zip(scores, documents, strict=True):
        by_document.setdefault(document, []).append(row)

    def judged(share: Callable[[Sequence[PredictionScore]], tuple[float, float]]) -> Interval:
        sums = [share(rows) for rows in by_document.values()]
        above, below = np.array(sums, dtype=float).T
        return interval(DocumentScores(tuple(by_document), above, below))

    def error_rate(units: str) -> Interval:
        def share(rows: Sequence[PredictionScore]) -> tuple[float, float]:
            edits = total(getattr(row, units) for row in rows)
            return edits.errors, edits.length

        return judged(share)

    has_text = any(row.overlap.predicted + row.overlap.length for row in scores)

    def f1(rows: Sequence[PredictionScore]) -> tuple[float, float]:
        overlap = reduce(add, (row.overlap for row in rows))
        return (2 * overlap.shared, overlap.predicted + overlap.length) if has_text else (1.0, 1.0)

    return Overall(
        cer=error_rate("characters"),
        wer=error_rate("words"),
        f1=_at_most_1(judged(f1)),
        f1_macro=_at_most_1(judged(lambda rows: (sum(row.overlap.f1 for row in rows), len(rows)))),
        perfect=sum(not row.characters.errors for row in scores),
    )


def _at_most_1(share: Interval) -> Interval:
    return share if share.high is None else replace(share, high=min(share.high, 1.0))


@dataclass(frozen=True)
class Confusion:
    """A character of the label, the one in its place, and how often; either may be ``NOTHING``."""

    label: str
    prediction: str
    count: int


@dataclass(frozen=True)
class Group:
    """A part of the characters, or of the samples, its size in both, and its error rate."""

    name: str
    samples: int
    characters: int
    errors: int

    @property
    def rate(self) -> float:
        """Errors for each character."""
        return self.errors / max(self.characters, 1)


def confusions(pairs: Iterable[tuple[str, str]], normalization: str) -> list[Confusion]:
    """Count the confusions in pairs of label and prediction; the most frequent first."""
    counts = Counter(aligned for pair in pairs for aligned in _align(*pair, normalization) if aligned[0] != aligned[1])
    ranked = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    return [Confusion(left, right, count) for (left, right), count in ranked]


def by_script(pairs: Iterable[tuple[str, str]], normalization: str) -> list[Group]:
    """Group the labels' characters by script, with those missing or mistaken for another; a character without one in
    the label counts for its own script."""
    sizes, errors, samples = Counter[str](), Counter[str](), Counter[str]()
    for pair in pairs:
        scripts = set()
        for label, prediction in _align(*pair, normalization):
            script = script_of(label or prediction)
            sizes[script] += label != NOTHING
            errors[script] += label != prediction
            scripts.add(script)
        samples.update(scripts)
    names = sorted(set(sizes) | set(errors), key=lambda name: (-sizes[name], name))
    return [Group(name, samples[name], sizes[name], errors[name]) for name in names]


def by_length(scores: Sequence[PredictionScore]) -> list[Group]:
    """Group samples by the length of their label in characters."""
    groups: dict[int, list[PredictionScore]] = defaultdict(list)
    for row in scores:
        length = row.characters.length
        groups[next((place for place, most in enumerate(LENGTHS) if length <= most), len(LENGTHS))].append(row)
    ranges = [f"{least} to {most}" for least, most in zip((0, *(most + 1 for most in LENGTHS)), LENGTHS, strict=False)]
    names = [*ranges, f"more than {LENGTHS[-1]}"]
    edits = {place: total(row.characters for row in rows) for place, rows in sorted(groups.items())}
    return [Group(names[place], len(groups[place]), sums.length, sums.errors) for place, sums in edits.items()]


def _align(label: str, prediction: str, normalization: str) -> Iterator[tuple[str, str]]:
    """Yield characters of label and prediction beside each other in a shortest alignment."""
    from rapidfuzz.distance import Levenshtein

    characters = NORMALIZATIONS[normalization].characters
    left, right = characters(label), characters(prediction)
    for block in Levenshtein.opcodes(left, right):
        yield from zip_longest(
            left[block.src_start : block.src_end], right[block.dest_start : block.dest_end], fillvalue=NOTHING
        )
