"""Opening every row's picture once, so that what trials get can be trusted."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from hpsearch.errors import UsageError
from hpsearch.ocr.cells import Unusable
from hpsearch.ocr.samples import Sample
from hpsearch.training.left_out import LeftOut
from hpsearch.training.pictures import open_image
from hpsearch.training.progress import Progress

MAX_UNUSABLE = 0.1  # fraction of the rows; more of them mean a mistake, not a few bad files
NAMED = 5  # of the unusable rows, in a message
REASON_CHARACTERS = 120  # of a library's words on one of them


@dataclass(frozen=True)
class Checked:
    """A row whose picture can be opened: where it is to be read again, a digest of its pixels, and its size in them."""

    sample: Sample
    picture: str
    size: tuple[int, int]

    @property
    def document(self) -> str | None:
        """The document it is a part of."""
        return self.sample.document


class Opener:
    """Opens each picture once, and remembers which rows cannot be used and why. ``total`` is how many there are."""

    def __init__(self, total: int, progress: Progress) -> None:
        self._bad: dict[str, LeftOut] = {}
        self._known: dict[str, Checked] = {}
        self._total = total
        self._progress = progress

    def usable(self, samples: Sequence[Sample], side: str) -> list[Checked]:
        """The rows of a side (train, validation, holdout) that can be used."""
        return [checked for sample in samples if (checked := self._check(sample, side)) is not None]

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

    def _check(self, sample: Sample, side: str) -> Checked | None:
        if sample.id in self._known:
            return self._known[sample.id]
        self._progress.show(fraction=(len(self._known) + len(self._bad)) / max(self._total, 1))
        try:
            self._known[sample.id] = _open(sample)
        except Exception as error:  # noqa: BLE001 - Pillow raises many kinds for a broken file
            self._bad[sample.id] = LeftOut(sample.id, side, _reason(error, sample))
            return None
        return self._known[sample.id]

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


def _open(sample: Sample) -> Checked:
    if sample.fault:
        raise Unusable(sample.fault)
    if not sample.text.strip():
        raise Unusable("its text is empty")
    if any("\ud800" <= character <= "\udfff" for character in sample.text):
        raise Unusable("its text has half a surrogate pair, which is no character")
    picture = open_image(sample.read())
    digest = hashlib.sha256(f"{picture.size}".encode() + picture.tobytes()).hexdigest()
    return Checked(sample, digest, picture.size)
