"""hpsearch validate."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from hpsearch.cli.options import command, storage_options, study_option, trainer_option, when_stopped

if TYPE_CHECKING:
    from hpsearch.config.draft import Decision


@command(
    "hpsearch validate studies/mine.json search_spaces/wide.json",
    "hpsearch validate --study gemma-ocr --input-data pages.json",
)
@click.argument("files", nargs=-1, type=click.Path(path_type=Path))
@study_option()
@click.option("--config", type=click.Path(path_type=Path, dir_okay=False), help="Definition of the study to check.")
@click.option("--search-space", type=click.Path(path_type=Path, dir_okay=False), help="As for `hpsearch run`.")
@click.option("--set", "sets", multiple=True, metavar="KEY=VALUE", help="As for `hpsearch run`. Repeatable.")
@click.option("--model-name", help="Base model: a Hub id, a folder, or asset:NAME.")
@click.option("--input-data", help="Rows of image and text: a file, a folder, or asset:NAME.")
@trainer_option
@storage_options
def validate(files: tuple[Path, ...], study: str | None, config: Path | None, **given: Any) -> int:
    """Check definitions and search spaces (FILES), or a whole study before it costs anything (--study, --config).

    Of FILES: every error, with its place, rule, values and remedy. Of a study: its rows and their tokens, the pictures'
    sizes, what LoRA would train, batch, steps, memory and disk, without loading a weight; what would fail is refused.
    """
    if study is None and config is None:
        return _validate_files(files)
    if files:
        raise click.UsageError("files and a study are checked one at a time: leave out FILES, or --study and --config")
    return _validate_study(study, config, given)


def _validate_files(files: tuple[Path, ...]) -> int:
    from hpsearch.config.validate import validate_files

    if not files:
        raise click.UsageError("name definitions or search spaces (FILES), or a study with --study")
    findings = validate_files(files)
    for finding in findings:
        click.echo(str(finding))
    errors = sum(finding.is_error for finding in findings)
    warned = len(findings) - errors
    click.echo(f"{_counted(len(files), 'file')}: {_counted(errors, 'error')}, {_counted(warned, 'warning')}")
    return 2 if errors else 0


def _validate_study(study: str | None, config: Path | None, given: dict[str, Any]) -> int:
    from hpsearch.cli.live import Board, watching
    from hpsearch.commands.validate import check_study
    from hpsearch.study.options import RunOptions

    layer = {name: given.pop(name) for name in ("model_name", "input_data")}
    options = {name: value for name, value in layer.items() if value is not None}
    with watching(Board()) as view:
        checked = check_study(RunOptions(study=study, config=config, options=options, **given), view)
    from hpsearch.cli.tables import facts

    for line in facts(checked.lines):
        click.echo(line)
    for text in checked.warnings:
        click.echo(f"warning: {text}")
    click.echo(f"{checked.study}: ready to run, {_counted(len(checked.warnings), 'warning')}")
    return 0


def _counted(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"


# hpsearch doctor.

FILE = click.Path(path_type=Path, dir_okay=False)


@command(
    "hpsearch doctor",
    "hpsearch doctor --study gemma-ocr --input-data pages.json",
    "hpsearch doctor --config mine.json --json",
)
@study_option()
@click.option("--config", type=FILE, help="Definition of the study. [default: studies/NAME.json, here or shipped]")
@click.option("--set", "sets", multiple=True, metavar="KEY=VALUE", help="Fix a setting, as for `hpsearch run`.")
@click.option("--model-name", help="Base model: a Hub id, a folder, or asset:NAME.")
@click.option("--input-data", help="Rows of image and text: a file, a folder, or asset:NAME.")
@trainer_option
@storage_options
@click.option(
    "--timeout",
    "timeout_s",
    type=click.FloatRange(min=0, min_open=True),
    default=60.0,
    metavar="SECONDS",
    help="What one check may take before it counts as hanging.",
)
@click.option("--json", "as_json", is_flag=True, help="Print the findings as JSON.")
def doctor(as_json: bool, timeout_s: float, **given: Any) -> int:
    """Say whether this machine is ready for a search: driver, libraries, memory, model, data, storage.

    One line for each finding: ok, warning, or red with what to do about it. Without a study, the machine alone. Nothing
    is written or downloaded. The exit code is 0 without red lines, else 2.
    """
    from hpsearch.commands.doctor import examine, exit_code, render, to_json
    from hpsearch.study.options import RunOptions

    layer = {name: value for name in ("model_name", "input_data") if (value := given.pop(name)) is not None}
    is_named = bool(layer or given["study"] or given["config"] or given["sets"])
    findings = examine(RunOptions(options=layer, **given), is_named=is_named, timeout_s=timeout_s)
    shown = [to_json(findings)] if as_json else render(findings, **_look())
    for line in shown:
        click.echo(line)
    return exit_code(findings)


def _look() -> dict[str, Any]:
    """How the output can be shown: colour and wrapping on a terminal only (NO_COLOR: no-color.org)."""
    terminal = sys.stdout.isatty()
    plain = bool(os.environ.get("NO_COLOR")) or os.environ.get("TERM") == "dumb"
    return {
        "width": shutil.get_terminal_size().columns if terminal else None,
        "colour": terminal and not plain,
        "symbols": (sys.stdout.encoding or "").lower().replace("-", "") == "utf8",
    }


# hpsearch init.


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
    from hpsearch.cli.live import Board, watching
    from hpsearch.cli.tables import console, facts, reasons
    from hpsearch.commands.draft import DraftRequest, draft_study

    with when_stopped("nothing was written; the same command begins again"), watching(Board()) as view:
        written = draft_study(DraftRequest(data, model, study, sets, trainer_python, force), view)
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
