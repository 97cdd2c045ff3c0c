"""Running the prepare job, and what it found."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

from hpsearch.errors import Interrupted
from hpsearch.execution.events import Note
from hpsearch.execution.executors import Executor
from hpsearch.execution.job import Job
from hpsearch.execution.outcome import Cause
from hpsearch.execution.run_job import job_error, run_job
from hpsearch.execution.signals import Interruption
from hpsearch.study.events import StudyPrepared, View


def prepare(
    job: Job, executor: Executor, interruption: Interruption, view: View, deadline: float = math.inf
) -> dict[str, Any]:
    """Run the prepare job; returns what it found (prepared.json).

    Raises:
        Interrupted: a stop signal or the deadline came.
        UsageError: it refused the data, the model or a setting.
        JobFailed: it failed for another reason.
    """
    outcome = run_job(job, executor, interruption, view, deadline)
    if outcome.cause is Cause.INTERRUPTED:
        raise Interrupted(0)
    if outcome.cause is not Cause.OK:
        raise job_error(job, outcome)
    info: dict[str, Any] = json.loads((Path(job.output_dir) / "prepared.json").read_text(encoding="utf-8"))
    return info


def show_prepared(view: View, info: dict[str, Any]) -> None:
    """Show what the prepare job found, and what it warns of."""
    view(StudyPrepared(info))
    for text in info.get("warnings", []):
        view(Note(text, warning=True))
