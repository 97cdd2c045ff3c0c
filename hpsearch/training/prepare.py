"""The prepare job: data and model made ready once, checked against everything the study will ask of them."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hpsearch import sdk
from hpsearch.assets import PREFIX, asset_path
from hpsearch.data.prepared_rows import row_file
from hpsearch.data.progress import ProgressReporter
from hpsearch.data.sources import DataSource, find_source
from hpsearch.errors import UsageError
from hpsearch.execution.job import BASE_PREDICTIONS_FILE, PREFLIGHT_FILE, Job
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
from hpsearch.training.prepared import FILE_NAME, SCRATCH, SPLITS, PreparedData

if TYPE_CHECKING:
    from hpsearch.training.preflight.preflight import Preflight

FORMAT = 2  # of the prepared folder
# Rows, limits, base scores and measurements do not depend on these: a fine-tune that is resumed keeps its own.
_IRRELEVANT = {"seed", "resume_from_checkpoint", *WITHOUT_EFFECT}
_GPUS = Path("/proc/driver/nvidia/gpus")  # the driver's list, which needs no library to be read


@dataclass(frozen=True)
class _Preparation:
    """``candidates`` are the configurations of trials, the first the one that the base is measured with. ``resolved``
    are values that an earlier run of the study resolved, which are kept; ``gpus`` the number of each trial."""

    folder: Path
    candidates: Sequence[TrainSettings]
    progress: ProgressReporter
    input_digest: str = ""
    resolved: Mapping[str, Any] = field(default_factory=dict)
    gpus: int = 1

    @property
    def settings(self) -> TrainSettings:
        return self.candidates[0]


def prepare(job: Job) -> None:
    """Make everything ready that the trials need, and refuse what cannot be honoured. An earlier result is kept where
    nothing in its input has changed, and then torch is not even imported.

    Raises:
        UsageError: the data, the model or a setting is refused.
        Fault: the base does not give finite numbers.
    """
    progress, folder = ProgressReporter("check"), _make_folder(job)
    candidates = list(candidate_settings(job.settings, job.variations))
    check_tracker(candidates[0].report_to)  # not in the digest: it may change under a study
    source = find_source(candidates[0])
    digest = input_digest(candidates, source)
    try:
        earlier = PreparedData.read(folder)
    except UsageError:
        earlier = None
    files = [row_file(folder, split) for split in SPLITS]
    complete = earlier is not None and Path(earlier.model_path).is_dir() and all(path.is_file() for path in files)
    if earlier is not None and complete and earlier.input_digest == digest:
        prepared = earlier
    else:
        resolved: Mapping[str, Any] = job.resolved
        if not resolved and earlier is not None and candidates[0].resume_from_checkpoint:
            # The rows of evaluations: measured again they would differ, and a resumed fine-tune must not.
            sizes = ("eval_stride", "eval_samples", "final_samples")
            resolved = {name: earlier.resolved[name] for name in sizes if name in earlier.resolved}
        for name in (FILE_NAME, BASE_PREDICTIONS_FILE):
            (folder / name).unlink(missing_ok=True)
        pinned = {"model_revision": job.settings.get("model_revision") or job.resolved.get("model_revision")}
        candidates = [candidate.model_copy(update=pinned) for candidate in candidates]
        task = _Preparation(folder, candidates, progress, digest, resolved, len(job.gpus))
        prepared = _prepare(task, source)
        prepared.write(folder)
    progress.phase("ready", fraction=1.0)
    sdk.finish(**prepared.base)


def preflight(job: Job) -> None:
    """Check everything that can be checked before a weight is loaded, and write the result to preflight.json.

    Raises:
        UsageError: the data, the model or a setting is refused.
    """
    progress, folder = ProgressReporter("check"), _make_folder(job)
    task = _Preparation(folder, list(candidate_settings(job.settings, job.variations)), progress)
    base = find_base(task.settings, progress, weights=False)
    data = gather(find_source(task.settings), task.settings, base.family, folder, progress)
    _choose_backend(task)
    data, checked = _check(task, base, data)
    result = asdict(checked) | {"warnings": [*data.warnings, *checked.warnings]}
    (folder / PREFLIGHT_FILE).write_text(json.dumps(result, ensure_ascii=False), encoding="utf-8")
    sdk.finish(rows=sum(map(len, data.rows.values())))


def input_digest(candidates: Sequence[TrainSettings], source: DataSource) -> str:
    """Compute a cheap digest of all that goes into the prepare job's result: while it stays the same, the result is
    used again. The first of the ``candidates`` is the default configuration.

    Files count by name, size and time of change; what is on the Hub by name, subset and revision, as it is fetched
    once.

    Raises:
        UsageError: the data cannot be read.
    """
    name = candidates[0].model_name
    model = asset_path(name) if name.startswith(PREFIX) else Path(name).expanduser()
    parts = {
        "format": FORMAT,
        "settings": [
            {name: value for name, value in candidate.model_dump().items() if name not in _IRRELEVANT}
            for candidate in candidates
        ],
        "versions": library_versions(),
        "gpus": gpus(),
        "data": sorted(map(_file_state, source.files())),
        "model": sorted(map(_file_state, model_files(model) if model.is_dir() else ())),
    }
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


def gpus(listed: Path = _GPUS) -> list[str]:
    """List the kinds of GPU; none where they are hidden. Which of several alike is used makes no difference."""
    if os.environ.get("CUDA_VISIBLE_DEVICES") in ("", "-1"):
        return []
    lines = [line for path in listed.glob("*/information") for line in path.read_text(errors="replace").splitlines()]
    return sorted({line.partition(":")[2].strip() for line in lines if line.startswith("Model")})


def _file_state(path: Path) -> str:
    try:
        status = path.stat()
    except OSError:
        return f"{path}|missing"
    return f"{path}|{status.st_size}|{status.st_mtime_ns}"


def _make_folder(job: Job) -> Path:
    folder = Path(job.output_dir)
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def _prepare(task: _Preparation, source: DataSource) -> PreparedData:
    """Do first all that needs no weights, then load the weights."""
    base = find_base(task.settings, task.progress, weights=False)
    try:
        data = gather(source, task.settings, base.family, task.folder, task.progress)
        task.progress.phase("load the libraries")
        with importing():
            backend = _choose_backend(task)
            start_backend(backend[0], task.folder)  # before anything imports transformers
        data, checked = _check(task, base, data)
        fingerprint = data.write(task.folder)
    finally:
        shutil.rmtree(task.folder / SCRATCH, ignore_errors=True)
    revision = commit_of(base.folder) or task.settings.model_revision
    model = find_model(task.settings.model_name, revision, task.progress)
    return _measure(task, BaseCheckpoint(model, base.family, base.profile), data, checked, fingerprint, backend)


def _choose_backend(task: _Preparation) -> tuple[str, str]:
    """Choose the backend for all trials. Returns its name, and the reason.

    Raises:
        UsageError: it cannot work here, or does not honour what a trial would ask of it.
    """
    backend, reason = choose_backend(task.settings.backend, task.candidates, gpus=task.gpus)
    for candidate in task.candidates:
        check_backend(backend, candidate)
    return backend, reason


def _check(task: _Preparation, base: BaseCheckpoint, data: Data) -> tuple[Data, Preflight]:
    """Check labels and configurations. Returns the rows whose labels the model can write, too."""
    task.progress.phase("load the libraries")
    with importing():
        from hpsearch.training.machine.device import this_machine
        from hpsearch.training.preflight.labels import check_labels
        from hpsearch.training.preflight.preflight import check_candidates

    task.progress.phase("check the texts")
    data = check_labels(base, data, task.settings, task.folder)
    return data, check_candidates(base, data, task.candidates, this_machine(), task.folder, task.progress)


def _measure(
    task: _Preparation,
    base: BaseCheckpoint,
    data: Data,
    checked: Preflight,
    fingerprint: str,
    backend: tuple[str, str],
) -> PreparedData:
    """Measure what needs the weights, and put all results together."""
    from hpsearch.training.evaluate.benchmark import BenchmarkRequest, run_benchmark

    settings = task.settings
    rows = {split: len(data.rows[split]) for split in SPLITS}
    request = BenchmarkRequest(backend[0], base, settings, task.folder, checked.figures, rows, task.resolved)
    measured = run_benchmark(request, task.progress)
    # The commit of a model from the Hub, so that no trial and nobody who reads with it gets another one.
    commit = commit_of(base.folder) if settings.model_revision is None else None
    return PreparedData(
        input_digest=task.input_digest,
        fingerprint=fingerprint,
        model_fingerprint=model_fingerprint(base.folder),
        model_path=str(base.folder),
        family=base.family.name,
        profile=base.profile.name if base.profile else None,
        backend=backend[0],
        backend_reason=backend[1],
        rows=rows,
        figures=dict(checked.figures),
        lines=[*map(list, checked.lines), ["judging", measured.judging]],
        resolved=measured.resolved | ({"model_revision": commit} if commit else {}),
        base=measured.base,
        samples=measured.samples,
        device=measured.device,
        precision=measured.precision,
        versions=library_versions(),
        settings=settings.model_dump(),
        data_revision=data.revision,
        warnings=[*data.warnings, *checked.warnings, *measured.warnings],
    )
