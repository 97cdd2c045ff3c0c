"""What the prepare job leaves in its folder for the trials: rows, where the model is, and what was found out."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from hpsearch.data.splits import pick
from hpsearch.errors import UsageError
from hpsearch.settings import FIXED_BY_PREPARE, TrainSettings
from hpsearch.training.prepared_rows import Row, RowFile

SPLITS = ("train", "validation", "holdout")
FILE_NAME = "prepared.json"
SCRATCH = "scratch"  # a folder in the prepared one while it is made
_SIZING = ("longest_edge", "max_pixels", "pan_and_scan", "instruction")  # what rows' tokens depend on


@dataclass(frozen=True)
class Prepared:
    """prepared.json. ``stamp`` is a digest of all that went in: while it stays the same, so does the result.
    ``figures`` and ``lines`` are the preflight's; ``resolved`` what settings left open came to (the prompt, how many
    rows are judged on, the model's commit), for all trials of the study. ``base`` are the untuned model's scores,
    ``samples`` some of its answers. ``data_revision`` is the commit of a dataset on the Hub."""

    stamp: str
    fingerprint: str
    model_fingerprint: str
    model_path: str
    family: str
    profile: str | None
    backend: str
    backend_reason: str
    rows: dict[str, int]
    figures: dict[str, Any]
    lines: list[list[str]]
    resolved: dict[str, Any]
    base: dict[str, float]
    samples: list[dict[str, Any]]
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
        own = self.resolved_in(TrainSettings.model_validate(self.settings))
        for name in FIXED_BY_PREPARE:
            value = getattr(settings, name)
            if value != getattr(own, name):
                raise UsageError(
                    f"{name} must be {getattr(own, name)!r}, which the data was prepared with, but is {value!r}",
                    "run the prepare job again with these settings",
                )
        longest = self.figures["tokens"]["longest"]
        sized_alike = all(getattr(self.resolved_in(settings), name) == getattr(own, name) for name in _SIZING)
        if sized_alike and longest > settings.max_seq_length:
            raise UsageError(
                f"every row must fit in max_seq_length={settings.max_seq_length} tokens, but the longest has {longest}",
                "raise max_seq_length, make the pictures smaller, or leave the longest rows out",
            )

    def resolved_in(self, settings: TrainSettings) -> TrainSettings:
        """The settings with what they leave open as prepare resolved it."""
        open_ones = {name: value for name, value in self.resolved.items() if getattr(settings, name) is None}
        return settings.model_copy(update=open_ones)


def row_file(folder: Path, split: str) -> Path:
    """Where a split's rows are."""
    return folder / f"{split}.arrow"


def open_rows(folder: Path, split: str) -> RowFile:
    """A split's rows, mapped into memory."""
    return RowFile(row_file(folder, split))


def drawn(folder: Path, split: str, count: int | None) -> Sequence[Row]:
    """So many rows of a split, always the same ones, and with more of them the same and others; all for None."""
    rows = open_rows(folder, split)
    if count is None or count >= len(rows):
        return rows
    return RowFile(row_file(folder, split), pick(rows.ids(), count))
