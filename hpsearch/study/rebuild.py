"""A study made again from its folder, after its storage was lost.

What second_copy.py writes there is read back. A folder from before these files has the jobs, reports, results and
outcomes of its trials; its definition comes from a file.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from contextlib import suppress
from copy import copy
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

from optuna.distributions import BaseDistribution
from optuna.storages import BaseStorage, InMemoryStorage
from optuna.trial import FrozenTrial, TrialState, create_trial

from hpsearch.config.conditions import active
from hpsearch.config.definition import StudyDefinition
from hpsearch.execution.executors import Executor
from hpsearch.execution.files import read_object
from hpsearch.execution.job import Job
from hpsearch.execution.names import JOB_FILE
from hpsearch.study import attributes as attrs
from hpsearch.study.folders import StudyFolders
from hpsearch.study.open import open_study, study_names
from hpsearch.study.recovery import recover
from hpsearch.study.second_copy import attempts, read_trial, study_values, write_study, write_trial

MOST_TRIALS = 1_000_000  # a number beyond it is no trial's: each one below it is made


@dataclass(frozen=True)
class Rebuilt:
    """What a folder gave: the numbers of the trials that were added to the storage; of them, those that the folder
    holds nothing of; and of those that are to be run again."""

    added: list[int]
    missing: list[int]
    queued: list[int]


def rebuild(
    storage: BaseStorage, folders: StudyFolders, definition: StudyDefinition, executor: Executor, lease: str
) -> Rebuilt:
    """Make the study in ``storage``, or add what it lacks of it, from the folder. The caller holds the lease.

    It is made in memory first, where trials that a runner left are recorded as after any death of a runner. Trials that
    have ended in the storage are left as they are. Where this is broken off, it can be done again.

    Raises:
        DefinitionChanged: the storage has the study, with another definition.
        UsageError: the storage has another study of this name.
    """
    name, known = folders.study, study_values(folders).get("attributes", {})
    study_id = known.get(attrs.ID) or folders.marker
    ours = _in_memory(folders, definition, executor, lease)
    is_new = name not in study_names(storage)
    ledger = open_study(storage, name, definition, study_id)
    folders.claim(ledger.study.user_attrs[attrs.ID])
    prepared = read_object(folders.prepared / "prepared.json")
    extra = ({attrs.PREPARED: prepared} if prepared else {}) | known
    for key, value in extra.items() if is_new else ():
        ledger.study.set_user_attr(key, value)
    before = ledger.trials()
    inner = storage.get_study_id_from_name(name)
    for stored in before:
        if not stored.state.is_finished() and stored.number < len(ours):
            _fill(storage, stored, ours[stored.number])
    for trial in ours[len(before) :]:
        storage.create_new_trial(inner, trial)
    write_study(ledger.study, folders)
    added = ours[len(before) :]
    return Rebuilt(
        [trial.number for trial in added],
        [trial.number for trial in added if attrs.FOLDER not in trial.user_attrs and trial.state.is_finished()],
        [trial.number for trial in added if trial.state is TrialState.WAITING],
    )


def _in_memory(folders: StudyFolders, definition: StudyDefinition, executor: Executor, lease: str) -> list[FrozenTrial]:
    """Return all trials that the folder holds, by number without a gap; those to be run again are queued after them."""
    memory = InMemoryStorage()
    ledger = open_study(memory, folders.study, definition)
    study_id = memory.get_study_id_from_name(folders.study)
    found = _trials(folders, definition)
    for number in range(max(found, default=-1) + 1):
        memory.create_new_trial(study_id, found.get(number) or _unknown(number))
    recover(ledger, folders, executor, lease)
    trials = [copy(trial) for trial in ledger.trials()]
    for trial in trials:
        before = found.get(trial.number)
        if before is None or before.state.is_finished() or not trial.state.is_finished():
            continue
        trial.datetime_start = before.datetime_start or datetime.now()
        trial.datetime_complete = trial.datetime_start + timedelta(seconds=trial.user_attrs.get(attrs.DURATION, 0.0))
        write_trial(folders.root / trial.user_attrs[attrs.FOLDER], trial)
    return trials


def _fill(storage: BaseStorage, stored: FrozenTrial, trial: FrozenTrial) -> None:
    """Complete a trial that had not ended when the storage was copied."""
    for name, value in trial.params.items():
        distribution = trial.distributions[name]
        storage.set_trial_param(stored._trial_id, name, distribution.to_internal_repr(value), distribution)
    for key, value in trial.user_attrs.items():
        storage.set_trial_user_attr(stored._trial_id, key, value)
    for step, value in trial.intermediate_values.items():
        storage.set_trial_intermediate_value(stored._trial_id, step, value)
    if trial.state is not stored.state:
        storage.set_trial_state_values(stored._trial_id, trial.state, trial.values)


def _unknown(number: int) -> FrozenTrial:
    """Stand for a trial without a folder: it was refused before its launch, or its folder was removed."""
    message = "the storage was lost, and the study's folder holds nothing of this trial"
    known = {attrs.ROOT: number, attrs.ATTEMPT: 1, attrs.MESSAGE: message}
    return create_trial(state=TrialState.FAIL, user_attrs=known)


def _trials(folders: StudyFolders, definition: StudyDefinition) -> dict[int, FrozenTrial]:
    """Read the trials in the folder by number."""
    found: dict[int, FrozenTrial] = {}
    chains: dict[int, list[tuple[int, int]]] = defaultdict(list)
    for root, attempt, folder in attempts(folders):
        with suppress(OSError, ValueError, KeyError, TypeError, AttributeError):
            number, trial = read_trial(folder) or _from_job(folder, definition)
            if not 0 <= number < MOST_TRIALS or number in found:
                continue
            trial.user_attrs |= {
                attrs.ROOT: root,
                attrs.ATTEMPT: attempt,
                attrs.FOLDER: str(folder.relative_to(folders.root)),
            }
            found[number] = trial
            chains[root].append((attempt, number))
    for chain in chains.values():
        chain.sort()
        for (_, former), (_, number) in pairwise(chain):
            found[number].user_attrs.setdefault(attrs.RETRY_OF, former)
    return found


def _from_job(folder: Path, definition: StudyDefinition) -> tuple[int, FrozenTrial]:
    """Make a running trial of a job, whose outcome is recorded afterwards.

    Raises:
        OSError, ValueError, KeyError, TypeError: the job cannot be read, or is not one of this definition.
    """
    job, space = Job.load(folder / JOB_FILE), definition.search_space
    results = read_object(folder / f"trial_{job.root}_results.json")
    chosen: Mapping[str, Any] = results.get("params") or job.settings
    names = active(space, chosen)
    is_ours = job.metric == definition.objective.metric and all(space[name].contains(chosen[name]) for name in names)
    if job.number is None or not is_ours:
        raise ValueError("it is no trial of this study")
    params = {name: space[name].nearest(chosen[name]) for name in names}
    known = {attrs.SEED: job.seed, attrs.GPUS: max(len(job.gpus), 1)}
    if job.number == 0 and params == definition.default_params():
        known[attrs.IS_DEFAULT] = True
    distributions: dict[str, BaseDistribution] = {name: space[name].distribution() for name in params}
    trial = create_trial(
        state=TrialState.RUNNING, params=params, distributions=distributions, user_attrs=known, value=None
    )
    trial.datetime_start = datetime.fromtimestamp((folder / JOB_FILE).stat().st_mtime)
    return job.number, trial
