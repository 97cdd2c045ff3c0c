"""What the prepare job leaves in its folder for the trials: rows, where the model is, and what was found out."""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from hpsearch.errors import UsageError
from hpsearch.training.rows import RowFile
from hpsearch.trials.settings import FIXED_BY_PREPARE, TrainSettings

SPLITS = ("train", "validation", "holdout")
FILE_NAME = "prepared.json"


@dataclass(frozen=True)
class Prepared:
    """prepared.json. ``stamp`` is a digest of all that went in: while it stays the same, so does the result.
    ``tokens`` has "longest" (a whole row) and "longest_answer". ``base`` are the untuned model's scores.
    ``data_revision`` is the commit of a dataset on the Hub."""

    stamp: str
    fingerprint: str
    model_fingerprint: str
    model_path: str
    family: str
    backend: str
    backend_reason: str
    rows: dict[str, int]
    tokens: dict[str, int]
    lora_modules: dict[str, int]
    base: dict[str, float]
    device: str
    precision: str
    versions: dict[str, str]
    settings: dict[str, Any]
    data_revision: str | None = None
    warnings: list[str] = field(default_factory=list)

    def write(self, folder: Path) -> None:
        """Write prepared.json into ``folder``, whole or not at all."""
        temporary = folder / f"{FILE_NAME}.new"
        with temporary.open("w", encoding="utf-8") as target:
            json.dump(asdict(self), target, indent=1, sort_keys=True, ensure_ascii=False)
            target.flush()
            os.fsync(target.fileno())
        temporary.replace(folder / FILE_NAME)

    @staticmethod
    def read(folder: Path) -> Prepared:
        """Read what ``write`` wrote.

        Raises:
            UsageError: no prepare job has finished in ``folder``, or one of another release.
        """
        path = folder / FILE_NAME
        try:
            return Prepared(**json.loads(path.read_text(encoding="utf-8")))
        except (OSError, ValueError, TypeError) as error:
            raise UsageError(
                f"a trial needs what its prepare job found, but {path} cannot be used: {error}",
                "run the prepare job first",
            ) from error

    def check(self, settings: TrainSettings) -> None:
        """Refuse settings that this folder was not prepared for.

        Raises:
            UsageError: one of ``FIXED_BY_PREPARE`` differs, or the longest row does not fit.
        """
        for name in FIXED_BY_PREPARE:
            value = getattr(settings, name)
            if value != self.settings[name]:
                raise UsageError(
                    f"{name} must be {self.settings[name]!r}, which the data was prepared with, but is {value!r}",
                    "run the prepare job again with these settings",
                )
        if self.tokens["longest"] > settings.max_seq_length:
            raise UsageError(too_long(self.tokens["longest"], settings.max_seq_length), TOO_LONG_REMEDY)


TOO_LONG_REMEDY = "raise max_seq_length, make the pictures smaller, or leave the longest rows out"


def too_long(longest: int, limit: int) -> str:
    """The rule that the longest row breaks."""
    return f"every row must fit in max_seq_length, but the longest has {longest} tokens and max_seq_length is {limit}"


def row_file(folder: Path, split: str) -> Path:
    """Where a split's rows are."""
    return folder / f"{split}.arrow"


def open_rows(folder: Path, split: str) -> RowFile:
    """A split's rows, mapped into memory."""
    return RowFile(row_file(folder, split))
