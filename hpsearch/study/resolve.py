"""From the options of a run to the study they mean: name, definition and target. Nothing is written here."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime

from optuna import Study

from hpsearch.config.definition import StudyDefinition
from hpsearch.config.load import defined_names, find_study, load_definition
from hpsearch.config.names import check_study_name, mistaken_for
from hpsearch.config.problems import show
from hpsearch.errors import StorageError, UsageError
from hpsearch.study.folders import StudyFolders, folder_name
from hpsearch.study.open import (
    first_target,
    load_study,
    only_unfinished,
    read_study,
    readable_definition,
    refuse_changes,
    stored_definition,
    study_names,
    target_of,
)
from hpsearch.study.options import RunOptions, rebuild_remedy
from hpsearch.study.records import finished
from hpsearch.study.second_copy import last_trial

NAMED, STORED = "as the definition says", "as stored with the study"
COUNTED, LIMITED = "the default if trials are counted", "the default with --timeout or --gpu-hours"


@dataclass(frozen=True)
class Resolved:
    """The study that options mean. ``is_stored``: its definition comes from the storage, not from a file. ``note``:
    what its user may not expect of it, if anything.
    """

    study: str
    definition: StudyDefinition
    is_stored: bool = False
    note: str = ""


def resolve(options: RunOptions) -> Resolved:
    """Find the study and its definition: the stored one if an existing study is to continue as it is, else one from
    files and options, over the stored one if the study has no file.

    Raises:
        UsageError: there is none, or the name is probably mistyped.
    """
    if options.goes_on:
        return Resolved(*resolve_stored(options), is_stored=True)
    if options.must_exist and options.study is None:
        raise UsageError("--resume with a new definition must say which study it is for", "name it with --study")
    # A run without a name gets one from the time in UTC.
    timestamp = datetime.now(UTC).strftime("study-%Y%m%d-%H%M%S")
    name = check_study_name(timestamp if options.study is None else options.study)
    is_unknown = find_study(name, options.config) is None
    study = existing(options, name) if is_unknown and options.study else None
    known = readable_definition(study) if study else None
    layers = (options.config, options.search_space, options.options, options.sets, known.flat() if known else None)
    definition = load_definition(name, *layers).with_trainer(options.trainer_python)
    if known is not None or not is_unknown:
        return Resolved(name, definition, known is not None)
    if options.study and not options.new:
        _refuse_mistyped(name, options)
    return Resolved(name, definition, note=_default_note(options.study, definition))


def _refuse_mistyped(name: str, options: RunOptions) -> None:
    """Refuse a name without a definition that is like one that has a definition: it would train another model."""
    near = mistaken_for(name, {*defined_names(), *_stored_names(options)})[:2]
    if near:
        remedy = f"did you mean {' or '.join(map(show, near))}? If it is a new name, add --new"
        raise UsageError(f"no definition is named {show(name)}", remedy)


def _default_note(name: str | None, definition: StudyDefinition) -> str:
    """Say what a study without a definition of its own trains."""
    begin = "no study is named" if name is None else f"no definition is named {show(name)}"
    if definition.command is not None:
        return "" if name is None else f"{begin}, so it is made of the options"
    settings, split = definition.settings, definition.settings.get("train_split")
    rows = f"{settings.get('input_data', 'searched data')}" + (f", {split}" if split else "")
    on = "" if definition.missing() else f" on {rows}"
    return f"{begin}, so the default one is used: it trains {settings.get('model_name', 'searched models')}{on}"


def _stored_names(options: RunOptions) -> list[str]:
    """List the studies in the storage."""
    if not options.url.holds_studies():
        return []
    with options.url.opened() as storage:
        return study_names(storage)


def with_pruner(definition: StudyDefinition, study: Study | None, options: RunOptions) -> tuple[StudyDefinition, str]:
    """Return the definition with a pruner where it leaves that open, and why it is this one: ``study``, the existing
    one, keeps what it began with."""
    if definition.pruner.type != "auto":
        return definition, STORED if options.goes_on else NAMED
    known = readable_definition(study) if study is not None and study.get_trials(deepcopy=False) else None
    if known is not None and known.pruner.type != "auto":
        return definition.model_copy(update={"pruner": known.pruner}), STORED
    is_limited = options.timeout_s is not None or options.gpu_hours is not None
    target = options.n_trials or options.add_trials or first_target(definition)
    return definition.with_pruner(target, is_limited), LIMITED if is_limited else COUNTED


def resolve_stored(options: RunOptions) -> tuple[str, StudyDefinition]:
    """Find the name and the stored definition of an existing study; without a name, of the only unfinished one."""
    name = check_study_name(options.study if options.study is not None else only_unfinished(options.url))
    with options.url.opened() as storage:
        definition = stored_definition(load_study(storage, name))
    return name, definition.with_trainer(options.trainer_python)


def planned_target(options: RunOptions, name: str, definition: StudyDefinition) -> int:
    """Return the target that a run with these options would have, in finished trials.

    Raises:
        DefinitionChanged: the run would be refused for what changed under an existing study.
    """
    done, target, study = 0, first_target(definition), existing(options, name)
    if study is not None:
        refuse_changes(study, definition)
        done, target = finished(study.get_trials(deepcopy=False)), target_of(study, definition)
    return done + options.add_trials if options.add_trials else options.n_trials or target


def existing(options: RunOptions, name: str) -> Study | None:
    """Read the study of this name in the storage; None if there is none."""
    if not options.url.holds_studies():
        return None
    with options.url.opened() as storage:
        return read_study(storage, name) if name in study_names(storage) else None


@contextmanager
def rebuild_offered(options: RunOptions) -> Iterator[None]:
    """Add to an error in finding the study how it is made again, if its folder holds trials and its storage, or it in
    its storage, is gone or damaged."""
    try:
        yield
    except (UsageError, StorageError) as error:
        offered = "storage rebuild" in error.remedy
        if options.study is None or offered or not _is_lost(options, options.study):
            raise
        raise type(error)(error.what, f"{error.remedy}; or {rebuild_remedy(options, options.study)}") from error


def _is_lost(options: RunOptions, name: str) -> bool:
    if last_trial(StudyFolders(options.base_output_dir / folder_name(name), name)) < 0:
        return False
    try:
        return options.url.is_damaged() or existing(options, name) is None
    except (UsageError, StorageError):
        return False
