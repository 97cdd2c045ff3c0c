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
    """An open Pillow image as RGB: ``turned`` as its camera says (EXIF), on white where it is transparent, and 16-bit
    gray brought down to 8 (Pillow would cut it to white)."""
    from PIL import Image, ImageOps

    shown = ImageOps.exif_transpose(picture) if turned else picture
    if shown.mode.startswith("I"):
        shown = shown.convert("I").point(lambda value: value / 256).convert("L")
    if shown.has_transparency_data:
        over = shown.convert("RGBA")
        shown = Image.alpha_composite(Image.new("RGBA", over.size, "white"), over)
    return shown.convert("RGB")
