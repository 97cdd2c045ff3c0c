"""`hpsearch status`, `logs` and `stop`: studies and their runners from outside. Nothing is written, no lease taken."""

from __future__ import annotations

import json
import math
import os
from collections import Counter
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import optuna
from optuna.storages import BaseStorage
from optuna.trial import TrialState

from hpsearch.errors import UsageError
from hpsearch.study import attributes as attrs
from hpsearch.study.budget import limit_of, ran_on_gpu, running_hours, spent_hours
from hpsearch.study.failures import Failures
from hpsearch.study.folders import study_folders
from hpsearch.study.open import only_study, read_study, readable_definition, study_names, target_of
from hpsearch.study.preparation import PreparedInfo
from hpsearch.study.records import attempt_of, best_trial, cause_of, finished, root_of
from hpsearch.study.storage.lease import can_be_run, live_owner
from hpsearch.study.storage.lock import Owner
from hpsearch.study.storage.open import StorageUrl


@dataclass(frozen=True)
class StudyStatus:
    """One study as `hpsearch status` shows it."""

    study: str
    ours: bool
    finished: int
    target: int | None
    states: dict[str, int]
    causes: dict[str, int]
    failing: list[str]  # values of settings with which every trial failed, in words
    metric: str
    best: float | None
    best_trial: int | None
    best_params: dict[str, Any]
    running: list[int]
    gpu_hours: float  # those of running trials included; a slot without a GPU counts as one
    gpu_hours_limit: float | None
    owner: Owner | None
    heldout: dict[str, Any] | None = None  # the best trial's score on held-out rows, its interval and its rows
    on_gpu: bool = False  # for the table

    def as_json(self) -> dict[str, Any]:
        """Return the status as JSON values."""
        return {key: value for key, value in asdict(self).items() if key != "on_gpu"}


@dataclass(frozen=True)
class TrialLog:
    """The log file of a trial's latest attempt."""

    number: int
    path: Path
    storage: BaseStorage
    trial_id: int  # in the storage

    def ended(self) -> bool:
        """Return True when the trial runs no more."""
        return self.storage.get_trial(self.trial_id).state != TrialState.RUNNING

    def read(self, position: int) -> tuple[bytes, int]:
        """Return what follows ``position`` (bytes), and the new position; a capped log is read from its start."""
        if not self.path.exists():
            return b"", position
        with self.path.open("rb") as file:
            if self.path.stat().st_size < position:
                position = 0
            file.seek(position)
            data = file.read()
        return data, position + len(data)


def study_statuses(storage: str | None, base_output_dir: Path, study: str | None) -> list[StudyStatus]:
    """Return the status of one study, or of all in the storage."""
    url = StorageUrl.of(storage, base_output_dir)
    with url.opened() as opened:
        names = [study] if study else study_names(opened)
        return [_status(read_study(opened, name), url, base_output_dir) for name in names]


def trial_log(storage: str | None, base_output_dir: Path, study: str | None, number: int | None) -> TrialLog:
    """Return the log of a trial, of its latest attempt if there are several; by default of the latest that ran.

    Raises:
        UsageError: there is no such trial.
    """
    with StorageUrl.of(storage, base_output_dir).opened() as opened:
        loaded = read_study(opened, study or only_study(opened))
        trials = [trial for trial in loaded.get_trials(deepcopy=False) if trial.state != TrialState.WAITING]
    folders = study_folders(base_output_dir, loaded.study_name)
    if not trials:
        where = folders.prepared / "log.txt"
        raise UsageError(f"no trial of {loaded.study_name} has started yet", f"what prepares them is logged in {where}")
    chosen = trials[-1].number if number is None else number
    trial = next((trial for trial in trials if trial.number == chosen), None)
    if trial is None:
        raise UsageError(f"there is no trial {chosen} in {loaded.study_name}", f"the last one is {trials[-1].number}")
    trial = [other for other in trials if other is trial or root_of(other) == chosen][-1]
    study_id = opened.get_study_id_from_name(loaded.study_name)
    trial_id = opened.get_trial_id_from_study_id_trial_number(study_id, trial.number)
    return TrialLog(trial.number, folders.attempt(root_of(trial), attempt_of(trial)) / "log.txt", opened, trial_id)


def running_owner(storage: str | None, base_output_dir: Path, study: str | None) -> tuple[str, Owner]:
    """Return the study that runs on this machine and its live runner.

    Raises:
        UsageError: nothing runs, several studies run and none was named, or the runner is on another machine.
    """
    owners = {
        status.study: status.owner
        for status in study_statuses(storage, base_output_dir, study)
        if status.owner is not None
    }
    if not owners:
        raise UsageError(f"no runner is at work{f' on {study}' if study else ''}", "see `hpsearch status`")
    if len(owners) > 1:
        raise UsageError(f"several studies run: {', '.join(owners)}", "name one with --study")
    name, owner = next(iter(owners.items()))
    if not owner.is_here or owner.pid == os.getpid():
        raise UsageError(f"the runner of {name} is pid {owner.pid} on {owner.host}", "stop it there")
    return name, owner


def _heldout(path: Path, trial: int) -> dict[str, Any] | None:
    """Read the score on held-out rows from a file of best parameters: reading the rows themselves would take long. None
    if the file is missing, or shows another trial."""
    try:
        score = json.loads(path.read_text(encoding="utf-8"))["evidence"]["heldout"]["best"]
    except (OSError, ValueError, LookupError, TypeError):
        return None
    usable = isinstance(score, dict) and isinstance(score.get("value"), float) and score.get("trial") == trial
    return score if usable else None


def _status(study: optuna.Study, url: StorageUrl, base: Path) -> StudyStatus:
    trials = study.get_trials(deepcopy=False)
    definition = readable_definition(study)
    target = target_of(study, definition) if definition else None
    best = best_trial(trials, study.direction.name.lower()) if len(study.directions) == 1 else None
    owner = live_owner(url, study.study_name) if definition and can_be_run(url) else None
    limit = limit_of(study)
    causes = [
        "not_tried" if attrs.NOT_TRIED in trial.user_attrs else cause.value
        for trial in trials
        if (cause := cause_of(trial)) is not None
    ]
    return StudyStatus(
        study=study.study_name,
        ours=definition is not None,
        finished=finished(trials),
        target=target,
        states=dict(Counter(trial.state.name for trial in trials)),
        causes=dict(Counter(causes)),
        failing=[failing.text for failing in Failures(trials).explained],
        metric=definition.objective.metric if definition else "value",
        best=best.value if best else None,
        best_trial=best.number if best else None,
        best_params=dict(best.params) if best else {},
        running=[trial.number for trial in trials if trial.state == TrialState.RUNNING],
        gpu_hours=spent_hours(trials) + (running_hours(trials) if owner else 0.0),
        gpu_hours_limit=limit if math.isfinite(limit) else None,
        owner=owner,
        heldout=_heldout(study_folders(base, study.study_name).best_params, best.number) if best else None,
        on_gpu=ran_on_gpu(trials, PreparedInfo.stored(study).device),
    )
