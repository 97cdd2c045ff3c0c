"""What predictions are worth: each by itself and all together, and how far off the whole may be by chance."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import reduce
from operator import add

from hpsearch.data.metrics import NORMALIZATIONS, Edits, Overlap, character_edits, character_overlap, total, word_edits
from hpsearch.data.text_stats import script_of

DRAWS = 2000  # of the bootstrap: the ends of a 95 % interval then vary by about a hundredth of its width
LOW, HIGH = 0.025, 0.975


@dataclass(frozen=True)
class PredictionScore:
    """One prediction beside its reference, in characters and words."""

    characters: Edits
    words: Edits
    overlap: Overlap


@dataclass(frozen=True)
class Interval:
    """A value, and between what 95 % of the bootstrap's samples of the documents have it; None with one document, of
    which all samples are the same."""

    value: float
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True)
class Overall:
    """A corpus: CER and WER are all errors over all characters or words of the references (micro-averages); F1 is that
    of all characters together (``f1``) and the mean of the samples' own (``f1_macro``)."""

    cer: Interval
    wer: Interval
    f1: Interval
    f1_macro: Interval
    perfect: int


Share = Callable[[Sequence[PredictionScore]], tuple[float, float]]  # what stands above, and below


def score(reference: str, prediction: str, normalization: str) -> PredictionScore:
    """Compare two texts after a normalisation of metrics.NORMALIZATIONS."""
    return PredictionScore(
        character_edits(reference, prediction, normalization),
        word_edits(reference, prediction, normalization),
        character_overlap(reference, prediction, normalization),
    )


def overall(scores: Sequence[PredictionScore], documents: Sequence[str]) -> Overall:
    """The scores of all samples, ``documents`` naming what each is a part of: rows of one page err together, so pages
    are drawn and not rows (Bisani and Ney, ICASSP 2004).

    Raises:
        ValueError: there is none.
    """
    if not scores:
        raise ValueError("a corpus has at least one sample")
    groups: dict[str, list[PredictionScore]] = {}
    for one, document in zip(scores, documents, strict=True):
        groups.setdefault(document, []).append(one)
    parts = list(groups.values())
    return Overall(
        cer=_interval(parts, lambda some: (total(each.characters for each in some).errors, _units(some, "characters"))),
        wer=_interval(parts, lambda some: (total(each.words for each in some).errors, _units(some, "words"))),
        f1=_interval(parts, _f1, empty=1.0),
        f1_macro=_interval(parts, lambda some: (sum(each.overlap.f1 for each in some), len(some))),
        perfect=sum(not each.characters.errors for each in scores),
    )


def _units(scores: Sequence[PredictionScore], name: str) -> int:
    return sum(getattr(each, name).length for each in scores)


def _f1(scores: Sequence[PredictionScore]) -> tuple[float, float]:
    both = reduce(add, (each.overlap for each in scores))
    return 2 * both.shared, both.predicted + both.length


def _interval(parts: Sequence[Sequence[PredictionScore]], share: Share, empty: float | None = None) -> Interval:
    """A share of sums over the parts, and its percentiles where parts are drawn again with replacement; ``empty``: the
    share where there is nothing, None: as if there were one."""
    import numpy as np

    sums = np.array([share(part) for part in parts], dtype=float)
    if len(sums) == 1:
        return Interval(_quotient(sums[0], empty))
    chance = np.random.default_rng(0)
    drawn = np.empty(DRAWS)
    for draw in range(DRAWS):
        drawn[draw] = _quotient(sums[chance.integers(len(sums), size=len(sums))].sum(axis=0), empty)
    low, high = np.quantile(drawn, (LOW, HIGH))
    return Interval(_quotient(sums.sum(axis=0), empty), float(low), float(high))


def _quotient(sums: Sequence[float], empty: float | None) -> float:
    above, below = sums
    return empty if empty is not None and not below else float(above / max(below, 1.0))


# Where the errors are: which characters are taken for which, in which scripts, in texts of which length.

LENGTHS = (10, 30, 100, 300, 1000)  # characters: the longest label of each group but the last
NOTHING = ""  # in a confusion: the character is missing on that side


@dataclass(frozen=True)
class Confusion:
    """A character of the label, what stands in its place, and how often; either may be ``NOTHING``."""

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
    """What is taken for what in pairs of label and prediction, most often first."""
    counts = Counter(each for pair in pairs for each in _edits(*pair, normalization) if each[0] != each[1])
    ranked = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    return [Confusion(left, right, count) for (left, right), count in ranked]


def by_script(pairs: Iterable[tuple[str, str]], normalization: str) -> list[Group]:
    """Labels' characters by script, and how many of them are missing or taken for another; what is there beside the
    label counts for the script of what is there."""
    sizes, errors, samples = Counter[str](), Counter[str](), Counter[str]()
    for pair in pairs:
        seen = set()
        for label, prediction in _edits(*pair, normalization):
            script = script_of(label or prediction)
            sizes[script] += label != NOTHING
            errors[script] += label != prediction
            seen.add(script)
        samples.update(seen)
    names = sorted(set(sizes) | set(errors), key=lambda name: (-sizes[name], name))
    return [Group(name, samples[name], sizes[name], errors[name]) for name in names]


def by_length(scores: Sequence[PredictionScore]) -> list[Group]:
    """Samples by the length of their label in characters."""
    groups: dict[int, list[PredictionScore]] = defaultdict(list)
    for one in scores:
        length = one.characters.length
        groups[next((place for place, most in enumerate(LENGTHS) if length <= most), len(LENGTHS))].append(one)
    found = []
    for place, some in sorted(groups.items()):
        edits = total(each.characters for each in some)
        found.append(Group(_length_name(place), len(some), edits.length, edits.errors))
    return found


def _length_name(place: int) -> str:
    if place == len(LENGTHS):
        return f"more than {LENGTHS[-1]}"
    return f"{LENGTHS[place - 1] + 1 if place else 0} to {LENGTHS[place]}"


def _edits(label: str, prediction: str, normalization: str) -> Iterator[tuple[str, str]]:
    """Characters of label and prediction beside each other in a shortest alignment."""
    from rapidfuzz.distance import Levenshtein

    characters = NORMALIZATIONS[normalization].characters
    left, right = characters(label), characters(prediction)
    for block in Levenshtein.opcodes(left, right):
        ours, theirs = left[block.src_start : block.src_end], right[block.dest_start : block.dest_end]
        for number in range(max(len(ours), len(theirs))):
            yield (
                ours[number] if number < len(ours) else NOTHING,
                theirs[number] if number < len(theirs) else NOTHING,
            )
