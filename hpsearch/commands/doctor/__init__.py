"""The examination: the driver first, then the training side, then the searching side's own checks, in one list."""

from __future__ import annotations

import json
import os
import textwrap
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from hpsearch.commands.doctor import machine, packages, study
from hpsearch.commands.doctor.machine import DoctorContext
from hpsearch.commands.doctor.training import CHECKS, DoctorAnswer, ask
from hpsearch.config.definition import StudyDefinition
from hpsearch.config.load import load_definition
from hpsearch.errors import HpsearchError, StorageError
from hpsearch.execution.doctor_question import DoctorQuestion, Finding, Level
from hpsearch.execution.environment import build_environment
from hpsearch.execution.gpu import find_driver
from hpsearch.execution.trainer_python import Trainer, named_python
from hpsearch.report.text import visible
from hpsearch.study.options import RunOptions
from hpsearch.study.resolve import resolve

TIMEOUT_S = 60.0  # for one check: torch from a slow network disk takes half a minute to import

Check = Callable[[DoctorContext], Iterable[Finding]]
# Before what the training side says, and after it. Adding a check is an entry here.
BEFORE: tuple[Check, ...] = (packages.python, packages.packages, machine.driver, machine.gpus)
AFTER: tuple[Check, ...] = (
    machine.memory,
    machine.shared_memory,
    machine.disk,
    study.definition,
    study.program,
    study.data,
    study.storage,
    machine.browser,
)


def examine(
    options: RunOptions,
    *,
    is_named: bool = True,
    timeout_s: float = TIMEOUT_S,
    python: str | None = None,
    environ: Mapping[str, str] | None = None,
) -> Sequence[Finding]:
    """Look at this machine, and with ``is_named`` at the study that ``options`` mean. Nothing is written or downloaded.

    ``python`` is the interpreter of the training jobs, by default the study's; ``environ`` what their environment is
    chosen from, by default this process's. One check may take ``timeout_s`` seconds.
    """
    patient = DoctorContext(options, find_driver(timeout_s), timeout_s=timeout_s)
    if is_named:
        patient = _with_study(patient)
    environ = os.environ if environ is None else environ
    answer = _training_side(patient, python or _trainer(patient, environ), environ)
    patient = replace(patient, facts=answer.facts)
    before, after = ([finding for check in checks for finding in check(patient)] for checks in (BEFORE, AFTER))
    return [*before, *answer.findings, *after]


def exit_code(findings: Sequence[Finding]) -> int:
    """0 without a red finding, else 2."""
    return 2 if any(finding.level is Level.RED for finding in findings) else 0


def _with_study(patient: DoctorContext) -> DoctorContext:
    try:
        name, definition = _resolved(patient.options)
        return replace(patient, study=name, definition=definition)
    except HpsearchError as error:
        return replace(patient, study=patient.options.study or "", complaint=(error.what, error.remedy))


def _resolved(options: RunOptions) -> tuple[str, StudyDefinition]:
    """The study's name and definition; where the storage is broken, by the files alone."""
    try:
        found = resolve(options)
        return found.study, found.definition
    except StorageError:
        name = options.study or "study"
        return name, load_definition(name, options.config, options.search_space, options.options, options.sets)


def _trainer(patient: DoctorContext, environ: Mapping[str, str]) -> str:
    """The interpreter that would run the study's jobs."""
    named = patient.definition.trainer_python if patient.definition else patient.options.trainer_python
    return Trainer(named_python(named, environ)).python


def _training_side(patient: DoctorContext, python: str, environ: Mapping[str, str]) -> DoctorAnswer:
    """What the training side says; nothing where the study runs a program of its own, or its definition is broken."""
    if patient.definition is not None and patient.definition.command is not None:
        return DoctorAnswer()
    env_pass = patient.definition.env_pass if patient.definition else ()
    environment = build_environment(environ, env_pass, kind="prepare")[0]
    return ask(_question(patient, python), python, environment)


def _question(patient: DoctorContext, python: str) -> DoctorQuestion:
    searched: dict[str, list[Any]] = patient.definition.searched_values() if patient.definition else {}
    return DoctorQuestion(
        checks=CHECKS,
        settings=patient.settings,
        searched=searched,
        variations=patient.definition.variations() if patient.definition else [],
        gpus=tuple(gpu.name for gpu in patient.driver.gpus),
        driver_cuda=patient.driver.cuda,
        requirements=packages.training_requirements(),
        pip=packages.pip_command(python),
        install=packages.install_command("train", python),
        timeout_s=patient.timeout_s,
    )


# Findings as text: one line each, wrapped below itself where a terminal is narrow. Pure functions.

SYMBOLS = {Level.OK: "✓", Level.WARNING: "!", Level.RED: "✗"}
PLAIN_SYMBOLS = {Level.OK: "+", Level.WARNING: "!", Level.RED: "x"}  # where the terminal's encoding has no others
COLOURS = {Level.OK: "32", Level.WARNING: "33", Level.RED: "31"}  # SGR: green, yellow, red (ECMA-48)
_LEAST_WIDTH = 40


def render(
    findings: Sequence[Finding], *, width: int | None = None, colour: bool = False, symbols: bool = True
) -> list[str]:
    """The lines to print: one for each finding, and a summary. ``width`` wraps them; None leaves each in one line."""
    column = max((len(finding.check) for finding in findings), default=0)
    lines = [line for finding in findings for line in _lines(finding, column, width, colour, symbols)]
    return [*lines, _summary(findings)]


def to_json(findings: Sequence[Finding]) -> str:
    """The findings as one JSON object, with the counts."""
    counts = {level.value: sum(finding.level is level for finding in findings) for level in Level}
    return json.dumps(
        {"findings": [finding.to_json() for finding in findings], "counts": counts}, indent=2, ensure_ascii=False
    )


def _lines(finding: Finding, column: int, width: int | None, colour: bool, symbols: bool) -> list[str]:
    symbol = (SYMBOLS if symbols else PLAIN_SYMBOLS)[finding.level]
    mark = f"{symbol} {finding.level.value:7}"
    head = f"{finding.check:{column}}  "
    text = visible(finding.text + (f"; {finding.remedy}" if finding.remedy else ""))
    indent = len(mark) + 1 + len(head)
    if width is None:
        wrapped = [text]
    else:  # a path or a command is never broken: it could not be copied
        wrapped = textwrap.wrap(
            text, max(width - indent, _LEAST_WIDTH), break_long_words=False, break_on_hyphens=False
        ) or [""]
    painted = f"\x1b[{COLOURS[finding.level]}m{mark}\x1b[0m" if colour else mark
    return [f"{painted} {head}{wrapped[0]}".rstrip(), *(" " * indent + line for line in wrapped[1:])]


def _summary(findings: Sequence[Finding]) -> str:
    red, warned = (sum(finding.level is level for finding in findings) for level in (Level.RED, Level.WARNING))
    counted = f"{red} red, {warned} warning{'' if warned == 1 else 's'}"
    if red:
        return f"not ready: {counted}"
    return f"ready: {counted}" if warned else "ready"
