"""Reading another study for a warm start: which of its points, moved how, and whether its values hold here too."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from optuna import Study
from optuna.trial import FrozenTrial, TrialState

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
from hpsearch.study.records import is_finite
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
    """Another study whose best points are wanted: its ``trials`` are completed ones, best first. ``definition`` is None
    where another program made it."""

    name: str
    study_id: str
    definition: StudyDefinition | None
    prepared: Mapping[str, Any]
    trials: Sequence[FrozenTrial]


def find_source(options: RunOptions, name: str, definition: StudyDefinition) -> SourceStudy | None:
    """The study that ``options`` name for a warm start of the study ``name``; None where they name none.

    Raises:
        UsageError: it is not there, is the study itself, looks for something else, or has nothing to take over.
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
    theirs = [each.name.lower() for each in study.directions]
    if theirs != [direction]:
        raise UsageError(
            f"both studies look the same way, but {name!r} is to {' and to '.join(theirs)}, this one to {direction}",
            "name a study with the same objective",
        )
    complete = [trial for trial in study.get_trials() if trial.state is TrialState.COMPLETE and is_finite(trial.value)]
    if not complete:
        raise UsageError(f"{name!r} has no completed trial to take over", "name a study that has")
    sign = -1.0 if direction == "maximize" else 1.0
    ranked = sorted(complete, key=lambda trial: (sign * float(trial.value or 0.0), trial.number))
    study_id = str(study.user_attrs.get(attrs.ID) or f"{url} {name}")
    prepared = study.user_attrs.get(attrs.PREPARED) or {}
    return SourceStudy(name, study_id, readable_definition(study), prepared, ranked)


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


def take_over(
    source: SourceStudy, definition: StudyDefinition, prepared: Mapping[str, Any]
) -> tuple[WarmStart, list[str]]:
    """What a study with this definition, for which this was ``prepared``, takes over; and sentences that say it."""
    doubts = list(_doubts(source, definition, prepared))
    inside = [each for each in source.trials if _is_inside(each.params, definition.search_space)]
    points = _points(source, definition, POINTS if doubts else COMPARED)
    believed = not doubts and definition.search_mode == "bayesian"
    prior = tuple(_carried(each, definition) for each in _evenly(inside, MOST_PRIOR)) if believed else ()
    tried = {each.trial for each in points}
    said = [
        f"warm start from {source.name}: its best {len(points)} points are tried in turn with others",
        *_moves([each for each in source.trials if each.number in tried], definition),
    ]
    if prior:
        said.append(f"{len(prior)} of its {len(source.trials)} values are shown to the sampler once its points help")
    elif doubts:
        said.append(f"its values are not believed here: {'; '.join(doubts)}")
    return WarmStart(source.name, source.study_id, points, prior), said


def _doubts(source: SourceStudy, definition: StudyDefinition, prepared: Mapping[str, Any]) -> Iterator[str]:
    """Why a value of the source may not be what its point would give here."""
    if source.definition is None:
        yield "another program made it"
        return
    theirs, ours = source.definition.identity(), definition.identity()
    if set(theirs.pop("search_space")) != set(ours.pop("search_space")):
        yield "it searches other settings"
    theirs.pop("seed"), ours.pop("seed")
    yield from diff_identity(theirs, ours)
    for key in _PREPARED:
        if source.prepared.get(key) != prepared.get(key):
            yield f"{key} differs"
    both = [each.get("resolved", {}) for each in (source.prepared, prepared)]
    yield from (f"{key} differs" for key in _RESOLVED if both[0].get(key) != both[1].get(key))


def _is_inside(params: Mapping[str, Any], space: Mapping[str, Parameter]) -> bool:
    return set(params) == set(active(space, params)) and all(
        space[name].contains(value) for name, value in params.items()
    )


def _points(source: SourceStudy, definition: StudyDefinition, most: int) -> tuple[TransferredPoint, ...]:
    """The best points in this study's space, each once, and not the default one, which is tried anyway."""
    known, found = {point_key(definition.default_params())}, list[TransferredPoint]()
    for carried in (_carried(trial, definition) for trial in source.trials):
        if point_key(carried.params) not in known and len(found) < most:
            known.add(point_key(carried.params))
            found.append(carried)
    return tuple(found)


def _carried(trial: FrozenTrial, definition: StudyDefinition) -> TransferredPoint:
    space, default = definition.search_space, definition.every_default()
    params = {name: _moved(each, trial.params.get(name), default[name]) for name, each in space.items()}
    return TransferredPoint(trial.number, definition.active_params(params), float(trial.value or 0.0))


def _moved(parameter: Parameter, value: Any, default: Any) -> Any:
    """The nearest value of a range; the default where ``value`` has nothing to do with it."""
    if isinstance(parameter, Categorical):
        near = is_number(value) and all(map(is_number, parameter.choices))
        return parameter.nearest(value) if near or parameter.contains(value) else default
    return parameter.nearest(value) if is_number(value) else default


def _moves(trials: Sequence[FrozenTrial], definition: StudyDefinition) -> Iterator[str]:
    """What becomes of each setting of the points, where it is not as it was."""
    space, default = definition.search_space, definition.every_default()
    for name in sorted({*space, *(each for trial in trials for each in trial.params)}):
        values = [trial.params[name] for trial in trials if name in trial.params]
        if name not in space:
            fixed = (
                f", so it is {show(definition.settings[name])} in all of them" if name in definition.settings else ""
            )
            yield f"{name}: not searched here{fixed}"
        elif not values:
            yield f"{name}: not searched there, so it is {show(default[name])} in all of them"
        elif moved := [value for value in values if not space[name].contains(value)]:
            to = ", ".join(f"{show(value)} -> {show(_moved(space[name], value, default[name]))}" for value in moved)
            yield f"{name}: moved into its range: {to}"


def _evenly(trials: Sequence[FrozenTrial], most: int) -> list[FrozenTrial]:
    if len(trials) <= most:
        return list(trials)
    return [trials[round(place * (len(trials) - 1) / (most - 1))] for place in range(most)]
