"""hpsearch data stats, hpsearch data merge."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import click

from hpsearch.cli.options import command, trainer_option
from hpsearch.data.stats import FINDINGS, SUMMARY

if TYPE_CHECKING:
    from rich.table import Table

    from hpsearch.data.merge import Joined
    from hpsearch.data.stats import Spread, Statistics


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
    from hpsearch.cli.live import Board
    from hpsearch.cli.tables import console, facts
    from hpsearch.cli.views import watching
    from hpsearch.commands.data_stats import PAGE, inspect_data

    with watching(Board()) as view:
        found = inspect_data(source, model, sets, target, view, trainer_python)
    if isinstance(found, int):
        click.echo("stopped: nothing was written; the same command begins anew", err=True)
        return found
    console().print(_parts(found))
    for line in facts(list(_facts(found))):
        click.echo(line)
    click.echo(f"written: {target / PAGE}, {target / SUMMARY}, {target / FINDINGS}")
    return 0


def _parts(found: Statistics) -> Table:
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


def _facts(found: Statistics) -> Iterator[tuple[str, str]]:
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
    from hpsearch.cli.live import Board
    from hpsearch.cli.views import watching
    from hpsearch.commands.merge_data import merge_datasets

    with watching(Board()) as view:
        found = merge_datasets(datasets, target, drop_alike, view, trainer_python)
    if isinstance(found, int):
        click.echo("stopped: nothing was replaced; the same command begins anew", err=True)
        return found
    _show_merged(found, target)
    return 0


def _show_merged(found: Joined, target: Path) -> None:
    for name, taken in found.datasets.items():
        click.echo(f"{name}: {_counts(taken.rows)}")
        for reason, count in sorted(taken.left_out.items(), key=lambda each: -each[1]):
            click.echo(f"{name}: left out {count} x {reason}")
    if found.alike:
        alike = f"rows that look like an earlier one and read the same: {found.alike}"
        click.echo(f"warning: {alike}; --drop-alike leaves them out")
    click.echo(f"written: {target} ({_counts(found.rows)}; {found.bytes / 1e6:.1f} MB)")
    click.echo(f"next: hpsearch data stats --data {shlex.quote(str(target))}")


def _counts(rows: Mapping[str, int]) -> str:
    return ", ".join(f"{count} rows of {split}" for split, count in rows.items()) or "no rows"
