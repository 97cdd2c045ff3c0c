"""hpsearch setup-trainer."""

from __future__ import annotations

import shlex
from pathlib import Path

import click

from hpsearch.cli.options import command


@command(
    "hpsearch setup-trainer --name unsloth",
    "hpsearch setup-trainer --name newest --dir trainers/newest --python python3.12",
    name="setup-trainer",
)
@click.option("--name", type=click.Choice(["newest", "unsloth"]), default="unsloth", help="Which versions.")
@click.option(
    "--dir",
    "folder",
    type=click.Path(path_type=Path, file_okay=False),
    help="Folder of the environment. [default: hpsearch/trainers/NAME in the user's data folder]",
)
@click.option(
    "--python", metavar="PY", help="Python 3.11 or newer that makes it. [default: the one that runs hpsearch]"
)
@click.option(
    "--gpu/--cpu", "gpu", default=None, help="With or without what only a GPU needs. [default: as this machine is]"
)
def setup_trainer(name: str, folder: Path | None, python: str | None, gpu: bool | None) -> int:
    """Make an environment that trains with other versions of the libraries, for --trainer-python.

    unsloth: unsloth 2026.10.7 and the versions it takes; without a GPU they serve the hf backend. newest: the newest
    versions hpsearch is tested with. After an interruption the same command makes it again.
    """
    import sys

    from hpsearch.commands.trainer_env import Setup, default_folder, require_python, set_up

    setup = Setup(name, (folder or default_folder(name)).expanduser().absolute(), python or sys.executable, gpu)
    require_python(setup.python)
    made = set_up(setup, lambda line: click.echo(line))
    click.echo(
        f"ready; to train with it, add this to run, resume or train:\n  --trainer-python {shlex.quote(str(made))}"
    )
    return 0
