"""`hpsearch doctor`: every check in one list, and its findings as text or JSON."""

from __future__ import annotations

import json
import os
import textwrap
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace

from hpsearch.commands.doctor import machine, packages, study
from hpsearch.commands.doctor.machine import DoctorContext
from hpsearch.commands.doctor.training import DoctorAnswer, ask
from hpsearch.config.load import load_definition
from hpsearch.errors import HpsearchError, StorageError
from hpsearch.execution.doctor_question import DoctorQuestion, Finding, Level
from hpsearch.execution.environment import build_environment
from hpsearch.execution.gpu import find_driver
from hpsearch.execution.trainer_python import Trainer, named_python
from hpsearch.execution.versions import requirements_of
from hpsearch.report.text import visible
from hpsearch.study.options import RunOptions
from hpsearch.study.resolve import resolve

__all__ = [
    "DoctorContext", "DoctorQuestion", "ask", "examine", "exit_code", "machine", "render", "study", "to_json",
]  # fmt: skip

TIMEOUT_S = 60.0  # for one check: torch from a slow network disk takes half a minute to import

Check = Callable[[DoctorContext], Iterable[Finding]]
# Before the checks of the training side (hpsearch/training/doctor.py), and after them. Adding a check is an entry here.
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

SYMBOLS = {Level.OK: "✓", Level.WARNING: "!", Level.RED: "✗"}
PLAIN_SYMBOLS = {Level.OK: "+", Level.WARNING: "!", Level.RED: "x"}  # where the terminal's encoding has no others
COLOURS = {Level.OK: "32", Level.WARNING: "33", Level.RED: "31"}  # SGR: green, yellow, red (ECMA-48)
_LEAST_WIDTH = 40


def examine(
    options: RunOptions,
    *,
    is_named: bool = True,
    timeout_s: float = TIMEOUT_S,
    python: str | None = None,
    environ: Mapping[str, str] | None = None,
) -> Sequence[Finding]:
    """Check this machine, and with ``is_named`` the study that ``options`` mean. Nothing is written or downloaded.

    ``python`` is the interpreter of the training jobs, by default the study's; their environment is chosen from
    ``environ``, by default this process's. One check may take ``timeout_s`` seconds.
    """
    environ = os.environ if environ is None else environ
    context = DoctorContext(options, find_driver(timeout_s), timeout_s=timeout_s)
    if is_named:
        context = _with_study(context)
    answer = _ask_training_side(context, python, environ)
    context = replace(context, facts=answer.facts)
    before, after = ([finding for check in checks for finding in check(context)] for checks in (BEFORE, AFTER))
    return [*before, *answer.findings, *after]


def _with_study(context: DoctorContext) -> DoctorContext:
    """Add the study's name and definition, or why they cannot be resolved. A broken storage is not asked for them."""
    options = context.options
    try:
        try:
            resolved = resolve(options)
            return replace(context, study=resolved.study, definition=resolved.definition)
        except StorageError:
            name = options.study or "study"
            files = load_definition(name, options.config, options.search_space, options.options, options.sets)
            return replace(context, study=name, definition=files)
    except HpsearchError as error:
        return replace(context, study=options.study or "", complaint=(error.what, error.remedy))


def _ask_training_side(context: DoctorContext, python: str | None, environ: Mapping[str, str]) -> DoctorAnswer:
    """Ask the training's interpreter; nothing where the study runs a program of its own."""
    definition = context.definition
    if definition is not None and definition.command is not None:
        return DoctorAnswer()
    named = python or (definition.trainer_python if definition else context.options.trainer_python)
    trainer = Trainer(named_python(named, environ))
    question = DoctorQuestion(
        settings=context.settings,
        searched=definition.searched_values() if definition else {},
        variations=definition.variations() if definition else [],
        gpus=tuple(gpu.name for gpu in context.driver.gpus),
        driver_cuda=context.driver.cuda,
        requirements=tuple(requirements_of("hpsearch", "train")),
        pip=packages.pip_command(trainer.python),
        install=packages.install_command("train", trainer.python),
    )
    environment = build_environment(environ, definition.env_pass if definition else (), kind="doctor")[0]
    return ask(question, trainer, environment, context.timeout_s)


def exit_code(findings: Sequence[Finding]) -> int:
    """Return 0 without a red finding, else 2."""
    return 2 if any(finding.level is Level.RED for finding in findings) else 0


def render(
    findings: Sequence[Finding], *, width: int | None = None, colour: bool = False, symbols: bool = True
) -> list[str]:
    """Return the lines to print: one for each finding, and a summary. ``width`` wraps them below themselves; None
    leaves each in one line."""
    column = max((len(finding.check) for finding in findings), default=0)
    lines = [line for finding in findings for line in _lines(finding, column, width, colour, symbols)]
    red, warned = (sum(finding.level is level for finding in findings) for level in (Level.RED, Level.WARNING))
    verdict = "not ready" if red else "ready"
    if red or warned:
        verdict += f": {red} red, {warned} warning{'' if warned == 1 else 's'}"
    return [*lines, verdict]


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


def to_json(findings: Sequence[Finding]) -> str:
    """Return the findings as one JSON object, with the counts."""
    counts = {level.value: sum(finding.level is level for finding in findings) for level in Level}
    return json.dumps(
        {"findings": [finding.to_json() for finding in findings], "counts": counts}, indent=2, ensure_ascii=False
    )
