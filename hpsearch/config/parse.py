"""From flat JSON to the parts of a definition, with every broken rule found at once."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from pydantic import BaseModel, ValidationError

from hpsearch.config.command import command_problems, memory_problems, name_problems
from hpsearch.config.conditions import condition_problems, settled, without_otherwise
from hpsearch.config.fields import STUDY_KEYS, Objective, PrunerSettings, StudyFields, metric_problem
from hpsearch.config.parameters import PARAMETER_TYPES, IntRange, LogUniform, Parameter
from hpsearch.config.problems import InvalidDefinition, JsonPath, Origins, Problem, from_pydantic, nearest_names, show
from hpsearch.config.setting_rules import (
    DECIDED_BY,
    GENERATED,
    complete,
    defaults,
    fixed_problems,
    searched_problems,
    together_problems,
)
from hpsearch.config.space import grid_size
from hpsearch.errors import UsageError
from hpsearch.settings import setting_names

SCHEMA_KEY = "$schema"  # for editors; has no effect here
OBJECT_KEYS = frozenset({"search_space", "settings", "objective", "pruner"})
KNOWN_KEYS = STUDY_KEYS | {"search_space", "settings"} | setting_names()

# The issue that describes the users' tool names this space; the study files say why.
DEFAULT_SPACE: dict[str, Parameter] = {
    "learning_rate": LogUniform(type="loguniform", low=1e-5, high=5e-4),
    "num_train_epochs": IntRange(type="int", low=2, high=5),
}
_RANGES_INSIDE = 'ranges belong inside "search_space"'


@dataclass
class Parsed:
    """The parts of a definition, and the rules that it breaks."""

    fields: StudyFields | None = None
    search_space: dict[str, Parameter] = field(default_factory=dict)
    settings: dict[str, Any] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)


def parse(values: Mapping[str, Any], origins: Origins, *, searching: bool = True) -> Parsed:
    """Read a flat definition.

    Raises:
        InvalidDefinition: it breaks rules; all of them are in the error.
    """
    parsed = examine(values, searching=searching)
    if parsed.problems:
        raise InvalidDefinition(origins.locate(parsed.problems))
    return parsed


def examine(values: Mapping[str, Any], *, searching: bool = True) -> Parsed:
    """Read a flat definition, and find every problem of it."""
    values = {name: value for name, value in values.items() if name != SCHEMA_KEY}
    parsed = Parsed()
    for name in (name for name in values if name not in KNOWN_KEYS):
        remedy = _RANGES_INSIDE if _looks_like_range(values[name]) else nearest_names(name, KNOWN_KEYS)
        parsed.problems.append(Problem((name,), f"{show(name)} is not a known key of a definition", remedy))
    _read_fields(values, parsed)
    if "search_space" in values:
        parsed.search_space, problems = parse_space(values["search_space"])
        parsed.problems += problems
    elif values.get("command") is None and searching:
        parsed.search_space = default_space(values)
    parsed.problems += double_keys(values)
    if values.get("command") is None:
        _read_settings(values, parsed)
        parsed.problems += _unsearchable_settings(values, parsed) if searching else []
    else:
        _read_command_settings(values, parsed)
    if searching and not parsed.search_space and not parsed.problems:
        rule = "a study searches at least one setting, but this one has none in search_space"
        remedy = "give the range of one, or run the fixed settings once with `hpsearch train`"
        if values.get("search_space"):
            rule = "a study searches at least one setting, but the fixed settings rule out every range of search_space"
            remedy = 'correct their "when", or what they depend on'
        parsed.problems.append(Problem(("search_space",), rule, remedy))
    if parsed.fields is not None:
        parsed.problems += _first_problems(parsed.fields.try_first or (), parsed.search_space)
        if parsed.fields.search_mode == "grid" and not parsed.problems:
            parsed.problems += _grid_problems(parsed.search_space)
    return parsed


def _looks_like_range(value: Any) -> bool:
    return isinstance(value, Mapping) and "type" in value


def _read_fields(values: Mapping[str, Any], parsed: Parsed) -> None:
    inner: dict[JsonPath, type[BaseModel]] = {("pruner",): PrunerSettings, ("objective",): Objective}
    try:
        parsed.fields = StudyFields.model_validate({name: values[name] for name in STUDY_KEYS if name in values})
    except ValidationError as error:
        parsed.problems += from_pydantic(error, known=lambda place: inner.get(place, StudyFields).model_fields)
        return
    problem = metric_problem(parsed.fields)
    parsed.problems += [problem] if problem else []


def parse_space(space: Any, path: tuple[str, ...] = ("search_space",)) -> tuple[dict[str, Parameter], list[Problem]]:
    """Read an object of ranges. Returns the valid ones, and the problems of the others."""
    if not isinstance(space, Mapping):
        rule = f"a search space is an object of ranges, but is {show(space)}"
        remedy = 'write {"learning_rate": {"type": "loguniform", "low": 1e-05, "high": 0.0005}}'
        return {}, [Problem(path, rule, remedy)]
    ranges: dict[str, Parameter] = {}
    problems: list[Problem] = []
    for name, value in space.items():
        parameter, broken = _read_parameter(name, value, (*path, name))
        problems += broken
        if parameter is not None:
            ranges[name] = parameter
    return ranges, problems


def _read_parameter(name: str, value: Any, path: tuple[str, ...]) -> tuple[Parameter | None, list[Problem]]:
    types = ", ".join(f'"{kind}"' for kind in PARAMETER_TYPES)
    if not isinstance(value, Mapping):
        rule = f"a range is an object with a type, but {show(name)} is {show(value)}"
        return None, [Problem(path, rule, f"write an object of type {types}, or move the value out of search_space")]
    if "type" not in value:
        return None, [Problem(path, f"{show(name)} must have a type, but has none", f"write one of {types}")]
    kind = value["type"]
    if not isinstance(kind, str) or kind not in PARAMETER_TYPES:
        rule = f"{show(name)} must have a type it may have, but is {show(kind)}"
        return None, [Problem((*path, "type"), rule, f"write one of {types}")]
    model = PARAMETER_TYPES[kind]
    try:
        return model.model_validate(dict(value)), []
    except ValidationError as error:
        problems = from_pydantic(error, path, known=lambda _: model.model_fields)
        return None, [
            Problem(problem.path, problem.rule.replace("{name}", show(name)), problem.remedy) for problem in problems
        ]


def default_space(values: Mapping[str, Any]) -> dict[str, Parameter]:
    """Return the default search space, without the settings that the definition fixes."""
    fixed = {name for name, value in values.items() if value is not None}
    fixed |= {second for first, second in DECIDED_BY.items() if first in fixed}
    return {name: parameter for name, parameter in DEFAULT_SPACE.items() if name not in fixed}


def double_keys(values: Mapping[str, Any]) -> list[Problem]:
    """Find the keys that one layer both fixes and searches."""
    space = values.get("search_space")
    own = values.get("settings")
    if not isinstance(space, Mapping):
        return []
    rule = "a setting is either fixed or searched, but {} is both"
    paths: list[tuple[str, ...]] = [(name,) for name in values if name in space and name != "seed"]
    paths += [("settings", name) for name in (own if isinstance(own, Mapping) else ()) if name in space]
    return [Problem(path, rule.format(show(path[-1])), 'delete it here or from "search_space"') for path in paths]


def _read_settings(values: Mapping[str, Any], parsed: Parsed) -> None:
    """Read the fixed settings of the built-in training."""
    fixed = {name: values[name] for name in values if name in setting_names() and name not in STUDY_KEYS}
    problems: list[Problem] = []
    if values.get("settings"):
        rule = '"settings" holds the fixed values of a "command", but there is none'
        remedy = 'write the settings of the built-in training beside "search_space"'
        problems.append(Problem(("settings",), rule, remedy))
    for problem in fixed_problems(fixed):
        is_range = _looks_like_range(fixed.get(str(problem.path[0])))
        problems.append(Problem(problem.path, problem.rule, _RANGES_INSIDE) if is_range else problem)
    for name, parameter in parsed.search_space.items():
        problems += searched_problems(name, parameter) if name in setting_names() else [unknown_setting(name)]
    problems += together_problems(fixed, parsed.search_space)
    own = {name: value for name, value in {**defaults(), **fixed}.items() if name != "seed"}  # each trial has its own
    parsed.problems += problems + condition_problems(parsed.search_space, own)
    if not parsed.problems:
        parsed.search_space, ruled_out = settled(parsed.search_space, own)
        parsed.settings = complete(fixed | ruled_out, parsed.search_space)


def unknown_setting(name: str) -> Problem:
    """Make the problem that a searched name is not a setting of the built-in training."""
    rule = f"{show(name)} is not a setting of the built-in training"
    return Problem(("search_space", name), rule, nearest_names(name, setting_names()))


def _unsearchable_settings(values: Mapping[str, Any], parsed: Parsed) -> Iterable[Problem]:
    """Find settings that suit one fine-tune, but not a study."""
    metric = parsed.fields.objective.metric if parsed.fields is not None else ""
    if metric in GENERATED and values.get("compute_cer_wer", True) is False:
        rule = f"the objective {show(metric)} is measured on generated text, but compute_cer_wer is false"
        yield Problem(("compute_cer_wer",), rule, 'delete it, or search for "eval_loss"')
    if values.get("resume_from_checkpoint") is not None:
        rule = '"resume_from_checkpoint" continues one fine-tune, but a study has many: each trial starts from scratch'
        yield Problem(("resume_from_checkpoint",), rule, "delete it; a study goes on with `hpsearch resume`")


def _read_command_settings(values: Mapping[str, Any], parsed: Parsed) -> None:
    """Read the fixed settings of a command."""
    settings = values.get("settings", {})
    if not isinstance(settings, Mapping):
        rule = f"settings is an object of fixed values, but is {show(settings)}"
        parsed.problems.append(Problem(("settings",), rule, 'write {"name": value}'))
        settings = {}
    for name in values:
        if name in setting_names() - STUDY_KEYS:
            rule = f"{show(name)} is a setting of the built-in training, which a command replaces"
            remedy = 'write it inside "settings" for your program, or delete it'
            parsed.problems.append(Problem((name,), rule, remedy))
    parsed.problems += name_problems(settings, ("settings",)) + name_problems(parsed.search_space, ("search_space",))
    for name, value in settings.items():
        if not isinstance(value, (str, int, float, bool, type(None))):
            rule = f"a fixed value is a text, a number, true, false or null, but {show(name)} is {show(value)}"
            parsed.problems.append(Problem(("settings", name), rule, "write one value, or a text that holds them"))
    if parsed.fields is not None and parsed.fields.command is not None:
        space = values.get("search_space")
        searched = space if isinstance(space, Mapping) else ()  # the broken ranges too: they are reported already
        parsed.problems += command_problems(parsed.fields.command, [*settings, *searched])
        parsed.problems += condition_problems(parsed.search_space, settings)
        parsed.problems += without_otherwise(parsed.search_space)
        ruled_out: dict[str, Any] = {}
        if not parsed.problems:
            parsed.search_space, ruled_out = settled(parsed.search_space, settings)
        left = [name for name in searched if name not in ruled_out]
        parsed.problems += memory_problems(parsed.fields.memory_grows_with, parsed.search_space, left)
        settings = {**settings, **ruled_out}
    parsed.settings = dict(settings)


def _first_problems(first: Iterable[Mapping[str, Any]], space: Mapping[str, Parameter]) -> Iterable[Problem]:
    """Check ``try_first``: its names must be searched, its values within their ranges."""
    for index, values in enumerate(first):
        for name, value in values.items():
            path = ("try_first", index, name)
            if name not in space:
                rule = "try_first gives values of searched settings, but {} is none"
                yield Problem(path, rule.format(show(name)), nearest_names(name, space))
            elif not space[name].contains(value):
                known = ", ".join(map(str, space[name].extremes()))
                rule = f"try_first gives values that may be tried, but {show(name)} is {show(value)}, not of {known}"
                yield Problem(path, rule, "move it there, or widen the range")


def _grid_problems(space: Mapping[str, Parameter]) -> list[Problem]:
    """Find ranges of which a grid cannot be made; else a grid of too many points."""
    problems = []
    for name, parameter in space.items():
        try:
            parameter.grid_values()
        except UsageError as error:
            problems.append(Problem(("search_space", name), f"{show(name)}: {error.what}", error.remedy))
    if not problems:
        try:
            grid_size(space)
        except UsageError as error:
            problems.append(Problem(("search_space",), error.what, error.remedy))
    return problems
