"""hpsearch doctor."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path
from typing import Any

import click

from hpsearch.cli.options import command, storage_options, study_option, trainer_option

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
