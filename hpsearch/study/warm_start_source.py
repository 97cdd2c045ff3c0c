"""The other study of a warm start: which of its points are reused, moved how, and whether its values hold here too."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from optuna import Study
from optuna.trial import FrozenTrial

from hpsearch.config.conditions import active
from hpsearch.config.definition import StudyDefinition, diff_identity
from hpsearch.config.json import is_number
from hpsearch.config.parameters import Categorical, Parameter
from hpsearch.config.problems import show
from hpsearch.config.space import point_key
from hpsearch.errors import DefinitionChanged, UsageError
from hpsearch.study import attributes as attrs
from hpsearch.study.open import load_study, readable_definition
from hpsearch.study.options import RunOptions
from hpsearch.study.preparation import PreparedInfo
from hpsearch.study.records import best_first
from hpsearch.study.storage.open import StorageUrl
from hpsearch.study.warm_start import COMPARED, TransferredPoint, WarmStart, stored_warm_start

# Best points that are tried. Where the values hold as well, no more than are needed to see whether they help.
POINTS = 5
# Trials shown to the sampler; of more, these evenly over their ranking.
MOST_PRIOR = 200
# What was prepared must be the same for values to hold: the data, the base model, and what decides the final score.
_PREPARED = ("fingerprint", "model_fingerprint")
_RESOLVED = ("final_samples", "instruction", "max_new_tokens")


@dataclass(frozen=True)
class SourceStudy:
    """Another study whose best points are reused: its ``trials`` are completed ones, best first. ``definition`` is None
    where another program made it."""

    name: str
    study_id: str
    definition: StudyDefinition | None
    prepared: PreparedInfo
    trials: Sequence[FrozenTrial]


def find_source(options: RunOptions, name: str, definition: StudyDefinition) -> SourceStudy | None:
    """Find the study that ``options`` name for a warm start of the study ``name``; None where they name none.

    Raises:
        UsageError: it does not exist, is the study itself, has another objective, or has nothing to reuse.
        StorageError: its storage cannot be used.
    """
    if options.warm_start_from is None:
        return None
    url = StorageUrl(options.warm_start_storage) if options.warm_start_storage else options.url
    if definition.search_mode == "grid":
        raise UsageError("a grid tries each of its points anyway", "leave --warm-start-from out, or search otherwise")
    if url == options.url and options.warm_start_from == name:
        raise UsageError(f"--warm-start-from names another study, but {name!r} is this one", "name another")
    with url.opened() as storage:
        return _source(load_study(storage, options.warm_start_from), definition, url)


def _source(study: Study, definition: StudyDefinition, url: StorageUrl) -> SourceStudy:
    name, direction = study.study_name, definition.objective.direction
    theirs = [other.name.lower() for other in study.directions]
    if theirs != [direction]:
        raise UsageError(
            f"both studies need one objective, but {name!r} is to {' and to '.join(theirs)}, this one to {direction}",
            "name a study with the same objective",
        )
    trials = best_first(study.get_trials(), direction)
    if not trials:
        raise UsageError(f"{name!r} has no completed trial to reuse", "name a study that has")
    study_id = str(study.user_attrs.get(attrs.ID) or f"{url} {name}")
    return SourceStudy(name, study_id, readable_definition(study), PreparedInfo.stored(study), trials)


def refuse_late(study: Study, source: SourceStudy) -> None:
    """Refuse to warm-start a study that has begun otherwise; one that began with this very source goes on.

    Raises:
        DefinitionChanged: it has trials, and began without the source.
    """
    stored = stored_warm_start(study)
    if not study.get_trials(deepcopy=False) or (stored and stored.source_id == source.study_id):
        return
    began = f"from {stored.source!r}" if stored else "without another study"
    raise DefinitionChanged(
        f"a study is warm-started before its first trial, but {study.study_name!r} began {began}",
        "leave --warm-start-from out to go on with it, or start a study of another name",
    )


def make_warm_start(
    source: SourceStudy, definition: StudyDefinition, prepared: PreparedInfo
) -> tuple[WarmStart, list[str]]:
    """Choose what a study with this definition, for which this was ``prepared``, reuses; and sentences that say it."""
    doubts = list(_doubts(source, definition, prepared))
    most = POINTS if doubts else COMPARED
    # The best points in this study's space, each once, and not the default one, which is tried anyway.
    tried, points = {point_key(definition.default_params())}, list[TransferredPoint]()
    for point in (_transferred(trial, definition) for trial in source.trials):
        if point_key(point.params) not in tried and len(points) < most:
            tried.add(point_key(point.params))
            points.append(point)
    prior: tuple[TransferredPoint, ...] = ()
    if not doubts and definition.search_mode == "bayesian":
        inside = [trial for trial in source.trials if _is_inside(trial.params, definition.search_space)]
        if len(inside) > MOST_PRIOR:
            inside = [inside[round(place * (len(inside) - 1) / (MOST_PRIOR - 1))] for place in range(MOST_PRIOR)]
        prior = tuple(_transferred(trial, definition) for trial in inside)
    numbers = {point.trial for point in points}
    params = [trial.params for trial in source.trials if trial.number in numbers]
    facts = [f"warm start from {source.name}: its best {len(points)} points are tried in turn with others"]
    facts += _moves(params, definition)
    if prior:
        facts.append(f"{len(prior)} of its {len(source.trials)} values are shown to the sampler once its points help")
    elif doubts:
        facts.append(f"its values are not used here: {'; '.join(doubts)}")
    return WarmStart(source.name, source.study_id, tuple(points), prior), facts


def _doubts(source: SourceStudy, definition: StudyDefinition, prepared: PreparedInfo) -> Iterator[str]:
    """Yield why a value of the source may not be what its point would give here."""
    if source.definition is None:
        yield "another program made it"
        return
    theirs, ours = source.definition.identity(), definition.identity()
    if set(theirs.pop("search_space")) != set(ours.pop("search_space")):
        yield "it searches other settings"
    theirs.pop("seed"), ours.pop("seed")
    yield from diff_identity(theirs, ours)
    before = source.prepared
    yield from (f"{key} differs" for key in _PREPARED if getattr(before, key) != getattr(prepared, key))
    yield from (f"{key} differs" for key in _RESOLVED if before.resolved.get(key) != prepared.resolved.get(key))


def _is_inside(params: Mapping[str, Any], space: Mapping[str, Parameter]) -> bool:
    return set(params) == set(active(space, params)) and all(
        space[name].contains(value) for name, value in params.items()
    )


def _transferred(trial: FrozenTrial, definition: StudyDefinition) -> TransferredPoint:
    """Move a trial's point into the study's space."""
    space, default = definition.search_space, definition.every_default()
    params = {name: _moved(axis, trial.params.get(name), default[name]) for name, axis in space.items()}
    return TransferredPoint(trial.number, definition.active_params(params), float(trial.value or 0.0))


def _moved(parameter: Parameter, value: Any, default: Any) -> Any:
    """Return the nearest value of a range; the default where ``value`` cannot be compared with it."""
    if isinstance(parameter, Categorical):
        near = is_number(value) and all(map(is_number, parameter.choices))
        return parameter.nearest(value) if near or parameter.contains(value) else default
    return parameter.nearest(value) if is_number(value) else default


def _moves(points: Sequence[Mapping[str, Any]], definition: StudyDefinition) -> Iterator[str]:
    """Say of each setting of the source's points how it changes, where it does not stay as it was."""
    space, default, settings = definition.search_space, definition.every_default(), definition.settings
    for name in sorted({*space, *(setting for point in points for setting in point)}):
        values = [point[name] for point in points if name in point]
        if name not in space:
            fixed = f", so it is {show(settings[name])} in all of them" if name in settings else ""
            yield f"{name}: not searched here{fixed}"
        elif not values:
            yield f"{name}: not searched there, so it is {show(default[name])} in all of them"
        elif moved := [value for value in values if not space[name].contains(value)]:
            to = ", ".join(f"{show(value)} -> {show(_moved(space[name], value, default[name]))}" for value in moved)
            yield f"{name}: moved into its range: {to}"
