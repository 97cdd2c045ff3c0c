"""hpsearch validate."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from hpsearch.cli.options import command, storage_options, study_option, trainer_option


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
    from hpsearch.cli.live import Board
    from hpsearch.cli.views import watching
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
    if checked.exit_code == 0:
        click.echo(f"{checked.study}: ready to run, {_counted(len(checked.warnings), 'warning')}")
    return checked.exit_code


def _counted(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"
