"""Jobs that belong to no study: reading pictures, converting pages, merging an adapter."""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from hpsearch.errors import UsageError
from hpsearch.execution.environment import build_environment
from hpsearch.execution.events import JobView
from hpsearch.execution.job import Job
from hpsearch.execution.output_folder import filling
from hpsearch.execution.run_job import look, passing_folder
from hpsearch.execution.signals import Interruption
from hpsearch.execution.trainer_python import Trainer, named_python


def run_errand(
    kind: str,
    settings: Mapping[str, Any],
    file: str,
    view: JobView,
    trainer_python: str | None,
    executor: str = "local",
    work: Path | None = None,
) -> str | int:
    """Run such a job, by another Python if one is named. ``work`` is a folder that it fills, which is removed where it
    was interrupted, and the one around it if that is empty then.

    Returns:
        What it left in ``file`` of its folder, or the exit code of an interruption.

    Raises:
        UsageError: it refused what it was given, or the Python cannot be used.
        JobFailed: it failed for another reason.
    """
    trainer = usable_trainer(trainer_python)
    with passing_folder() as folder, Interruption() as interruption:
        found = look(errand(kind, settings, folder, trainer), file, executor, interruption, view)
        if found is None and work is not None:
            with suppress(UsageError), filling(work.parent):  # unless it is another one's by now
                shutil.rmtree(work, ignore_errors=True)
        return interruption.exit_code if found is None else found


def usable_trainer(trainer_python: str | None) -> Trainer:
    """The Python that does it.

    Raises:
        UsageError: it cannot be used.
    """
    trainer = Trainer(named_python(trainer_python, os.environ))
    trainer.require()
    return trainer


def errand(kind: str, settings: Mapping[str, Any], folder: Path, trainer: Trainer) -> Job:
    """The job, which writes into ``folder``."""
    return Job(
        id=kind,
        kind=kind,
        study=kind,
        command=trainer.command,
        output_dir=str(folder),
        settings=dict(settings),
        environment=build_environment(dict(os.environ), (), kind=kind)[0],
    )
