"""Asking the training side, in a process of its own: whatever hangs or dies there becomes a red line, and the rest goes
on in a new process."""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from hpsearch.execution.doctor_question import DoctorQuestion, Finding, red

# Starts hpsearch.training.doctor in any interpreter: another one need not have hpsearch, and must not be shown the
# packages that stand beside this one's.
_START = (
    "import runpy, sys; package = type(sys)('hpsearch'); package.__path__ = [sys.argv.pop(1)]; "
    "sys.modules['hpsearch'] = package; runpy.run_module('hpsearch.training.doctor', run_name='__main__')"
)
_PACKAGE = str(Path(__file__).resolve().parents[2])
# In the order in which they are asked; those of hpsearch.training.doctor.checks.
CHECKS = ("training", "torch", "torchvision", "bitsandbytes", "unsloth", "token", "model", "settings")


@dataclass
class DoctorAnswer:
    """What came back: findings, facts by name, and the checks that were begun and ended."""

    findings: list[Finding] = field(default_factory=list)
    facts: dict[str, Any] = field(default_factory=dict)
    begun: list[str] = field(default_factory=list)
    ended: list[str] = field(default_factory=list)

    @property
    def broken(self) -> str:
        """The check that was begun and not ended; empty where there is none."""
        return next((name for name in self.begun if name not in self.ended), "")

    def take(self, line: Mapping[str, Any]) -> None:
        """Add one line of the answer."""
        if "begin" in line:
            self.begun.append(line["begin"])
        elif "end" in line:
            self.ended.append(line["end"])
        elif "finding" in line:
            self.findings.append(Finding.from_json(line["finding"]))
        elif "fact" in line:
            self.facts[line["fact"]] = line["value"]


def program(python: str) -> tuple[str, ...]:
    """The argv of the training side's part; the working folder is searched for modules where jobs search it, too."""
    return (python, *(() if python == sys.executable else ("-P",)), "-c", _START, _PACKAGE)


def ask(question: DoctorQuestion, python: str, environment: Mapping[str, str]) -> DoctorAnswer:
    """Have ``python`` answer the question, with so many processes as it takes."""
    answer, left = DoctorAnswer(), list(question.checks)
    while left:
        said = _Process(replace(question, checks=tuple(left)), python, environment, answer).listen()
        broken = answer.broken
        if not broken:
            if said:
                answer.findings.append(_never_started(said, python))
            return answer
        answer.findings.append(red(broken, f"this check {said}", _remedy(broken, question)))
        answer.ended.append(broken)
        left = left[left.index(broken) + 1 :]
        question = replace(question, failed=(*question.failed, broken))
    return answer


def _remedy(check: str, question: DoctorQuestion) -> str:
    if check in ("torch", "torchvision", "bitsandbytes"):
        return f"see what it does: python -v -c 'import {check}'; or {question.pip} install --force-reinstall {check}"
    return "run hpsearch doctor again, with --timeout 300 where the disk or the network is slow"


def _never_started(said: str, python: str) -> Finding:
    return red("training", f"the training interpreter {python} {said}", "name a Python of 3.11 or newer, with torch")


class _Process:
    """One process that answers, until its end or until a check takes too long."""

    def __init__(
        self, question: DoctorQuestion, python: str, environment: Mapping[str, str], answer: DoctorAnswer
    ) -> None:
        self._question, self._argv, self._environment = question, program(python), environment
        self._answer = answer

    def listen(self) -> str:
        """Take in what it says; how it failed, or "" where it came to its end."""
        with tempfile.TemporaryFile() as errors:
            try:
                process = subprocess.Popen(
                    self._argv,
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    stderr=errors,
                    env=dict(self._environment),
                    start_new_session=True,
                )
            except OSError as error:
                return f"cannot be started: {error.strerror}"
            with process:
                hung = not self._converse(process)
                _end(process)
            errors.seek(0)
            tail = errors.read().decode(errors="replace").strip().splitlines()
        return self._verdict(hung, process.returncode, tail)

    def _verdict(self, hung: bool, code: int, tail: Sequence[str]) -> str:
        if hung:
            return f"did not end within {self._question.timeout_s:g} s"
        if code == 0:
            return ""
        how = f"was ended by {signal.Signals(-code).name}" if code < 0 else f"ended with exit code {code}"
        return how + (f": {tail[-1][:200]}" if tail else "")

    def _converse(self, process: subprocess.Popen[bytes]) -> bool:
        """Ask, and take in the answer; whether it came to its end in time."""
        if process.stdin is None or process.stdout is None:
            return False
        try:
            process.stdin.write(self._question.to_json().encode())
            process.stdin.close()
        except BrokenPipeError:
            pass
        for line in _lines(process.stdout.fileno(), self._question.timeout_s):
            if line is None:
                return False
            self._answer.take(line)
        return True


def _lines(descriptor: int, timeout_s: float) -> Iterator[dict[str, Any] | None]:
    """JSON lines as they come; None where the next one takes too long. Each line starts the clock anew."""
    rest, deadline = b"", time.monotonic() + timeout_s
    while True:
        ready, _, _ = select.select([descriptor], [], [], max(0.0, deadline - time.monotonic()))
        if not ready:
            yield None
            return
        data = os.read(descriptor, 65536)
        if not data:
            return
        *lines, rest = (rest + data).split(b"\n")
        for line in lines:
            yield json.loads(line)
            deadline = time.monotonic() + timeout_s


def _end(process: subprocess.Popen[bytes]) -> None:
    """End the process and what it started; one that has ended by itself keeps its exit code."""
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(0.5)
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
