"""Every command's --help stands alone, and starts fast because it loads nothing heavy."""

from __future__ import annotations

import shlex
import subprocess
import sys

import click
import pytest
from click.testing import CliRunner

from hpsearch.cli import COMMANDS, app
from tests.conftest import Golden


@pytest.mark.parametrize("command", ["", *COMMANDS])
def test_help(golden: Golden, command: str) -> None:
    shown = CliRunner().invoke(app, [*command.split(), "--help"], prog_name="hpsearch", terminal_width=110)
    assert shown.exit_code == 0, shown.output
    golden.check(f"help/{command or 'hpsearch'}.txt", shown.output)


def test_the_examples_are_understood() -> None:
    shown = 0
    for name in COMMANDS:
        command = app.get_command(click.Context(app), name)
        assert command is not None
        for example in (command.epilog or "").splitlines()[2:]:
            program, word, *arguments = shlex.split(example)
            assert (program, word) == ("hpsearch", name)
            assert command.make_context(name, arguments)
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
