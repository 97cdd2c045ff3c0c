"""The prepare job: data and model made ready once, checked against everything the study will ask of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from hpsearch import sdk
from hpsearch.errors import UsageError
from hpsearch.training import checks
from hpsearch.training.backends.choice import check_backend, choose_backend
from hpsearch.training.backends.starting import start_backend
from hpsearch.training.data import Data, find_data, gather
from hpsearch.training.families import Family, find_family
from hpsearch.training.models import find_model, model_fingerprint
from hpsearch.training.prepared import FILE_NAME, SPLITS, Prepared, open_rows, row_file
from hpsearch.training.progress import Progress
from hpsearch.training.stamp import stamp_of
from hpsearch.training.versions import library_versions
from hpsearch.trials.job import Job
from hpsearch.trials.settings import TrainSettings

# The standard error of a mean is the rows' spread / sqrt(rows): with fewer rows more than a fifth of the spread.
FEW_ROWS = 20


def prepare(job: Job) -> None:
    """Make everything ready that the trials need, and refuse what cannot be honoured. An earlier result is kept where
    nothing that went into it has changed, and then torch is not even imported.

    Raises:
        UsageError: the data, the model or a setting is refused.
        Fault: the base does not give finite numbers.
    """
    progress = Progress("check")
    folder = Path(job.output_dir)
    folder.mkdir(parents=True, exist_ok=True)
    candidates = list(checks.candidates(job.settings, job.searched))
    settings = candidates[0]
    source = find_data(settings.input_data)
    stamp = stamp_of(settings, job.searched, source)
    found = _earlier(folder, stamp)
    if found is None:
        (folder / FILE_NAME).unlink(missing_ok=True)
        found = _prepare(_Task(folder, candidates, stamp, progress), source)
        found.write(folder)
    progress.phase("ready", fraction=1.0)
    sdk.finish(**found.base)


@dataclass(frozen=True)
class _Task:
    folder: Path
    candidates: Sequence[TrainSettings]  # the first is what the base is measured with
    stamp: str
    progress: Progress


def _earlier(folder: Path, stamp: str) -> Prepared | None:
    """The result of an earlier prepare job, where it still holds."""
    try:
        found = Prepared.read(folder)
    except UsageError:
        return None
    there = Path(found.model_path).is_dir() and all(row_file(folder, split).is_file() for split in SPLITS)
    return found if there and found.stamp == stamp else None


def _prepare(task: _Task, source: Path) -> Prepared:
    settings = task.candidates[0]
    model = find_model(settings.model_name, settings.model_revision, task.progress)
    family = find_family(settings.family, model)
    data = gather(source, settings, task.progress)
    return _measure(task, model, family, data, data.write(task.folder))


def _measure(task: _Task, model: Path, family: Family, data: Data, fingerprint: str) -> Prepared:
    """What needs torch: the machine, the rows' lengths in tokens, the LoRA targets, and the untuned base's scores."""
    task.progress.phase("load")
    settings = task.candidates[0]
    backend, reason = choose_backend(settings.backend, task.candidates)
    for candidate in task.candidates:
        check_backend(backend, candidate)
    start_backend(backend, task.folder)
    from hpsearch.training.inspection import Inspection  # only now: it imports transformers

    inspection = Inspection(backend, family, model, settings, task.progress)
    for candidate in task.candidates:
        checks.check_settings(candidate, family, inspection.machine)
    shapes = [(checked.sample.text, checked.size) for split in SPLITS for checked in data.rows[split]]
    tokens = inspection.longest(shapes, sorted({candidate.instruction for candidate in task.candidates}))
    for candidate in task.candidates:
        checks.check_length(candidate, tokens["longest"])
    inspection.load()
    modules = inspection.lora_modules(task.candidates)
    base = inspection.base_scores(
        {"eval": open_rows(task.folder, "validation"), "holdout": open_rows(task.folder, "holdout")}
    )
    return Prepared(
        stamp=task.stamp,
        fingerprint=fingerprint,
        model_fingerprint=model_fingerprint(model),
        model_path=str(model),
        family=family.name,
        backend=backend,
        backend_reason=reason,
        rows={split: len(data.rows[split]) for split in SPLITS},
        tokens=tokens,
        lora_modules=modules,
        base=base,
        device=inspection.loaded.device,
        precision=inspection.loaded.precision,
        versions=library_versions(),
        settings=settings.model_dump(),
        warnings=[*data.warnings, *_few_rows(data), *_answer_warnings(task.candidates, tokens)],
    )


def _few_rows(data: Data) -> list[str]:
    return [
        f"{split} has only {len(data.rows[split])} rows: differences between trials will mostly be chance"
        for split in ("validation", "holdout")
        if len(data.rows[split]) < FEW_ROWS
    ]


def _answer_warnings(candidates: Sequence[TrainSettings], tokens: Mapping[str, int]) -> list[str]:
    limit = min(candidate.max_new_tokens for candidate in candidates)
    if limit >= tokens["longest_answer"]:
        return []
    return [
        f"max_new_tokens is {limit}, but the longest answer has {tokens['longest_answer']} tokens: "
        "what is generated for the longest rows will be cut, and counted as errors"
    ]
