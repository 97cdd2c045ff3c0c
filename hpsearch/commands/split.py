"""Setting rows aside for a test, so that no document is on both sides: `hpsearch data split`."""

from __future__ import annotations

import hashlib
import json
import os
import random
from collections.abc import Iterator, Sequence
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
    """What is split: the rows of ``source`` into two files in ``target``, so much of them for the test."""

    source: Path
    target: Path
    test_fraction: float
    seed: int
    force: bool = False
    layout: Layout = field(default_factory=Layout)


@dataclass(frozen=True)
class SplitPart:
    """One of the two: its file, and how many rows, documents and characters it has."""

    file: Path
    rows: int
    documents: int
    characters: int


@dataclass(frozen=True)
class SplitResult:
    """Both sides, and how many rows were left out for want of a picture or a text."""

    non_test: SplitPart
    test: SplitPart
    left_out: int


def split_rows(wanted: SplitRequest) -> SplitResult:
    """Write both files. A row belongs to its document, or else to its picture; the same seed draws the same documents.

    Raises:
        UsageError: the rows cannot be read, are already split, are of one document, or files are there already.
    """
    samples = _samples(wanted)
    usable = [each for each in samples if not each.fault and each.text.strip() and _is_text(each.text)]
    names = [_document(each) for each in usable]
    held = _drawn(names, wanted)
    files = [wanted.target / name for name in (NON_TEST, TEST)]
    if any(path.exists() and path.samefile(wanted.source) for path in files):
        raise UsageError(
            "split does not replace what it splits, but the input is one of its files", "name another folder"
        )
    there = [str(path) for path in files if path.exists()]
    if there and not wanted.force:
        raise UsageError(
            f"split writes new files, but {' and '.join(there)} {'is' if len(there) == 1 else 'are'} there already",
            "name another --output-dir, or replace them with --force",
        )
    wanted.target.mkdir(parents=True, exist_ok=True)
    sides = []
    for file, tested in zip(files, (False, True), strict=True):
        chosen = [(each, name) for each, name in zip(usable, names, strict=True) if (name in held) is tested]
        rows = [_row(each, wanted.target) for each, _ in chosen]
        write_text(file, json.dumps(rows, ensure_ascii=False, indent=2) + "\n")
        characters = sum(len(each.text) for each, _ in chosen)
        sides.append(SplitPart(file, len(rows), len({name for _, name in chosen}), characters))
    return SplitResult(sides[0], sides[1], len(samples) - len(usable))


def _samples(wanted: SplitRequest) -> list[Sample]:
    splits = read_splits(wanted.source, wanted.layout)
    if len(splits) > 1:
        raise UsageError(
            f"rows are split once, but {wanted.source} has {', '.join(sorted(splits))} already", "name one of its files"
        )
    return [each for rows in splits.values() for each in rows]


def _is_text(text: str) -> bool:
    """Whether it can be written: half a surrogate pair is no character."""
    return text.encode("utf-8", "replace").decode("utf-8") == text


def _document(sample: Sample) -> str:
    if sample.document is not None:
        return f"document {sample.document}"
    if isinstance(sample.image, Path):
        return f"picture {sample.image.resolve()}"
    return f"picture {hashlib.sha256(sample.read()).hexdigest()}"


def _drawn(names: Sequence[str], wanted: SplitRequest) -> set[str]:
    """The documents for the test: drawn one after the other while that comes nearer to the fraction; one at least on
    each side."""
    sizes: dict[str, int] = {}
    for name in names:
        sizes[name] = sizes.get(name, 0) + 1
    if len(sizes) < 2:
        raise UsageError(
            f"a split needs rows of two documents at least, but {wanted.source} has rows of {len(sizes)}",
            "add rows, or name another --document-column",
        )
    order = sorted(sizes)
    random.Random(wanted.seed).shuffle(order)
    held: set[str] = set()
    count = 0
    for name in order[:-1]:
        if held and count + sizes[name] / 2 > wanted.test_fraction * len(names):
            break
        held.add(name)
        count += sizes[name]
    return held


def _row(sample: Sample, target: Path) -> dict[str, str]:
    """A row whose picture's path leads from the file that it is written to, as the original did from its own."""
    if isinstance(sample.image, Path):
        shown = os.path.relpath(sample.image.resolve(), target.resolve())
    else:
        shown = _saved(sample.read(), target)
    found = {"image_path": shown, "ocr_text": sample.text}
    return {**found, "document": sample.document} if sample.document is not None else found


def _saved(picture: bytes, target: Path) -> str:
    """Write a picture that is in the data itself; where it is, from the target."""
    ending = next(_endings(picture), ".bin")
    path = Path(PICTURES, hashlib.sha256(picture).hexdigest()[:20] + ending)
    (target / PICTURES).mkdir(exist_ok=True)
    (target / path).write_bytes(picture)
    return str(path)


def _endings(picture: bytes) -> Iterator[str]:
    return (ending for start, ending in ENDINGS.items() if picture.startswith(start))
