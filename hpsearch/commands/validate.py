"""Checking a study before it costs anything: what its trials would be, and every reason not to begin."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hpsearch.config.advice import advice, too_long_warmup
from hpsearch.config.definition import StudyDefinition
from hpsearch.errors import UsageError
from hpsearch.execution.executors import EXECUTORS
from hpsearch.execution.job import Job
from hpsearch.execution.names import LEFT_OUT_FILE, PREFLIGHT_FILE
from hpsearch.execution.outcome import Cause
from hpsearch.execution.run_job import failure, passing_folder, run_job
from hpsearch.execution.signals import Interruption
from hpsearch.execution.slots import without_gpus
from hpsearch.study.events import View, silent
from hpsearch.study.folders import study_folders
from hpsearch.study.jobs import job_maker, require_program
from hpsearch.study.opening import require_complete
from hpsearch.study.options import RunOptions
from hpsearch.study.resolve import planned_target, resolve

SPARE_BYTES = 1 << 30  # a study leaves so much of the disk free
LONG_S = 7 * 86_400  # a week
CHECKPOINT = 3  # times the adapter: its weights and what the optimiser keeps of each


@dataclass(frozen=True)
class Checked:
    """What a preflight found: facts as (what, text), warnings, and the exit code (0, or that of an interruption)."""

    study: str
    lines: list[tuple[str, str]]
    warnings: list[str]
    exit_code: int = 0


def check_study(options: RunOptions, view: View = silent) -> Checked:
    """Check a study as ``run`` would begin it, without writing anything or loading a weight.

    Raises:
        UsageError: it cannot begin; the message has the rule, the values and the remedy.
        JobFailed: the check itself failed.
    """
    resolved = resolve(options)
    definition, folders = resolved.definition, study_folders(options.base_output_dir.absolute(), resolved.study)
    require_complete(definition, resolved.note)
    jobs = job_maker(definition, folders, Path.cwd())
    require_program(jobs)
    target = planned_target(options, resolved.study, definition)
    warnings = [*([resolved.note] if resolved.note else []), *advice(definition, target)]
    if definition.command is not None:
        return Checked(resolved.study, [("program", definition.command[0])], warnings)
    with passing_folder(LEFT_OUT_FILE) as folder, Interruption() as interruption:
        left = look(jobs.preflight(folder), PREFLIGHT_FILE, options.executor, interruption, view)
        found = None if left is None else json.loads(left)
        if found is None:
            return Checked(resolved.study, [], [], interruption.exit_code)
    figures = found["figures"]
    warnings += [*found["warnings"], *room_for(definition, figures, folders.root, int(figures["bytes"]["rows"]))]
    warnings += dear(target, figures)
    lines = [*((what, text) for what, text in found["lines"]), ("search", _length(target, figures))]
    return Checked(resolved.study, lines, warnings)


def look(job: Job, file: str, executor: str, interruption: Interruption, view: View) -> str | None:
    """Run a job that only looks; what its ``file`` holds, or None where it was interrupted.

    Raises:
        UsageError: it refused what it saw.
        JobFailed: it failed for another reason.
    """
    runner = EXECUTORS[executor](without_gpus(1))
    try:
        interruption.wake = runner.wake
        outcome = run_job(job, runner, interruption, view)
    finally:
        runner.close()
    if interruption.requested:
        return None
    if outcome.cause is not Cause.OK:
        raise failure(job, outcome)
    return (Path(job.output_dir) / file).read_text(encoding="utf-8")


def room_for(definition: StudyDefinition, figures: Mapping[str, Any], folder: Path, rows: int = 0) -> list[str]:
    """What a study's trials are too short for; warnings. ``rows`` are the bytes of rows that are still to be copied.

    Raises:
        UsageError: what they leave does not fit on the disk of ``folder``.
    """
    _check_disk(definition, int(figures["bytes"]["adapter"]), rows, folder)
    known = definition.steps
    evaluations = int(figures["evaluations"])
    return too_long_warmup(definition, evaluations) if known is None or evaluations < known else []


def dear(target: int, figures: Mapping[str, Any]) -> list[str]:
    """The warning that a search after ``target`` trials will take weeks; empty where it will not."""
    seconds = target * int(figures["steps"][1])
    if seconds < LONG_S:
        return []
    return [
        f"the search is long: {_length(target, figures)}; make fewer trials (n_trials, or fewer values of a grid), or "
        "shorter ones (max_steps, num_train_epochs, train_split)"
    ]


def _length(target: int, figures: Mapping[str, Any]) -> str:
    """How long a search is. What a step takes is measured when it begins: until then it is told for a second."""
    least, most = (int(steps) for steps in figures["steps"])
    steps = f"{most:,}" if least == most else f"{least:,} to {most:,}"
    return f"{target:,} trials of {steps} steps: {_time(target * most)} at a step a second"


def _time(seconds: int) -> str:
    for size, unit in ((86_400, "days"), (3600, "hours"), (60, "minutes")):
        if seconds >= 2 * size:
            return f"{seconds / size:.2g} {unit}"
    return f"{seconds} seconds"


def _check_disk(definition: StudyDefinition, adapter: int, rows: int, folder: Path) -> None:
    checkpoints = 0 if definition.settings.get("save_steps") == 0 else definition.settings.get("save_total_limit", 0)
    kept = adapter * (definition.keep_adapters + 2 + CHECKPOINT * checkpoints)  # best/ and the trial that runs
    wanted = rows + kept
    there = next(one for one in (folder, *folder.parents) if one.is_dir())
    free = shutil.disk_usage(there).free
    if wanted + SPARE_BYTES > free:
        raise UsageError(
            f"a study's rows, adapters and checkpoints must fit on the disk, but need {wanted / 1e9:.2g} GB, and of "
            f"{there} {free / 1e9:.2g} GB are free",
            "free some space, name another --base-output-dir, or lower keep_adapters or save_total_limit",
        )
