"""Checking a study before it costs anything: what its trials would be, and every reason not to begin."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hpsearch.definitions.advice import advice, too_long_warmup
from hpsearch.definitions.definition import StudyDefinition
from hpsearch.errors import UsageError
from hpsearch.study.folders import study_folders
from hpsearch.study.interruption import Interruption
from hpsearch.study.jobs import job_maker, require_program
from hpsearch.study.opening import require_complete
from hpsearch.study.options import RunOptions
from hpsearch.study.preparing import failure, passing_folder, run_job
from hpsearch.study.resolving import planned_target, resolve
from hpsearch.study.view import View, silent
from hpsearch.trials.causes import Cause
from hpsearch.trials.executors import EXECUTORS
from hpsearch.trials.job import Job
from hpsearch.trials.names import LEFT_OUT_FILE, PREFLIGHT_FILE

SPARE_BYTES = 1 << 30  # a study leaves so much of the disk free
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
    warnings = [
        *([resolved.note] if resolved.note else []),
        *advice(definition, planned_target(options, resolved.study, definition)),
    ]
    if definition.command is not None:
        return Checked(resolved.study, [("program", definition.command[0])], warnings)
    with passing_folder(LEFT_OUT_FILE) as folder, Interruption() as interruption:
        found = _fly(jobs.preflight(folder), options.executor, interruption, view)
        if found is None:
            return Checked(resolved.study, [], [], interruption.exit_code)
    warnings += [*found["warnings"], *room_for(definition, found["figures"], folders.root)]
    return Checked(resolved.study, [(what, text) for what, text in found["lines"]], warnings)


def _fly(job: Job, executor: str, interruption: Interruption, view: View) -> dict[str, Any] | None:
    """Run the job; what it found, or None where it was interrupted."""
    runner = EXECUTORS[executor](1)
    try:
        interruption.wake = runner.wake
        outcome = run_job(job, runner, interruption, view)
    finally:
        runner.close()
    if interruption.requested:
        return None
    if outcome.cause is not Cause.OK:
        raise failure(job, outcome)
    found: dict[str, Any] = json.loads((Path(job.output_dir) / PREFLIGHT_FILE).read_text(encoding="utf-8"))
    return found


def room_for(definition: StudyDefinition, figures: Mapping[str, Any], folder: Path) -> list[str]:
    """What a study's trials are too short for; warnings.

    Raises:
        UsageError: what they leave does not fit on the disk of ``folder``.
    """
    _check_disk(definition, int(figures["bytes"]["adapter"]), folder)
    known = definition.steps
    evaluations = int(figures["evaluations"])
    return too_long_warmup(definition, evaluations) if known is None or evaluations < known else []


def _check_disk(definition: StudyDefinition, adapter: int, folder: Path) -> None:
    checkpoints = definition.settings.get("save_total_limit", 0) if definition.settings.get("save_steps") else 0
    wanted = adapter * (definition.keep_adapters + 2 + CHECKPOINT * checkpoints)  # best/ and the trial that runs
    there = next(one for one in (folder, *folder.parents) if one.is_dir())
    free = shutil.disk_usage(there).free
    if wanted + SPARE_BYTES > free:
        raise UsageError(
            f"a study's adapters and checkpoints must fit on the disk, but need {wanted / 1e9:.2g} GB, and of "
            f"{there} {free / 1e9:.2g} GB are free",
            "free some space, name another --base-output-dir, or lower keep_adapters or save_total_limit",
        )
