"""Machines with things planted in them: drivers, libraries and models that are broken for real."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from dataclasses import dataclass

import pytest

from hpsearch.execution.doctor_question import Finding
from tests.conftest import CommandLine
from tests.plants import Plants


@pytest.fixture
def plants(tmp_path_factory: pytest.TempPathFactory) -> Plants:
    """Nothing planted yet."""
    return Plants(tmp_path_factory.mktemp("planted"))


@dataclass(frozen=True)
class Report:
    """The output of `hpsearch doctor --json`."""

    exit_code: int
    findings: list[Finding]
    output: str

    def of(self, check: str) -> Finding:
        """Return the only finding of a check."""
        findings = [finding for finding in self.findings if finding.check == check]
        assert len(findings) == 1, (check, self.output)
        return findings[0]

    def reds(self) -> set[str]:
        """Return the checks with a red line."""
        return {finding.check for finding in self.findings if finding.level.value == "red"}


Doctor = Callable[..., Report]


@pytest.fixture
def doctor(command_line: CommandLine, plants: Plants) -> Doctor:
    """Runs the real command where things are planted."""

    def examine(*words: str, **environment: str) -> Report:
        done = command_line("doctor", "--json", *words, **{**plants.environment, **environment})
        assert done.returncode in (0, 2), done.stderr
        report = json.loads(done.stdout)
        findings = [Finding.from_json(finding) for finding in report["findings"]]
        return Report(done.returncode, findings, done.stdout + done.stderr)

    return examine


@pytest.fixture(scope="session")
def empty_python(tmp_path_factory: pytest.TempPathFactory) -> str:
    """An interpreter with no packages at all."""
    folder = tmp_path_factory.mktemp("empty")
    subprocess.run(["python3", "-m", "venv", "--without-pip", str(folder)], check=True, timeout=120)
    return str(folder / "bin" / "python")
