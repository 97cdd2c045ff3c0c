"""Finding studies in a storage, and opening one for a run: its stored definition, its target, refused changes."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Mapping, Sequence

import optuna
from optuna.storages import BaseStorage
from optuna.trial import FrozenTrial, TrialState

from hpsearch.config.definition import StudyDefinition, diff_identity
from hpsearch.config.problems import show
from hpsearch.errors import DefinitionChanged, UsageError
from hpsearch.execution.outcome import Cause
from hpsearch.study import attributes as attrs
from hpsearch.study.ledger import Ledger
from hpsearch.study.preparation import PreparedInfo
from hpsearch.study.pruning import make_pruner
from hpsearch.study.records import cause_of, finished
from hpsearch.study.sampling.planner import open_points, queue_default
from hpsearch.study.storage.changes import Change
from hpsearch.study.storage.open import StorageUrl
from hpsearch.study.storage.replica import StudyReplica, damage_explained

FINGERPRINTS = {"fingerprint": "data", "model_fingerprint": "base model"}


def study_names(storage: BaseStorage) -> list[str]:
    """Return the names of the studies in a storage, sorted."""
    with damage_explained("the studies"):
        return sorted(study.study_name for study in storage.get_all_studies())


def require_study(storage: BaseStorage, name: str) -> None:
    """Refuse a name that no study in the storage has. Raises UsageError."""
    names = study_names(storage)
    if name not in names:
        known = ", ".join(other if other.isprintable() else show(other) for other in names) or "none"
        raise UsageError(
            f"there is no study {name!r} in this storage; studies: {known}", "correct --study or --storage"
        )


def load_study(storage: BaseStorage, name: str) -> optuna.Study:
    """Load the study called ``name`` for its attributes: its trials are read through Optuna, slowly.

    Raises:
        UsageError: there is none; the message lists those there are.
    """
    require_study(storage, name)
    return optuna.load_study(study_name=name, storage=storage)


def read_study(storage: BaseStorage, name: str) -> optuna.Study:
    """Read the study called ``name`` with all its trials into memory; it cannot be changed.

    Raises:
        UsageError: there is none; the message lists those there are.
    """

    def refuse(change: Change) -> None:
        raise RuntimeError(f"a study that was opened for reading is not changed, but a {change.kind} was")

    require_study(storage, name)
    return optuna.load_study(study_name=name, storage=StudyReplica(storage, name, refuse))


def only_study(storage: BaseStorage) -> str:
    """Return the name of the only study in a storage.

    Raises:
        UsageError: there are several, or none.
    """
    names = study_names(storage)
    if len(names) == 1:
        return names[0]
    raise UsageError(f"the storage holds {len(names)} studies: {', '.join(names) or 'none'}", "name one with --study")


def only_unfinished(url: StorageUrl) -> str:
    """Return the name of the only study with fewer finished trials than its target.

    Raises:
        UsageError: there are several, or none.
    """
    unfinished = []
    with url.opened() as storage:
        for name in study_names(storage):
            study = read_study(storage, name)
            definition = readable_definition(study)
            if definition and finished(study.get_trials(deepcopy=False)) < target_of(study, definition):
                unfinished.append(name)
    if len(unfinished) == 1:
        return unfinished[0]
    if unfinished:
        raise UsageError(f"several studies are unfinished: {', '.join(unfinished)}", "name one with --study")
    raise UsageError("no study is unfinished", "name one with --study, and --add-trials N to continue it")


def stored_definition(study: optuna.Study) -> StudyDefinition:
    """Return the definition stored with a study.

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
    """Return the definition stored with a study; None if it has none, or one that cannot be read."""
    try:
        return stored_definition(study)
    except UsageError:
        return None


def require_complete(definition: StudyDefinition, note: str = "") -> None:
    """Refuse a definition without what only the user can give; ``note`` says what else may be the reason.

    Raises:
        UsageError: data is not given.
    """
    missing = definition.missing()
    if missing:
        raise UsageError(missing, note)


# How many finished trials the study is to have.


def target_of(study: optuna.Study, definition: StudyDefinition) -> int:
    """Return the target: finished trials over the study's life; of a grid, no more than it has points for."""
    requested = requested_target(study, definition)
    if definition.search_mode != "grid":
        return int(requested or first_target(definition))
    trials = study.get_trials(deepcopy=False)
    under_way = sum(trial.state in (TrialState.RUNNING, TrialState.WAITING) for trial in trials)
    most = finished(trials) + under_way + len(open_points(trials, definition))
    return min(int(requested), most) if requested else most


def requested_target(study: optuna.Study, definition: StudyDefinition) -> int | None:
    """Return the target that an option requested, or else the definition's; None: all points of a grid."""
    return _target_option(study, definition) or definition.target()


def _target_option(study: optuna.Study, definition: StudyDefinition) -> int | None:
    """Return the target that an option requested; None too if ``definition`` has changed it since."""
    stored, flat = study.user_attrs.get(attrs.DEFINITION) or {}, definition.flat()
    changed = any(stored.get(key) != flat.get(key) for key in ("n_trials", "search_mode"))
    return None if changed else study.user_attrs.get(attrs.TARGET)


def first_target(definition: StudyDefinition) -> int:
    """Return the target of a study for which no option requested one: all points of a grid, else the definition's."""
    return definition.target() or definition.grid_size()


def settle_target(ledger: Ledger, n_trials: int | None, add_trials: int | None) -> int:
    """Store the requested target, so that ``resume`` has it. Returns the target that holds."""
    requested = n_trials if add_trials is None else finished(ledger.trials()) + add_trials
    if requested is not None:
        ledger.study.set_user_attr(attrs.TARGET, requested)
    return target_of(ledger.study, ledger.definition)


def nothing_to_do(ledger: Ledger, target: int, more: str) -> str:
    """Return why the study has nothing left to do, with the command ``more`` for further trials; "" if it has."""
    done = finished(ledger.trials())
    if done < target:
        return ""
    if ledger.definition.search_mode == "grid" and not open_points(ledger.trials(), ledger.definition):
        return f"nothing to do: {done} of {done} grid points are done"
    return f"nothing to do: {done} of {target} trials are finished; continue with `{more}`"


# Opening a study for a run: making it, or refusing what may not change under an existing one.


def open_study(
    storage: BaseStorage,
    name: str,
    definition: StudyDefinition,
    study_id: str = "",
    say: Callable[[str], None] = lambda _: None,
) -> Ledger:
    """Open the study, or make it with this id (or a new one). A study that has no trial yet takes the new definition;
    ``say`` gets what follows from a corrected command.

    Raises:
        DefinitionChanged: it has trials, and something that they depend on was changed; nothing was written.
    """
    definition = definition.with_pruner(first_target(definition))
    pruner, direction = make_pruner(definition.pruner, definition.steps), definition.objective.direction
    if name in study_names(storage):
        study = optuna.load_study(study_name=name, storage=storage, pruner=pruner)
        refuse_changes(study, definition)
        empty = not study.get_trials(deepcopy=False)
        if empty and [stored.name.lower() for stored in study.directions] != [direction]:
            stored_definition(study)  # refuses a study that another program made: it is not ours to delete
            study_id = study.user_attrs.get(attrs.ID, study_id)
            optuna.delete_study(study_name=name, storage=storage)
    study = optuna.create_study(
        study_name=name, storage=storage, direction=direction, pruner=pruner, load_if_exists=True
    )
    study.set_metric_names([definition.objective.metric])  # what optuna-dashboard writes beside its axes
    if attrs.TARGET in study.user_attrs and _target_option(study, definition) is None:
        study.set_user_attr(attrs.TARGET, None)
    if not study.get_trials(deepcopy=False) and attrs.RULES not in study.user_attrs:
        study.set_user_attr(attrs.RULES, attrs.LEARNING)
    if attrs.ID not in study.user_attrs:
        study.set_user_attr(attrs.ID, study_id or new_id())
    ledger = Ledger(study, storage, definition)
    if _is_corrected(study, definition):
        again = [trial.number for trial in ledger.trials(TrialState.FAIL) if ledger.retry(trial, Cause.INTERRUPTED)]
        if again:
            say(f"the command was corrected: queued trial {', '.join(map(str, again))} again")
    study.set_user_attr(attrs.DEFINITION, definition.flat())
    return ledger


def new_id() -> str:
    """Return an id that no other study of the same name has."""
    return uuid.uuid4().hex


def begin(ledger: Ledger) -> None:
    """Queue the default configuration of a study that has no trial yet."""
    if not ledger.trials():
        queue_default(ledger.study, ledger.definition)


def refuse_changes(study: optuna.Study, definition: StudyDefinition) -> None:
    """Refuse a definition that changes what the trials of ``study`` depend on; without trials any is accepted, and
    another command while no trial has succeeded: nothing depends on a program that never worked.

    Raises:
        DefinitionChanged: the message lists the differences.
    """
    trials = study.get_trials(deepcopy=False)
    if not trials:
        return
    stored, new = stored_definition(study).identity(), definition.identity()
    if stored["command"] and new["command"] and not _succeeded(trials):
        stored["command"] = new["command"]
    differences = diff_identity(stored, new)
    if differences:
        lines = "".join(f"\n  {line}" for line in differences)
        raise DefinitionChanged(
            f"the definition differs from the one stored with the study {study.study_name!r}:{lines}\n",
            "continue the stored one with `hpsearch resume`, or give the new one another --study name",
        )


def _succeeded(trials: Sequence[FrozenTrial]) -> bool:
    """Return True if the program of a trial did what it should: one that was pruned did, too."""
    return any(trial.state is TrialState.COMPLETE or cause_of(trial) is Cause.PRUNED for trial in trials)


def _is_corrected(study: optuna.Study, definition: StudyDefinition) -> bool:
    """Return True if trials have failed with another command than the definition's."""
    stored = (study.user_attrs.get(attrs.DEFINITION) or {}).get("command")
    is_same = stored is None or list(stored) == list(definition.command or ())
    return not is_same and bool(study.get_trials(deepcopy=False, states=(TrialState.FAIL,)))


def keep_prepared(ledger: Ledger, info: PreparedInfo) -> None:
    """Store the result of the prepare job.

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
    """Return a warning if a study continues with other libraries, or another backend, than it began with; else ""."""
    before, now = ({"backend": prepared.backend, **prepared.versions} for prepared in (stored, info))
    if not stored.values or before == now:
        return ""
    pairs = ((name, before.get(name), now.get(name)) for name in sorted({*before, *now}))
    changed = ", ".join(f"{name} {old or 'none'} -> {new or 'none'}" for name, old, new in pairs if old != new)
    return f"trials from here on run with other versions than those before, which may change their results: {changed}"
