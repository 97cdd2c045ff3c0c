"""The prepared folder, which the prepare job leaves for the trials: the rows of each split, and prepared.json."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hpsearch.data.images import open_image
from hpsearch.data.prepared_rows import PreparedRow, RowFile, row_file
from hpsearch.data.splits import pick
from hpsearch.errors import UsageError
from hpsearch.execution.files import sync_tree, write_text
from hpsearch.settings import FIXED_BY_PREPARE, TrainSettings

if TYPE_CHECKING:
    from hpsearch.training.models.chat import Chat

ROWS_AT_ONCE = 32  # written together, so that only these pictures are in memory
SPLITS = ("train", "validation", "holdout")
FILE_NAME = "prepared.json"
SCRATCH = "scratch"  # a folder in the prepared one while it is made
_SIZING = ("longest_edge", "max_pixels", "pan_and_scan", "instruction")  # what rows' tokens depend on


def table_of(rows: Iterable[PreparedRow]) -> Any:
    """Return the rows as an Arrow table."""
    import pyarrow as pa

    return pa.Table.from_batches(_batches(rows), _schema())


def write_rows(path: Path, rows: Iterable[PreparedRow]) -> None:
    """Write rows as an Arrow stream, which trials map into memory instead of loading it."""
    import pyarrow as pa

    with pa.OSFile(str(path), "wb") as sink, pa.ipc.new_stream(sink, _schema()) as writer:
        for batch in _batches(rows):
            writer.write_batch(batch)


def _schema() -> Any:
    import pyarrow as pa

    return pa.schema(
        [
            ("id", pa.string()),
            ("image", pa.large_binary()),
            ("text", pa.large_string()),
            ("document", pa.string()),
        ]
    )


def _batches(rows: Iterable[PreparedRow]) -> Iterator[Any]:
    import pyarrow as pa

    remaining = iter(rows)
    while chunk := list(islice(remaining, ROWS_AT_ONCE)):
        yield pa.RecordBatch.from_pylist([vars(row) for row in chunk], _schema())


def training_rows(table: Any, chat: Chat) -> Any:
    """Make a ``datasets.Dataset`` of prompt/completion rows over an Arrow table, so that only the answer is learned.

    Texts are already as the chat template writes them, the same that the evaluation uses. Pictures are decoded when a
    batch is made."""
    from datasets import Dataset

    def as_prompts(batch: dict[str, list[Any]]) -> dict[str, list[Any]]:
        return {
            "prompt": [chat.question for _ in batch["text"]],
            "completion": [chat.answer(text) for text in batch["text"]],
            "images": [[open_image(encoded)] for encoded in batch["image"]],
        }

    # A fingerprint is given because datasets would otherwise hash every picture to make one.
    return Dataset(table, fingerprint="hpsearch").with_transform(as_prompts)


@dataclass(frozen=True)
class PreparedData:
    """The content of prepared.json. ``input_digest`` is of the job's input: while it stays the same, so does the
    result. ``figures`` and ``lines`` are the preflight's; ``resolved`` the values of settings that were left open (the
    prompt, the number of rows in evaluations, the model's commit), for all trials of the study. ``base`` are the
    untuned model's scores, ``samples`` some of its answers. ``data_revision`` is the commit of a dataset on the Hub."""

    input_digest: str  # "stamp" in the file
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
        """Write prepared.json into ``folder`` in one step, once the files beside it are on the disk."""
        sync_tree(str(folder))
        values = asdict(self)
        values["stamp"] = values.pop("input_digest")
        write_text(folder / FILE_NAME, json.dumps(values, indent=1, sort_keys=True, ensure_ascii=False))

    @staticmethod
    def read(folder: Path) -> PreparedData:
        """Read what ``write`` wrote.

        Raises:
            UsageError: no prepare job has finished in ``folder``, or one of another release.
        """
        path = folder / FILE_NAME
        try:
            values = json.loads(path.read_text(encoding="utf-8"))
            return PreparedData(**{"input_digest" if name == "stamp" else name: values[name] for name in values})
        except (OSError, ValueError, TypeError) as error:
            raise UsageError(
                f"a trial needs the result of its prepare job, but {path} cannot be used: {error}",
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
        """Fill in what the settings leave open, as prepare resolved it."""
        resolved = {name: value for name, value in self.resolved.items() if getattr(settings, name) is None}
        return settings.model_copy(update=resolved)


def open_rows(folder: Path, split: str) -> RowFile:
    """Open a split's rows, mapped into memory."""
    return RowFile(row_file(folder, split))


def row_subset(folder: Path, split: str, count: int | None) -> Sequence[PreparedRow]:
    """Draw ``count`` rows of a split, always the same ones; a larger subset holds every smaller one. None: all rows."""
    rows = open_rows(folder, split)
    if count is None or count >= len(rows):
        return rows
    return RowFile(row_file(folder, split), pick(rows.ids(), count))
