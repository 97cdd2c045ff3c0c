"""The statistics of data that `hpsearch data stats` shows, as the job writes them and the command reads them: JSON."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from hpsearch.execution.survey_result import Sizing

SUMMARY, FINDINGS = "stats.json", "findings.jsonl"


@dataclass(frozen=True)
class Spread:
    """The spread of values: the least, the percentiles 5, 50 and 95, the greatest, and the sum."""

    least: float = 0
    low: float = 0
    middle: float = 0
    high: float = 0
    most: float = 0
    total: float = 0


@dataclass(frozen=True)
class Part:
    """One split: its rows that can be used and those that cannot, its documents (0: rows name none), and the spread of
    the characters and words of a text, the sides of a picture in pixels, and the bytes of its file."""

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
    """The number of characters of a script in all texts, and of rows that have one."""

    name: str
    characters: int
    rows: int


@dataclass(frozen=True)
class Example:
    """A row to look at: why it is shown, its place, its text, the size of its picture in pixels, and a small copy of
    that as a data URL. ``beside`` is the row that it repeats."""

    why: str
    row: str
    split: str
    text: str
    size: tuple[int, int]
    picture: str
    beside: str = ""


@dataclass(frozen=True)
class DataStatistics:
    """The statistics of all splits. ``lengths`` and ``sizes`` are for drawing: texts by length (the longest of each
    group, and the texts in it by split), and up to a thousand pictures' sides in pixels. ``unusable`` counts rows by
    reason, ``duplicates`` by kind, ``crossing`` those of them whose first is in another split. ``rare`` characters are
    seen once or twice, and ``shown_rare`` are some of them; ``not_composed`` texts are not in Unicode's composed form
    (NFC). With a ``model``, ``text_tokens`` are those of the usual text, and ``sizings`` the rows' tokens at some sizes
    of pictures. ``findings`` name each row that cannot be used or is a duplicate."""

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
        """Return one JSON object."""
        return json.dumps(asdict(self), ensure_ascii=False)

    def figures(self) -> dict[str, object]:
        """Return the figures alone, for people and programs."""
        return {name: value for name, value in asdict(self).items() if name not in ("examples", "findings")}

    @staticmethod
    def from_json(text: str) -> DataStatistics:
        """Read what ``to_json`` wrote."""
        values = json.loads(text)
        parts: dict[str, dict[str, Any]] = {
            split: {name: Spread(**value) if isinstance(value, dict) else value for name, value in part.items()}
            for split, part in values["parts"].items()
        }
        return DataStatistics(
            **{
                **values,
                "parts": {split: Part(**part) for split, part in parts.items()},
                "scripts": tuple(Script(**script) for script in values["scripts"]),
                "lengths": tuple((most, counts) for most, counts in values["lengths"]),
                "sizes": tuple((width, height) for width, height in values["sizes"]),
                "sizings": tuple(Sizing(**sizing) for sizing in values["sizings"]),
                "findings": tuple(values["findings"]),
                "examples": tuple(Example(**{**row, "size": tuple(row["size"])}) for row in values["examples"]),
            }
        )
