"""hpsearch score."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import click

from hpsearch.cli.options import command
from hpsearch.data.metrics import NORMALIZATIONS

if TYPE_CHECKING:
    from rich.table import Table

    from hpsearch.commands.scores import Overall

FILE = click.Path(path_type=Path, dir_okay=False)


@command(
    "hpsearch score --input results/gemma.json --output results/gemma_norm.json",
    "hpsearch score --input results/gemma.json --output results/graphemes.json --normalization graphemes",
)
@click.option("--input", "source", required=True, type=FILE, help="The output of an evaluation.")
@click.option("--output", "target", required=True, type=FILE, help="The same with the scores made anew.")
@click.option(
    "--normalization",
    type=click.Choice(list(NORMALIZATIONS)),
    default="no_punctuation",
    help="What is done to both texts first; the scores of all others stand beside.",
)
@click.option("--page", type=FILE, help="An HTML file to look at. [default: the output's name with .html]")
def score(source: Path, target: Path, normalization: str, page: Path | None) -> int:
    """Score an evaluation's predictions anew, under another normalisation, and show where the errors are."""
    from hpsearch.cli.tables import console
    from hpsearch.commands.rescore import score_file

    page = page or target.with_suffix(".html")
    if len({each.resolve() for each in (source, target, page)}) < 3:
        raise click.UsageError("--input, --output and --page are different files: the predictions are kept as they are")
    scored = score_file(source, target, page, normalization)
    console().print(_table(scored.all, normalization))
    click.echo(f"samples: {scored.report['total_samples']} scored, {scored.report['failed_samples']} without an answer")
    click.echo(f"written: {target}, {page}")
    return 0


def _table(found: Mapping[str, Overall], chosen: str) -> Table:
    """Every normalisation's figures, a line for each."""
    from rich.table import Table

    table = Table("normalisation", *("CER", "WER", "F1", "F1, mean of rows", "perfect"))
    for name, whole in found.items():
        values = [f"{getattr(whole, key).value:.4f}" for key in ("cer", "wer", "f1", "f1_macro")]
        table.add_row(name + (" *" if name == chosen else ""), *values, str(whole.perfect))
    return table
