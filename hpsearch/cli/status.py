"""hpsearch status, hpsearch logs, hpsearch stop."""

from __future__ import annotations

import codecs
import json
import os
import signal
import time
from pathlib import Path
from typing import Any

import click

from hpsearch.cli.options import command, storage_options, study_option
from hpsearch.errors import UsageError


@command("hpsearch status --json")
@study_option()
@storage_options
@click.option("--json", "as_json", is_flag=True, help="One JSON object instead of a table.")
def status(study: str | None, storage: str | None, base_output_dir: Path, as_json: bool) -> None:
    """Show where the studies stand: trials by state, best value, who runs them."""
    from hpsearch.commands.status import study_statuses

    statuses = study_statuses(storage, base_output_dir, study)
    if as_json:
        click.echo(json.dumps({"studies": [item.as_json() for item in statuses]}, indent=2, ensure_ascii=False))
        return
    from hpsearch.cli.tables import console, status_table

    console().print(status_table(statuses))


@command("hpsearch logs --study gemma-ocr --trial 7 --follow")
@study_option()
@click.option("--trial", "number", type=click.IntRange(min=0), help="Trial whose log is shown. [default: the latest]")
@click.option("--follow", "-f", is_flag=True, help="Go on showing what is added, until the trial ends.")
@storage_options
def logs(study: str | None, number: int | None, follow: bool, storage: str | None, base_output_dir: Path) -> None:
    """Show the output of a trial's program."""
    from hpsearch.commands.status import trial_log

    log = trial_log(storage, base_output_dir, study, number)
    if not log.path.exists():
        if log.ended():
            what = f"trial {log.number} has ended, and {log.path} is not there"
            raise UsageError(what, "it was deleted, or another program ran the trial")
        if not follow:
            raise UsageError(f"trial {log.number} has no log yet ({log.path})", "wait for it with --follow")
    _copy(log, follow)


@command()
@study_option()
@storage_options
def stop(study: str | None, storage: str | None, base_output_dir: Path) -> None:
    """Ask the runner of a study to stop: its trials are queued again, and `hpsearch resume` goes on."""
    from hpsearch.commands.status import running_owner
    from hpsearch.study.options import command_text

    name, owner = running_owner(storage, base_output_dir, study)
    os.kill(owner.pid, signal.SIGTERM)
    resume = command_text("resume", name, storage, base_output_dir)
    click.echo(f"{name}: asked pid {owner.pid} to stop; it ends within 15 seconds; go on with: {resume}")


def _copy(log: Any, follow: bool) -> None:
    """Print the log; with ``follow``, also what is added until its trial has ended."""
    position, decoder = 0, codecs.getincrementaldecoder("utf-8")(errors="replace")
    while True:
        ended = log.ended()
        data, position = log.read(position)
        click.echo(decoder.decode(data), nl=False)
        if not follow or ended:
            return
        time.sleep(0.3)
