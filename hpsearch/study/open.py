"""Finding studies in a storage, and what hpsearch stored with them."""

from __future__ import annotations

from collections.abc import Mapping

import optuna
from optuna.storages import BaseStorage
from optuna.trial import TrialState

from hpsearch.config.definition import StudyDefinition
from hpsearch.config.problems import show
from hpsearch.errors import UsageError
from hpsearch.study import attributes as attrs
from hpsearch.study.records import finished
from hpsearch.study.sampling.planner import open_points
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
