"""`hpsearch storage copy`: a study into another storage, trial for trial."""

from __future__ import annotations

import json
from typing import Any

import optuna
from optuna.storages import BaseStorage

from hpsearch.errors import StorageError, UsageError
from hpsearch.study.open import require_study, study_names
from hpsearch.study.storage.changes import trial_to_json
from hpsearch.study.storage.lease import lease_for
from hpsearch.study.storage.open import StorageUrl


def copy_study(name: str, source: StorageUrl, target: StorageUrl) -> int:
    """Copy the study ``name`` from the storage at one URL to that at another. Returns its number of trials.

    It may not run meanwhile in either. The copy is whole, or not there. It is the same study, with the same folder.

    Raises:
        UsageError: there is no such study, or one of its name is in the target already.
        StudyOwned: it is being run.
        StorageError: a storage cannot be used, or the copy differs from the study.
    """
    with source.opened() as there:
        require_study(there, name)
    with target.errors():
        here = target.open(create=True)
        if name in study_names(here):
            what = f"there is a study {name!r} in {target} already"
            raise UsageError(what, "copy into another storage, or delete that study there")
        with lease_for(source, name), lease_for(target, name):
            try:
                optuna.copy_study(from_study_name=name, from_storage=there, to_storage=here)
                before, after = _contents(name, there), _contents(name, here)
                if before != after:
                    raise StorageError(f"the copy of {name!r} differs from the study", "copy it again, and report this")
            except BaseException:
                if name in study_names(here):
                    optuna.delete_study(study_name=name, storage=here)
                raise
    return len(after["trials"])


def _contents(name: str, storage: BaseStorage) -> dict[str, Any]:
    """Return all there is of a study. Trials are written as text, because NaN is not equal to itself."""
    study = optuna.load_study(study_name=name, storage=storage)
    return {
        "directions": study.directions,
        "attributes": study.user_attrs,
        "trials": [json.dumps(trial_to_json(trial), sort_keys=True) for trial in study.get_trials()],
    }
