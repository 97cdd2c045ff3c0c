"""Making one dataset of several: what is wanted, and what came of it. Both cross the door as JSON."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass

ROWS, CARD, LEFT_OUT, SUMMARY = "data", "README.md", "left_out.jsonl", "merged.json"
WORK = ".merging"  # below the output folder, while it is not whole


@dataclass(frozen=True)
class Joining:
    """What is wanted: of each of ``datasets`` (settings of a study that say where it is and how it is read) all rows,
    in ``output_dir``, under ``names``. ``drop_alike``: of rows that look alike and read the same only the first."""

    datasets: tuple[Mapping[str, object], ...]
    names: tuple[str, ...]
    output_dir: str
    drop_alike: bool = False


@dataclass(frozen=True)
class Taken:
    """What came of one dataset: where it was read from, the commit of one on the Hub, rows by split that are taken, and
    those that are not, by reason."""

    data: str
    revision: str | None
    rows: Mapping[str, int]
    left_out: Mapping[str, int]


@dataclass(frozen=True)
class Joined:
    """What came of it, by dataset, and rows by split in all. ``alike`` rows look like an earlier one and read the same,
    and were kept."""

    datasets: Mapping[str, Taken]
    rows: Mapping[str, int]
    bytes: int
    alike: int = 0

    def to_json(self) -> str:
        """One JSON object, for people too."""
        return json.dumps(asdict(self), ensure_ascii=False, indent=2) + "\n"

    @staticmethod
    def from_json(text: str) -> Joined:
        """What ``to_json`` wrote."""
        found = json.loads(text)
        return Joined(**{**found, "datasets": {name: Taken(**each) for name, each in found["datasets"].items()}})
