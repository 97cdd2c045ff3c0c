"""`hpsearch validate --study`: a study checked before it costs anything, with every reason not to begin."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hpsearch.config.advice import advice
from hpsearch.execution.events import Note
from hpsearch.execution.job import LEFT_OUT_FILE, PREFLIGHT_FILE
from hpsearch.execution.run_job import job_folder, run_and_read
from hpsearch.execution.signals import Interruption
from hpsearch.study.events import View, silent
from hpsearch.study.folders import require_room, study_folders
from hpsearch.study.jobs import job_maker, require_program
from hpsearch.study.open import require_complete
from hpsearch.study.options import RunOptions
from hpsearch.study.pruning import warmup_warnings
from hpsearch.study.resolve import planned_target, resolve

LONG_S = 7 * 86_400  # a week


@dataclass(frozen=True)
class StudyCheck:
    """The result of a preflight: facts as (name, text), and warnings."""

    study: str
    lines: list[tuple[str, str]]
    warnings: list[str]


def check_study(options: RunOptions, view: View = silent) -> StudyCheck:
    """Check a study as ``run`` would begin it, without writing a file or loading a weight.

    Raises:
        UsageError: it cannot begin; the message has the rule, the values and the remedy.
        JobFailed: the check itself failed.
        Interrupted: a stop signal came.
    """
    resolved = resolve(options)
    definition, folders = resolved.definition, study_folders(options.base_output_dir.absolute(), resolved.study)
    require_complete(definition, resolved.note)
    jobs = job_maker(definition, folders, Path.cwd())
    require_program(jobs)
    if resolved.note:  # before anything is downloaded
        view(Note(resolved.note, warning=True))
    target = planned_target(options, resolved.study, definition)
    warnings = list(advice(definition, target))
    if definition.command is not None:
        return StudyCheck(resolved.study, [("program", definition.command[0])], warnings)
    with job_folder(LEFT_OUT_FILE) as folder, Interruption() as interruption:
        preflight = json.loads(
            run_and_read(jobs.preflight(folder), PREFLIGHT_FILE, options.executor, interruption, view)
        )
    figures, sizes = preflight["figures"], preflight["figures"]["bytes"]
    require_room(definition, int(sizes["adapter"]), folders.root, int(sizes["rows"]))
    warnings += [*preflight["warnings"], *warmup_warnings(definition, int(figures["evaluations"]))]
    warnings += dear(target, figures)
    lines = [*((name, text) for name, text in preflight["lines"]), ("search", _length(target, figures))]
    return StudyCheck(resolved.study, lines, warnings)


def dear(target: int, figures: Mapping[str, Any]) -> list[str]:
    """Return the warning that a search of ``target`` trials will take weeks; empty where it will not."""
    seconds = target * int(figures["steps"][1])
    if seconds < LONG_S:
        return []
    return [
        f"the search is long: {_length(target, figures)}; make fewer trials (n_trials, or fewer values of a grid), or "
        "shorter ones (max_steps, num_train_epochs, train_split)"
    ]


def _length(target: int, figures: Mapping[str, Any]) -> str:
    """Describe how long a search is. The time of a step is measured when it begins; until then a second is assumed."""
    least, most = (int(steps) for steps in figures["steps"])
    steps = f"{most:,}" if least == most else f"{least:,} to {most:,}"
    seconds = target * most
    units = ((86_400, "days"), (3600, "hours"), (60, "minutes"))
    time = next((f"{seconds / size:.2g} {unit}" for size, unit in units if seconds >= 2 * size), f"{seconds} seconds")
    return f"{target:,} trials of {steps} steps: {time} at a step a second"
