"""Opening every row's picture once, so that what trials get can be trusted."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path

from hpsearch.data.images import look_of, open_image
from hpsearch.data.progress import ProgressReporter
from hpsearch.data.rows import Sample, Unusable
from hpsearch.errors import UsageError
from hpsearch.execution.cores import cores
from hpsearch.execution.job import LEFT_OUT_FILE

# Which rows were left out, and why: a line of JSON for each, beside the rows that were not.


@dataclass(frozen=True)
class LeftOut:
    """One row: its id, the side it would have been on (train, validation, holdout), and the reason."""

    row: str
    split: str
    reason: str

    @property
    def why(self) -> str:
        """The reason without what is true of this row alone: a file's name, a number of bytes."""
        return re.sub(r"\s*\([^)]*\)", "", self.reason.partition(": ")[0])


def left_out_file(folder: Path) -> Path:
    """Where a prepared folder lists them."""
    return folder / LEFT_OUT_FILE


def write_left_out(folder: Path, rows: Sequence[LeftOut]) -> None:
    """Write the list into ``folder``; without rows, take an earlier one away."""
    path = left_out_file(folder)
    path.unlink(missing_ok=True)
    if rows:
        lines = [json.dumps(asdict(row), ensure_ascii=False) for row in rows]
        path.write_text("\n".join(lines) + "\n", encoding="utf-8")


MAX_UNUSABLE = 0.1  # fraction of the rows; more of them mean a mistake, not a few bad files
NAMED = 5  # of the unusable rows, in a message
REASON_CHARACTERS = 120  # of a library's words on one of them
MAX_THREADS = 16  # that open pictures, each holding one in memory: Pillow lets others work while it decodes


@dataclass(frozen=True)
class CheckedImage:
    """A row whose picture can be opened: where it is to be read again, a digest of its pixels, its size in them, how
    many bytes its file has, and, where that was wanted, what it looks like from afar (``look_of``)."""

    sample: Sample
    picture: str
    size: tuple[int, int]
    bytes: int
    look: int = 0

    @property
    def document(self) -> str | None:
        """The document it is a part of."""
        return self.sample.document


class Opener:
    """Opens each picture once, and remembers which rows cannot be used and why. ``total`` is how many there are,
    ``most_oblong`` how many times as long as wide one may be, ``looks`` whether to note what they look like."""

    def __init__(self, total: int, most_oblong: float, progress: ProgressReporter, looks: bool = False) -> None:
        self._most_oblong = most_oblong
        self._looks = looks
        self._bad: dict[str, LeftOut] = {}
        self._known: dict[str, CheckedImage] = {}
        self._total = total
        self._progress = progress

    def usable(self, samples: Sequence[Sample], side: str) -> list[CheckedImage]:
        """The rows of a side (train, validation, holdout) that can be used."""
        new = [sample for sample in samples if sample.id not in self._known and sample.id not in self._bad]
        for sample, opened in zip(new, self._opened(new), strict=True):
            if isinstance(opened, CheckedImage):
                self._known[sample.id] = opened
            else:
                self._bad[sample.id] = LeftOut(sample.id, side, opened)
            self._progress.show(fraction=(len(self._known) + len(self._bad)) / max(self._total, 1))
        return [self._known[sample.id] for sample in samples if sample.id in self._known]

    def left_out(self) -> tuple[LeftOut, ...]:
        """The rows that cannot be used."""
        return tuple(self._bad.values())

    def refuse_too_many(self, listed: Path) -> None:
        """Refuse data of which more than a tenth cannot be used; ``listed`` is where all such rows are listed."""
        if len(self._bad) > MAX_UNUSABLE * max(len(self._bad) + len(self._known), 1):
            raise UsageError(
                f"at most {MAX_UNUSABLE:.0%} of the rows may be unusable, but {len(self._bad)} of "
                f"{len(self._bad) + len(self._known)} are: {self._named()}",
                "mend these rows, or where their pictures' paths lead from: the file that names them, or image_root "
                f"(all are listed in {listed})",
            )

    def warnings(self) -> tuple[str, ...]:
        """What to say of the rows left out."""
        return (f"{len(self._bad)} rows left out: {self._named()}",) if self._bad else ()

    def _opened(self, samples: Sequence[Sample]) -> Iterator[CheckedImage | str]:
        """Each row opened, or why it cannot be used, in their order."""
        with ThreadPoolExecutor(min(MAX_THREADS, cores())) as pool:
            yield from pool.map(self._try, samples)

    def _try(self, sample: Sample) -> CheckedImage | str:
        try:
            return _open(sample, self._most_oblong, self._looks)
        except Exception as error:  # noqa: BLE001 - Pillow raises many kinds for a broken file
            return _reason(error, sample)

    def _named(self) -> str:
        named = [f"{one.row} ({one.reason})" for one in list(self._bad.values())[:NAMED]]
        return ", ".join(named) + (f" and {len(self._bad) - NAMED} more" if len(self._bad) > NAMED else "")


def _reason(error: Exception, sample: Sample) -> str:
    """Why a row cannot be used. A file's whole path is named: its end is what tells."""
    if isinstance(error, OSError) and error.strerror:
        return f"{error.strerror}: {error.filename}"
    if type(error).__name__ == "UnidentifiedImageError":  # Pillow names an object in memory
        return "not a picture that can be read" + (f": {sample.image}" if isinstance(sample.image, Path) else "")
    return (str(error) or type(error).__name__)[:REASON_CHARACTERS]


def _open(sample: Sample, most_oblong: float, looks: bool) -> CheckedImage:
    if sample.fault:
        raise Unusable(sample.fault)
    if not sample.text.strip():
        raise Unusable("its text is empty")
    if any("\ud800" <= character <= "\udfff" for character in sample.text):
        raise Unusable("its text has half a surrogate pair, which is no character")
    encoded = sample.read()
    picture = open_image(encoded)
    if max(picture.size) > most_oblong * min(picture.size):
        width, height = picture.size
        raise Unusable(f"its {width}x{height} pixels are more oblong than 1:{most_oblong:g}, which the model refuses")
    digest = hashlib.sha256(f"{picture.size}".encode() + picture.tobytes()).hexdigest()
    return CheckedImage(sample, digest, picture.size, len(encoded), look_of(picture) if looks else 0)
