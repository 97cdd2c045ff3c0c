"""Character and word error rates, with the text normalisations that go before them."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

_WHITE = re.compile(r"\s+")


def _nfc(text: str) -> str:
    return unicodedata.normalize("NFC", text)


def _whitespace(text: str) -> str:
    return _WHITE.sub(" ", _nfc(text)).strip()


# What is done to both texts first. "nfc" makes composed and decomposed accents equal and changes nothing else.
NORMALIZATIONS: dict[str, Callable[[str], str]] = {"none": str, "nfc": _nfc, "whitespace": _whitespace}


@dataclass(frozen=True)
class Edits:
    """The cheapest way from a reference to a prediction: insertions, deletions and substitutions of units (characters
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
        """Errors for each unit of the reference; may exceed 1. An empty reference counts as one unit, so that text
        where there is none is an error and nothing where there is nothing is not."""
        return self.errors / max(self.length, 1)

    def __add__(self, other: Edits) -> Edits:
        return Edits(
            self.substitutions + other.substitutions,
            self.deletions + other.deletions,
            self.insertions + other.insertions,
            self.length + other.length,
        )


def character_edits(reference: str, prediction: str, normalization: str = "nfc") -> Edits:
    """Edits between two texts in characters (Unicode code points)."""
    normalize = NORMALIZATIONS[normalization]
    return _edits(normalize(reference), normalize(prediction))


def word_edits(reference: str, prediction: str, normalization: str = "nfc") -> Edits:
    """Edits between two texts in words (what white space separates)."""
    normalize = NORMALIZATIONS[normalization]
    return _edits(normalize(reference).split(), normalize(prediction).split())


def _edits(reference: Sequence[str], prediction: Sequence[str]) -> Edits:
    from rapidfuzz.distance import Levenshtein

    counts = {"replace": 0, "delete": 0, "insert": 0}
    for operation in Levenshtein.editops(reference, prediction):
        counts[operation.tag] += 1
    return Edits(counts["replace"], counts["delete"], counts["insert"], len(reference))


def total(edits: Iterable[Edits]) -> Edits:
    """The edits of a whole corpus. Its rate is the micro-average: all errors over all units of all references, so a
    long page weighs more than a short one, and errors on empty references still count."""
    summed = Edits()
    for one in edits:
        summed += one
    return summed


def character_error_rate(references: Sequence[str], predictions: Sequence[str], normalization: str = "nfc") -> float:
    """Micro-averaged character error rate (CER) of a corpus; 0 is perfect, and it may exceed 1.

    Raises:
        ValueError: there are not as many predictions as references.
    """
    return _rate(character_edits, references, predictions, normalization)


def word_error_rate(references: Sequence[str], predictions: Sequence[str], normalization: str = "nfc") -> float:
    """Micro-averaged word error rate (WER) of a corpus; 0 is perfect, and it may exceed 1.

    Raises:
        ValueError: there are not as many predictions as references.
    """
    return _rate(word_edits, references, predictions, normalization)


def _rate(
    edits: Callable[[str, str, str], Edits], references: Sequence[str], predictions: Sequence[str], normalization: str
) -> float:
    if len(references) != len(predictions):
        raise ValueError(f"{len(references)} references need as many predictions, but there are {len(predictions)}")
    return total(edits(*pair, normalization) for pair in zip(references, predictions, strict=True)).rate
