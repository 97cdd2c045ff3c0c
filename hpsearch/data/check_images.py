"""Opening every row's picture once, so that trials get rows that can be used, and the list of those left out."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path

from hpsearch.data.images import look_of, open_image
from hpsearch.data.progress import ProgressReporter
from hpsearch.data.rows import Sample, Unusable
from hpsearch.errors import UsageError
from hpsearch.execution.cores import cores
from hpsearch.execution.job import LEFT_OUT_FILE

MAX_UNUSABLE = 0.1  # fraction of the rows; more of them mean a mistake, not a few bad files
NAMED = 5  # of the unusable rows, in a message
REASON_CHARACTERS = 120  # of a library's words on one of them
MAX_THREADS = 16  # that open pictures, each holding one in memory: Pillow lets others work while it decodes


@dataclass(frozen=True)
class LeftOut:
    """A row that was left out: its id, the side it would have been on (train, validation, holdout), and the reason."""

    row: str
    split: str
    reason: str

    @property
    def why(self) -> str:
        """The reason without the details of this row alone: a file's name, a number of bytes."""
        return re.sub(r"\s*\([^)]*\)", "", self.reason.partition(": ")[0])


def named(rows: Sequence[LeftOut]) -> str:
    """Name the first of the rows with their reasons, and count the others."""
    first = ", ".join(f"{row.row} ({row.reason})" for row in rows[:NAMED])
    return first + (f" and {len(rows) - NAMED} more" if len(rows) > NAMED else "")


def refuse_unusable(count: int, total: int, rows: str, remedy: str) -> None:
    """Refuse data of which more than a tenth cannot be used: ``count`` of ``total``, and ``rows`` names them.

    Raises:
        UsageError: there are more, with the ``remedy``.
    """
    if count > MAX_UNUSABLE * max(total, 1):
        raise UsageError(
            f"at most {MAX_UNUSABLE:.0%} of the rows may be unusable, but {count} of {total} are: {rows}", remedy
        )


def left_out_file(folder: Path) -> Path:
    """Return the path of the list in a prepared folder."""
    return folder / LEFT_OUT_FILE


def write_left_out(folder: Path, rows: Sequence[LeftOut]) -> None:
    """Write the list into ``folder``, a line of JSON for each row; without rows, delete an earlier list."""
    path = left_out_file(folder)
    path.unlink(missing_ok=True)
    if rows:
        lines = [json.dumps(asdict(row), ensure_ascii=False) for row in rows]
        path.write_text("\n".join(lines) + "\n", encoding="utf-8")


@dataclass(frozen=True)
class CheckedImage:
    """A row whose picture can be opened: its sample, a digest of the picture's pixels, its size in them, the number of
    bytes of its file, and, where that was requested, its look from afar (``look_of``)."""

    sample: Sample
    picture: str
    size: tuple[int, int]
    bytes: int
    look: int = 0

    @property
    def document(self) -> str | None:
        """The document that it is a part of."""
        return self.sample.document


class Opener:
    """Opens each picture once, and remembers which rows cannot be used and why. ``total`` is the number of rows,
    ``most_oblong`` the greatest ratio of a picture's sides, and ``looks`` whether to compute their looks."""

    def __init__(self, total: int, most_oblong: float, progress: ProgressReporter, looks: bool = False) -> None:
        self._most_oblong = most_oblong
        self._looks = looks
        self._bad: dict[str, LeftOut] = {}
        self._known: dict[str, CheckedImage] = {}
        self._total = total
        self._progress = progress

    def usable(self, samples: Sequence[Sample], side: str) -> list[CheckedImage]:
        """Return the rows of a side (train, validation, holdout) that can be used."""
        new = [sample for sample in samples if sample.id not in self._known and sample.id not in self._bad]
        with ThreadPoolExecutor(min(MAX_THREADS, cores())) as pool:
            try:
                for sample, result in zip(new, pool.map(self._open, new), strict=True):
                    if isinstance(result, CheckedImage):
                        self._known[sample.id] = result
                    else:
                        self._bad[sample.id] = LeftOut(sample.id, side, result)
                    self._progress.show(fraction=(len(self._known) + len(self._bad)) / max(self._total, 1))
            except UsageError:
                pool.shutdown(cancel_futures=True)
                raise
        return [self._known[sample.id] for sample in samples if sample.id in self._known]

    def left_out(self) -> tuple[LeftOut, ...]:
        """Return the rows that cannot be used."""
        return tuple(self._bad.values())

    def refuse_too_many(self, listed: Path) -> None:
        """Refuse data of which more than a tenth cannot be used; ``listed`` is the file that lists all such rows."""
        remedy = (
            "correct these rows, or the folder that their pictures' paths are relative to: that of the file that "
            f"names them, or image_root (all are listed in {listed})"
        )
        refuse_unusable(len(self._bad), len(self._bad) + len(self._known), named(self.left_out()), remedy)

    def warnings(self) -> tuple[str, ...]:
        """Return the warning about the rows left out, if any."""
        return (f"{len(self._bad)} rows left out: {named(self.left_out())}",) if self._bad else ()

    def _open(self, sample: Sample) -> CheckedImage | str:
        """Open a row; the reason where it cannot be used."""
        try:
            return _checked(sample, self._most_oblong, self._looks)
        except UsageError:  # no file
            raise
        except Exception as error:  # noqa: BLE001 - Pillow raises many kinds for a broken file
            return _reason(error, sample)


def _reason(error: Exception, sample: Sample) -> str:
    """Say why a row cannot be used. A file's whole path is named: its end is the part that matters."""
    if isinstance(error, OSError) and error.strerror:
        return f"{error.strerror}: {error.filename}"
    if type(error).__name__ == "UnidentifiedImageError":  # Pillow names an object in memory
        return "not a picture that can be read" + (f": {sample.image}" if isinstance(sample.image, Path) else "")
    return (str(error) or type(error).__name__)[:REASON_CHARACTERS]


def _checked(sample: Sample, most_oblong: float, looks: bool) -> CheckedImage:
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
