"""Finding studies in a storage, and what hpsearch stored with them."""

from __future__ import annotations

import uuid
from collections.abc import Mapping

import optuna
from optuna.storages import BaseStorage
from optuna.trial import TrialState

from hpsearch.config.definition import StudyDefinition, diff_identity
from hpsearch.config.problems import show
from hpsearch.errors import DefinitionChanged, UsageError
from hpsearch.study import attributes as attrs
from hpsearch.study.ledger import Ledger
from hpsearch.study.preparation import PreparedInfo
from hpsearch.study.pruning import make_pruner
from hpsearch.study.records import finished
from hpsearch.study.sampling.planner import open_points, queue_default
from hpsearch.study.storage.changes import Change
from hpsearch.study.storage.open import open_storage, storage_errors
from hpsearch.study.storage.replica import MirroredStorage


def load_study(storage: BaseStorage, name: str, url: str) -> optuna.Study:
    """The study called ``name``, for what is said of it as a whole: its trials are read through Optuna, slowly.

    Raises:
        UsageError: there is none; the message lists those there are.
    """
    require_study(storage, name, url)
    return optuna.load_study(study_name=name, storage=storage)


def require_study(storage: BaseStorage, name: str, url: str) -> None:
    """Refuse a name that no study in the storage at ``url`` has. Raises UsageError."""
    names = study_names(storage)
    if name not in names:
        known = ", ".join(each if each.isprintable() else show(each) for each in names) or "none"
        raise UsageError(
            f"there is no study {name!r} in this storage; studies: {known}", "correct --study or --storage"
        )


def read_study(storage: BaseStorage, name: str, url: str) -> optuna.Study:
    """The study called ``name`` as it is now, with all its trials in memory; it cannot be changed.

    Raises:
        UsageError: there is none; the message lists those there are.
    """
    require_study(storage, name, url)
    return optuna.load_study(study_name=name, storage=MirroredStorage(storage, name, _refuse))


def study_names(storage: BaseStorage) -> list[str]:
    """Names of the studies in a storage, sorted."""
    return sorted(study.study_name for study in storage.get_all_studies())


def stored_definition(study: optuna.Study) -> StudyDefinition:
    """The definition stored with a study.

    Raises:
        UsageError: the study was made by another program.
    """
    stored = study.user_attrs.get(attrs.DEFINITION)
    if not isinstance(stored, Mapping):
        raise UsageError(
            f"the study {study.study_name!r} was not made by hpsearch, so it has no definition to run",
            "`hpsearch analyze` can read it; run a study of another name",
        )
    return StudyDefinition.from_flat(stored, source=f"the definition stored with {study.study_name}")


def readable_definition(study: optuna.Study) -> StudyDefinition | None:
    """The definition stored with a study; None where it has none, or one that cannot be read."""
    try:
        return stored_definition(study)
    except UsageError:
        return None


def target_of(study: optuna.Study, definition: StudyDefinition) -> int:
    """Finished trials the study is after over its life; of a grid, no more than it has points for."""
    wanted = wanted_of(study, definition)
    if definition.search_mode != "grid":
        return int(wanted or first_target(definition))
    trials = study.get_trials(deepcopy=False)
    under_way = sum(trial.state in (TrialState.RUNNING, TrialState.WAITING) for trial in trials)
    most = finished(trials) + under_way + len(open_points(trials, definition))
    return min(int(wanted), most) if wanted else most


def wanted_of(study: optuna.Study, definition: StudyDefinition) -> int | None:
    """Finished trials asked for, by an option or else by the definition; None: all points of a grid."""
    return asked_of(study, definition) or definition.target()


def asked_of(study: optuna.Study, definition: StudyDefinition) -> int | None:
    """Finished trials that an option asked for; None too where ``definition`` says it anew."""
    stored, flat = study.user_attrs.get(attrs.DEFINITION) or {}, definition.flat()
    anew = any(stored.get(key) != flat.get(key) for key in ("n_trials", "search_mode"))
    return None if anew else study.user_attrs.get(attrs.TARGET)


def first_target(definition: StudyDefinition) -> int:
    """The target of a study that was given none: all points of a grid, else the definition's."""
    return definition.target() or definition.grid_size()


def is_unfinished(study: optuna.Study) -> bool:
    """Whether a study of ours has fewer finished trials than its target."""
    definition = readable_definition(study)
    return definition is not None and finished(study.get_trials(deepcopy=False)) < target_of(study, definition)


def only_unfinished(url: str) -> str:
    """The name of the only unfinished study.

    Raises:
        UsageError: there are several, or none.
    """
    with storage_errors(url):
        storage = open_storage(url)
        studies = [read_study(storage, name, url) for name in study_names(storage)]
        unfinished = [study.study_name for study in studies if is_unfinished(study)]
    if len(unfinished) == 1:
        return unfinished[0]
    if unfinished:
        raise UsageError(f"several studies are unfinished: {', '.join(unfinished)}", "name one with --study")
    raise UsageError("no study is unfinished", "name one with --study, and --add-trials N to go on with it")


def _refuse(change: Change) -> None:
    raise RuntimeError(f"a study that was opened for reading is not changed, but a {change.kind} was")


def only_study(storage: BaseStorage) -> str:
    """The name of the only study in a storage.

    Raises:
        UsageError: there are several, or none.
    """
    names = study_names(storage)
    if len(names) == 1:
        return names[0]
    raise UsageError(f"the storage holds {len(names)} studies: {', '.join(names) or 'none'}", "name one with --study")


# Opening a study for a run: making it, or refusing what may not change under an existing one.

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


def keep_prepared(ledger: Ledger, info: PreparedInfo) -> None:
    """Store what the prepare job found.

    Raises:
        DefinitionChanged: the study has trials, and its data or base model is not what they were made with.
    """
    stored = PreparedInfo.stored(ledger.study)
    for key, what in FINGERPRINTS.items():
        before, now = getattr(stored, key), getattr(info, key)
        if ledger.trials() and before is not None and before != now:
            raise DefinitionChanged(
                f"the study's {what} changed since it began: {key} {str(before)[:12]} is now {str(now)[:12]}",
                "restore it, or start a study of another name",
            )
    ledger.study.set_user_attr(attrs.PREPARED, info.values)


def changed_versions(stored: PreparedInfo, info: PreparedInfo) -> str:
    """What to say where a study goes on with other libraries, or another backend, than it began with; else nothing."""
    before, now = ({"backend": prepared.backend, **prepared.versions} for prepared in (stored, info))
    if not stored.values or before == now:
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
