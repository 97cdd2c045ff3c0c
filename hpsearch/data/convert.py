"""The convert job: transcribed pages become pictures of lines, paragraphs and pages with their texts, and a dataset.

One page is in memory at a time. Everything is made in a folder beside the old result, which it replaces at the end. The
job's request and result cross the door as JSON.
"""

from __future__ import annotations

import json
import os
import random
import re
import warnings
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import IO, Any

from hpsearch import sdk
from hpsearch.data.images import seen
from hpsearch.data.pages.crop import PageCrop, augmented, cut, pieces, shrunk
from hpsearch.data.pages.layout import Page, Unreadable
from hpsearch.data.pages.read import Pictures, fitted, read_page
from hpsearch.data.progress import ProgressReporter
from hpsearch.data.write_dataset import save_dataset
from hpsearch.errors import UsageError
from hpsearch.execution.job import Job
from hpsearch.execution.output_folder import replacing

SIMPLE, FINEVISION = "simple", "finevision"
FORMATS = (SIMPLE, FINEVISION)
DATASET = "hf_dataset_chandra"  # the name that scripts for Chandra look for
CROPS, METADATA = "crops", "metadata"
SUMMARY, LEFT_OUT = "conversion.json", "left_out.jsonl"
WORK = ".converting"  # below the output folder, while it is not whole
TRAIN, VALIDATION = "train", "validation"
NAME_BYTES = 120  # of a piece's name, in its picture's: a file's may have 255
# Of zlib's nine levels: pictures of lines are some per cent larger than by the usual 6, in a third of the time.
FAST = 3


@dataclass(frozen=True)
class ConversionRequest:
    """A conversion of the pages in ``input_dir`` to pieces of these ``kinds`` (line, paragraph, page), at most
    ``max_image_edge`` pixels long, with ``aug_copies`` more of each for training; ``val_ratio`` of the pages, chosen by
    ``seed``, are for validation. ``batch_size``: rows that are written together, and so in memory. ``instruction`` is
    the question in rows of FineVision's form."""

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
class ConversionResult:
    """The result of a conversion: XML files by kind (page, other, refused), pages and rows by split, rows by kind and
    the number of augmented ones; reasons why pages and pieces were left out, with their counts; warnings; and the
    request (``wanted``)."""

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
        """Return one JSON object, for people too."""
        return json.dumps(asdict(self), ensure_ascii=False, indent=2) + "\n"

    @staticmethod
    def from_json(text: str) -> ConversionResult:
        """Read what ``to_json`` wrote."""
        values = json.loads(text)
        return ConversionResult(**{**values, "warnings": tuple(values["warnings"])})


@dataclass
class ConversionCounts:
    """The counts of a conversion while it runs; the same as in its result, and the lines without a text."""

    files: Counter[str] = field(default_factory=Counter)
    pages: Counter[str] = field(default_factory=Counter)
    rows: Counter[str] = field(default_factory=Counter)
    kinds: Counter[str] = field(default_factory=Counter)
    augmented: int = 0
    refused_pages: Counter[str] = field(default_factory=Counter)
    left_out: Counter[str] = field(default_factory=Counter)
    untranscribed: int = 0

    def result(self, request: ConversionRequest) -> ConversionResult:
        """Return the result, splits in the order of training and validation."""
        counts: dict[str, Any] = {
            name: dict(sorted(value.items(), key=lambda item: item[0] == VALIDATION))
            if isinstance(value, Counter)
            else value
            for name, value in vars(self).items()
            if name != "untranscribed"
        }
        return ConversionResult(**counts, warnings=tuple(self._warnings(request)), wanted=asdict(request))

    def _warnings(self, request: ConversionRequest) -> Iterator[str]:
        if request.aug_copies and not self.rows[VALIDATION]:
            yield "without --val-ratio a search takes its validation rows from all of these, augmented copies included"
        if self.untranscribed and set(request.kinds) != {"line"}:
            lines = f"{self.untranscribed} lines have no text"
            yield f"{lines}: pictures of paragraphs and pages with them show more than their texts say"
        if request.val_ratio and not self.rows[VALIDATION]:
            yield "no page is left for validation: none of those chosen for it could be used"


def convert(job: Job) -> None:
    """Make the dataset that the job's settings request; its summary is in conversion.json, here and in the job's
    folder.

    Raises:
        UsageError: there are no pages, none can be used, or the output folder holds something else.
    """
    progress = ProgressReporter("look for pages")
    request = ConversionRequest(**{**job.settings, "kinds": tuple(job.settings["kinds"])})
    with replacing(Path(request.output_dir), "convert", WORK, SUMMARY, (CROPS, METADATA, DATASET, LEFT_OUT)) as work:
        counts = _convert_all(request, work, progress)
        summary = counts.result(request).to_json()
        (work / SUMMARY).write_text(summary, encoding="utf-8")
    (Path(job.output_dir) / SUMMARY).write_text(summary, encoding="utf-8")
    sdk.finish(rows=sum(counts.rows.values()))


def _convert_all(request: ConversionRequest, work: Path, progress: ProgressReporter) -> ConversionCounts:
    """Cut every page, and save the rows as a dataset."""
    files, pictures = _find_files(Path(request.input_dir), Path(request.output_dir))
    counts = ConversionCounts()
    with CropWriter(work, counts) as writer:
        pages = _find_pages(files, pictures, request, writer)
        validation = _validation_pages(pages, request)
        for number, (file, picture) in enumerate(pages.items()):
            progress.phase("cut pages", fraction=number / len(pages), pages=sum(counts.pages.values()))
            _convert_page(file, picture, VALIDATION if file in validation else TRAIN, request, writer)
    if not counts.rows:
        reasons = [*counts.refused_pages.most_common(3), *counts.left_out.most_common(3)]
        why = "; ".join(f"{reason} ({count})" for reason, count in reasons) or "none is PAGE-XML or ALTO-XML"
        raise UsageError(
            f"pages must have something to learn from, but of {request.input_dir} nothing could be used: {why}",
            "see docs/converting.md for what a page must have",
        )
    if not counts.rows[TRAIN]:
        raise UsageError(
            "a dataset has rows to train on, but all that could be used were chosen for validation",
            "add pages, correct those in left_out.jsonl, or name a smaller --val-ratio",
        )
    progress.phase("write the dataset")
    metadata = {side: work / METADATA / f"{side}.jsonl" for side in (TRAIN, VALIDATION) if counts.rows[side]}
    question = request.instruction if request.output_format == FINEVISION else None
    save_dataset(work / DATASET, metadata, request.batch_size, question)
    return counts


def _find_files(source: Path, target: Path) -> tuple[list[Path], Pictures]:
    """List the XML files below a folder in their order, and its pictures, without the files of an earlier
    conversion."""
    if not source.is_dir():
        raise UsageError(f"--input-dir must be a folder, but {source} is none", "correct --input-dir")
    made = [target / name for name in (CROPS, METADATA, DATASET, WORK)]
    files = [
        path
        for path in sorted(source.rglob("*"))
        if path.is_file() and not any(path.is_relative_to(folder) for folder in made)
    ]
    pages = [path for path in files if path.suffix.lower() == ".xml"]
    if not pages:
        raise UsageError(
            f"a folder of pages must hold PAGE-XML or ALTO-XML files, but {source} has no .xml among its "
            f"{len(files)} files",
            "correct --input-dir",
        )
    return pages, Pictures(files)


def _find_pages(
    files: Sequence[Path], pictures: Pictures, request: ConversionRequest, writer: CropWriter
) -> dict[Path, Path]:
    """Find the picture of each file that is a page. Of two with one picture the first is used: else the same page might
    be on both sides."""
    pages: dict[Path, Path] = {}
    taken: dict[Path, Path] = {}
    for file in files:
        try:
            page = read_page(file)
            if page is None:
                writer.counts.files["other"] += 1
                continue
            picture = pictures.of(page, file)
            if taken.setdefault(picture, file) != file:
                raise Unreadable("its picture is transcribed in another file", _document(taken[picture], request))
        except (Unreadable, OSError) as error:
            writer.refuse(_document(file, request), *_reason(error))
        else:
            pages[file] = picture
    return pages


def _validation_pages(pages: Iterable[Path], request: ConversionRequest) -> set[Path]:
    shuffled = list(pages)
    count = round(request.val_ratio * len(shuffled))
    if request.val_ratio > 0:
        count = max(0, min(max(count, 1), len(shuffled) - 1))
    random.Random(request.seed).shuffle(shuffled)
    return set(shuffled[:count])


def _document(file: Path, request: ConversionRequest) -> str:
    """Name a page. In a file's name that is no text (in an old archive, say) the broken bytes become signs."""
    return os.fsencode(file.relative_to(request.input_dir).with_suffix("")).decode("utf-8", "replace")


def _convert_page(file: Path, path: Path, side: str, request: ConversionRequest, writer: CropWriter) -> None:
    document = _document(file, request)
    try:
        page = read_page(file)
        if page is None:
            return
        page, picture = _open(page, path)
    except (Unreadable, OSError, ValueError, SyntaxError) as error:  # Pillow raises these for a broken picture
        writer.refuse(document, *_reason(error))
        return
    writer.counts.files["page"] += 1
    writer.counts.pages[side] += 1
    writer.counts.untranscribed += sum(not line.text for region in page.regions for line in region.lines)
    for piece in pieces(page, request.kinds):
        part = None if piece.fault else cut(picture, piece)
        if part is None:
            writer.leave_out(document, piece, piece.fault or "hardly anything of it is on the picture")
            continue
        for copy in range(1 + request.aug_copies if side == TRAIN else 1):
            name = (request.seed, document, piece.kind, piece.id, copy)
            crop = augmented(part, *name) if copy else part
            writer.write(side, document, piece, shrunk(crop, request.max_image_edge), copy)


def _open(page: Page, path: Path) -> tuple[Page, Any]:
    from PIL import Image

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", Image.DecompressionBombWarning)  # scans are large; twice as large is refused
        with Image.open(path) as stored:
            page, turned = fitted(page, stored)
            return page, seen(stored, turned)


def _reason(error: Exception) -> tuple[str, str]:
    """Say why a page is refused: the reason that all such pages have, and the details of this one."""
    if isinstance(error, Unreadable):
        return error.reason, error.detail
    if isinstance(error, OSError) and error.strerror:
        return "a file cannot be read", f"{error.strerror}: {error.filename}"
    return "its picture cannot be read", str(error) or type(error).__name__


class CropWriter:
    """Writes pieces as PNG files, a line of metadata for each, and a line for each that was left out."""

    def __init__(self, folder: Path, counts: ConversionCounts) -> None:
        self.counts = counts
        self._folder = folder
        self._open = ExitStack()
        self._files: dict[str, IO[str]] = {}

    def __enter__(self) -> CropWriter:
        (self._folder / METADATA).mkdir()
        return self

    def __exit__(self, *_: object) -> None:
        self._open.close()

    def write(self, side: str, document: str, piece: PageCrop, picture: Any, copy: int) -> None:
        """Write one piece; ``copy`` numbers the augmented ones from 1."""
        name = "-".join(dict.fromkeys((piece.kind, piece.id)))
        path = self._free_path(Path(CROPS, side, *Path(document).parts), name, copy)
        picture.save(self._folder / path, compress_level=FAST)
        row = {
            "image_path": f"../{path}",
            "ocr_text": piece.text,
            "document": document,
            "kind": piece.kind,
            "id": piece.id,
            "copy": copy,
        }
        self._write_line(f"{METADATA}/{side}.jsonl", row)
        self.counts.rows[side] += 1
        self.counts.kinds[piece.kind] += 1
        self.counts.augmented += copy > 0

    def leave_out(self, document: str, piece: PageCrop, reason: str) -> None:
        """Record a piece that cannot be used."""
        self.counts.left_out[f"{piece.kind}: {reason}"] += 1
        self._write_line(LEFT_OUT, {"document": document, "kind": piece.kind, "id": piece.id, "reason": reason})

    def refuse(self, document: str, reason: str, detail: str) -> None:
        """Record a page that cannot be used."""
        self.counts.files["refused"] += 1
        self.counts.refused_pages[reason] += 1
        self._write_line(LEFT_OUT, {"document": document, "kind": "file", "id": "", "reason": reason, "detail": detail})

    def _free_path(self, folder: Path, name: str, copy: int) -> Path:
        """Return a path that is free: ids may repeat, and need not be names of files."""
        (self._folder / folder).mkdir(parents=True, exist_ok=True)
        short = re.sub(r"[^\w.-]", "_", name).encode()[:NAME_BYTES].decode("utf-8", "ignore")
        plain = short + (f"-copy{copy}" if copy else "")
        path, number = folder / f"{plain}.png", 1
        while (self._folder / path).exists():
            number += 1
            path = folder / f"{plain}-{number}.png"
        return path

    def _write_line(self, name: str, row: Mapping[str, Any]) -> None:
        if name not in self._files:
            self._files[name] = self._open.enter_context((self._folder / name).open("w", encoding="utf-8"))
        self._files[name].write(json.dumps(row, ensure_ascii=False) + "\n")
