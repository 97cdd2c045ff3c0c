"""The prepare job: data and model made ready once, checked against everything the study will ask of them."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from hpsearch import sdk
from hpsearch.assets import PREFIX, asset_path
from hpsearch.data.progress import ProgressReporter
from hpsearch.data.sources import DataSource, find_source
from hpsearch.errors import UsageError
from hpsearch.execution.job import PREFLIGHT_FILE, Job
from hpsearch.settings import WITHOUT_EFFECT, TrainSettings
from hpsearch.training.assign_rows import Data, gather
from hpsearch.training.backends.choose import check_backend, choose_backend
from hpsearch.training.backends.startup import start_backend
from hpsearch.training.machine.libraries import importing, library_versions
from hpsearch.training.models.base import (
    BaseCheckpoint,
    commit_of,
    find_base,
    find_model,
    model_files,
    model_fingerprint,
)
from hpsearch.training.preflight.settings import candidate_settings, check_tracker
from hpsearch.training.prepared import FILE_NAME, SCRATCH, SPLITS, PreparedData, row_file

# A cheap digest of all that goes into the prepare job's result: while it stays the same, the result is used again.

FORMAT = 2  # of the prepared folder
# Rows, limits, base scores and measurements do not depend on these: a fine-tune that is gone on with keeps its own.
_IRRELEVANT = {"seed", "resume_from_checkpoint", *WITHOUT_EFFECT}
_GPUS = Path("/proc/driver/nvidia/gpus")  # the driver's list, which needs no library to be read


def gpus(listed: Path = _GPUS) -> list[str]:
    """The kinds of GPU there are, none where they are hidden. Which of several alike is used makes no difference."""
    if os.environ.get("CUDA_VISIBLE_DEVICES") in ("", "-1"):
        return []
    lines = [line for path in listed.glob("*/information") for line in path.read_text(errors="replace").splitlines()]
    return sorted({line.partition(":")[2].strip() for line in lines if line.startswith("Model")})


def stamp_of(candidates: Sequence[TrainSettings], source: DataSource) -> str:
    """The digest; the first of the ``candidates`` is the default configuration.

    Files count by name, size and time of change; what is on the Hub by name, subset and revision, as it is fetched
    once.

    Raises:
        UsageError: the data cannot be read.
    """
    parts = {
        "format": FORMAT,
        "settings": [
            {name: value for name, value in one.model_dump().items() if name not in _IRRELEVANT} for one in candidates
        ],
        "versions": library_versions(),
        "gpus": gpus(),
        "data": sorted(map(_mark, source.files())),
        "model": sorted(map(_mark, _files_of_model(candidates[0].model_name))),
    }
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


def _files_of_model(name: str) -> Iterator[Path]:
    folder = asset_path(name) if name.startswith(PREFIX) else Path(name).expanduser()
    if folder.is_dir():
        yield from model_files(folder)


def _mark(path: Path) -> str:
    try:
        status = path.stat()
    except OSError:
        return f"{path}|missing"
    return f"{path}|{status.st_size}|{status.st_mtime_ns}"


def prepare(job: Job) -> None:
    """Make everything ready that the trials need, and refuse what cannot be honoured. An earlier result is kept where
    nothing that went into it has changed, and then torch is not even imported.

    Raises:
        UsageError: the data, the model or a setting is refused.
        Fault: the base does not give finite numbers.
    """
    progress, folder = ProgressReporter("check"), _folder(job)
    candidates = list(candidate_settings(job.settings, job.variations))
    check_tracker(candidates[0].report_to)  # not in the stamp: it may change under a study
    source = find_source(candidates[0])
    stamp = stamp_of(candidates, source)
    found = _earlier(folder, stamp)
    if found is None:
        sizes = _earlier_sizes(folder) if candidates[0].resume_from_checkpoint else {}
        (folder / FILE_NAME).unlink(missing_ok=True)
        pinned = {"model_revision": job.settings.get("model_revision") or job.resolved.get("model_revision")}
        candidates = [one.model_copy(update=pinned) for one in candidates]
        found = _prepare(_Task(folder, candidates, stamp, progress, job.resolved or sizes, len(job.gpus)), source)
        found.write(folder)
    progress.phase("ready", fraction=1.0)
    sdk.finish(**found.base)


def preflight(job: Job) -> None:
    """Check everything that can be checked before a weight is loaded, and write what was found to preflight.json.

    Raises:
        UsageError: the data, the model or a setting is refused.
    """
    progress, folder = ProgressReporter("check"), _folder(job)
    candidates = list(candidate_settings(job.settings, job.variations))
    task = _Task(folder, candidates, "", progress, {})
    base = find_base(task.settings, progress, weights=False)
    data = gather(find_source(task.settings), task.settings, base.family, folder, progress)
    _choose(task)
    flown = _fly(task, base, data)
    found = asdict(flown) | {"warnings": [*data.warnings, *flown.warnings]}
    (folder / PREFLIGHT_FILE).write_text(json.dumps(found, ensure_ascii=False), encoding="utf-8")
    sdk.finish(rows=sum(map(len, data.rows.values())))


@dataclass(frozen=True)
class _Task:
    folder: Path
    candidates: Sequence[TrainSettings]  # the first is what the base is measured with
    stamp: str
    progress: ProgressReporter
    resolved: Mapping[str, Any]  # what an earlier run of the study came to, which stands
    gpus: int = 1  # of each trial

    @property
    def settings(self) -> TrainSettings:
        return self.candidates[0]


def _folder(job: Job) -> Path:
    folder = Path(job.output_dir)
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def _earlier(folder: Path, stamp: str) -> PreparedData | None:
    """The result of an earlier prepare job, where it still holds."""
    try:
        found = PreparedData.read(folder)
    except UsageError:
        return None
    there = Path(found.model_path).is_dir() and all(row_file(folder, split).is_file() for split in SPLITS)
    return found if there and found.stamp == stamp else None


def _earlier_sizes(folder: Path) -> dict[str, Any]:
    """How many rows an earlier job chose to judge on: measured again they would differ, and a fine-tune that goes on
    from a checkpoint must not."""
    try:
        resolved = PreparedData.read(folder).resolved
    except UsageError:
        return {}
    return {name: resolved[name] for name in ("eval_stride", "eval_samples", "final_samples") if name in resolved}


def _prepare(task: _Task, source: DataSource) -> PreparedData:
    """First all that needs no weights, then the weights."""
    base = find_base(task.settings, task.progress, weights=False)
    try:
        data = gather(source, task.settings, base.family, task.folder, task.progress)
        task.progress.phase("load the libraries")
        with importing():
            backend = _choose(task)
            start_backend(backend[0], task.folder)  # before anything imports transformers
        flown = _fly(task, base, data)
        fingerprint = data.write(task.folder)
    finally:
        shutil.rmtree(task.folder / SCRATCH, ignore_errors=True)
    revision = commit_of(base.folder) or task.settings.model_revision
    model = find_model(task.settings.model_name, revision, task.progress)
    return _measure(task, BaseCheckpoint(model, base.family, base.profile), data, flown, fingerprint, backend)


def _choose(task: _Task) -> tuple[str, str]:
    """The backend for all trials, and why.

    Raises:
        UsageError: it cannot work here, or does not honour what a trial would ask of it.
    """
    backend, reason = choose_backend(task.settings.backend, task.candidates, gpus=task.gpus)
    for candidate in task.candidates:
        check_backend(backend, candidate)
    return backend, reason


def _fly(task: _Task, base: BaseCheckpoint, data: Data) -> Any:
    task.progress.phase("load the libraries")
    with importing():
        from hpsearch.training.machine.device import this_machine
        from hpsearch.training.preflight.preflight import fly

    return fly(base, data, task.candidates, this_machine(), task.folder, task.progress)


def _pinned(settings: TrainSettings, model: Path) -> dict[str, str]:
    """The commit of a model from the Hub, so that no trial and nobody who reads with it gets another one."""
    commit = commit_of(model) if settings.model_revision is None else None
    return {"model_revision": commit} if commit else {}


def _measure(
    task: _Task, base: BaseCheckpoint, data: Data, flown: Any, fingerprint: str, chosen: tuple[str, str]
) -> PreparedData:
    """What needs the weights, and all of it put together."""
    from hpsearch.training.evaluate.benchmark import Task, measure

    backend, reason = chosen
    rows = {split: len(data.rows[split]) for split in SPLITS}
    measured = measure(
        Task(backend, base, task.settings, task.folder, flown.figures, rows, task.resolved), task.progress
    )
    return PreparedData(
        stamp=task.stamp,
        fingerprint=fingerprint,
        model_fingerprint=model_fingerprint(base.folder),
        model_path=str(base.folder),
        family=base.family.name,
        profile=base.profile.name if base.profile else None,
        backend=backend,
        backend_reason=reason,
        rows=rows,
        figures=dict(flown.figures),
        lines=[*map(list, flown.lines), ["judging", measured.judging]],
        resolved=measured.resolved | _pinned(task.settings, base.folder),
        base=measured.base,
        samples=measured.samples,
        device=measured.device,
        precision=measured.precision,
        versions=library_versions(),
        settings=task.settings.model_dump(),
        data_revision=data.revision,
        warnings=[*data.warnings, *flown.warnings, *measured.warnings],
    )
