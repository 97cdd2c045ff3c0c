"""Laying definitions over each other: file, search space, options, --set. A later layer wins, key by key.

A later layer may fix what an earlier one searches, or search what it fixes. Of two names of one thing (max_steps and
num_train_epochs, for example) the later layer's wins too. Within one layer, none of this may be in doubt.
"""

from __future__ import annotations

from collections.abc import Mapping
from copy import deepcopy
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hpsearch.config.parse import OBJECT_KEYS, double_keys
from hpsearch.config.paths import resolved
from hpsearch.config.problems import InvalidDefinition, JsonPath, Origin, Origins, Problem
from hpsearch.config.setting_rules import DECIDED_BY, together_problems
from hpsearch.settings import setting_names

_PARTNERS = DECIDED_BY | {second: first for first, second in DECIDED_BY.items()}
# Two names of one thing that may stand together where they agree; "auto" goes by the other.
_SEARCH = {"sampler": "search_mode", "search_mode": "sampler"}


@dataclass(frozen=True)
class Layer:
    """Values of one source. ``origins`` says where each was given; ``space_is_patch`` that its search space changes
    single ranges (null takes one away) where another layer's replaces all of them; ``base`` is the folder that relative
    paths are relative to."""

    values: dict[str, Any]
    origins: Mapping[JsonPath, Origin]
    base: Path = Path()
    space_is_patch: bool = False


@dataclass
class Merged:
    """What the layers so far add up to."""

    values: dict[str, Any] = field(default_factory=dict)
    origins: Origins = field(default_factory=lambda: Origins(Origin("definition")))

    def add(self, layer: Layer) -> None:
        """Lay one more layer over the others.

        Raises:
            InvalidDefinition: the layer both fixes and searches a key, or gives two names of one thing.
        """
        _check(layer)
        has_command = (layer.values.get("command") or self.values.get("command")) is not None
        values = layer.values if has_command else resolved(layer.values, layer.base)
        for name in _SEARCH.keys() & values.keys():
            if _SEARCH[name] not in values and values[name] != "auto":
                self.values.pop(_SEARCH[name], None)
        for name, value in values.items():
            if name == "search_space":
                self._add_space(value, layer.space_is_patch)
            elif name == "settings" and isinstance(value, Mapping) and isinstance(self.values.get(name, {}), Mapping):
                self._add_own_settings(value)
            else:
                self._forget(name, value)
                self.values[name] = deepcopy(value)
        for path, origin in layer.origins.items():
            self.origins.set(path, origin)

    def _add_space(self, space: Any, is_patch: bool) -> None:
        if not isinstance(space, Mapping):
            self.values["search_space"] = space
            return
        for name, value in space.items():
            if is_patch and value is None:
                continue
            self._forget(name, value)
            self._forget_fixed(name)
        earlier = self.values.get("search_space")
        kept = dict(earlier) if is_patch and isinstance(earlier, Mapping) else {}
        changed = deepcopy({**kept, **space})
        self.values["search_space"] = {n: v for n, v in changed.items() if v is not None} if is_patch else changed

    def _add_own_settings(self, settings: Mapping[str, Any]) -> None:
        for name in settings:
            self._forget_searched(name)
        self.values["settings"] = {**self.values.get("settings", {}), **deepcopy(dict(settings))}

    def _forget(self, name: str, value: Any) -> None:
        """Drop what earlier layers say of a key that is now given, under either of its names."""
        if name not in setting_names() or name == "seed":
            return
        self._forget_searched(name)
        partner = _PARTNERS.get(name)
        if partner is not None and value is not None:
            self._forget_searched(partner)
            self._forget_fixed(partner)

    def _forget_searched(self, name: str) -> None:
        space = self.values.get("search_space")
        if isinstance(space, Mapping) and name in space:
            self.values["search_space"] = {each: value for each, value in space.items() if each != name}

    def _forget_fixed(self, name: str) -> None:
        if name != "seed":
            self.values.pop(name, None)
        own = self.values.get("settings")
        if isinstance(own, Mapping) and name in own:
            self.values["settings"] = {each: value for each, value in own.items() if each != name}


def file_layer(values: Mapping[str, Any], path: Path) -> Layer:
    """A definition's file as a layer."""
    return Layer(dict(values), origins_of(values, Origin(str(path))), path.parent)


def origins_of(values: Mapping[str, Any], origin: Origin) -> dict[JsonPath, Origin]:
    """The origin of each key, and of each key of its objects, where all stand in one document."""
    found: dict[JsonPath, Origin] = {}
    for name, value in values.items():
        found[(name,)] = Origin(origin.source, (*origin.path, name), origin.is_file)
        if name in OBJECT_KEYS and isinstance(value, Mapping):
            for inner in value:
                found[(name, inner)] = Origin(origin.source, (*origin.path, name, inner), origin.is_file)
    return found


def _check(layer: Layer) -> None:
    space = layer.values.get("search_space")
    searched = {name for name, value in space.items() if value is not None} if isinstance(space, Mapping) else set()
    fixed = {name: value for name, value in layer.values.items() if name in setting_names()}
    problems: list[Problem] = double_keys(layer.values)
    problems += [each for each in together_problems(fixed, searched) if each.path[-1] in DECIDED_BY.values()]
    if problems:
        origins = Origins(Origin("definition"))
        for path, origin in layer.origins.items():
            origins.set(path, origin)
        raise InvalidDefinition(origins.locate(problems))
