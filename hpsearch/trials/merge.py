"""Merging an adapter into its base: what is wanted, and what came of it. Both cross the door as JSON."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass

SUMMARY = "merge.json"


@dataclass(frozen=True)
class Merge:
    """The adapter's folder, the folder for the merged model, the number format it is saved in, and pictures that the
    models are compared on."""

    lora_dir: str
    output_dir: str
    precision: str = "bf16"
    pictures: tuple[str, ...] = ()
    force: bool = False


@dataclass(frozen=True)
class Reading:
    """What a picture reads by the base, with the adapter, and by the merged model."""

    picture: str
    base: str
    adapter: str
    merged: str


@dataclass(frozen=True)
class Merged:
    """What came of it. ``apart`` is how far the merged model's logits are from the adapter's, as a share of how far
    the base's are: 0 is the adapter, 1 as far as the base. ``bytes`` are those of its ``files``."""

    base: str
    family: str
    precision: str
    apart: float
    bytes: int
    tokens: int
    readings: tuple[Reading, ...]
    files: tuple[str, ...] = ()

    def to_json(self) -> str:
        """One JSON object, for people too."""
        return json.dumps(asdict(self), ensure_ascii=False, indent=2) + "\n"

    @staticmethod
    def from_json(text: str) -> Merged:
        """What ``to_json`` wrote."""
        found = json.loads(text)
        readings = tuple(Reading(**each) for each in found["readings"])
        return Merged(**{**found, "readings": readings, "files": tuple(found["files"])})
