"""`hpsearch train`: one fine-tune outside a search, most often with a study's best configuration."""

from __future__ import annotations

import math
import shutil
from dataclasses import dataclass
from pathlib import Path

from hpsearch.config.definition import StudyDefinition
from hpsearch.errors import UsageError
from hpsearch.execution.events import Note
from hpsearch.execution.executors import EXECUTORS
from hpsearch.execution.files import write_json
from hpsearch.execution.gpu_slots import without_gpus
from hpsearch.execution.job import CHECKPOINTS, RESULT_FILES, TRAIN_RESULTS_FILE, encode_values
from hpsearch.execution.outcome import Cause
from hpsearch.execution.run_job import job_error, run_job
from hpsearch.execution.signals import Interruption
from hpsearch.study.events import View, show_prepared, silent
from hpsearch.study.folders import StudyFolders
from hpsearch.study.jobs import job_maker, require_program, with_resolved
from hpsearch.study.open import require_complete
from hpsearch.study.preparation import prepare
from hpsearch.study.results import versions_of_trial

RESUME = "resume_from_checkpoint"
_MARKER = ".train"  # in a folder that a fine-tune may overwrite


@dataclass(frozen=True)
class TrainSummary:
    """The result of a fine-tune: final metrics by name, the untuned model's, and the folder of its files."""

    metrics: dict[str, float]
    untuned: dict[str, float]
    output_dir: Path


def train_once(
    definition: StudyDefinition, output_dir: Path, view: View = silent, executor: str = "local"
) -> TrainSummary:
    """Prepare data and model and run one fine-tune with the definition's fixed settings.

    Raises:
        UsageError: a setting, the data or the model is refused, or something is still searched.
        JobFailed: preparing or the fine-tune failed; the message says why.
        Interrupted: a stop signal came.
    """
    if definition.search_space:
        searched = ", ".join(definition.search_space)
        raise UsageError(
            f"train runs one configuration, but these are searched: {searched}", "fix them, or use `hpsearch run`"
        )
    require_complete(definition)
    output_dir = output_dir.absolute()
    if _is_unfinished(output_dir) and definition.settings.get(RESUME, "") is None:
        view(
            Note(f"goes on with the unfinished fine-tune in {output_dir}; another --output-dir starts one from scratch")
        )
        definition = definition.model_copy(update={"settings": {**definition.settings, RESUME: "latest"}})
    jobs = job_maker(definition, StudyFolders(output_dir, output_dir.name))
    require_program(jobs)
    _claim_folder(output_dir)
    runner = EXECUTORS[executor](without_gpus(1))
    try:
        with Interruption() as interruption:
            interruption.wake = runner.wake
            info = None if definition.command else prepare(jobs.prepare(), runner, interruption, view)
            if info:
                show_prepared(view, info)
            interruption.check()  # before anything of an earlier fine-tune is removed
            if definition.command:  # the built-in training does so itself, once it has refused what it refuses
                _clear(output_dir)
            settings = definition.trial_settings({}, definition.seed)
            job = jobs.train(output_dir, with_resolved(settings, info.resolved) if info else settings)
            outcome = run_job(job, runner, interruption, view)
    finally:
        runner.close()
    scores = [value for name, value in outcome.metrics.items() if name.startswith("eval_")]
    if outcome.cause is not Cause.OK or not all(map(math.isfinite, scores)):
        raise job_error(job, outcome)
    untuned = dict(info.base) if info else {}
    results = {
        "cause": outcome.cause.value,
        "metrics": encode_values(outcome.metrics),
        "untuned": encode_values(untuned),
        "settings": dict(job.settings),
        "duration_s": round(outcome.duration_s, 3),
        "versions": versions_of_trial(output_dir),
    }
    write_json(output_dir / TRAIN_RESULTS_FILE, results)
    return TrainSummary(outcome.metrics, untuned, output_dir)


def _is_unfinished(folder: Path) -> bool:
    """True if a fine-tune was begun there, saved a checkpoint, and has no results yet."""
    return not (folder / TRAIN_RESULTS_FILE).exists() and any(folder.glob(f"{CHECKPOINTS}/checkpoint-*"))


def _claim_folder(folder: Path) -> None:
    """Make the folder, or see that an earlier fine-tune made it.

    Raises:
        UsageError: it holds files of something else, which would be overwritten, or cannot be made.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        there = sorted(path.name for path in folder.iterdir())
        if there and _MARKER not in there:
            raise UsageError(
                "train writes into a new or empty folder, or one of an earlier train, "
                f"but {folder} holds {', '.join(there[:3])}",
                "choose another --output-dir",
            )
        (folder / _MARKER).touch()
    except OSError as error:
        remedy = "choose another --output-dir"
        raise UsageError(f"cannot use the folder {folder}: {error.strerror}", remedy) from error


def _clear(folder: Path) -> None:
    """Remove what an earlier fine-tune left, so that nothing of it lies beside the files of this one."""
    shutil.rmtree(folder / "adapter", ignore_errors=True)
    for name in (*RESULT_FILES, "config.json", "versions.json"):
        (folder / name).unlink(missing_ok=True)
