"""`hpsearch init`: a study and its search space for this machine, from a survey of data and model."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hpsearch.assets import PREFIX
from hpsearch.config.definition import StudyDefinition
from hpsearch.config.draft import Draft, draft
from hpsearch.config.layers import known_settings
from hpsearch.config.load import load_definition, load_settings
from hpsearch.config.names import check_study_name
from hpsearch.data.convert import DATASET
from hpsearch.data.places import HUB
from hpsearch.errors import UsageError
from hpsearch.execution.files import write_text
from hpsearch.execution.job import LEFT_OUT_FILE, SURVEY_FILE
from hpsearch.execution.run_job import job_folder, run_and_read
from hpsearch.execution.signals import Interruption
from hpsearch.execution.survey_result import Survey
from hpsearch.settings import setting_names
from hpsearch.study.events import View, silent
from hpsearch.study.folders import StudyFolders
from hpsearch.study.jobs import job_maker, require_program

STUDIES, SPACES = Path("studies"), Path("search_spaces")  # in the working folder, where `hpsearch run` finds them


@dataclass(frozen=True)
class DraftRequest:
    """Data and model as their options take them, further settings as texts of --set, the study's name (None: from the
    data's), and whether existing files may be replaced."""

    data: str
    model: str
    study: str | None = None
    sets: Sequence[str] = ()
    trainer_python: str | None = None
    force: bool = False
    executor: str = "local"


@dataclass(frozen=True)
class WrittenDraft:
    """A draft, and the files that hold it."""

    study: str
    draft: Draft
    files: tuple[Path, ...]


def draft_study(request: DraftRequest, view: View = silent) -> WrittenDraft:
    """Survey data, model and machine, and write a study and its search space into the working folder.

    Raises:
        UsageError: a file is there already, or data or model cannot be used; nothing is written.
        JobFailed: the survey itself failed.
        Interrupted: a stop signal came; nothing is written.
    """
    name = check_study_name(request.study if request.study is not None else study_name(request.data))
    files = STUDIES / f"{name}.json", SPACES / f"{name}.json"
    there = [str(path) for path in files if path.exists() or path.is_symlink()]
    if there and not request.force:
        what = f"init writes new files, but {' and '.join(there)} {'is' if len(there) == 1 else 'are'} there already"
        raise UsageError(what, "name another study with --study, or replace them with --force")
    given = {
        "model_name": request.model,
        "input_data": request.data,
        **known_settings(request.sets, set(setting_names()) - {"model_name", "input_data"}),
    }
    definition = load_settings(options=given).with_trainer(request.trainer_python)
    with job_folder(LEFT_OUT_FILE) as folder, Interruption() as interruption:
        jobs = job_maker(definition, StudyFolders(folder, "init"), Path.cwd())
        require_program(jobs)
        text = run_and_read(jobs.survey(folder), SURVEY_FILE, request.executor, interruption, view)
    drafted = draft(Survey.from_json(text), _as_written(given, definition, request.trainer_python))
    for path, values in zip(files, (drafted.study(f"../{SPACES}/{name}.json"), drafted.space()), strict=True):
        rows = (f"  {json.dumps(key)}: {json.dumps(value, ensure_ascii=False)}" for key, value in values.items())
        write_text(path, "{\n" + ",\n".join(rows) + "\n}\n")  # a line for each key, as people write it
    load_definition(name)  # what was written is what is read
    return WrittenDraft(name, drafted, files)


def study_name(data: str) -> str:
    """Return a study's name from that of its data: the file's or folder's, without what a name may not hold."""
    path = Path(data.removeprefix(PREFIX).removeprefix(HUB).rstrip("/"))
    stem = path.parent.name if path.name == DATASET and path.parent.name else path.stem  # all conversions have one
    return re.sub(r"[^A-Za-z0-9_-]+", "-", stem).strip("-_") or "study"


def _as_written(given: Mapping[str, Any], definition: StudyDefinition, trainer: str | None) -> dict[str, Any]:
    """Return the given settings as the study's file has them: paths below the working folder lead from the file."""
    values = {name: definition.settings.get(name, value) for name, value in given.items()}
    if trainer is not None:
        values["trainer_python"] = definition.trainer_python
    for name in ("input_data", "image_root", "model_name", "trainer_python"):
        path = str(values.get(name) or "")
        if Path(path).is_absolute() and Path(path).is_relative_to(Path.cwd()):
            values[name] = os.path.relpath(path, STUDIES.absolute())
    return values
