"""How findings are shown: a line each, wrapped on terminals, coloured only there."""

from __future__ import annotations

import os
import pty
import re
import select
import subprocess
import sys
from pathlib import Path

import pytest

from hpsearch.commands.doctor import render
from hpsearch.execution.doctor_question import Finding, Level, ok, red, warning
from tests.plants import ROOT

FINDINGS = (
    ok("python", "3.11.7"),
    warning("browser", "no Chromium or Chrome is found", "apt-get install chromium"),
    red("torch", "a CPU build " * 8, "pip install torch --index-url https://download.pytorch.org/whl/cu130"),
)


def test_elsewhere_each_finding_is_one_line_without_colour() -> None:
    lines = render(FINDINGS)
    assert lines[0] == "✓ ok      python   3.11.7"
    assert lines[1] == "! warning browser  no Chromium or Chrome is found; apt-get install chromium"
    assert lines[2].endswith("; pip install torch --index-url https://download.pytorch.org/whl/cu130")
    assert lines[3:] == ["not ready: 1 red, 1 warning"]


def test_on_a_terminal_lines_wrap_below_themselves_and_commands_stay_whole() -> None:
    lines = render(FINDINGS, width=80, colour=True)
    assert all(len(re.sub("\x1b\\[\\d+m", "", line)) <= 80 for line in lines)
    assert lines[3].startswith(" " * 19)
    assert any("https://download.pytorch.org/whl/cu130" in line for line in lines)
    assert lines[2].startswith("\x1b[31m✗ red    \x1b[0m torch")


def test_a_narrow_encoding_gets_plain_symbols() -> None:
    assert [line[0] for line in render(FINDINGS, symbols=False)[:3]] == ["+", "!", "x"]


def test_names_of_others_are_shown_not_obeyed() -> None:
    assert "\x1b" not in render([ok("model", "a\x1b[2Jb")])[0]


def test_a_red_line_without_a_remedy_cannot_be_made() -> None:
    with pytest.raises(ValueError, match="names its remedy"):
        Finding("torch", Level.RED, "broken")


def test_a_real_terminal_is_answered_in_colour_within_its_width(tmp_path: Path) -> None:
    program, terminal = pty.openpty()
    environment = {**os.environ, "COLUMNS": "80", "TERM": "xterm-256color", "PYTHONPATH": str(ROOT)}
    environment.pop("NO_COLOR", None)
    process = subprocess.Popen(
        [sys.executable, "-m", "hpsearch", "doctor", "--study", "digits-ocr", "--input-data", "asset:nowhere"],
        cwd=tmp_path, stdin=subprocess.DEVNULL, stdout=terminal, stderr=terminal, env=environment,
    )  # fmt: skip
    os.close(terminal)
    output = b""
    while select.select([program], [], [], 120)[0]:
        try:
            data = os.read(program, 65536)
        except OSError:  # the end, on Linux
            break
        output += data
    os.close(program)
    assert process.wait(60) == 2
    text = output.decode()
    assert "\x1b[31m✗ red    \x1b[0m study" in text
    assert "\x1b[32m✓ ok     \x1b[0m python" in text
    assert all(len(line) <= 80 for line in re.sub("\x1b\\[\\d+m", "", text).splitlines())
