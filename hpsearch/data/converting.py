"""Making a dataset of transcribed pages: `hpsearch data convert`."""

from __future__ import annotations

import os
from dataclasses import asdict
from pathlib import Path

from hpsearch.errors import UsageError
from hpsearch.study.interruption import Interruption
from hpsearch.study.preflight import look
from hpsearch.study.preparing import passing_folder
from hpsearch.study.trainer import Trainer, named_python
from hpsearch.study.view import View, silent
from hpsearch.trials.conversion import SUMMARY, Conversion, Converted
from hpsearch.trials.environment import build_environment
from hpsearch.trials.job import Job


def convert_pages(
    wanted: Conversion, view: View = silent, trainer_python: str | None = None, executor: str = "local"
) -> Converted | int:
    """Convert a folder of pages.

    Returns:
        What came of it, or the exit code of an interruption.

    Raises:
        UsageError: there are no pages, none can be used, or the output folder is one of something else.
        JobFailed: it failed for another reason.
    """
    trainer = Trainer(named_python(trainer_python, os.environ))
    trainer.require()
    with passing_folder() as folder, Interruption() as interruption:
        found = look(_job(wanted, folder, trainer), SUMMARY, executor, interruption, view)
        return interruption.exit_code if found is None else Converted.from_json(found)


def _job(wanted: Conversion, folder: Path, trainer: Trainer) -> Job:
    places = {name: str(Path(getattr(wanted, name)).expanduser().absolute()) for name in ("input_dir", "output_dir")}
    if places["input_dir"] == places["output_dir"]:
        raise UsageError(
            "pages are converted into another folder, but both are the same", "choose another --output-dir"
        )
    return Job(
        id="convert",
        kind="convert",
        study="convert",
        command=trainer.command,
        output_dir=str(folder),
        settings=asdict(wanted) | places,
        environment=build_environment(dict(os.environ), (), kind="convert")[0],
    )
