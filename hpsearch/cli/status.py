"""hpsearch status, hpsearch logs, hpsearch stop, hpsearch delete."""

from __future__ import annotations

import codecs
import json
import os
import re
import signal
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import click

from hpsearch.cli.options import command, storage_options, study_option
from hpsearch.errors import UsageError

if TYPE_CHECKING:
    from hpsearch.commands.status import TrialLog

_HALF_COLOUR = re.compile(r"\x1b(\[[0-9;:]{0,30})?\Z")


@command("hpsearch status --json")
@study_option()
@storage_options
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object instead of a table.")
def status(study: str | None, storage: str | None, base_output_dir: Path, as_json: bool) -> None:
    """Show the state of the studies: trials by state, best value, runner."""
    from hpsearch.commands.status import study_statuses

    statuses = study_statuses(storage, base_output_dir, study)
    if as_json:
        click.echo(json.dumps({"studies": [item.as_json() for item in statuses]}, indent=2, ensure_ascii=False))
        return
    from hpsearch.cli.tables import console, printable, status_table

    console().print(status_table(statuses))
    for item in statuses:
        for text in item.failing:
            click.echo(printable(f"{item.study}: {text}", 300))


@command("hpsearch logs --study gemma-ocr --trial 7 --follow")
@study_option()
@click.option("--trial", "number", type=click.IntRange(min=0), help="Number of the trial. [default: the latest]")
@click.option("--follow", "-f", is_flag=True, help="Keep printing new output until the trial ends.")
@storage_options
def logs(study: str | None, number: int | None, follow: bool, storage: str | None, base_output_dir: Path) -> None:
    """Show the output of a trial's program."""
    from hpsearch.commands.status import trial_log

    log = trial_log(storage, base_output_dir, study, number)
    if not log.path.exists():
        if log.ended():
            problem = f"trial {log.number} has ended, and {log.path} is missing"
            raise UsageError(problem, "it was deleted, or another program ran the trial")
        if not follow:
            raise UsageError(f"trial {log.number} has no log yet ({log.path})", "wait for it with --follow")
    _print_log(log, follow)


@command()
@study_option()
@storage_options
def stop(study: str | None, storage: str | None, base_output_dir: Path) -> None:
    """Ask the runner of a study to stop.

    Its trials are queued again, and `hpsearch resume` continues.
    """
    from hpsearch.commands.status import running_owner
    from hpsearch.study.options import command_text

    name, owner = running_owner(storage, base_output_dir, study)
    os.kill(owner.pid, signal.SIGTERM)
    resume = command_text("resume", name, storage, base_output_dir)
    click.echo(f"{name}: asked pid {owner.pid} to stop; it ends within 15 seconds; continue with: {resume}")


@command("hpsearch delete --study gemma-ocr-2")
@study_option(required=True)
@storage_options
@click.option("--yes", is_flag=True, help="Do not ask.")
def delete(study: str, storage: str | None, base_output_dir: Path, yes: bool) -> None:
    """Remove a study from its storage, with its folder and what a dead runner left of it.

    Lists first what is removed, and asks. A definition's file stays. A study that is being run is refused.
    """
    from hpsearch.commands.delete_study import delete_study, plan_deletion
    from hpsearch.study.storage.open import StorageUrl

    url = StorageUrl.of(storage, base_output_dir)
    planned = plan_deletion(study, url, base_output_dir)
    click.echo(f"{study}: to be removed for good:")
    for line in planned.lines():
        click.echo(f"  {line}")
    if not yes and not sys.stdin.isatty():
        raise UsageError("deleting asks first, but there is no terminal to ask at", "add --yes")
    if not yes and not click.confirm(f"delete {study}?"):
        click.echo("nothing was changed")
        return
    click.echo(delete_study(study, url, base_output_dir))


def _print_log(log: TrialLog, follow: bool) -> None:
    """Print the log; with ``follow``, also what is added until its trial has ended."""
    from hpsearch.report.text import terminal_text

    position, decoder, rest = 0, codecs.getincrementaldecoder("utf-8")(errors="replace"), ""
    while True:
        ended = log.ended()
        data, position = log.read(position)
        text = rest + decoder.decode(data)
        # A colour that is half written is shown with its other half.
        half = _HALF_COLOUR.search(text) if follow and not ended else None
        text, rest = (text[: half.start()], half[0]) if half else (text, "")
        click.echo(terminal_text(text), nl=False)
        if not follow or ended:
            return
        time.sleep(0.3)
