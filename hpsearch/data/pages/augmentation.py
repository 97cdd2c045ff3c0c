"""Copies of a picture as another scan might have made it: turned a little, noisy, blurred, lighter or darker."""

from __future__ import annotations

import hashlib
from typing import Any

from hpsearch.data.pages.crop import paper

# As far as a sheet lies askew on a scanner, and as noisy as a phone's picture in a room: beyond, people rescan.
MOST_DEGREES, MOST_NOISE, MOST_BLUR, MOST_LIGHT = 2.0, 12.0, 1.2, 0.15
LINE_HEIGHT = 40.0  # pixels for which the blur is meant; that of smaller letters is less
USUAL = 0.6  # how often each is done


def augmented(picture: Any, *name: str | int) -> Any:
    """A copy of an RGB image. All chance follows from ``name``, so that the same copy is made again."""
    import numpy as np
    from PIL import Image, ImageEnhance, ImageFilter

    seed = hashlib.sha256("\0".join(map(str, name)).encode()).digest()[:8]
    chance = np.random.default_rng(int.from_bytes(seed, "big"))
    turned, noisy, blurred, lit = _some(chance)
    if turned:
        degrees = _amount(chance) * MOST_DEGREES
        picture = picture.rotate(degrees, Image.Resampling.BICUBIC, expand=True, fillcolor=paper(picture))
    if lit:
        picture = ImageEnhance.Brightness(picture).enhance(1.0 + _amount(chance) * MOST_LIGHT)
    if blurred:
        most = MOST_BLUR * min(1.0, picture.height / LINE_HEIGHT)
        picture = picture.filter(ImageFilter.GaussianBlur(abs(_amount(chance)) * most))
    if noisy:
        values = np.asarray(picture, dtype=np.float64)
        values = values + chance.normal(0.0, abs(_amount(chance)) * MOST_NOISE, values.shape)
        picture = Image.fromarray(np.clip(values, 0, 255).round().astype(np.uint8))
    return picture


def _amount(chance: Any) -> float:
    """How much of something is done, of the most there is: enough to be seen, either way."""
    return float(chance.choice((-1.0, 1.0)) * chance.uniform(0.4, 1.0))


def _some(chance: Any) -> tuple[bool, ...]:
    """Which of the four are done: one at least."""
    done = chance.uniform(size=4) < USUAL
    done[int(chance.integers(4))] |= not done.any()
    return tuple(map(bool, done))
