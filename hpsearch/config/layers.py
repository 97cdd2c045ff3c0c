"""Laying definitions over each other: file, search space, options, --set. A later layer wins, key by key.

A later layer may fix what an earlier one searches, or search what it fixes. Of two names of one thing (max_steps and
num_train_epochs, for example) the later layer's wins too. Within one layer, none of this may be in doubt.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hpsearch.config.command import placeholders
from hpsearch.config.fields import STUDY_KEYS
from hpsearch.config.json import parse_json
from hpsearch.config.names import resolved
from hpsearch.config.parse import KNOWN_KEYS, OBJECT_KEYS, double_keys
from hpsearch.config.problems import (
    InvalidDefinition,
    JsonPath,
    Origin,
    Origins,
    Problem,
    did_you_mean,
    nearest_names,
    show,
)
from hpsearch.config.setting_rules import DECIDED_BY, together_problems
from hpsearch.errors import UsageError
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
class MergedLayers:
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


# Reading --set KEY=VALUE.

# Another type of pruner reads other numbers, another metric has a direction of its own: the earlier ones are dropped.
_BEGIN_ANEW = {("pruner", "type"), ("objective", "metric")}


@dataclass(frozen=True)
class _Assignment:
    text: str
    path: tuple[str, ...]
    value: Any

    @property
    def origin(self) -> Origin:
        return Origin(f"--set {self.text}", is_file=False)


def set_layer(texts: Sequence[str], earlier: Mapping[str, Any]) -> Layer:
    """The layer that --set options make over ``earlier`` values.

    ``KEY`` is a setting (with a command: a name of its own settings) or a key of the definition; ``search_space.NAME``,
    ``pruner.NAME``, ``objective.NAME`` and ``settings.NAME`` change one entry of an object, ``search_space.NAME.FIELD``
    one field of a range. ``VALUE`` is JSON, or else a text.

    Raises:
        UsageError: not KEY=VALUE, an unknown key, or one key twice.
    """
    assignments = sorted((_read(text, earlier) for text in texts), key=lambda each: each.path not in _BEGIN_ANEW)
    _refuse_overlaps(assignments)
    values: dict[str, Any] = {}
    origins: dict[JsonPath, Origin] = {}
    for each in assignments:
        if len(each.path) == 1:
            values[each.path[0]] = each.value
        else:
            _assign_inside(values, each, earlier)
        origins[each.path] = each.origin
    patches = any(each.path[0] == "search_space" and len(each.path) > 1 for each in assignments)
    return Layer(values, origins, space_is_patch=patches)


def known_settings(texts: Sequence[str], allowed: Collection[str]) -> dict[str, Any]:
    """The settings that --set options give a command which takes those ``allowed``.

    Raises:
        UsageError: one names something else.
    """
    values = dict(set_layer(texts, {}).values)
    for key in values:
        if key not in allowed:
            few = f", which are {', '.join(sorted(allowed))}" if len(allowed) < 20 else ""
            what = f"--set gives settings that this command has a use for{few}, but not {show(key)}"
            raise UsageError(what, "leave it out")
    return values


def _read(text: str, earlier: Mapping[str, Any]) -> _Assignment:
    key, separator, raw = text.partition("=")
    path = tuple(key.strip().split("."))
    if not separator or not all(path):
        raise UsageError(f"--set takes KEY=VALUE, but is {show(text)}", "write for example --set lora_r=32")
    if len(path) > (3 if path[0] == "search_space" else 2 if path[0] in OBJECT_KEYS else 1):
        raise UsageError(
            f"--set {show(text)}: nothing lies that deep", "write for example --set search_space.lora_r.low=8"
        )
    if earlier.get("command") is not None and path[0] not in OBJECT_KEYS | STUDY_KEYS:
        _refuse_mistyped(path[0], earlier)
        path = ("settings", path[0])
    if path[0] not in KNOWN_KEYS:
        raise UsageError(f"--set: {show(path[0])} is not a known key", nearest_names(path[0], KNOWN_KEYS))
    return _Assignment(text, path, _value(text, raw))


def _refuse_mistyped(name: str, earlier: Mapping[str, Any]) -> None:
    """Refuse a name that a program does not take and that is like a key of the definition."""
    command = earlier["command"] if isinstance(earlier["command"], (list, tuple)) else ()
    words = [word for word in command if isinstance(word, str)]
    own = {*placeholders(words), *_object(earlier.get("settings")), *_object(earlier.get("search_space"))}
    meant = did_you_mean(name, STUDY_KEYS)
    if name not in own and meant:
        remedy = f"{meant} A setting that only your program knows: --set settings.{name}=..."
        raise UsageError(f"--set: {show(name)} is neither a definition's key nor a placeholder of the command", remedy)


def _value(text: str, raw: str) -> Any:
    try:
        return parse_json(raw, Origin(f"--set {text}", is_file=False))
    except json.JSONDecodeError:
        return raw


def _refuse_overlaps(assignments: Sequence[_Assignment]) -> None:
    for index, one in enumerate(assignments):
        for other in assignments[index + 1 :]:
            length = min(len(one.path), len(other.path))
            if one.path[:length] == other.path[:length] or _same_setting(one.path, other.path):
                shorter = one.path if len(one.path) == length else other.path
                rule = f"a key is set once, but --set {show(one.text)} and --set {show(other.text)} both set"
                raise UsageError(f"{rule} {show('.'.join(shorter))}", "delete one of them")


def _same_setting(one: tuple[str, ...], other: tuple[str, ...]) -> bool:
    """Whether one fixes and the other searches the same setting."""
    if one[0] in ("settings", "search_space") and other[0] in ("settings", "search_space"):
        return len(one) > 1 and len(other) > 1 and one[1] == other[1]
    (short, long) = sorted((one, other), key=len)
    return long[:2] == ("search_space", short[0]) and len(short) == 1 and short[0] != "seed"


def _assign_inside(values: dict[str, Any], each: _Assignment, earlier: Mapping[str, Any]) -> None:
    root, name = each.path[0], each.path[1]
    if root not in values:
        values[root] = {} if each.path in _BEGIN_ANEW else _start(root, earlier)
    target = values[root]
    if len(each.path) == 2:
        target[name] = each.value
        return
    if name not in target:
        known = _object(_object(earlier.get(root)).get(name))
        if not known:
            raise UsageError(
                f"--set {show(each.text)}: {show(name)} is not searched",
                f"give its range: --set search_space.{name}={{...}}",
            )
        target[name] = known
    target[name][each.path[2]] = each.value


def _start(root: str, earlier: Mapping[str, Any]) -> dict[str, Any]:
    """What an assignment inside an object begins with: the whole earlier object where it is replaced as one."""
    given = earlier.get(root)
    if root == "pruner" and isinstance(given, str):
        return {"type": given}
    return _object(given) if root in ("pruner", "objective") else {}


def _object(value: Any) -> dict[str, Any]:
    return dict(value) if isinstance(value, Mapping) else {}
