"""Every command has a --help, which starts fast because it loads nothing heavy."""

from __future__ import annotations

import shlex
import subprocess
import sys
from collections.abc import Iterator

import click
import pytest
from click.testing import CliRunner

from hpsearch.cli import COMMANDS, app
from tests.conftest import Golden


@pytest.mark.parametrize(
    "command", ["", *COMMANDS, "storage copy", "data convert", "data split", "data stats", "data merge"]
)
def test_help(golden: Golden, command: str) -> None:
    shown = CliRunner().invoke(app, [*command.split(), "--help"], prog_name="hpsearch", terminal_width=110)
    assert shown.exit_code == 0, shown.output
    golden.check(f"help/{command or 'hpsearch'}.txt", shown.output)


def leaves() -> Iterator[tuple[list[str], click.Command]]:
    """Yield every command that is not a group, with its words."""
    for name in COMMANDS:
        command = app.get_command(click.Context(app), name)
        assert command is not None
        if not isinstance(command, click.Group):
            yield [name], command
            continue
        for below, subcommand in command.commands.items():
            yield [name, below], subcommand


def test_the_examples_are_understood() -> None:
    shown = 0
    for names, command in leaves():
        for example in (command.epilog or "").splitlines()[2:]:
            words = shlex.split(example)
            assert words[: 1 + len(names)] == ["hpsearch", *names]
            assert command.make_context(names[-1], words[1 + len(names) :])
            shown += 1
    assert shown > 10


@pytest.mark.parametrize("command", ["", *COMMANDS])
def test_help_loads_nothing_heavy(command: str) -> None:
    code = (
        "import sys; from hpsearch.cli import _run; "
        f"_run({[*command.split(), '--help']!r}, False); "
        "heavy = {'optuna', 'torch', 'plotly', 'sqlalchemy', 'transformers'} & set(sys.modules); "
        "sys.exit(f'loaded: {heavy}' if heavy else 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
