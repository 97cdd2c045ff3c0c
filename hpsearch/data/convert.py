"""The convert job: transcribed pages become pictures of lines, paragraphs and pages with their texts, and a dataset.

One page is in memory at a time. Everything is made in a folder beside the old result, which it replaces at the end.
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

# Making a dataset of transcribed pages: what is wanted, and what came of it. Both cross the door as JSON.

SIMPLE, FINEVISION = "simple", "finevision"
FORMATS = (SIMPLE, FINEVISION)
DATASET = "hf_dataset_chandra"  # the name that scripts for Chandra look for
CROPS, METADATA = "crops", "metadata"
SUMMARY, LEFT_OUT = "conversion.json", "left_out.jsonl"
WORK = ".converting"  # below the output folder, while it is not whole


@dataclass(frozen=True)
class ConversionRequest:
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
class ConversionResult:
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
    def from_json(text: str) -> ConversionResult:
        """What ``to_json`` wrote."""
        found = json.loads(text)
        return ConversionResult(**{**found, "warnings": tuple(found["warnings"])})


TRAIN, VALIDATION = "train", "validation"
NAME_BYTES = 120  # of a piece's name, in its picture's: a file's may have 255
FAST = (
    3  # of zlib's nine levels: pictures of lines are some per cent larger than by the usual 6, in a third of the time
)


@dataclass
class ConversionCounts:
    """What is counted on the way."""

    files: Counter[str] = field(default_factory=Counter)
    pages: Counter[str] = field(default_factory=Counter)
    rows: Counter[str] = field(default_factory=Counter)
    kinds: Counter[str] = field(default_factory=Counter)
    augmented: int = 0
    refused_pages: Counter[str] = field(default_factory=Counter)
    left_out: Counter[str] = field(default_factory=Counter)
    untranscribed: int = 0


def convert(job: Job) -> None:
    """Make the dataset that the job's settings want; its summary is in conversion.json, here and in the job's folder.

    Raises:
        UsageError: there are no pages, none can be used, or the output folder is one of something else.
    """
    progress = ProgressReporter("look for pages")
    wanted = ConversionRequest(**{**job.settings, "kinds": tuple(job.settings["kinds"])})
    target = Path(wanted.output_dir)
    with replacing(target, "convert", WORK, SUMMARY, (CROPS, METADATA, DATASET, LEFT_OUT)) as work:
        tally = _convert_all(wanted, work, progress)
        summary = _summary(tally, wanted)
        (work / SUMMARY).write_text(summary, encoding="utf-8")
    (Path(job.output_dir) / SUMMARY).write_text(summary, encoding="utf-8")
    sdk.finish(rows=sum(tally.rows.values()))


def _convert_all(wanted: ConversionRequest, work: Path, progress: ProgressReporter) -> ConversionCounts:
    """Cut every page, and save the rows as a dataset."""
    files, pictures = _listed(Path(wanted.input_dir), Path(wanted.output_dir))
    tally = ConversionCounts()
    with CropWriter(work, tally) as writer:
        pages = _pages(files, pictures, wanted, writer)
        held_out = _held_out(pages, wanted)
        for number, (file, picture) in enumerate(pages.items()):
            progress.phase("cut pages", fraction=number / len(pages), pages=sum(tally.pages.values()))
            _convert_page(file, picture, VALIDATION if file in held_out else TRAIN, wanted, writer)
    if not tally.rows:
        raise UsageError(_nothing(tally, wanted), "see docs/converting.md for what a page must have")
    if not tally.rows[TRAIN]:
        raise UsageError(
            "a dataset has rows to train on, but all that could be used was drawn for validation",
            "add pages, mend those in left_out.jsonl, or name a smaller --val-ratio",
        )
    progress.phase("write the dataset")
    save_dataset(
        work / DATASET,
        {side: work / METADATA / f"{side}.jsonl" for side in (TRAIN, VALIDATION) if tally.rows[side]},
        wanted.batch_size,
        wanted.instruction if wanted.output_format == FINEVISION else None,
    )
    return tally


def _summary(tally: ConversionCounts, wanted: ConversionRequest) -> str:
    counts: dict[str, Any] = {
        name: dict(sorted(each.items(), key=lambda item: item[0] == VALIDATION)) if isinstance(each, Counter) else each
        for name, each in vars(tally).items()
        if name != "untranscribed"
    }
    return ConversionResult(**counts, warnings=tuple(_warnings(tally, wanted)), wanted=asdict(wanted)).to_json()


def _listed(source: Path, target: Path) -> tuple[list[Path], Pictures]:
    """The XML files below a folder in their order, and its pictures; what an earlier conversion made is neither."""
    if not source.is_dir():
        raise UsageError(f"--input-dir must be a folder, but {source} is none", "mend --input-dir")
    made = [target / name for name in (CROPS, METADATA, DATASET, WORK)]
    files = [
        path
        for path in sorted(source.rglob("*"))
        if path.is_file() and not any(path.is_relative_to(each) for each in made)
    ]
    pages = [path for path in files if path.suffix.lower() == ".xml"]
    if not pages:
        raise UsageError(
            f"a folder of pages must hold PAGE-XML or ALTO-XML files, but {source} has no .xml among its "
            f"{len(files)} files",
            "mend --input-dir",
        )
    return pages, Pictures(files)


def _pages(
    files: Sequence[Path], pictures: Pictures, wanted: ConversionRequest, writer: CropWriter
) -> dict[Path, Path]:
    """The picture of each file that is a page. Of two with one picture the first is taken: else the same page might be
    on both sides."""
    found: dict[Path, Path] = {}
    taken: dict[Path, Path] = {}
    for file in files:
        try:
            page = read_page(file)
            if page is None:
                writer.tally.files["other"] += 1
                continue
            picture = pictures.of(page, file)
            if taken.setdefault(picture, file) != file:
                raise Unreadable("its picture is transcribed in another file", _document(taken[picture], wanted))
        except (Unreadable, OSError) as error:
            writer.refuse(_document(file, wanted), *_reason(error))
        else:
            found[file] = picture
    return found


def _held_out(pages: Iterable[Path], wanted: ConversionRequest) -> set[Path]:
    """Those whose pieces are for validation."""
    drawn = list(pages)
    count = round(wanted.val_ratio * len(drawn))
    if wanted.val_ratio > 0:
        count = max(0, min(max(count, 1), len(drawn) - 1))
    random.Random(wanted.seed).shuffle(drawn)
    return set(drawn[:count])


def _document(file: Path, wanted: ConversionRequest) -> str:
    """A page's name; a file's that is no text (of an old archive, say) with signs in the place of what is none."""
    return os.fsencode(file.relative_to(wanted.input_dir).with_suffix("")).decode("utf-8", "replace")


class CropWriter:
    """Writes pieces as PNG files, a line of metadata for each, and a line for each that was left out."""

    def __init__(self, folder: Path, tally: ConversionCounts) -> None:
        self.tally = tally
        self._folder = folder
        self._open = ExitStack()
        self._files: dict[str, IO[str]] = {}

    def __enter__(self) -> CropWriter:
        (self._folder / METADATA).mkdir()
        return self

    def __exit__(self, *_: object) -> None:
        self._open.close()

    def write(self, side: str, document: str, piece: PageCrop, picture: Any, copy: int = 0) -> None:
        """Write one piece; ``copy`` counts those that were augmented, from 1."""
        path = self._free(
            Path(CROPS, side, *Path(document).parts), "-".join(dict.fromkeys((piece.kind, piece.id))), copy
        )
        picture.save(self._folder / path, compress_level=FAST)
        row = {
            "image_path": f"../{path}",
            "ocr_text": piece.text,
            "document": document,
            "kind": piece.kind,
            "id": piece.id,
            "copy": copy,
        }
        self._line(f"{METADATA}/{side}.jsonl", row)
        self.tally.rows[side] += 1
        self.tally.kinds[piece.kind] += 1
        self.tally.augmented += copy > 0

    def leave_out(self, document: str, piece: PageCrop, reason: str) -> None:
        """Note a piece that cannot be used."""
        self.tally.left_out[f"{piece.kind}: {reason}"] += 1
        self._line(LEFT_OUT, {"document": document, "kind": piece.kind, "id": piece.id, "reason": reason})

    def refuse(self, document: str, reason: str, detail: str) -> None:
        """Note a page that cannot be used."""
        self.tally.files["refused"] += 1
        self.tally.refused_pages[reason] += 1
        self._line(LEFT_OUT, {"document": document, "kind": "file", "id": "", "reason": reason, "detail": detail})

    def _free(self, folder: Path, name: str, copy: int) -> Path:
        """A path that is not taken: ids need not differ, nor be names of files."""
        (self._folder / folder).mkdir(parents=True, exist_ok=True)
        short = re.sub(r"[^\w.-]", "_", name).encode()[:NAME_BYTES].decode("utf-8", "ignore")
        plain = short + (f"-copy{copy}" if copy else "")
        path, number = folder / f"{plain}.png", 1
        while (self._folder / path).exists():
            number += 1
            path = folder / f"{plain}-{number}.png"
        return path

    def _line(self, name: str, row: Mapping[str, Any]) -> None:
        if name not in self._files:
            self._files[name] = self._open.enter_context((self._folder / name).open("w", encoding="utf-8"))
        self._files[name].write(json.dumps(row, ensure_ascii=False) + "\n")


def _convert_page(file: Path, path: Path, side: str, wanted: ConversionRequest, writer: CropWriter) -> None:
    document = _document(file, wanted)
    try:
        page = read_page(file)
        if page is None:
            return
        page, picture = _opened(page, path)
    except (Unreadable, OSError, ValueError, SyntaxError) as error:  # Pillow raises these for a broken picture
        writer.refuse(document, *_reason(error))
        return
    writer.tally.files["page"] += 1
    writer.tally.pages[side] += 1
    writer.tally.untranscribed += sum(not line.text for region in page.regions for line in region.lines)
    for piece in pieces(page, wanted.kinds):
        part = None if piece.fault else cut(picture, piece)
        if part is None:
            writer.leave_out(document, piece, piece.fault or "hardly anything of it is on the picture")
            continue
        for copy, made in enumerate(_copies(part, side, (wanted.seed, document, piece.kind, piece.id), wanted)):
            writer.write(side, document, piece, made, copy)


def _opened(page: Page, path: Path) -> tuple[Page, Any]:
    from PIL import Image

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", Image.DecompressionBombWarning)  # scans are large; twice as large is refused
        with Image.open(path) as stored:
            page, turned = fitted(page, stored)
            return page, seen(stored, turned)


def _copies(part: Any, side: str, name: Sequence[str | int], wanted: ConversionRequest) -> Iterator[Any]:
    """The piece itself, and of those that are trained on the augmented copies."""
    yield shrunk(part, wanted.max_image_edge)
    for copy in range(1, wanted.aug_copies + 1 if side == TRAIN else 1):
        yield shrunk(augmented(part, *name, copy), wanted.max_image_edge)


def _reason(error: Exception) -> tuple[str, str]:
    """Why a page is refused: what is said of all such pages, and of this one."""
    if isinstance(error, Unreadable):
        return error.reason, error.detail
    if isinstance(error, OSError) and error.strerror:
        return "a file cannot be read", f"{error.strerror}: {error.filename}"
    return "its picture cannot be read", str(error) or type(error).__name__


def _nothing(tally: ConversionCounts, wanted: ConversionRequest) -> str:
    said = [*tally.refused_pages.most_common(3), *tally.left_out.most_common(3)]
    why = "; ".join(f"{reason} ({count})" for reason, count in said) or "none is PAGE-XML or ALTO-XML"
    return f"pages must have something to learn from, but of {wanted.input_dir} nothing could be used: {why}"


def _warnings(tally: ConversionCounts, wanted: ConversionRequest) -> Iterator[str]:
    if wanted.aug_copies and not tally.rows[VALIDATION]:
        yield "without --val-ratio a search draws its validation rows from all of these, augmented copies among them"
    if tally.untranscribed and set(wanted.kinds) != {"line"}:
        lines = f"{tally.untranscribed} lines have no text"
        yield f"{lines}: pictures of paragraphs and pages with them show more than their texts say"
    if wanted.val_ratio and not tally.rows[VALIDATION]:
        yield "no page is left for validation: none that was drawn for it could be used"
