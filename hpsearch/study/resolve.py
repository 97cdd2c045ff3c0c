"""From the options of a run to the study they mean: name, definition and target. Nothing is written here."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime

from optuna import Study

from hpsearch.config.definition import StudyDefinition
from hpsearch.config.load import default_instead, load_definition
from hpsearch.config.names import check_study_name
from hpsearch.errors import UsageError
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
from hpsearch.study.options import RunOptions
from hpsearch.study.records import finished

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
    files and options, over the stored one if the study has no file."""
    if options.goes_on:
        return Resolved(*resolve_stored(options), is_stored=True)
    if options.must_exist and options.study is None:
        raise UsageError("--resume with a new definition must say which study it is for", "name it with --study")
    # A run without a name gets one from the time in UTC.
    timestamp = datetime.now(UTC).strftime("study-%Y%m%d-%H%M%S")
    name = check_study_name(timestamp if options.study is None else options.study)
    note = default_instead(name, options.config) if options.study else ""
    study = existing(options, name) if note else None
    known = readable_definition(study) if study else None
    layers = (options.config, options.search_space, options.options, options.sets, known.flat() if known else None)
    definition = load_definition(name, *layers).with_trainer(options.trainer_python)
    return Resolved(name, definition, known is not None, "" if known else note)


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
