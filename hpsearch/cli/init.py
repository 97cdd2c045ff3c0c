"""hpsearch init."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from hpsearch.cli.options import command, study_option, trainer_option

if TYPE_CHECKING:
    from hpsearch.config.draft import Decision


@command(
    "hpsearch init --data pages.json --model google/gemma-3-4b-it",
    "hpsearch init --data scans --model datalab-to/chandra --study letters --set text_column=transcript",
)
@click.option("--data", "--input-data", "data", required=True, metavar="DATA", help="Rows of image and text.")
@click.option(
    "--model", "--model-name", "model", required=True, metavar="MODEL", help="A Hub id, a folder, or asset:NAME."
)
@study_option()
@click.option(
    "--set",
    "sets",
    multiple=True,
    metavar="KEY=VALUE",
    help="A setting that is known, such as a column or a split; it is fixed. Repeatable.",
)
@trainer_option
@click.option("--force", is_flag=True, help="Replace the files where they are there.")
def init(
    data: str, model: str, study: str | None, sets: tuple[str, ...], trainer_python: str | None, force: bool
) -> int:
    """Draft a study and its search space for this machine, a model and rows, with the reason of each range.

    Rows, pictures, texts and the model's layers are looked at; no weight is loaded. Writes studies/NAME.json and
    search_spaces/NAME.json in the working folder; NAME is the data's, unless --study gives one.
    """
    from hpsearch.cli.live import Board
    from hpsearch.cli.tables import console, facts, reasons
    from hpsearch.cli.views import watching
    from hpsearch.commands.draft import Wanted, draft_study

    with watching(Board()) as view:
        written = draft_study(Wanted(data, model, study, sets, trainer_python, force), view)
    if written.draft is None:
        click.echo("stopped: nothing was written; the same command begins anew", err=True)
        return written.exit_code
    for line in facts(written.draft.facts):
        click.echo(line)
    console().print(reasons([(each.name, _shown(each), each.why) for each in written.draft.decisions]))
    for note in written.draft.notes:
        click.echo(f"warning: {note}")
    for path in written.files:
        click.echo(f"written: {path}")
    click.echo(f"next: hpsearch validate --study {written.study}, then hpsearch run --study {written.study}")
    return 0


def _shown(decision: Decision) -> str:
    """A value as JSON; a range by its values."""
    import json

    if not decision.is_range:
        return decision.value if isinstance(decision.value, str) else json.dumps(decision.value)
    values = decision.value
    shown = (
        ", ".join(map(json.dumps, values["choices"])) if "choices" in values else f"{values['low']}..{values['high']}"
    )
    when = " and ".join(f"{name} is {json.dumps(value)}" for name, value in values.get("when", {}).items())
    return f"{shown} when {when}" if when else shown
