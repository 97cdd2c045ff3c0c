"""Decoding pictures so that a model sees what a person would see."""

from __future__ import annotations

import base64
import io
from typing import Any

_BOX = 4  # Pillow's Resampling.BOX: the mean of a field
_NOISE = 2  # of 255: by which the mean of an empty field may differ


def open_image(encoded: bytes) -> Any:
    """Decode a picture as RGB, turned as its camera says (EXIF). Raises what Pillow raises where it is broken."""
    from PIL import Image

    with Image.open(io.BytesIO(encoded)) as picture:
        return seen(picture)


def seen(picture: Any, turned: bool = True) -> Any:
    """Convert an open Pillow image to RGB: ``turned`` as its camera says (EXIF), on white where it is transparent, and
    gray of more bits or fractions brought to 8 (Pillow would cut it to white or black)."""
    from PIL import Image, ImageOps

    shown = ImageOps.exif_transpose(picture) if turned else picture
    if shown.mode[0] in "IF":
        shown = _in_eight_bits(shown)
    if shown.has_transparency_data:
        over = shown.convert("RGBA")
        shown = Image.alpha_composite(Image.new("RGBA", over.size, "white"), over)
    return shown.convert("RGB")


def open_reduced(encoded: bytes, edge: int) -> Any:
    """Decode a picture as ``open_image`` does, but a JPEG at a fraction of its size, at least ``edge`` pixels a side:
    several times as fast."""
    from PIL import Image

    with Image.open(io.BytesIO(encoded)) as picture:
        picture.draft("RGB", (edge, edge))
        return seen(picture)


def thumbnail(picture: Any, edge: int) -> str:
    """Return an RGB picture of at most ``edge`` pixels a side as a data URL, for a page."""
    small = picture.copy()
    small.thumbnail((edge, edge))
    target = io.BytesIO()
    small.save(target, "JPEG", quality=80)
    return f"data:image/jpeg;base64,{base64.b64encode(target.getvalue()).decode()}"


def look_of(picture: Any) -> int:
    """Return the look of a picture from afar, in 256 bits: the places in a grid of 17 by 16 fields where the light
    grows to the right. Another size, another format or a little noise changes few of them."""
    fields = picture.convert("L").resize((17, 16), _BOX).tobytes()
    places = [17 * row + column for row in range(16) for column in range(16)]
    return sum((fields[place + 1] > fields[place] + _NOISE) << bit for bit, place in enumerate(places))


def _in_eight_bits(picture: Any) -> Any:
    """Convert gray in 16 or 32 bits, or in fractions of one; the format or else the greatest value says what is
    white."""
    wide = picture.convert("F")
    greatest = wide.getextrema()[1]
    white = (
        65535.0
        if picture.mode.startswith("I;16")
        else next((limit for limit in (1.0, 255.0, 65535.0) if greatest <= limit), greatest)
    )
    return wide.point(lambda value: value * (255.0 / white) + 0.0).convert("L")
