"""Decoding pictures so that what a model sees is what a person would see."""

from __future__ import annotations

import io
from typing import Any


def open_image(encoded: bytes) -> Any:
    """Decode a picture as RGB: turned as its camera says (EXIF), on white where it is transparent, and 16-bit gray
    brought down to 8 (Pillow would cut it to white). Raises what Pillow raises where it is broken."""
    from PIL import Image, ImageOps

    with Image.open(io.BytesIO(encoded)) as picture:
        turned = ImageOps.exif_transpose(picture)
        if turned.mode.startswith("I"):
            turned = turned.convert("I").point(lambda value: value / 256).convert("L")
        if turned.has_transparency_data:
            seen = turned.convert("RGBA")
            turned = Image.alpha_composite(Image.new("RGBA", seen.size, "white"), seen)
        return turned.convert("RGB")
