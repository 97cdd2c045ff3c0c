"""The pieces of a page that a model is trained on (lines, paragraphs, the whole), cut out of its picture, and copies
of them as another scan might have made: turned a little, noisy, blurred, lighter or darker."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from itertools import accumulate
from typing import Any

from hpsearch.data.pages.layout import Outline, Page, Region, around, bounds

LINE, PARAGRAPH, PAGE = "line", "paragraph", "page"
KINDS = (LINE, PARAGRAPH, PAGE)
LEAST = 3  # pixels along each side of a piece
# As far as a sheet lies askew on a scanner, and as noisy as a phone's picture in a room: beyond, people rescan.
MOST_DEGREES, MOST_NOISE, MOST_BLUR, MOST_LIGHT = 2.0, 12.0, 1.2, 0.15
LINE_HEIGHT = 40.0  # pixels for which the blur is meant; that of smaller letters is less
USUAL = 0.6  # the probability of each change


@dataclass(frozen=True)
class PageCrop:
    """A part of a page and its text: ``outline`` in pixels, None for all of it, and ``turn``, the quarters by which it
    must be turned clockwise. ``fault`` says why it cannot be used."""

    kind: str
    id: str
    text: str
    outline: Outline | None = None
    fault: str = ""
    turn: int = 0


def pieces(page: Page, kinds: Collection[str]) -> Iterator[PageCrop]:
    """List the pieces of a page whose points are in pixels, in reading order."""
    for number, region in enumerate(page.regions):
        name = region.id or f"r{number}"
        if LINE in kinds:
            yield from _lines(region, name)
        if PARAGRAPH in kinds and (region.lines or region.own):
            lines = region.with_outlines().lines
            outline = region.outline or around(corner for line in lines for corner in line.outline)
            yield _checked(PARAGRAPH, name, region.text, outline, region.common_turn)
    if PAGE in kinds:
        yield PageCrop(PAGE, "page", page.text, None, "" if page.text else "it has no text", page.upright_turn)


def _lines(region: Region, name: str) -> Iterator[PageCrop]:
    if region.own:
        yield PageCrop(LINE, name, region.own, None, "its region's text is not divided into lines")
    for number, line in enumerate(region.with_outlines().lines):
        yield _checked(LINE, line.id or f"{name}-{number}", line.text, line.outline, region.turn_of(line))


def _checked(kind: str, name: str, text: str, outline: Outline, turn: int) -> PageCrop:
    fault = "" if text.strip() else "it has no text"
    if not fault and len(outline) < 3:
        fault = "nothing says where it is"
    return PageCrop(kind, name, text, outline, fault, turn)


def cut(picture: Any, piece: PageCrop) -> Any | None:
    """Cut a piece out of a Pillow image, and turn it upright; None where hardly anything of it is on the picture."""
    part = picture if piece.outline is None else _cut(picture, piece.outline)
    return part if part is None else upright(part, piece.turn)


def upright(picture: Any, turn: int) -> Any:
    """Turn an image clockwise by ``turn`` quarters."""
    from PIL import Image

    ways = {1: Image.Transpose.ROTATE_270, 2: Image.Transpose.ROTATE_180, 3: Image.Transpose.ROTATE_90}
    return picture.transpose(ways[turn]) if turn else picture


def _cut(picture: Any, outline: Outline) -> Any | None:
    """Cut out the rectangle around an outline, with the paper's colour outside of the outline."""
    from PIL import Image, ImageDraw

    left, top, right, bottom = bounds(outline)
    corner = max(0, math.floor(left)), max(0, math.floor(top))
    end = min(picture.width, math.floor(right) + 1), min(picture.height, math.floor(bottom) + 1)
    if min(end[0] - corner[0], end[1] - corner[1]) < LEAST:
        return None
    part = picture.crop((*corner, *end))
    inside = Image.new("L", part.size, 0)
    ImageDraw.Draw(inside).polygon([(x - corner[0], y - corner[1]) for x, y in outline], fill=255, outline=255)
    if inside.getextrema()[0] == 255:
        return part
    return Image.composite(part, Image.new("RGB", part.size, paper(part)), inside)


def paper(picture: Any) -> tuple[int, ...]:
    """Return the median colour of an RGB image: its paper's, where there is less ink than paper."""
    counts, half = picture.histogram(), picture.width * picture.height / 2
    bands = (accumulate(counts[256 * band : 256 * (band + 1)]) for band in range(3))
    return tuple(next((value for value, seen in enumerate(band) if seen >= half), 255) for band in bands)


def shrunk(picture: Any, longest_edge: int) -> Any:
    """Shrink an image to at most ``longest_edge`` pixels along its longer side."""
    from PIL import Image

    factor = longest_edge / max(picture.size)
    if factor >= 1.0:
        return picture
    size = tuple(max(1, round(side * factor)) for side in picture.size)
    return picture.resize(size, Image.Resampling.LANCZOS)


def augmented(picture: Any, *name: str | int) -> Any:
    """Make a changed copy of an RGB image. The random changes follow from ``name``, so that the same copy can be made
    again."""
    import numpy as np
    from PIL import Image, ImageEnhance, ImageFilter

    seed = hashlib.sha256("\0".join(map(str, name)).encode()).digest()[:8]
    rng = np.random.default_rng(int.from_bytes(seed, "big"))
    done = rng.uniform(size=4) < USUAL
    done[int(rng.integers(4))] |= not done.any()  # one of the four at least
    turned, noisy, blurred, lit = map(bool, done)
    if turned:
        degrees = _amount(rng) * MOST_DEGREES
        picture = picture.rotate(degrees, Image.Resampling.BICUBIC, expand=True, fillcolor=paper(picture))
    if lit:
        picture = ImageEnhance.Brightness(picture).enhance(1.0 + _amount(rng) * MOST_LIGHT)
    if blurred:
        most = MOST_BLUR * min(1.0, picture.height / LINE_HEIGHT)
        picture = picture.filter(ImageFilter.GaussianBlur(abs(_amount(rng)) * most))
    if noisy:
        values = np.asarray(picture, dtype=np.float64)
        values = values + rng.normal(0.0, abs(_amount(rng)) * MOST_NOISE, values.shape)
        picture = Image.fromarray(np.clip(values, 0, 255).round().astype(np.uint8))
    return picture


def _amount(rng: Any) -> float:
    """Return the amount of a change as a share of the greatest: enough to be seen, in either direction."""
    return float(rng.choice((-1.0, 1.0)) * rng.uniform(0.4, 1.0))
