"""Making a dataset of transcribed pages: what is wanted, and what came of it. Both cross the door as JSON."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field

SIMPLE, FINEVISION = "simple", "finevision"
FORMATS = (SIMPLE, FINEVISION)
DATASET = "hf_dataset_chandra"  # the name that scripts for Chandra look for
CROPS, METADATA = "crops", "metadata"
SUMMARY, LEFT_OUT = "conversion.json", "left_out.jsonl"
WORK = ".converting"  # below the output folder, while it is not whole


@dataclass(frozen=True)
class Conversion:
    """What is wanted: of the pages in ``input_dir`` pieces of these ``kinds`` (line, paragraph, page), at most
    ``max_image_edge`` pixels long, with ``aug_copies`` more of each that is trained on; ``val_ratio`` of the pages for
    validation, drawn by ``seed``. ``batch_size``: rows that are written together, and so in memory. ``instruction`` is
    asked in rows of FineVision's form."""

    input_dir: str
    output_dir: str
    output_format: str = SIMPLE
    kinds: tuple[str, ...] = ("line",)
    max_image_edge: int = 2048
    val_ratio: float = 0.0
    aug_copies: int = 0
    batch_size: int = 50
    seed: int = 3407
    instruction: str = ""


@dataclass(frozen=True)
class Converted:
    """What came of it: XML files by what they were (page, other, refused), pages and rows by split, rows by kind and
    how many of them are augmented; reasons why pages and pieces were left out, with how often; and warnings."""

    files: Mapping[str, int]
    pages: Mapping[str, int]
    rows: Mapping[str, int]
    kinds: Mapping[str, int]
    augmented: int
    refused_pages: Mapping[str, int]
    left_out: Mapping[str, int]
    warnings: tuple[str, ...] = ()
    wanted: Mapping[str, object] = field(default_factory=dict)

    def to_json(self) -> str:
        """One JSON object, for people too."""
        return json.dumps(asdict(self), ensure_ascii=False, indent=2) + "\n"

    @staticmethod
    def from_json(text: str) -> Converted:
        """What ``to_json`` wrote."""
        found = json.loads(text)
        return Converted(**{**found, "warnings": tuple(found["warnings"])})
