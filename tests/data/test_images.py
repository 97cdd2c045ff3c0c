"""A model sees what a person would see."""

from __future__ import annotations

import io
from typing import Any

import pytest
from PIL import Image

from hpsearch.data.images import open_image


def encoded(picture: Any, kind: str = "PNG", **options: Any) -> bytes:
    target = io.BytesIO()
    picture.save(target, kind, **options)
    return target.getvalue()


@pytest.mark.parametrize("mode", ["1", "L", "P", "RGB", "RGBA", "LA", "CMYK", "I;16"])
def test_every_mode_becomes_rgb_and_keeps_black_on_white(mode: str) -> None:
    top = 65535 if mode == "I;16" else 255
    page = Image.new("I;16" if mode == "I;16" else "L", (4, 4), top)
    page.putpixel((1, 2), 0)
    page = page if mode == "I;16" else page.convert(mode)
    seen = open_image(encoded(page, "TIFF"))
    assert seen.mode == "RGB"
    assert seen.getpixel((1, 2)) == (0, 0, 0)
    assert min(seen.getpixel((0, 0))) >= 254


@pytest.mark.parametrize(("mode", "white"), [("I", 255), ("I", 65535), ("I", 10**6), ("F", 1.0), ("F", 255.0)])
def test_gray_of_more_bits_and_fractions_is_seen(mode: str, white: float) -> None:
    page = Image.new(mode, (4, 4), white)
    page.putpixel((1, 2), 0)
    page.putpixel((2, 2), white / 2 if mode == "F" else int(white // 2))
    seen = open_image(encoded(page, "TIFF"))
    assert seen.getpixel((1, 2)) == (0, 0, 0) and min(seen.getpixel((0, 0))) >= 254
    assert 120 <= seen.getpixel((2, 2))[0] <= 130


def test_what_is_transparent_is_white() -> None:
    page = Image.new("RGBA", (4, 4), (0, 0, 0, 0))
    page.putpixel((1, 1), (0, 0, 0, 255))
    seen = open_image(encoded(page))
    assert (seen.getpixel((0, 0)), seen.getpixel((1, 1))) == ((255, 255, 255), (0, 0, 0))


def test_a_photograph_is_turned_as_its_camera_says() -> None:
    page = Image.new("RGB", (6, 2), "white")
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned by a quarter
    assert open_image(encoded(page, "JPEG", exif=exif.tobytes())).size == (2, 6)


@pytest.mark.parametrize("content", [b"", b"text", encoded(Image.new("RGB", (64, 64), "red"))[:60]])
def test_what_is_no_whole_picture_raises(content: bytes) -> None:
    with pytest.raises(OSError, match=r".+"):
        open_image(content)
