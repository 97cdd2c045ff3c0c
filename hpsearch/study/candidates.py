"""What `hpsearch confirm` runs again: the best configurations of a study, and the study of their fresh runs."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from statistics import mean
from typing import Any

from optuna.trial import FrozenTrial

from hpsearch.config.definition import StudyDefinition
from hpsearch.config.fields import PrunerSettings
from hpsearch.config.json import is_number
from hpsearch.config.layers import set_layer
from hpsearch.config.parameters import Categorical, IntRange
from hpsearch.config.problems import show
from hpsearch.config.space import point_key
from hpsearch.errors import UsageError
from hpsearch.study.race import INDIFFERENCE, Race
from hpsearch.study.records import best_first, rank
from hpsearch.study.sampling.planner import derive_seed

SUFFIX = "-confirm"  # of the name of a study's fresh runs
TOP, SEEDS = 3, 3


@dataclass(frozen=True)
class Candidate:
    """A configuration to be confirmed: ``params`` of the searched study's ``trial``, with the values ``changed`` by
    --set."""

    trial: int
    params: Mapping[str, Any]
    changed: Mapping[str, Any]

    @property
    def label(self) -> str:
        """The configuration as people read it."""
        return candidate_label(self.trial, self.changed)


def candidate_label(trial: int, changed: Mapping[str, Any]) -> str:
    """Return a configuration as people read it: trial 7, or trial 7 with lora_r=64."""
    values = ", ".join(f"{name}={value}" for name, value in changed.items())
    return f"trial {trial}" + (f" with {values}" if values else "")


@dataclass(frozen=True)
class ConfirmPlan:
    """The plan of a study's fresh runs. ``before``: the searched study's number of trials when the candidates were
    chosen; ``sets``: texts of --set."""

    study: str
    candidates: tuple[Candidate, ...]
    seeds: tuple[int, ...]
    before: int
    sets: tuple[str, ...] = ()
    top: int = TOP
    indifference: float = INDIFFERENCE

    @property
    def name(self) -> str:
        """Name of the study of the fresh runs."""
        return f"{self.study}{SUFFIX}"

    def race(self, direction: str) -> Race:
        """Return the race of the candidates."""
        return Race(self.seeds, direction, self.indifference)

    def to_json(self) -> dict[str, Any]:
        """Return it as it is stored with the study of the fresh runs."""
        return asdict(self)

    @staticmethod
    def from_json(values: Mapping[str, Any]) -> ConfirmPlan:
        """Read what ``to_json`` wrote."""
        candidates = tuple(Candidate(**candidate) for candidate in values["candidates"])
        lists = {name: tuple(values[name]) for name in ("seeds", "sets")}
        return ConfirmPlan(**{**values, "candidates": candidates, **lists})


def fresh_seeds(definition: StudyDefinition, count: int) -> tuple[int, ...]:
    """Derive seeds that no trial of the search has, the same for all candidates."""
    return tuple(derive_seed(definition.seed, "confirm", number) for number in range(count))


def best_configurations(
    trials: Sequence[FrozenTrial], definition: StudyDefinition, top: int
) -> list[tuple[int, dict[str, Any]]]:
    """Return number and parameters of the best completed configurations, best first. Trials that differ in their seed
    alone are one configuration with the mean of their values; the number is the best one's."""
    direction = definition.objective.direction
    runs: defaultdict[str, list[FrozenTrial]] = defaultdict(list)
    for trial in best_first(trials, direction):
        runs[point_key(_without_seed(trial.params))].append(trial)
    ranked = sorted(runs.values(), key=lambda own: rank(mean(trial.value or 0.0 for trial in own), direction))
    return [(own[0].number, _without_seed(own[0].params)) for own in ranked[:top]]


def _without_seed(params: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in params.items() if name != "seed"}


def choose_candidates(
    trials: Sequence[FrozenTrial], definition: StudyDefinition, fresh: StudyDefinition, sets: Sequence[str], top: int
) -> tuple[Candidate, ...]:
    """Return the best configurations, and beside each the same with the values of ``sets``. ``fresh`` is the definition
    of the fresh runs."""
    changed = set_values(definition, sets)
    chosen: dict[str, Candidate] = {}
    for number, params in best_configurations(trials, definition, top):
        for changes in ({}, changed) if changed else ({},):
            fixed = {name: _fixed(definition, name) for name in changed if name not in definition.search_space}
            point = fresh.point_of({**fixed, **params, **changes})
            chosen.setdefault(point_key(point), Candidate(number, point, changes))
    return tuple(chosen.values())


def set_values(definition: StudyDefinition, sets: Sequence[str]) -> dict[str, Any]:
    """Return the values of settings that --set options give.

    Raises:
        UsageError: one is not KEY=VALUE, or names something else than a setting of the study's trials.
    """
    values = set_layer(sets, definition.flat()).values
    if definition.command is not None:
        own, others = values.get("settings", {}), {name for name in values if name != "settings"}
    else:
        own, others = values, set()
    known = {*definition.settings, *definition.search_space} - {"seed"}
    for name in (*others, *own):
        if name in others or name not in known:
            what = f"confirm --set names a setting of the study's trials, but {show(name)} is none"
            raise UsageError(what, "write for example --set lora_r=64")
    return dict(own)


def fresh_definition(definition: StudyDefinition, sets: Sequence[str]) -> StudyDefinition:
    """Return the definition of the fresh runs: that of the search, without a pruner and its order of trials; ranges
    hold the values of ``sets`` too.

    Raises:
        UsageError: such a value may not be.
    """
    changed, found = set_values(definition, sets), definition
    if changed or "seed" in definition.search_space:
        flat = definition.flat()
        space = {name: dict(range_) for name, range_ in flat["search_space"].items() if name != "seed"}
        for name, value in changed.items():
            space[name] = _wider(definition, name, value)
        fixed = {name: value for name, value in flat.items() if name not in changed} | {"search_space": space}
        if definition.command is not None:
            fixed["settings"] = {name: value for name, value in flat["settings"].items() if name not in changed}
        fixed |= {"search_mode": "random", "sampler": "auto", "try_first": []}
        found = StudyDefinition.from_flat(fixed, source="confirm --set")
    plain: dict[str, Any] = {"search_mode": "random", "sampler": "auto", "try_first": (), "n_trials": None}
    return found.model_copy(update={**plain, "pruner": PrunerSettings.model_validate("none")})


def _wider(definition: StudyDefinition, name: str, value: Any) -> dict[str, Any]:
    """Return the range of a setting with ``value`` in it; one that is fixed is a choice of two."""
    parameter = definition.search_space.get(name)
    if parameter is None:
        if (fixed := _fixed(definition, name)) is None:
            what = f"confirm --set changes a setting that has a value, but {show(name)} is left open"
            raise UsageError(what, "set another one")
        return {"type": "categorical", "choices": list(dict.fromkeys([fixed, value])), "default": fixed}
    keys: dict[str, Any] = definition.flat()["search_space"][name]
    if parameter.contains(value):
        return keys
    if isinstance(parameter, Categorical):
        return keys | {"choices": [*keys["choices"], value]}
    if not is_number(value):
        raise UsageError(f"{show(name)} is a number, but --set gives {show(value)}", "give a number")
    step = {"step": 1} if isinstance(parameter, IntRange) else {}
    return keys | {"low": min(keys["low"], value), "high": max(keys["high"], value)} | step


def _fixed(definition: StudyDefinition, name: str) -> Any:
    return definition.settings.get(name)
