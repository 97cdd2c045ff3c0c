"""What data is like. It crosses the door as JSON."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass

from hpsearch.execution.survey_result import Sizing

SUMMARY, FINDINGS = "stats.json", "findings.jsonl"


@dataclass(frozen=True)
class Spread:
    """How values are spread: the least, those that 5, 50 and 95 % are no greater than, the greatest, and their sum."""

    least: float = 0
    low: float = 0
    middle: float = 0
    high: float = 0
    most: float = 0
    total: float = 0


@dataclass(frozen=True)
class Part:
    """One split: its rows that can be used and those that cannot, its documents (0: rows name none), and how characters
    and words of a text, sides of a picture in pixels, and the bytes of its file are spread."""

    rows: int
    unusable: int
    documents: int
    characters: Spread
    words: Spread
    widths: Spread
    heights: Spread
    bytes: Spread


@dataclass(frozen=True)
class Script:
    """How many characters of all texts are of a script, and how many rows have one."""

    name: str
    characters: int
    rows: int


@dataclass(frozen=True)
class Example:
    """A row to look at: why it is shown, where it stands, its text, the size of its picture in pixels, and that made
    small, as a data URL. ``beside`` is the row that it repeats."""

    why: str
    row: str
    split: str
    text: str
    size: tuple[int, int]
    picture: str
    beside: str = ""


@dataclass(frozen=True)
class DataStatistics:
    """What was found. ``lengths`` and ``sizes`` are for drawing: texts by length (the longest of each group, and the
    texts in it by split), and up to a thousand pictures' sides in pixels. ``unusable`` counts rows by reason,
    ``duplicates`` by kind, ``crossing`` those of them whose first is in another split. ``rare`` characters are seen
    once or twice, and ``shown_rare`` are some of them; ``not_composed`` texts are not in Unicode's composed form (NFC).
    With a ``model``, ``text_tokens`` are those of the usual text, and ``sizings`` the rows' tokens at some sizes of
    pictures. ``findings`` name each row that cannot be used or is there twice."""

    data: str
    revision: str | None
    parts: Mapping[str, Part]
    unusable: Mapping[str, int]
    duplicates: Mapping[str, int]
    crossing: Mapping[str, int]
    shared_documents: int
    scripts: tuple[Script, ...]
    alphabet: int
    rare: int
    shown_rare: Mapping[str, int]
    not_composed: int
    lengths: tuple[tuple[int, Mapping[str, int]], ...]
    sizes: tuple[tuple[int, int], ...]
    model: str
    text_tokens: int
    sizings: tuple[Sizing, ...]
    examples: tuple[Example, ...]
    findings: tuple[Mapping[str, str], ...] = ()

    def to_json(self) -> str:
        """One JSON object."""
        return json.dumps(asdict(self), ensure_ascii=False)

    def figures(self) -> dict[str, object]:
        """What are figures in it, for people and programs."""
        return {name: value for name, value in asdict(self).items() if name not in ("examples", "findings")}

    @staticmethod
    def from_json(text: str) -> DataStatistics:
        """What ``to_json`` wrote."""
        found = json.loads(text)
        return DataStatistics(
            **{
                **found,
                "parts": {name: _part(each) for name, each in found["parts"].items()},
                "scripts": tuple(Script(**each) for each in found["scripts"]),
                "lengths": tuple((most, counts) for most, counts in found["lengths"]),
                "sizes": tuple((width, height) for width, height in found["sizes"]),
                "sizings": tuple(Sizing(**each) for each in found["sizings"]),
                "findings": tuple(found["findings"]),
                "examples": tuple(Example(**{**each, "size": tuple(each["size"])}) for each in found["examples"]),
            }
        )


def _part(found: Mapping[str, object]) -> Part:
    return Part(**{name: Spread(**each) if isinstance(each, dict) else each for name, each in found.items()})  # type: ignore[arg-type]
