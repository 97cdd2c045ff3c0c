"""hpsearch data: convert, split, stats and merge."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from hpsearch.cli.options import COUNT, SETTINGS, command, model_option, sets_option, trainer_option, when_stopped
from hpsearch.data.convert import DATASET, FORMATS, METADATA, SIMPLE, ConversionRequest, ConversionResult
from hpsearch.data.stats import FINDINGS, SUMMARY

if TYPE_CHECKING:
    from rich.table import Table

    from hpsearch.data.merge import MergeDatasetsResult
    from hpsearch.data.stats import DataStatistics

PRESETS = {"1:5": 5 / 6}
DEFAULT_FRACTION = 0.2
PATH = click.Path(path_type=Path)


@click.group(context_settings=SETTINGS)
def data() -> None:
    """Make datasets of transcribed pages, split rows, look at them, and merge datasets."""


@command(
    "hpsearch data convert --input-dir scans --output-dir letters --val-ratio 0.1",
    "hpsearch data convert --input-dir scans --output-dir letters --include-paragraphs --include-full-pages",
    name="convert",
)
@click.option(
    "--input-dir", required=True, type=click.Path(), help="Folder of PAGE-XML or ALTO-XML files and page images."
)
@click.option("--output-dir", required=True, type=click.Path(), help="Folder for crops, metadata and the dataset.")
@click.option("--output-format", type=click.Choice(FORMATS), default=SIMPLE, help="Columns of the dataset.")
@click.option(
    "--max-image-edge", type=click.IntRange(min=28), default=2048, help="Maximum pixels of an image's longer side."
)
@click.option(
    "--val-ratio",
    type=click.FloatRange(0, 1, max_open=True),
    default=0.0,
    help="Fraction of the pages, each with all its crops, for validation.",
)
@click.option("--lines/--no-lines", default=True, help="A row for each line.")
@click.option("--include-paragraphs", is_flag=True, help="Also a row for each text region.")
@click.option("--include-full-pages", is_flag=True, help="Also a row for each page.")
@click.option(
    "--aug-copies",
    type=click.IntRange(0, 100),
    default=0,
    help="Augmented copies of each training row: slightly rotated, noisy, blurred, lighter or darker.",
)
@click.option("--batch-size", type=COUNT, default=50, help="Rows to write at a time.")
@click.option("--seed", type=int, default=3407, help="Seed of the split and of the augmentation.")
@click.option("--instruction", default="Read the text.", help="Question in the rows of the finevision format.")
@trainer_option
def convert(
    lines: bool, include_paragraphs: bool, include_full_pages: bool, trainer_python: str | None, **options: object
) -> None:
    """Make a dataset of scanned pages with their transcription (PAGE-XML, ALTO-XML).

    Writes crops/, a line in metadata/ for each crop, and the dataset hf_dataset_chandra/; conversion.json counts what
    was used, and left_out.jsonl lists what was not, with the reasons. An earlier result in the folder is replaced at
    the end.
    """
    from hpsearch.cli.board import Board
    from hpsearch.cli.live import watching
    from hpsearch.commands.convert import convert_pages

    chosen = {"line": lines, "paragraph": include_paragraphs, "page": include_full_pages}
    kinds = tuple(kind for kind, wanted in chosen.items() if wanted)
    if not kinds:
        raise click.UsageError("no rows to make: --no-lines needs --include-paragraphs or --include-full-pages")
    request = ConversionRequest(kinds=kinds, **options)  # type: ignore[arg-type]
    with when_stopped("nothing was replaced; the same command begins again"), watching(Board()) as view:
        result = convert_pages(request, view, trainer_python)
    _show_conversion(result, Path(request.output_dir))


def _show_conversion(result: ConversionResult, folder: Path) -> None:
    files = result.files
    click.echo(
        f"files: {files.get('page', 0)} pages taken, {files.get('refused', 0)} refused, "
        f"{files.get('other', 0)} XML files of other kinds"
    )
    for side, rows in result.rows.items():
        click.echo(f"{side}: {rows} rows of {result.pages.get(side, 0)} pages")
    copies = f" ({result.augmented} of them augmented copies)" if result.augmented else ""
    click.echo(f"rows: {', '.join(f'{count} {kind}s' for kind, count in result.kinds.items())}{copies}")
    _show_reasons("refused", result.refused_pages)
    _show_reasons("left out", result.left_out)
    if result.left_out or result.refused_pages:
        click.echo(f"everything that was not used: {folder / 'left_out.jsonl'}")
    for warning in result.warnings:
        click.echo(f"warning: {warning}")
    click.echo(f"written: {folder / DATASET}, {folder / METADATA}")
    click.echo(f"next: hpsearch init --data {folder / DATASET} --model MODEL")


def _show_reasons(heading: str, reasons: Mapping[str, int]) -> None:
    """Print the reasons with their counts, the most frequent first."""
    for reason, count in sorted(reasons.items(), key=lambda item: -item[1]):
        click.echo(f"{heading}: {count} x {reason}")


@command(
    "hpsearch data split --input raw/ocr.json --output-dir input --test-fraction 0.1",
    "hpsearch data split --input raw/ocr.json --output-dir input --preset 1:5",
    name="split",
)
@click.option("--input", "source", required=True, type=PATH, help="Rows in one file.")
@click.option("--output-dir", "target", required=True, type=PATH, help="Folder for both files.")
@click.option(
    "--test-fraction",
    type=click.FloatRange(0, 1, min_open=True, max_open=True),
    help="Fraction of the rows for the test. [default: 0.2]",
)
@click.option("--preset", type=click.Choice(list(PRESETS)), help="1:5: five test rows for each other row.")
@click.option("--seed", type=int, default=42, help="Seed of the choice of documents.")
@click.option("--image-column", help="[default: found by its name]")
@click.option("--text-column", help="[default: found by its name]")
@click.option("--document-column", help="Rows of one document stay together. [default: document, if there is one]")
@click.option("--image-root", type=PATH, help="Folder that the images' paths are relative to.")
@click.option("--force", is_flag=True, help="Replace existing files.")
def split(
    test_fraction: float | None,
    preset: str | None,
    image_column: str | None,
    text_column: str | None,
    document_column: str | None,
    image_root: Path | None,
    **options: Any,
) -> None:
    """Split rows into ocr_non_test.json and ocr_test.json, reproducibly, with no document in both."""
    from hpsearch.commands.split import SplitRequest, split_rows
    from hpsearch.data.rows import Layout

    if preset is not None and test_fraction is not None:
        raise click.UsageError("--preset and --test-fraction both set the fraction: give one of them")
    fraction = PRESETS[preset] if preset is not None else (test_fraction or DEFAULT_FRACTION)
    layout = Layout(image_column, text_column, document_column, image_root and image_root.absolute())
    result = split_rows(SplitRequest(test_fraction=fraction, layout=layout, **options))
    rows = result.non_test.rows + result.test.rows
    for side in (result.non_test, result.test):
        click.echo(
            f"{side.file}: {side.rows} rows ({side.rows / rows:.1%}) of {side.documents} documents, "
            f"{side.characters} characters"
        )
    if result.left_out:
        click.echo(f"warning: {result.left_out} rows have no picture or no text and are in neither")


@command(
    "hpsearch data stats --data letters/hf_dataset_chandra",
    "hpsearch data stats --data pages.json --model google/gemma-3-4b-it --output-dir analysis",
    name="stats",
)
@click.option(
    "--data", "--input", "--input-data", "source", required=True, metavar="DATA", help="Rows of image and text."
)
@model_option("Also count this model's tokens. A Hub id, a folder, or asset:NAME.")
@click.option("--output-dir", "target", type=PATH, default=Path("analysis"), help="Folder for the results.")
@sets_option("Setting for reading the rows, such as a column. Repeatable.")
@trainer_option
def stats(source: str, model: str | None, target: Path, sets: tuple[str, ...], trainer_python: str | None) -> None:
    """Describe rows: lengths of texts, scripts, sizes of images, tokens, unusable and duplicate rows.

    Writes stats.html, a page with images to look at, stats.json, and findings.jsonl with a line for each possible
    problem.
    """
    from hpsearch.cli.board import Board
    from hpsearch.cli.live import watching
    from hpsearch.cli.tables import console, facts
    from hpsearch.commands.data_stats import PAGE, inspect_data

    with when_stopped("nothing was written; the same command begins again"), watching(Board()) as view:
        statistics = inspect_data(source, model, sets, target, view, trainer_python)
    console().print(_splits_table(statistics))
    for line in facts(list(_facts(statistics))):
        click.echo(line)
    click.echo(f"written: {target / PAGE}, {target / SUMMARY}, {target / FINDINGS}")


def _splits_table(statistics: DataStatistics) -> Table:
    """Make a table of the splits, with the median and the middle 90 % of lengths and sizes."""
    from rich.table import Table

    table = Table("split", "rows", "documents", "characters of a text", "width", "height", box=None, pad_edge=False)
    for name, part in statistics.parts.items():
        spreads = [
            f"{spread.middle:.0f} ({spread.low:.0f} to {spread.high:.0f})"
            for spread in (part.characters, part.widths, part.heights)
        ]
        table.add_row(name, str(part.rows), str(part.documents or "-"), *spreads)
    return table


def _facts(statistics: DataStatistics) -> Iterator[tuple[str, str]]:
    total = sum(script.characters for script in statistics.scripts)
    yield "scripts", ", ".join(f"{script.name} {script.characters / total:.1%}" for script in statistics.scripts[:6])
    rare = f", {statistics.rare} of them seen once or twice" if statistics.rare else ""
    yield "characters", f"{statistics.alphabet} different ones{rare}"
    for sizing in statistics.sizings:
        edge = "{} {}".format(*sizing.setting) if sizing.setting else "the model's own size"
        crops = ", pan_and_scan" if sizing.pan_and_scan else ""
        yield "tokens", f"{edge}{crops}: {sizing.picture} of the median image, {sizing.row} of the longest row"
    for reason, count in statistics.unusable.items():
        yield "unusable", f"{count} x {reason}"
    for kind, count in statistics.duplicates.items():
        crossing = statistics.crossing.get(kind)
        yield "repeated", f"{count} x {kind}" + (f", {crossing} of them of another split" if crossing else "")
    if statistics.shared_documents:
        yield "documents", f"in more than one split: {statistics.shared_documents}"


@command(
    "hpsearch data merge --data letters/hf_dataset_chandra --data pages.json --output-dir all",
    "hpsearch data merge --data 'a.json?text_column=reading' --data hub:owner/name --output-dir all",
    name="merge",
)
@click.option(
    "--data",
    "--input",
    "--input-data",
    "datasets",
    required=True,
    multiple=True,
    metavar="DATA",
    help="Rows of image and text; settings for reading them follow a question mark. Repeatable.",
)
@click.option("--output-dir", "target", required=True, type=PATH, help="Folder for the new dataset.")
@click.option("--drop-alike", is_flag=True, help="Of rows that look alike and have the same text, keep only the first.")
@trainer_option
def merge(datasets: tuple[str, ...], target: Path, drop_alike: bool, trainer_python: str | None) -> None:
    """Merge several datasets into one, each image once, with the origin of each row.

    Splits get their usual names (train, validation, test). Of an image that is in several splits, the test row is kept
    before the validation row, and that before the train row. Writes parquet files, a README.md for the Hub,
    merged.json, and left_out.jsonl if something was left out.
    """
    from hpsearch.cli.board import Board
    from hpsearch.cli.live import watching
    from hpsearch.commands.merge_data import merge_datasets

    with when_stopped("nothing was replaced; the same command begins again"), watching(Board()) as view:
        result = merge_datasets(datasets, target, drop_alike, view, trainer_python)
    _show_merged(result, target)


def _show_merged(result: MergeDatasetsResult, target: Path) -> None:
    from hpsearch.execution.units import bytes_text

    for name, counts in result.datasets.items():
        click.echo(f"{name}: {_rows_by_split(counts.rows)}")
        _show_reasons(f"{name}: left out", counts.left_out)
    if result.alike:
        alike = f"rows that look like an earlier one and have the same text: {result.alike}"
        click.echo(f"warning: {alike}; --drop-alike leaves them out")
    click.echo(f"written: {target} ({_rows_by_split(result.rows)}; {bytes_text(result.bytes)})")
    click.echo(f"next: hpsearch data stats --data {shlex.quote(str(target))}")


def _rows_by_split(rows: Mapping[str, int]) -> str:
    return ", ".join(f"{count} rows of {split}" for split, count in rows.items()) or "no rows"


for subcommand in (convert, split, stats, merge):
    data.add_command(subcommand)
