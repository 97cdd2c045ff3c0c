"""Makes the demo's files again: ``python -m tools.make_demo data|bases [--short] [--folder FOLDER]``.

data: lines of 3 to 5 handwritten digits from scikit-learn's ``load_digits`` (1797 pictures of 8x8 pixels), as PNG in
one parquet file for each split. The pictures are divided among the splits first, so that none is in two of them.

bases: a tiny model of each family, trained from random weights by the recipe's own trainer to read lines of *printed*
digits (Pillow's own font, moved, scaled and blurred at random). They know what a line of digits is and read handwriting
badly: this is left to learn in the demo's search. One thread; 2 to 4 minutes for each base.
"""

from __future__ import annotations

import argparse
import functools
import io
import random
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hpsearch.assets import asset_path
from hpsearch.errors import UsageError

SHIPPED = asset_path("digits/data").parent
INSTRUCTION = "Read."
DIGIT_PIXELS = 16
LINE_DIGITS = (3, 5)  # fewest and most digits of a line
LINE_SIZE = (LINE_DIGITS[1] * DIGIT_PIXELS, DIGIT_PIXELS)  # every picture is as wide as the longest line
SPLITS = {"train": (1197, 800), "validation": (300, 96), "holdout": (300, 96)}  # digit pictures, lines made of them
SEED = 20


@dataclass(frozen=True)
class Pretraining:
    """The training of a base from random weights: steps of 16 printed lines, at a peak learning rate."""

    steps: int
    learning_rate: float = 1e-3


PRETRAINING = {"qwen3_vl": Pretraining(1000), "gemma3": Pretraining(1000)}


def make_data(folder: Path, *, short: bool = False) -> None:
    """Write a parquet file for each split, with the columns image, text and sources (numbers of the pictures)."""
    import pyarrow as pa
    import pyarrow.parquet as pq
    from sklearn.datasets import load_digits

    digits = load_digits()
    rng = random.Random(SEED)
    numbers = _distinct(digits.images)
    rng.shuffle(numbers)
    folder.mkdir(parents=True, exist_ok=True)
    for split, (pictures, lines) in SPLITS.items():
        own, numbers = numbers[:pictures], numbers[pictures:]
        chosen = [rng.choices(own, k=rng.randint(*LINE_DIGITS)) for _ in range(8 if short else lines)]
        table = {
            "image": [_png(_handwritten([digits.images[number] for number in line])) for line in chosen],
            "text": ["".join(str(digits.target[number]) for number in line) for line in chosen],
            "sources": chosen,
        }
        pq.write_table(pa.table(table), folder / f"{split}.parquet", compression="zstd")


def _distinct(pictures: Any) -> list[int]:
    """Return the numbers of the pictures, without those that equal an earlier one."""
    first: dict[bytes, int] = {}
    for number, picture in enumerate(pictures):
        first.setdefault(picture.tobytes(), number)
    return list(first.values())


def _handwritten(pictures: Sequence[Any]) -> Any:
    from PIL import Image

    line = Image.new("L", LINE_SIZE, 255)
    for place, picture in enumerate(pictures):
        ink = Image.fromarray((255 - picture * 255 / 16).astype("uint8"))  # load_digits counts ink from 0 to 16
        line.paste(ink.resize((DIGIT_PIXELS, DIGIT_PIXELS), Image.Resampling.BICUBIC), (place * DIGIT_PIXELS, 0))
    return line


def printed_line(rng: random.Random, disorder: float = 1.0) -> tuple[Any, str]:
    """Draw 3 to 5 printed digits, each moved, scaled, turned and shaded at random by ``disorder``, from 0 to 1. Returns
    the picture and its text."""
    from PIL import Image, ImageFilter

    text = "".join(rng.choices("0123456789", k=rng.randint(*LINE_DIGITS)))
    line = Image.new("L", LINE_SIZE, 255)
    for place, digit in enumerate(text):
        line.paste(_printed_digit(digit, rng, disorder), (place * DIGIT_PIXELS, 0))
    return line.filter(ImageFilter.GaussianBlur(rng.uniform(0.0, 0.9) * disorder)), text


def _printed_digit(digit: str, rng: random.Random, disorder: float) -> Any:
    from PIL import Image, ImageDraw

    cell = Image.new("L", (DIGIT_PIXELS, DIGIT_PIXELS), 255)
    right, down = rng.uniform(-2, 2) * disorder, rng.uniform(-1.5, 1.5) * disorder
    font = _font(round(14 + rng.uniform(-2, 3) * disorder))
    middle = (DIGIT_PIXELS / 2 + right, DIGIT_PIXELS / 2 + down)
    ImageDraw.Draw(cell).text(middle, digit, fill=int(rng.uniform(0, 90) * disorder), font=font, anchor="mm")
    return cell.rotate(rng.uniform(-8, 8) * disorder, fillcolor=255, resample=Image.Resampling.BICUBIC)


@functools.cache
def _font(size: int) -> Any:
    from PIL import ImageFont

    return ImageFont.load_default(size=size)


def _png(picture: Any) -> bytes:
    target = io.BytesIO()
    picture.save(target, "PNG", optimize=True)
    return target.getvalue()


def make_base(family: str, folder: Path, *, short: bool = False) -> float:
    """Train a tiny model of ``family`` to read printed digits, save it in half precision, and return its CER."""
    from hpsearch.settings import TrainSettings
    from hpsearch.training.backends import Loaded, Training
    from hpsearch.training.backends.hf import HfBackend
    from hpsearch.training.evaluate.scores import evaluate
    from hpsearch.training.machine.device import set_seeds, set_threads
    from hpsearch.training.models.chat import Chat
    from hpsearch.training.prepared import table_of, training_rows
    from hpsearch.training.schedule import batching_of
    from tools.tiny_models import build_tiny

    plan = PRETRAINING[family]
    steps = 4 if short else plan.steps
    settings = TrainSettings(
        instruction=INSTRUCTION, learning_rate=plan.learning_rate, max_steps=steps, per_device_train_batch_size=16,
        gradient_accumulation_steps=1, warmup_ratio=0.05, weight_decay=0.0, max_new_tokens=8, eval_batch_size=32,
        seed=SEED,
    )  # fmt: skip
    set_threads(1, "cpu")
    set_seeds(SEED)
    tiny = build_tiny(family, seed=SEED)
    loaded = Loaded(tiny.model, tiny.processor, "cpu", "fp32")
    rng = random.Random(SEED)
    lines = _printed_rows(steps * 16, rng, rising=True)
    backend = HfBackend()
    rows = training_rows(table_of(lines), Chat(tiny.processor, INSTRUCTION))
    trainer = backend.trainer(loaded, Training(rows, settings, batching_of(settings), folder))
    trainer.train()
    backend.to_inference(loaded)
    scores = evaluate(loaded, _printed_rows(64, random.Random(SEED + 1)), settings)
    clean = build_tiny(family, seed=SEED)  # without what training left in its configuration
    clean.model.load_state_dict(loaded.model.state_dict())
    clean.save(folder, dtype="float16")
    return scores.cer


def _printed_rows(count: int, rng: random.Random, *, rising: bool = False) -> list[Any]:
    """Make rows of printed lines. ``rising``: the first are neat and disorder grows; else learning starts much
    later."""
    from hpsearch.data.prepared_rows import PreparedRow

    lines = [printed_line(rng, min(1.0, 2 * number / count) if rising else 1.0) for number in range(count)]
    return [PreparedRow(str(number), _png(picture), text) for number, (picture, text) in enumerate(lines)]


def main(arguments: Sequence[str] | None = None) -> None:
    """Make the files that the command line names."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["data", "bases", *PRETRAINING])
    parser.add_argument("--short", action="store_true", help="a few rows or steps, to see that it runs")
    parser.add_argument("--folder", type=Path, default=SHIPPED, help="where to write (default: what ships)")
    options = parser.parse_args(arguments)
    if options.short and options.folder == SHIPPED:
        raise UsageError("--short would overwrite the files that ship", "name another --folder")
    if options.what == "data":
        make_data(options.folder / "data", short=options.short)
        return
    for family in PRETRAINING if options.what == "bases" else [options.what]:
        error_rate = make_base(family, options.folder / family, short=options.short)
        print(f"{family}: CER {error_rate:.3f} on 64 printed lines")


if __name__ == "__main__":
    main()
