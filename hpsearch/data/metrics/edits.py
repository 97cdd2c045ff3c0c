"""Character and word error rates (CER, WER): the units of a text, the normalisations before the comparison, and edits.

The edits are counted by rapidfuzz, which jiwer uses as well: a trainer's environment has no jiwer. A test holds the
rates equal to jiwer's.
"""

from __future__ import annotations

import re
import string
import unicodedata
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

_WHITE = re.compile(r"\s+")
# Blocks with the punctuation of Chinese text: general punctuation, CJK symbols, vertical, small and full-width forms.
_CHINESE = ((0x2010, 0x205E), (0x3000, 0x303F), (0xFE10, 0xFE1F), (0xFE30, 0xFE6F), (0xFF00, 0xFFEF), (0xB7, 0xB7))


def graphemes(text: str) -> list[str]:
    """Split a text into the characters that a reader sees, such as a consonant with its vowel sign (UAX 29)."""
    import regex

    characters: list[str] = regex.findall(r"\X", text)
    return characters


def _nfc(text: str) -> str:
    return unicodedata.normalize("NFC", text)


def _without_punctuation(text: str) -> str:
    return "".join(character for character in _nfc(text) if not _is_punctuation(character))


def _is_punctuation(character: str) -> bool:
    if character in string.punctuation:
        return True
    in_block = any(low <= ord(character) <= high for low, high in _CHINESE)
    return in_block and unicodedata.category(character)[0] in "PS"


@dataclass(frozen=True)
class Normalization:
    """The change of both texts before they are compared: by ``characters`` into characters, by ``words`` into words."""

    characters: Callable[[str], Sequence[str]]
    plain: Callable[[str], str] = _nfc

    def words(self, text: str) -> list[str]:
        """Split a text at white space."""
        return self.plain(text).split()


NORMALIZATIONS: dict[str, Normalization] = {
    "none": Normalization(str, str),
    # Makes composed and decomposed accents equal and changes nothing else.
    "nfc": Normalization(_nfc),
    # Runs of white space are one space, with none at the ends.
    "whitespace": Normalization(lambda text: _WHITE.sub(" ", _nfc(text)).strip()),
    # No white space, no ASCII nor Chinese punctuation: compares the letters alone.
    "no_punctuation": Normalization(lambda text: _WHITE.sub("", _without_punctuation(text)), _without_punctuation),
    "graphemes": Normalization(lambda text: graphemes(_nfc(text))),
}


@dataclass(frozen=True)
class Edits:
    """The fewest edits from a reference to a prediction: insertions, deletions and substitutions of units (characters
    or words), and the reference's length in units."""

    substitutions: int = 0
    deletions: int = 0
    insertions: int = 0
    length: int = 0

    @property
    def errors(self) -> int:
        """Edits of all three kinds."""
        return self.substitutions + self.deletions + self.insertions

    @property
    def rate(self) -> float:
        """Errors per unit of the reference; may exceed 1. An empty reference counts as one unit, so that any prediction
        for it is an error, and an empty one is not."""
        return self.errors / max(self.length, 1)

    def __add__(self, other: Edits) -> Edits:
        return Edits(
            self.substitutions + other.substitutions,
            self.deletions + other.deletions,
            self.insertions + other.insertions,
            self.length + other.length,
        )


def character_edits(reference: str, prediction: str, normalization: str = "nfc") -> Edits:
    """Count the edits between two texts in characters: Unicode code points, unless the normalisation has others."""
    characters = NORMALIZATIONS[normalization].characters
    return _edits(characters(reference), characters(prediction))


def word_edits(reference: str, prediction: str, normalization: str = "nfc") -> Edits:
    """Count the edits between two texts in words, which white space separates."""
    words = NORMALIZATIONS[normalization].words
    return _edits(words(reference), words(prediction))


def _edits(reference: Sequence[str], prediction: Sequence[str]) -> Edits:
    from rapidfuzz.distance import Levenshtein

    counts = {"replace": 0, "delete": 0, "insert": 0}
    for operation in Levenshtein.editops(reference, prediction):
        counts[operation.tag] += 1
    return Edits(counts["replace"], counts["delete"], counts["insert"], len(reference))


def total(edits: Iterable[Edits]) -> Edits:
    """Add up the edits of a whole corpus. Its rate is the micro-average: all errors over all units of all references,
    so a long page weighs more than a short one, and errors on empty references still count."""
    return sum(edits, Edits())


@dataclass(frozen=True)
class Overlap:
    """Characters that a reference and a prediction share, each as often as in both, whatever their order; and how many
    each has (the multisets' sizes)."""

    shared: int = 0
    predicted: int = 0
    length: int = 0

    @property
    def f1(self) -> float:
        """The harmonic mean of precision (of what is predicted, how much is in the reference) and recall (of the
        reference, how much is predicted), in 0..1; 1 where both are empty."""
        both = self.predicted + self.length
        return 2 * self.shared / both if both else 1.0

    def __add__(self, other: Overlap) -> Overlap:
        return Overlap(self.shared + other.shared, self.predicted + other.predicted, self.length + other.length)


def character_overlap(reference: str, prediction: str, normalization: str = "nfc") -> Overlap:
    """Count the characters that two texts share."""
    characters = NORMALIZATIONS[normalization].characters
    first, second = Counter(characters(reference)), Counter(characters(prediction))
    return Overlap((first & second).total(), second.total(), first.total())
