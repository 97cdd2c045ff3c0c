"""The examination: the driver first, then the training side, then the searching side's own checks, in one list."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from hpsearch.commands.doctor import machine, packages, study
from hpsearch.commands.doctor.patient import Patient
from hpsearch.commands.doctor.training import CHECKS, Answer, ask
from hpsearch.config.definition import StudyDefinition
from hpsearch.config.load import load_definition
from hpsearch.errors import HpsearchError, StorageError
from hpsearch.execution.doctor_question import Finding, Level, Question
from hpsearch.execution.environment import build_environment
from hpsearch.execution.gpu import find_driver
from hpsearch.execution.trainer_python import Trainer, named_python
from hpsearch.study.options import RunOptions
from hpsearch.study.resolve import resolve

TIMEOUT_S = 60.0  # for one check: torch from a slow network disk takes half a minute to import

Check = Callable[[Patient], Iterable[Finding]]
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
    patient = Patient(options, find_driver(timeout_s), timeout_s=timeout_s)
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


def _with_study(patient: Patient) -> Patient:
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


def _trainer(patient: Patient, environ: Mapping[str, str]) -> str:
    """The interpreter that would run the study's jobs."""
    named = patient.definition.trainer_python if patient.definition else patient.options.trainer_python
    return Trainer(named_python(named, environ)).python


def _training_side(patient: Patient, python: str, environ: Mapping[str, str]) -> Answer:
    """What the training side says; nothing where the study runs a program of its own, or its definition is broken."""
    if patient.definition is not None and patient.definition.command is not None:
        return Answer()
    env_pass = patient.definition.env_pass if patient.definition else ()
    environment = build_environment(environ, env_pass, kind="prepare")[0]
    return ask(_question(patient, python), python, environment)


def _question(patient: Patient, python: str) -> Question:
    searched: dict[str, list[Any]] = patient.definition.searched_values() if patient.definition else {}
    return Question(
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
