"""Decoding pictures so that what a model sees is what a person would see."""

from __future__ import annotations

import io
from typing import Any


def open_image(encoded: bytes) -> Any:
    """Decode a picture as RGB, turned as its camera says (EXIF). Raises what Pillow raises where it is broken."""
    from PIL import Image

    with Image.open(io.BytesIO(encoded)) as picture:
        return seen(picture)


def seen(picture: Any, turned: bool = True) -> Any:
    """An open Pillow image as RGB: ``turned`` as its camera says (EXIF), on white where it is transparent, and gray of
    more bits or fractions brought to 8 (Pillow would cut it to white or black)."""
    from PIL import Image, ImageOps

    shown = ImageOps.exif_transpose(picture) if turned else picture
    if shown.mode[0] in "IF":
        shown = _in_eight_bits(shown)
    if shown.has_transparency_data:
        over = shown.convert("RGBA")
        shown = Image.alpha_composite(Image.new("RGBA", over.size, "white"), over)
    return shown.convert("RGB")


def _in_eight_bits(picture: Any) -> Any:
    """Gray in 16 or 32 bits, or in fractions of one: how much white is, the format or else the greatest value says."""
    wide = picture.convert("F")
    greatest = wide.getextrema()[1]
    white = (
        65535.0
        if picture.mode.startswith("I;16")
        else next((each for each in (1.0, 255.0, 65535.0) if greatest <= each), greatest)
    )
    return wide.point(lambda value: value * (255.0 / white) + 0.0).convert("L")
