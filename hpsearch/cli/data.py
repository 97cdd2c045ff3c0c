"""hpsearch data: the group, convert and split."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

from hpsearch.cli.options import SETTINGS, command, trainer_option
from hpsearch.cli.rows import merge, stats
from hpsearch.data.convert import DATASET, FORMATS, METADATA, SIMPLE, Conversion, Converted

PRESETS = {"1:5": 5 / 6}
DEFAULT_FRACTION = 0.2


@click.group(context_settings=SETTINGS)
def data() -> None:
    """Make datasets of transcribed pages, look at rows, set some aside for a test, and make one dataset of several."""


@command(
    "hpsearch data convert --input-dir scans --output-dir letters --val-ratio 0.1",
    "hpsearch data convert --input-dir scans --output-dir letters --include-paragraphs --include-full-pages",
    name="convert",
)
@click.option(
    "--input-dir", required=True, type=click.Path(), help="Folder of PAGE-XML or ALTO-XML files and pictures."
)
@click.option("--output-dir", required=True, type=click.Path(), help="Folder for pictures, metadata and the dataset.")
@click.option("--output-format", type=click.Choice(FORMATS), default=SIMPLE, help="Columns of the dataset.")
@click.option(
    "--max-image-edge", type=click.IntRange(min=28), default=2048, help="Most pixels along a picture's longer side."
)
@click.option(
    "--val-ratio",
    type=click.FloatRange(0, 1, max_open=True),
    default=0.0,
    help="Fraction of the pages, each with all its pieces, that are for validation.",
)
@click.option("--lines/--no-lines", default=True, help="A row for each line.")
@click.option("--include-paragraphs", is_flag=True, help="A row for each region of text, too.")
@click.option("--include-full-pages", is_flag=True, help="A row for each page, too.")
@click.option(
    "--aug-copies",
    type=click.IntRange(0, 100),
    default=0,
    help="Copies of each training row that are turned a little, noisy, blurred, lighter or darker.",
)
@click.option("--batch-size", type=click.IntRange(min=1), default=50, help="Rows that are written together.")
@click.option("--seed", type=int, default=3407, help="Draws the pages for validation, and what is done to copies.")
@click.option("--instruction", default="Read the text.", help="What rows of the finevision format ask.")
@trainer_option
def convert(
    lines: bool, include_paragraphs: bool, include_full_pages: bool, trainer_python: str | None, **options: object
) -> int:
    """Make a dataset of scanned pages with their transcription (PAGE-XML, ALTO-XML).

    Written are crops/, a line of metadata/ for each of them, and the dataset hf_dataset_chandra/; conversion.json says
    what was taken, and left_out.jsonl what was not, and why. An earlier result there is replaced when all is done.
    """
    from hpsearch.cli.live import Board
    from hpsearch.cli.views import watching
    from hpsearch.commands.convert import convert_pages

    chosen = {"line": lines, "paragraph": include_paragraphs, "page": include_full_pages}
    kinds = tuple(kind for kind, wanted in chosen.items() if wanted)
    if not kinds:
        raise click.UsageError("nothing is to be made: --no-lines needs --include-paragraphs or --include-full-pages")
    wanted = Conversion(kinds=kinds, **options)  # type: ignore[arg-type]
    with watching(Board()) as view:
        found = convert_pages(wanted, view, trainer_python)
    if isinstance(found, int):
        click.echo("stopped: nothing was replaced; the same command begins anew", err=True)
        return found
    _show(found, Path(wanted.output_dir))
    return 0


def _show(found: Converted, folder: Path) -> None:
    files = found.files
    click.echo(
        f"files: {files.get('page', 0)} pages taken, {files.get('refused', 0)} refused, "
        f"{files.get('other', 0)} XML files of other kinds"
    )
    for side, rows in found.rows.items():
        click.echo(f"{side}: {rows} rows of {found.pages.get(side, 0)} pages")
    copies = f" ({found.augmented} of them augmented copies)" if found.augmented else ""
    click.echo(f"rows: {_counts(found.kinds)}{copies}")
    for what, reasons in (("refused", found.refused_pages), ("left out", found.left_out)):
        for reason, count in sorted(reasons.items(), key=lambda each: -each[1]):
            click.echo(f"{what}: {count} x {reason}")
    if found.left_out or found.refused_pages:
        click.echo(f"all that was not taken: {folder / 'left_out.jsonl'}")
    for warning in found.warnings:
        click.echo(f"warning: {warning}")
    click.echo(f"written: {folder / DATASET}, {folder / METADATA}")
    click.echo(f"next: hpsearch init --data {folder / DATASET} --model MODEL")


@command(
    "hpsearch data split --input raw/ocr.json --output-dir input --test-fraction 0.1",
    "hpsearch data split --input raw/ocr.json --output-dir input --preset 1:5",
    name="split",
)
@click.option("--input", "source", required=True, type=click.Path(path_type=Path), help="Rows in one file.")
@click.option("--output-dir", "target", required=True, type=click.Path(path_type=Path), help="Folder for both files.")
@click.option(
    "--test-fraction",
    type=click.FloatRange(0, 1, min_open=True, max_open=True),
    help="Of the rows. [default: 0.2]",
)
@click.option("--preset", type=click.Choice(list(PRESETS)), help="1:5: five rows for the test to each one that is not.")
@click.option("--seed", type=int, default=42, help="Draws the documents.")
@click.option("--image-column", help="[default: found by its name]")
@click.option("--text-column", help="[default: found by its name]")
@click.option("--document-column", help="Rows of one document stay together. [default: document, if there is one]")
@click.option("--image-root", type=click.Path(path_type=Path), help="Where pictures' paths lead from.")
@click.option("--force", is_flag=True, help="Replace files that are there.")
def split(
    test_fraction: float | None,
    preset: str | None,
    image_column: str | None,
    text_column: str | None,
    document_column: str | None,
    image_root: Path | None,
    **options: Any,
) -> int:
    """Part rows into ocr_non_test.json and ocr_test.json, reproducibly, with no document on both sides."""
    from hpsearch.commands.split import Wanted, split_rows
    from hpsearch.data.rows import Layout

    if preset is not None and test_fraction is not None:
        raise click.UsageError("--preset and --test-fraction say the same thing: give one of them")
    fraction = PRESETS[preset] if preset is not None else (test_fraction or DEFAULT_FRACTION)
    layout = Layout(image_column, text_column, document_column, image_root and image_root.absolute())
    done = split_rows(Wanted(test_fraction=fraction, layout=layout, **options))
    rows = done.non_test.rows + done.test.rows
    for side in (done.non_test, done.test):
        click.echo(
            f"{side.file}: {side.rows} rows ({side.rows / rows:.1%}) of {side.documents} documents, "
            f"{side.characters} characters"
        )
    if done.left_out:
        click.echo(f"warning: {done.left_out} rows have no picture or no text and are in neither")
    return 0


def _counts(kinds: Mapping[str, int]) -> str:
    return ", ".join(f"{count} {kind}s" for kind, count in kinds.items())


data.add_command(convert)
data.add_command(split)
data.add_command(stats)
data.add_command(merge)
