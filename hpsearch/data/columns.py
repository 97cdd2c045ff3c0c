"""Which columns of a row are its picture, its text and its document."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from hpsearch.errors import UsageError

# The third of each are FineVision's: a list of pictures, and a list of turns of a talk.
IMAGE_COLUMNS = ("image_path", "image", "images", "img_path")
TEXT_COLUMNS = ("ocr_text", "text", "texts", "ocr_results")
DOCUMENT_COLUMN = "document"
SOURCES_COLUMN = "sources"
ORIGIN_COLUMNS = ("dataset", "row")
SHOWN_COLUMNS = 30  # of a row's, in a message


@dataclass(frozen=True)
class Found:
    """The columns that are read; ``document`` is None where there is none."""

    image: str
    text: str
    document: str | None


@dataclass(frozen=True)
class Layout:
    """How rows are laid out. A column that is None is found by its name; ``image_root`` is where relative paths of
    pictures lead from, None: the folder of the file that has them."""

    image_column: str | None = None
    text_column: str | None = None
    document_column: str | None = None
    image_root: Path | None = None

    def find(self, names: Iterable[str], where: str) -> Found:
        """The columns among these names; ``where`` says in messages whose they are.

        Raises:
            UsageError: one that was named is not there, one that is needed is not found, or several could be meant.
        """
        there = [str(name) for name in names]
        for setting in ("image_column", "text_column", "document_column"):
            _check_named(setting, getattr(self, setting), there, where)
        return Found(
            image=self.image_column or _only("image_column", IMAGE_COLUMNS, there, where),
            text=self.text_column or _only("text_column", TEXT_COLUMNS, there, where),
            document=self.document_column or (DOCUMENT_COLUMN if DOCUMENT_COLUMN in there else None),
        )

    def folder(self, beside: Path) -> Path:
        """Where the relative paths in a file in ``beside`` lead from."""
        return beside if self.image_root is None else self.image_root


def _check_named(setting: str, name: str | None, there: Sequence[str], where: str) -> None:
    if name is not None and name not in there:
        raise UsageError(
            f"{setting} must name a column of the data, but is {name!r}, and {where} has {_listed(there)}",
            f"set {setting} to one of these",
        )


def _only(setting: str, candidates: Sequence[str], there: Sequence[str], where: str) -> str:
    found = [name for name in candidates if name in there]
    if not found:
        raise UsageError(
            f"a row must have {', '.join(candidates[:-1])} or {candidates[-1]}, but {where} has only {_listed(there)}",
            f"rename the column, or name it with {setting}",
        )
    if len(found) > 1:
        raise UsageError(
            f"{setting} must be given where several columns could be meant, but {where} has {' and '.join(found)}",
            f"set {setting} to one of them",
        )
    return found[0]


def _listed(names: Sequence[str]) -> str:
    more = f" and {len(names) - SHOWN_COLUMNS} more" if len(names) > SHOWN_COLUMNS else ""
    return (", ".join(names[:SHOWN_COLUMNS]) or "nothing") + more
