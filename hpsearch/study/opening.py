"""Opening a study for a run: making it, or refusing what may not change under an existing one."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from typing import Any

import optuna
from optuna.storages import BaseStorage

from hpsearch.config.definition import StudyDefinition, diff_identity
from hpsearch.errors import DefinitionChanged, UsageError
from hpsearch.study import attributes as attrs
from hpsearch.study.ledger import Ledger
from hpsearch.study.open import asked_of, stored_definition, study_names, target_of
from hpsearch.study.pruning import make_pruner
from hpsearch.study.records import finished
from hpsearch.study.results import prepared_info
from hpsearch.study.sampling.planner import open_points, queue_default

FINGERPRINTS = {"fingerprint": "data", "model_fingerprint": "base model"}


def open_study(storage: BaseStorage, name: str, definition: StudyDefinition, study_id: str = "") -> Ledger:
    """Open the study, or make it with this id (or a new one). A study that has no trial yet takes the new definition.

    Raises:
        DefinitionChanged: it has trials, and something that they hang on was changed; nothing was written.
    """
    pruner, direction = make_pruner(definition.pruner, definition.steps), definition.objective.direction
    if name in study_names(storage):
        study = optuna.load_study(study_name=name, storage=storage, pruner=pruner)
        refuse_changes(study, definition)
        empty = not study.get_trials(deepcopy=False)
        if empty and [each.name.lower() for each in study.directions] != [direction]:
            stored_definition(study)  # refuses a study that another program made: it is not ours to delete
            study_id = study.user_attrs.get(attrs.ID, study_id)
            optuna.delete_study(study_name=name, storage=storage)
    study = optuna.create_study(
        study_name=name, storage=storage, direction=direction, pruner=pruner, load_if_exists=True
    )
    study.set_metric_names([definition.objective.metric])  # what optuna-dashboard writes beside its axes
    _write_definition(study, definition, study_id)
    return Ledger(study, storage, definition)


def refuse_changes(study: optuna.Study, definition: StudyDefinition) -> None:
    """Refuse a definition that changes what the trials of ``study`` hang on; without trials nothing does.

    Raises:
        DefinitionChanged: the message lists the differences.
    """
    if not study.get_trials(deepcopy=False):
        return
    differences = diff_identity(stored_definition(study).identity(), definition.identity())
    if differences:
        lines = "".join(f"\n  {line}" for line in differences)
        raise DefinitionChanged(
            f"the definition differs from the one stored with the study {study.study_name!r}:{lines}\n",
            "go on with the stored one by `hpsearch resume`, or give the new one another --study name",
        )


def new_id() -> str:
    """What tells a new study from all others of its name."""
    return uuid.uuid4().hex


def require_complete(definition: StudyDefinition, note: str = "") -> None:
    """Refuse a definition that leaves out what only the user can give; ``note`` says what else may be the reason.

    Raises:
        UsageError: data is not given.
    """
    missing = definition.missing()
    if missing:
        raise UsageError(missing, note)


def settle_target(ledger: Ledger, n_trials: int | None, add_trials: int | None) -> int:
    """Store what was asked for, so that ``resume`` has it, and say how many finished trials the study is after."""
    asked = n_trials if add_trials is None else finished(ledger.trials()) + add_trials
    if asked is not None:
        ledger.study.set_user_attr(attrs.TARGET, asked)
    return target_of(ledger.study, ledger.definition)


def nothing_to_do(ledger: Ledger, target: int, more: str) -> str:
    """Why the study has nothing left to do, in a sentence with the command for more; empty where it has."""
    done = finished(ledger.trials())
    if done < target:
        return ""
    if ledger.definition.search_mode == "grid" and not open_points(ledger.trials(), ledger.definition):
        return f"nothing to do: {done} of {done} grid points are done"
    return f"nothing to do: {done} of {target} trials are finished; go on with `{more}`"


def keep_prepared(ledger: Ledger, info: dict[str, Any]) -> None:
    """Store what the prepare job found.

    Raises:
        DefinitionChanged: the study has trials, and its data or base model is not what they were made with.
    """
    stored = prepared_info(ledger)
    for key, what in FINGERPRINTS.items():
        if ledger.trials() and key in stored and stored[key] != info.get(key):
            raise DefinitionChanged(
                f"the study's {what} changed since it began: "
                f"{key} {str(stored[key])[:12]} is now {str(info.get(key))[:12]}",
                "restore it, or start a study of another name",
            )
    ledger.study.set_user_attr(attrs.PREPARED, info)


def changed_versions(stored: Mapping[str, Any], info: Mapping[str, Any]) -> str:
    """What to say where a study goes on with other libraries, or another backend, than it began with; else nothing."""
    before, now = ({"backend": each.get("backend"), **each.get("versions", {})} for each in (stored, info))
    if not stored or before == now:
        return ""
    pairs = ((name, before.get(name), now.get(name)) for name in sorted({*before, *now}))
    changed = ", ".join(f"{name} {old or 'none'} -> {new or 'none'}" for name, old, new in pairs if old != new)
    return f"trials from here on run with other versions than those before, which may change their results: {changed}"


def begin(ledger: Ledger) -> None:
    """Queue the default configuration of a study that has no trial yet."""
    if not ledger.trials():
        queue_default(ledger.study, ledger.definition)


def _write_definition(study: optuna.Study, definition: StudyDefinition, study_id: str) -> None:
    if attrs.TARGET in study.user_attrs and asked_of(study, definition) is None:
        study.set_user_attr(attrs.TARGET, None)
    if attrs.ID not in study.user_attrs:
        study.set_user_attr(attrs.ID, study_id or new_id())
    study.set_user_attr(attrs.DEFINITION, definition.flat())
