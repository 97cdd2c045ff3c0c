"""Result of the survey job, which examines data, model and machine for drafting a study: one JSON file."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass

# Text tokens for each visual one. DeepSeek-OCR reads 97 % right at 10 and 60 % at 20 (arXiv:2510.18234, table 2).
CROWDED, HOPELESS = 10, 20


@dataclass(frozen=True)
class Sizing:
    """Tokens of the rows at one size of pictures.

    ``longest_edge`` is that of the settings, in pixels, and ``max_pixels`` an area, where there is no edge (both None:
    the model's own limit); ``pan_and_scan``: crops are added. ``picture`` are the visual tokens of the usual
    row, ``row`` all tokens of the longest one.
    """

    longest_edge: int | None
    pan_and_scan: bool
    picture: int
    row: int
    max_pixels: int | None = None

    @property
    def setting(self) -> tuple[str, int] | None:
        """Return the setting that makes pictures this size, and its value; None for the model's own size."""
        if self.longest_edge is not None:
            return "longest_edge", self.longest_edge
        return None if self.max_pixels is None else ("max_pixels", self.max_pixels)


@dataclass(frozen=True)
class TowerSize:
    """A part of the model: its ``layers``, its width (``hidden``), and the parameters that LoRA trains of it for each
    unit of rank (0: nothing to adapt)."""

    layers: int
    hidden: int
    per_rank: int


@dataclass(frozen=True)
class Survey:
    """Properties of data, model and machine. Memory is in bytes, lengths in tokens.

    ``rows`` are those of train, validation and holdout. ``edge`` is the edge of a square as large as the largest
    picture, in pixels. ``sizings`` begins with the model's own. ``answer`` and ``longest_answer`` are the tokens of
    the usual and the longest text. ``towers`` are "language", "vision" and "merger"; ``patches`` are the vision
    tower's positions for each visual token. ``weights`` are the model's in the format it computes in here,
    ``weights_4bit`` with its linear layers in 4 bits. ``device`` is "cpu" or "cuda", ``memory`` the device's (0 for a
    CPU), ``gpu`` its name; ``bitsandbytes``: the library for 4 bits is installed.
    """

    family: str
    rows: Mapping[str, int]
    edge: int
    sizings: tuple[Sizing, ...]
    answer: int
    longest_answer: int
    towers: Mapping[str, TowerSize]
    patches: int
    parameters: int
    vocabulary: int
    weights: int
    weights_4bit: int
    device: str
    memory: int = 0
    gpu: str = ""
    bitsandbytes: bool = False
    warnings: tuple[str, ...] = ()

    def to_json(self) -> str:
        """Encode the survey as one JSON object."""
        return json.dumps(asdict(self), ensure_ascii=False)

    @staticmethod
    def from_json(text: str) -> Survey:
        """Decode the result of ``to_json``."""
        fields = json.loads(text)
        sizings = tuple(Sizing(**sizing) for sizing in fields.pop("sizings"))
        towers = {name: TowerSize(**size) for name, size in fields.pop("towers").items()}
        return Survey(**{**fields, "warnings": tuple(fields["warnings"])}, sizings=sizings, towers=towers)
