"""hpsearch ocr."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click

from hpsearch.cli.options import command, trainer_option


@command(
    "hpsearch ocr page.png --model studies/gemma-ocr/best",
    "hpsearch ocr scans/*.png --model best-gemma/adapter --json > read.jsonl",
)
@click.argument("images", nargs=-1, required=True, metavar="IMAGE...", type=click.Path(path_type=Path))
@click.option("--model", required=True, help="An adapter's folder, or a model: a folder, a Hub id or asset:NAME.")
@click.option("--instruction", help="What the model is asked. [default: what it was trained with]")
@click.option("--max-new-tokens", type=click.IntRange(min=1), help="Limit in tokens for a text.")
@click.option("--longest-edge", type=click.IntRange(min=28), help="Resolution. [default: what it was trained with]")
@click.option("--batch-size", type=click.IntRange(min=1), default=1, help="Pictures read at once.")
@click.option("--temperature", type=click.FloatRange(0, 2), default=0.0, help="0: greedy, so that reading repeats.")
@click.option("--load-in-4bit/--no-load-in-4bit", default=None, help="[default: as it was trained]")
@trainer_option
@click.option("--json", "as_json", is_flag=True, help="A JSON line for each picture: image_path and ocr_text.")
def ocr(images: tuple[Path, ...], model: str, as_json: bool, trainer_python: str | None, **options: Any) -> int:
    """Read pictures with a tuned model. Texts go to the standard output, progress to the standard error."""
    from hpsearch.commands.predict import read_pictures

    def take(row: dict[str, str]) -> None:
        if as_json:
            click.echo(json.dumps(row, ensure_ascii=False))
        else:
            click.echo(f"== {row['image_path']}\n{row['ocr_text']}" if len(images) > 1 else row["ocr_text"])

    return read_pictures(images, model, options, take, _Progress().take, trainer_python)


class _Progress:
    """Shows phases and how far reading is, on the standard error."""

    def __init__(self) -> None:
        self._shown = ""

    def take(self, happening: Any) -> None:
        """Show one happening."""
        values = getattr(happening, "values", {})
        fraction = values.get("fraction")
        line = str(values.get("phase", "")) + (f" {fraction:.0%}" if isinstance(fraction, float) else "")
        if line and line != self._shown:
            self._shown = line
            click.echo(f"ocr: {line}", err=True)
