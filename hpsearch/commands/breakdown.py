"""Where the errors are: which characters are taken for which, in which scripts, in texts of which length."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from hpsearch.commands.scores import Score
from hpsearch.data.metrics import NORMALIZATIONS, total
from hpsearch.data.text_stats import script_of

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


def by_length(scores: Sequence[Score]) -> list[Group]:
    """Samples by the length of their label in characters."""
    groups: dict[int, list[Score]] = defaultdict(list)
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
