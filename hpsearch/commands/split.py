"""`hpsearch data split`: rows set aside for a test, with no document on both sides."""

from __future__ import annotations

import hashlib
import json
import os
import random
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from hpsearch.data.rows import Layout, Sample, read_splits
from hpsearch.errors import UsageError
from hpsearch.execution.files import write_text

NON_TEST, TEST, PICTURES = "ocr_non_test.json", "ocr_test.json", "ocr_images"  # names that scripts know
ENDINGS = {
    b"\x89PNG": ".png",
    b"\xff\xd8": ".jpg",
    b"RIFF": ".webp",
    b"II*\0": ".tif",
    b"MM\0*": ".tif",
    b"GIF8": ".gif",
}


@dataclass(frozen=True)
class SplitRequest:
    """The rows of ``source`` as two files in ``target``, with a fraction of them for the test."""

    source: Path
    target: Path
    test_fraction: float
    seed: int
    force: bool = False
    layout: Layout = field(default_factory=Layout)


@dataclass(frozen=True)
class SplitPart:
    """One of the two files, and its numbers of rows, documents and characters."""

    file: Path
    rows: int
    documents: int
    characters: int


@dataclass(frozen=True)
class SplitResult:
    """Both files, and the number of rows that were left out, without a picture or a text."""

    non_test: SplitPart
    test: SplitPart
    left_out: int


def split_rows(request: SplitRequest) -> SplitResult:
    """Write both files. A row belongs to its document, or else to its picture; the same seed draws the same documents.

    Raises:
        UsageError: the rows cannot be read, are already split, are of one document, or files are there already.
    """
    splits = read_splits(request.source, request.layout)
    if len(splits) > 1:
        names = ", ".join(sorted(splits))
        raise UsageError(f"rows are split once, but {request.source} has {names} already", "name one of its files")
    samples = [sample for rows in splits.values() for sample in rows]
    usable = [sample for sample in samples if not sample.fault and sample.text.strip() and _is_text(sample.text)]
    documents = [_document(sample) for sample in usable]
    tested = _draw_documents(documents, request)
    files = [request.target / name for name in (NON_TEST, TEST)]
    _refuse_existing(files, request)
    request.target.mkdir(parents=True, exist_ok=True)
    parts = []
    for file, is_test in zip(files, (False, True), strict=True):
        side = [(row, name) for row, name in zip(usable, documents, strict=True) if (name in tested) is is_test]
        rows = [_row(sample, request.target) for sample, _ in side]
        write_text(file, json.dumps(rows, ensure_ascii=False, indent=2) + "\n")
        characters = sum(len(sample.text) for sample, _ in side)
        parts.append(SplitPart(file, len(rows), len({name for _, name in side}), characters))
    return SplitResult(parts[0], parts[1], len(samples) - len(usable))


def _is_text(text: str) -> bool:
    """Return False for a text that cannot be written: half a surrogate pair is no character."""
    return text.encode("utf-8", "replace").decode("utf-8") == text


def _document(sample: Sample) -> str:
    if sample.document is not None:
        return f"document {sample.document}"
    if isinstance(sample.image, Path):
        return f"picture {sample.image.resolve()}"
    return f"picture {hashlib.sha256(sample.read()).hexdigest()}"


def _draw_documents(documents: Sequence[str], request: SplitRequest) -> set[str]:
    """Draw the test's documents, one after the other while that comes nearer to the fraction; at least one is on each
    side."""
    sizes = Counter(documents)
    if len(sizes) < 2:
        raise UsageError(
            f"a split needs rows of two documents at least, but {request.source} has rows of {len(sizes)}",
            "add rows, or name another --document-column",
        )
    order = sorted(sizes)
    random.Random(request.seed).shuffle(order)
    drawn: set[str] = set()
    rows = 0
    for document in order[:-1]:
        if drawn and rows + sizes[document] / 2 > request.test_fraction * len(documents):
            break
        drawn.add(document)
        rows += sizes[document]
    return drawn


def _refuse_existing(files: Sequence[Path], request: SplitRequest) -> None:
    there = [path for path in files if path.exists()]
    if any(path.samefile(request.source) for path in there):
        raise UsageError(
            "split does not replace what it splits, but the input is one of its files", "name another folder"
        )
    if there and not request.force:
        names = " and ".join(map(str, there))
        raise UsageError(
            f"split writes new files, but {names} {'is' if len(there) == 1 else 'are'} there already",
            "name another --output-dir, or replace them with --force",
        )


def _row(sample: Sample, target: Path) -> dict[str, str]:
    """Make a row whose picture's path leads from the file that it is written to, as the original did from its own. A
    picture in the data itself is written to a file."""
    if isinstance(sample.image, Path):
        path = os.path.relpath(sample.image.resolve(), target.resolve())
    else:
        picture = sample.read()
        ending = next((ending for start, ending in ENDINGS.items() if picture.startswith(start)), ".bin")
        path = str(Path(PICTURES, hashlib.sha256(picture).hexdigest()[:20] + ending))
        (target / PICTURES).mkdir(exist_ok=True)
        (target / path).write_bytes(picture)
    row = {"image_path": path, "ocr_text": sample.text}
    return {**row, "document": sample.document} if sample.document is not None else row
