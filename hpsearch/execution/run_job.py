"""Running one job that is not a trial to its end: for a study (prepare, train), to look at something (preflight,
survey), or for a command of its own (ocr, convert, stats, join, merge, gguf, publish)."""

from __future__ import annotations

import math
import os
import shutil
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from hpsearch.errors import HpsearchError, Interrupted, JobFailed, UsageError
from hpsearch.execution.environment import build_environment
from hpsearch.execution.events import JobProgress, JobView, Note
from hpsearch.execution.executors import EXECUTORS, Executor
from hpsearch.execution.gpu_slots import without_gpus
from hpsearch.execution.job import Finished, Job, Notice, Outcome, Progress
from hpsearch.execution.names import LOG_FILE
from hpsearch.execution.outcome import Cause
from hpsearch.execution.output_folder import filling
from hpsearch.execution.signals import Interruption
from hpsearch.execution.temporary import temporary_folder
from hpsearch.execution.trainer_python import Trainer, named_python

# Seconds a job gets between TERM and KILL; with the runner's own work an interrupted run ends within 15 s.
STOP_GRACE_S = 10.0
# Time limits are checked this often, in seconds; events and signals end the wait.
TICK_S = 1.0

# Causes whose message is an exit code or an exception's last line.
_UNEXPLAINED = (Cause.CRASH, Cause.SIGNAL, Cause.PROTOCOL)


def run_job(
    job: Job, executor: Executor, interruption: Interruption, view: JobView, deadline: float = math.inf
) -> Outcome:
    """Run one job to its end, showing its progress; a stop signal stops it, and so does ``deadline``, a time of
    time.monotonic() in seconds.

    Raises:
        Interrupted: a stop signal came.
    """
    interruption.check()  # one that came between two jobs
    executor.launch(job)
    stops = 0
    while True:
        for event in executor.events(TICK_S):
            if isinstance(event, Finished):
                interruption.check()
                return event.outcome
            if isinstance(event, Progress):
                view(JobProgress(job.kind, event.values))
            elif isinstance(event, Notice):
                view(Note(event.text, warning=True))
            else:
                executor.answer(job.id, event.step, False)
                view(JobProgress(job.kind, {"step": event.step, **event.metrics}))
        if time.monotonic() >= deadline:
            deadline = math.inf
            executor.stop(job.id, STOP_GRACE_S)
        if interruption.count > stops:
            stops = interruption.count
            executor.stop(job.id, 0.0 if interruption.at_once else STOP_GRACE_S)


def run_and_read(job: Job, file: str, executor: str, interruption: Interruption, view: JobView) -> str:
    """Run a job without a GPU of its own; returns the text of the ``file`` that it leaves in its folder.

    Raises:
        Interrupted: a stop signal came.
        UsageError: it refused its input.
        JobFailed: it failed for another reason.
    """
    runner = EXECUTORS[executor](without_gpus(1))
    try:
        interruption.wake = runner.wake
        outcome = run_job(job, runner, interruption, view)
    finally:
        runner.close()
    interruption.check()  # one that came while it closed
    if outcome.cause is not Cause.OK:
        raise job_error(job, outcome)
    return (Path(job.output_dir) / file).read_text(encoding="utf-8")


def run_standalone(
    kind: str,
    settings: Mapping[str, Any],
    file: str,
    view: JobView,
    trainer_python: str | None,
    executor: str = "local",
    work: Path | None = None,
) -> str:
    """Run a job that belongs to no study, by another Python if one is named; returns the text of its ``file``.

    ``work`` is a folder that it fills. After an interruption it is removed, and the one around it if that is empty.

    Raises:
        Interrupted: a stop signal came.
        UsageError: it refused its input, or the Python cannot be used.
        JobFailed: it failed for another reason.
    """
    trainer = require_trainer(trainer_python)
    with job_folder() as folder, Interruption() as interruption:
        try:
            return run_and_read(standalone_job(kind, settings, folder, trainer), file, executor, interruption, view)
        except Interrupted:
            if work is not None:
                with suppress(UsageError), filling(work.parent):  # unless another command fills it by now
                    shutil.rmtree(work, ignore_errors=True)
            raise


def standalone_job(kind: str, settings: Mapping[str, Any], folder: Path, trainer: Trainer) -> Job:
    """Describe a job that belongs to no study, which writes into ``folder``."""
    return Job(
        id=kind,
        kind=kind,
        study=kind,
        command=trainer.command,
        output_dir=str(folder),
        settings=dict(settings),
        environment=build_environment(dict(os.environ), (), kind=kind)[0],
    )


def require_trainer(trainer_python: str | None) -> Trainer:
    """Return the named Python, or the one that hpsearch uses.

    Raises:
        UsageError: it cannot be used.
    """
    trainer = Trainer(named_python(trainer_python, os.environ))
    trainer.require()
    return trainer


@contextmanager
def job_folder(*kept: str) -> Iterator[Path]:
    """Make a folder for a job that leaves nothing. It is removed at the end, unless a message names something in it:
    the log of a job that failed, or a file of one of the names ``kept``."""
    failed = False
    with temporary_folder(lambda folder: failed or any((folder / name).exists() for name in kept)) as folder:
        try:
            yield folder
        except JobFailed:
            failed = True
            raise


def job_error(job: Job, outcome: Outcome) -> HpsearchError:
    """Make the error for a failed job: the reason, the log's path, and its last lines where only they explain it."""
    if outcome.cause is Cause.INVALID:
        return UsageError(outcome.message)
    text = f"the {job.kind} job failed ({outcome.cause.value}): {outcome.message or 'it ended without a result'}\n"
    if outcome.cause in _UNEXPLAINED:
        text += "".join(f"    {line}\n" for line in outcome.log_tail.strip().splitlines()[-15:])
    return JobFailed(f"{text}  log: {job.output_dir}/{LOG_FILE}\n", "fix the cause, then run the same command again")
