"""hpsearch validate."""

from __future__ import annotations

from pathlib import Path

import click

from hpsearch.cli.options import command


@command("hpsearch validate studies/mine.json search_spaces/wide.json")
@click.argument("files", nargs=-1, required=True, type=click.Path(path_type=Path))
def validate(files: tuple[Path, ...]) -> int:
    """Check definitions and search spaces: every error of every FILE, with its place, rule, values and remedy."""
    from hpsearch.definitions.validation import validate_files

    findings = validate_files(files)
    for finding in findings:
        click.echo(str(finding))
    errors = sum(finding.is_error for finding in findings)
    warned = len(findings) - errors
    click.echo(f"{_counted(len(files), 'file')}: {_counted(errors, 'error')}, {_counted(warned, 'warning')}")
    return 2 if errors else 0


def _counted(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"
