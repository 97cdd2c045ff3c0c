"""Merging an adapter into its base: `hpsearch merge`."""

from __future__ import annotations

import os
from dataclasses import asdict
from pathlib import Path

from hpsearch.study.interruption import Interruption
from hpsearch.study.preflight import look
from hpsearch.study.preparing import passing_folder
from hpsearch.study.trainer import Trainer, named_python
from hpsearch.study.view import View, silent
from hpsearch.trials.environment import build_environment
from hpsearch.trials.job import Job
from hpsearch.trials.merge import SUMMARY, Merge, Merged


def merge_adapter(
    wanted: Merge, view: View = silent, trainer_python: str | None = None, executor: str = "local"
) -> Merged | int:
    """Merge an adapter.

    Returns:
        What came of it, or the exit code of an interruption.

    Raises:
        UsageError: there is no such adapter, no room, or what came of it is not the tuned model.
        JobFailed: it failed for another reason.
    """
    trainer = Trainer(named_python(trainer_python, os.environ))
    trainer.require()
    with passing_folder() as folder, Interruption() as interruption:
        found = look(_job(wanted, folder, trainer), SUMMARY, executor, interruption, view)
        return interruption.exit_code if found is None else Merged.from_json(found)


def _job(wanted: Merge, folder: Path, trainer: Trainer) -> Job:
    places = {name: str(Path(getattr(wanted, name)).expanduser().absolute()) for name in ("lora_dir", "output_dir")}
    pictures = [str(Path(each).expanduser().absolute()) for each in wanted.pictures]
    return Job(
        id="merge",
        kind="merge",
        study="merge",
        command=trainer.command,
        output_dir=str(folder),
        settings={**asdict(wanted), **places, "pictures": pictures},
        environment=build_environment(dict(os.environ), (), kind="merge")[0],
    )
