"""Validating definitions and search spaces without running anything: every error of every file."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hpsearch.config.advice import advice
from hpsearch.config.conditions import condition_problems
from hpsearch.config.definition import StudyDefinition
from hpsearch.config.json import load_json
from hpsearch.config.layers import Layer, MergedLayers
from hpsearch.config.load import best_config_values, file_layers, is_bare_space, space_layer
from hpsearch.config.parse import default_space, examine, parse_space, unknown_setting
from hpsearch.config.problems import InvalidDefinition, Origin, Origins, Problem, show
from hpsearch.config.setting_rules import defaults, searched_problems
from hpsearch.errors import UsageError
from hpsearch.settings import setting_names


@dataclass(frozen=True)
class FileFinding:
    """A finding about a file: an error, with its place, or a warning."""

    file: str
    text: str
    is_error: bool

    def __str__(self) -> str:
        return f"{self.file}: {'error' if self.is_error else 'warning'}: {self.text}"


def validate_files(paths: Iterable[Path]) -> list[FileFinding]:
    """Return the findings about definitions and search spaces; nothing is raised, run or written."""
    return [finding for path in paths for finding in _validate(path)]


def _validate(path: Path) -> list[FileFinding]:
    try:
        values = load_json(path)
        errors, warnings = _space(path) if is_bare_space(values) else _definition(path)
    except InvalidDefinition as error:
        errors, warnings = list(error.problems), []
    except UsageError as error:
        return [FileFinding(str(path), str(error), is_error=True)]
    findings = [FileFinding(str(path), str(problem), is_error=True) for problem in errors]
    return findings + [FileFinding(str(path), text, is_error=False) for text in warnings]


def _definition(path: Path) -> tuple[list[Problem], list[str]]:
    layers = file_layers(path)
    values = _merged(layers)
    origins = _origins(path, layers)
    if "search_space" not in values and (values.get("command") is not None or not default_space(values)):
        # for `hpsearch train`, such as a best config
        return origins.locate(examine(best_config_values(values), searching=False).problems), []
    problems = origins.locate(examine(values).problems)
    if problems:
        return problems, []
    definition = StudyDefinition.from_flat(values, origins=origins)
    ruled_out = [name for name in values.get("search_space", ()) if name not in definition.search_space]
    why = 'is never searched: what its "when" asks for is fixed to something else; search that, or delete the range'
    return [], [*(f"{show(name)} {why}" for name in ruled_out), *advice(definition)]


def _merged(layers: list[Layer]) -> dict[str, Any]:
    """Merge the layers; where one breaks rules by itself, return all their values, so that every error is found."""
    merged = MergedLayers()
    try:
        for layer in layers:
            merged.add(layer)
    except InvalidDefinition:
        return {name: value for layer in layers for name, value in layer.values.items()}
    return merged.values


def _space(path: Path) -> tuple[list[Problem], list[str]]:
    """Check a bare search space: its names are the built-in training's, or else a command's."""
    layer = space_layer(path)
    space, problems = parse_space(layer.values["search_space"])
    warnings = []
    for name, parameter in space.items():
        if name in setting_names():
            problems += searched_problems(name, parameter)
        else:
            unknown = unknown_setting(name)
            warnings.append(f"{unknown.rule}, so this space is for a command; {unknown.remedy}")
    fixed = defaults() if set(space) <= setting_names() else None
    problems += condition_problems(space, fixed)
    return _origins(path, [layer]).locate(problems), warnings


def _origins(path: Path, layers: list[Layer]) -> Origins:
    origins = Origins(Origin(str(path)))
    for layer in layers:
        for place, origin in layer.origins.items():
            origins.set(place, origin)
    return origins
