"""hpsearch data: the group, convert and split."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from hpsearch.cli.options import SETTINGS, command, trainer_option, when_stopped
from hpsearch.data.convert import DATASET, FORMATS, METADATA, SIMPLE, ConversionRequest, ConversionResult
from hpsearch.data.stats import FINDINGS, SUMMARY

if TYPE_CHECKING:
    from rich.table import Table

    from hpsearch.data.merge import MergeDatasetsResult
    from hpsearch.data.stats import DataStatistics, Spread


# hpsearch data stats, hpsearch data merge.


@command(
    "hpsearch data stats --data letters/hf_dataset_chandra",
    "hpsearch data stats --data pages.json --model google/gemma-3-4b-it --output-dir analysis",
    name="stats",
)
@click.option(
    "--data", "--input", "--input-data", "source", required=True, metavar="DATA", help="Rows of image and text."
)
@click.option(
    "--model", "--model-name", metavar="MODEL", help="Count its tokens, too. A Hub id, a folder, or asset:NAME."
)
@click.option(
    "--output-dir",
    "target",
    type=click.Path(path_type=Path),
    default=Path("analysis"),
    help="Folder for what is found.",
)
@click.option(
    "--set", "sets", multiple=True, metavar="KEY=VALUE", help="How the rows are read, such as a column. Repeatable."
)
@trainer_option
def stats(source: str, model: str | None, target: Path, sets: tuple[str, ...], trainer_python: str | None) -> int:
    """Look at rows: lengths of texts, scripts, sizes of pictures, tokens, rows that cannot be used or are there twice.

    Written are stats.html, a page with pictures to look at, stats.json, and findings.jsonl with a line for each row in
    doubt.
    """
    from hpsearch.cli.live import Board, watching
    from hpsearch.cli.tables import console, facts
    from hpsearch.commands.data_stats import PAGE, inspect_data

    with when_stopped("nothing was written; the same command begins again"), watching(Board()) as view:
        found = inspect_data(source, model, sets, target, view, trainer_python)
    console().print(_parts(found))
    for line in facts(list(_facts(found))):
        click.echo(line)
    click.echo(f"written: {target / PAGE}, {target / SUMMARY}, {target / FINDINGS}")
    return 0


def _parts(found: DataStatistics) -> Table:
    """The splits, a line each."""
    from rich.table import Table

    table = Table("split", "rows", "documents", "characters of a text", "width", "height", box=None, pad_edge=False)
    for name, part in found.parts.items():
        spreads = (part.characters, part.widths, part.heights)
        table.add_row(name, str(part.rows), str(part.documents or "-"), *map(_spread, spreads))
    return table


def _spread(values: Spread) -> str:
    """The middle, and between what nine of ten are."""
    return f"{values.middle:.0f} ({values.low:.0f} to {values.high:.0f})"


def _facts(found: DataStatistics) -> Iterator[tuple[str, str]]:
    """What was found, in lines."""
    total = sum(each.characters for each in found.scripts)
    yield "scripts", ", ".join(f"{each.name} {each.characters / total:.1%}" for each in found.scripts[:6])
    rare = f", {found.rare} of them seen once or twice" if found.rare else ""
    yield "characters", f"{found.alphabet} different ones{rare}"
    for each in found.sizings:
        edge = "{} {}".format(*each.setting) if each.setting else "the model's own size"
        crops = ", pan_and_scan" if each.pan_and_scan else ""
        yield "tokens", f"{edge}{crops}: {each.picture} of the usual picture, {each.row} of the longest row"
    for reason, count in found.unusable.items():
        yield "unusable", f"{count} x {reason}"
    for kind, count in found.duplicates.items():
        crossing = found.crossing.get(kind)
        yield "repeated", f"{count} x {kind}" + (f", {crossing} of them of another split" if crossing else "")
    if found.shared_documents:
        yield "documents", f"in more than one split: {found.shared_documents}"


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
    help="Rows of image and text. How they are read is said behind a question mark. Repeatable.",
)
@click.option(
    "--output-dir", "target", required=True, type=click.Path(path_type=Path), help="Folder for the new dataset."
)
@click.option("--drop-alike", is_flag=True, help="Of rows that look alike and read the same, keep only the first.")
@trainer_option
def merge(datasets: tuple[str, ...], target: Path, drop_alike: bool, trainer_python: str | None) -> int:
    """Make one dataset of several, each picture once, and say of each row where it is from.

    Splits get their usual names (train, validation, test). A picture that is in two of them stays where it is judged
    by: in a test rather than in validation, there rather than in train. Written are parquet files, a README.md for the
    Hub, merged.json, and left_out.jsonl where something was left out.
    """
    from hpsearch.cli.live import Board, watching
    from hpsearch.commands.merge_data import merge_datasets

    with when_stopped("nothing was replaced; the same command begins again"), watching(Board()) as view:
        found = merge_datasets(datasets, target, drop_alike, view, trainer_python)
    _show_merged(found, target)
    return 0


def _show_merged(found: MergeDatasetsResult, target: Path) -> None:
    for name, taken in found.datasets.items():
        click.echo(f"{name}: {_counts_by_split(taken.rows)}")
        for reason, count in sorted(taken.left_out.items(), key=lambda each: -each[1]):
            click.echo(f"{name}: left out {count} x {reason}")
    if found.alike:
        alike = f"rows that look like an earlier one and read the same: {found.alike}"
        click.echo(f"warning: {alike}; --drop-alike leaves them out")
    click.echo(f"written: {target} ({_counts_by_split(found.rows)}; {found.bytes / 1e6:.1f} MB)")
    click.echo(f"next: hpsearch data stats --data {shlex.quote(str(target))}")


def _counts_by_split(rows: Mapping[str, int]) -> str:
    return ", ".join(f"{count} rows of {split}" for split, count in rows.items()) or "no rows"


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
    from hpsearch.cli.live import Board, watching
    from hpsearch.commands.convert import convert_pages

    chosen = {"line": lines, "paragraph": include_paragraphs, "page": include_full_pages}
    kinds = tuple(kind for kind, wanted in chosen.items() if wanted)
    if not kinds:
        raise click.UsageError("nothing is to be made: --no-lines needs --include-paragraphs or --include-full-pages")
    wanted = ConversionRequest(kinds=kinds, **options)  # type: ignore[arg-type]
    with when_stopped("nothing was replaced; the same command begins again"), watching(Board()) as view:
        found = convert_pages(wanted, view, trainer_python)
    _show(found, Path(wanted.output_dir))
    return 0


def _show(found: ConversionResult, folder: Path) -> None:
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
    from hpsearch.commands.split import SplitRequest, split_rows
    from hpsearch.data.rows import Layout

    if preset is not None and test_fraction is not None:
        raise click.UsageError("--preset and --test-fraction say the same thing: give one of them")
    fraction = PRESETS[preset] if preset is not None else (test_fraction or DEFAULT_FRACTION)
    layout = Layout(image_column, text_column, document_column, image_root and image_root.absolute())
    done = split_rows(SplitRequest(test_fraction=fraction, layout=layout, **options))
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
