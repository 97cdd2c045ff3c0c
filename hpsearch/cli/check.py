"""hpsearch validate, hpsearch doctor, hpsearch init: before a search costs anything."""

from __future__ import annotations

import json
import os
import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from hpsearch.cli.options import (
    SECONDS,
    command,
    definition_options,
    model_option,
    new_option,
    run_options,
    sets_option,
    storage_options,
    study_option,
    trainer_option,
    when_stopped,
)

if TYPE_CHECKING:
    from hpsearch.config.draft import Decision


@command(
    "hpsearch validate studies/mine.json search_spaces/wide.json",
    "hpsearch validate --study gemma-ocr --input-data pages.json",
)
@click.argument("files", nargs=-1, type=click.Path(path_type=Path))
@study_option()
@new_option
@definition_options("config", "search_space", "sets", "model_name", "input_data")
@trainer_option
@storage_options
def validate(files: tuple[Path, ...], **given: Any) -> int:
    """Check definitions and search spaces, or a whole study, before they cost anything.

    For FILES: all errors, each with its place, rule, values and remedy. For a study (--study, --config): its rows and
    their tokens, the images' sizes, the layers that LoRA would train, batch, steps, memory and disk, without loading a
    weight; a study that would fail is refused.
    """
    if given["study"] is None and given["config"] is None:
        return _validate_files(files)
    if files:
        raise click.UsageError("files and a study are checked one at a time: leave out FILES, or --study and --config")
    return _validate_study(given)


def _validate_files(files: tuple[Path, ...]) -> int:
    from hpsearch.config.validate import validate_files

    if not files:
        raise click.UsageError("name definitions or search spaces (FILES), or a study with --study")
    findings = validate_files(files)
    for finding in findings:
        click.echo(str(finding))
    errors = sum(finding.is_error for finding in findings)
    warnings = len(findings) - errors
    click.echo(f"{_counted(len(files), 'file')}: {_counted(errors, 'error')}, {_counted(warnings, 'warning')}")
    return 2 if errors else 0


def _validate_study(given: dict[str, Any]) -> int:
    from hpsearch.cli.board import Board
    from hpsearch.cli.live import watching
    from hpsearch.cli.tables import facts
    from hpsearch.commands.validate import check_study

    with watching(Board()) as view:
        checked = check_study(run_options(given), view)
    for line in facts(checked.lines):
        click.echo(line)
    for text in checked.warnings:
        click.echo(f"warning: {text}")
    click.echo(f"{checked.study}: ready to run, {_counted(len(checked.warnings), 'warning')}")
    return 0


def _counted(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"


@command(
    "hpsearch doctor",
    "hpsearch doctor --study gemma-ocr --input-data pages.json",
    "hpsearch doctor --config mine.json --json",
)
@study_option()
@new_option
@definition_options("config", "sets", "model_name", "input_data")
@trainer_option
@storage_options
@click.option(
    "--timeout",
    "timeout_s",
    type=SECONDS,
    default=60.0,
    metavar="SECONDS",
    help="Time after which a check counts as hung.",
)
@click.option("--json", "as_json", is_flag=True, help="Print the findings as JSON.")
def doctor(as_json: bool, timeout_s: float, **given: Any) -> int:
    """Check whether this machine is ready for a search.

    Checks driver, libraries, memory, model, data and storage. One line for each finding: ok, warning, or red with a
    remedy. Without a study, only the machine is checked. Nothing is written or downloaded. The exit code is 0 without
    red lines, else 2.
    """
    from hpsearch.commands.doctor import examine, exit_code, render, to_json

    options = run_options(given)
    is_named = bool(options.options or options.study or options.config or options.sets)
    findings = examine(options, is_named=is_named, timeout_s=timeout_s)
    if as_json:
        click.echo(to_json(findings))
        return exit_code(findings)
    # Colour and wrapping on a terminal only (NO_COLOR: no-color.org).
    terminal = sys.stdout.isatty()
    plain = bool(os.environ.get("NO_COLOR")) or os.environ.get("TERM") == "dumb"
    width = shutil.get_terminal_size().columns if terminal else None
    symbols = (sys.stdout.encoding or "").lower().replace("-", "") == "utf8"
    for line in render(findings, width=width, colour=terminal and not plain, symbols=symbols):
        click.echo(line)
    return exit_code(findings)


@command(
    "hpsearch init --data pages.json --model google/gemma-3-4b-it",
    "hpsearch init --data scans --model datalab-to/chandra --study letters --set text_column=transcript",
)
@click.option("--data", "--input-data", "data", required=True, metavar="DATA", help="Rows of image and text.")
@model_option("A Hub id, a folder, or asset:NAME.", required=True)
@study_option()
@sets_option("Fix a known setting, such as a column or a split. Repeatable.")
@trainer_option
@click.option("--force", is_flag=True, help="Replace existing files.")
def init(
    data: str, model: str, study: str | None, sets: tuple[str, ...], trainer_python: str | None, force: bool
) -> None:
    """Draft a study and its search space for this machine, a model and rows.

    Prints the reason for each range. Reads rows, images, texts and the model's layers, and no weight. Writes
    studies/NAME.json and search_spaces/NAME.json in the working folder; NAME is that of the data, unless --study gives
    one.
    """
    from hpsearch.cli.board import Board
    from hpsearch.cli.live import watching
    from hpsearch.cli.tables import console, facts, reasons
    from hpsearch.commands.draft import DraftRequest, draft_study

    with when_stopped("nothing was written; the same command begins again"), watching(Board()) as view:
        written = draft_study(DraftRequest(data, model, study, sets, trainer_python, force), view)
    for line in facts(written.draft.facts):
        click.echo(line)
    decisions = [(decision.name, _value_text(decision), decision.why) for decision in written.draft.decisions]
    console().print(reasons(decisions))
    for note in written.draft.notes:
        click.echo(f"warning: {note}")
    for path in written.files:
        click.echo(f"written: {path}")
    click.echo(f"next: hpsearch validate --study {written.study}, then hpsearch run --study {written.study}")


def _value_text(decision: Decision) -> str:
    """Return a value as JSON, a range by its values."""
    values = decision.value
    if not decision.is_range:
        return values if isinstance(values, str) else json.dumps(values)
    choices = ", ".join(map(json.dumps, values.get("choices", ())))
    text = choices or f"{values['low']}..{values['high']}"
    when = " and ".join(f"{name} is {json.dumps(value)}" for name, value in values.get("when", {}).items())
    return f"{text} when {when}" if when else text
