"""Layers of a definition: file, search space, options, --set. A later layer wins, key by key.

A later layer may fix a setting that an earlier one searches, or search one that it fixes. Of two names of one thing
(max_steps and num_train_epochs, for example) the later layer's wins too. Within one layer, nothing may be given twice.
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
    did_you_mean,
    nearest_names,
    show,
)
from hpsearch.config.setting_rules import DECIDED_BY, together_problems
from hpsearch.errors import UsageError
from hpsearch.settings import setting_names

_PARTNERS = DECIDED_BY | {second: first for first, second in DECIDED_BY.items()}
# Two names of one thing that may be given together where they agree; "auto" goes by the other.
_SEARCH = {"sampler": "search_mode", "search_mode": "sampler"}
# Another type of pruner reads other numbers, another metric has a direction of its own: the earlier ones are dropped.
_STARTS_OVER = {("pruner", "type"), ("objective", "metric")}


@dataclass(frozen=True)
class Layer:
    """Values of one source. ``origins`` has the place of each; with ``space_is_patch`` its search space changes single
    ranges (null removes one) and does not replace all of them; ``base`` is the folder to which its paths are
    relative."""

    values: dict[str, Any]
    origins: Mapping[JsonPath, Origin]
    base: Path = Path()
    space_is_patch: bool = False


def file_layer(values: Mapping[str, Any], path: Path) -> Layer:
    """Make a layer of a definition's file."""
    return Layer(dict(values), origins_of(values, Origin(str(path))), path.parent)


def origins_of(values: Mapping[str, Any], origin: Origin) -> dict[JsonPath, Origin]:
    """Return the origin of each key, and of each key of its objects, of one document."""
    origins: dict[JsonPath, Origin] = {}
    for name, value in values.items():
        origins[(name,)] = Origin(origin.source, (*origin.path, name), origin.is_file)
        if name in OBJECT_KEYS and isinstance(value, Mapping):
            for inner in value:
                origins[(name, inner)] = Origin(origin.source, (*origin.path, name, inner), origin.is_file)
    return origins


@dataclass
class MergedLayers:
    """The values of the layers so far."""

    values: dict[str, Any] = field(default_factory=dict)
    origins: Origins = field(default_factory=lambda: Origins(Origin("definition")))

    def add(self, layer: Layer) -> None:
        """Lay one more layer over the others.

        Raises:
            InvalidDefinition: the layer both fixes and searches a key, or gives two names of one thing.
        """
        _refuse_doubles(layer)
        has_command = (layer.values.get("command") or self.values.get("command")) is not None
        values = layer.values if has_command else resolved(layer.values, layer.base)
        for name in _SEARCH.keys() & values.keys():
            if _SEARCH[name] not in values and values[name] != "auto":
                self.values.pop(_SEARCH[name], None)
        for name, value in values.items():
            if name == "search_space":
                self._add_space(value, layer.space_is_patch)
            elif name == "settings" and isinstance(value, Mapping) and isinstance(self.values.get(name, {}), Mapping):
                for own in value:
                    self._remove("search_space", own)
                self.values[name] = {**self.values.get(name, {}), **deepcopy(dict(value))}
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
            if not (is_patch and value is None):
                self._forget(name, value)
                self._forget_fixed(name)
        earlier = self.values.get("search_space")
        kept = dict(earlier) if is_patch and isinstance(earlier, Mapping) else {}
        changed = deepcopy({**kept, **space})
        self.values["search_space"] = {n: v for n, v in changed.items() if v is not None} if is_patch else changed

    def _forget(self, name: str, value: Any) -> None:
        """Drop earlier values and ranges of a key that is now given, under either of its names."""
        if name not in setting_names() or name == "seed":
            return
        self._remove("search_space", name)
        partner = _PARTNERS.get(name)
        if partner is not None and value is not None:
            self._remove("search_space", partner)
            self._forget_fixed(partner)

    def _forget_fixed(self, name: str) -> None:
        if name != "seed":
            self.values.pop(name, None)
        self._remove("settings", name)

    def _remove(self, key: str, name: str) -> None:
        """Remove an entry of an object; layers are not changed by it."""
        entries = self.values.get(key)
        if isinstance(entries, Mapping) and name in entries:
            self.values[key] = {other: value for other, value in entries.items() if other != name}


def _refuse_doubles(layer: Layer) -> None:
    space = layer.values.get("search_space")
    searched = {name for name, value in space.items() if value is not None} if isinstance(space, Mapping) else set()
    fixed = {name: value for name, value in layer.values.items() if name in setting_names()}
    together = together_problems(fixed, searched)
    problems = [
        *double_keys(layer.values),
        *(problem for problem in together if problem.path[-1] in DECIDED_BY.values()),
    ]
    if problems:
        origins = Origins(Origin("definition"))
        for path, origin in layer.origins.items():
            origins.set(path, origin)
        raise InvalidDefinition(origins.locate(problems))


def known_settings(texts: Sequence[str], allowed: Collection[str]) -> dict[str, Any]:
    """Return the settings that --set options give to a command that takes those ``allowed``.

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


@dataclass(frozen=True)
class _Assignment:
    """One --set option."""

    text: str
    path: tuple[str, ...]
    value: Any

    @property
    def origin(self) -> Origin:
        return Origin(f"--set {self.text}", is_file=False)


def set_layer(texts: Sequence[str], earlier: Mapping[str, Any]) -> Layer:
    """Make the layer of the --set options over ``earlier`` values.

    ``KEY`` is a setting (with a command: a name of its own settings) or a key of the definition; ``search_space.NAME``,
    ``pruner.NAME``, ``objective.NAME`` and ``settings.NAME`` change one entry of an object, ``search_space.NAME.FIELD``
    one field of a range. ``VALUE`` is JSON, or else a text.

    Raises:
        UsageError: not KEY=VALUE, an unknown key, or one key twice.
    """
    read = (_read_assignment(text, earlier) for text in texts)
    assignments = sorted(read, key=lambda assignment: assignment.path not in _STARTS_OVER)
    _refuse_overlaps(assignments)
    values: dict[str, Any] = {}
    for assignment in assignments:
        if len(assignment.path) == 1:
            values[assignment.path[0]] = assignment.value
        else:
            _assign_inside(values, assignment, earlier)
    origins: dict[JsonPath, Origin] = {assignment.path: assignment.origin for assignment in assignments}
    patches = any(path[0] == "search_space" and len(path) > 1 for path in origins)
    return Layer(values, origins, space_is_patch=patches)


def _read_assignment(text: str, earlier: Mapping[str, Any]) -> _Assignment:
    key, separator, raw = text.partition("=")
    path = tuple(key.strip().split("."))
    if not separator or not all(path):
        raise UsageError(f"--set takes KEY=VALUE, but is {show(text)}", "write for example --set lora_r=32")
    if len(path) > (3 if path[0] == "search_space" else 2 if path[0] in OBJECT_KEYS else 1):
        raise UsageError(
            f"--set {show(text)}: there is no entry that deep", "write for example --set search_space.lora_r.low=8"
        )
    if earlier.get("command") is not None and path[0] not in OBJECT_KEYS | STUDY_KEYS:
        _refuse_mistyped(path[0], earlier)
        path = ("settings", path[0])
    if path[0] not in KNOWN_KEYS:
        raise UsageError(f"--set: {show(path[0])} is not a known key", nearest_names(path[0], KNOWN_KEYS))
    try:
        return _Assignment(text, path, parse_json(raw, Origin(f"--set {text}", is_file=False)))
    except json.JSONDecodeError:
        return _Assignment(text, path, raw)


def _refuse_mistyped(name: str, earlier: Mapping[str, Any]) -> None:
    """Refuse a name that a program does not take and that is like a key of the definition."""
    command = earlier["command"] if isinstance(earlier["command"], (list, tuple)) else ()
    words = [word for word in command if isinstance(word, str)]
    own = {*placeholders(words), *_object(earlier.get("settings")), *_object(earlier.get("search_space"))}
    meant = did_you_mean(name, STUDY_KEYS)
    if name not in own and meant:
        remedy = f"{meant} A setting that only your program knows: --set settings.{name}=..."
        raise UsageError(f"--set: {show(name)} is neither a definition's key nor a placeholder of the command", remedy)


def _refuse_overlaps(assignments: Sequence[_Assignment]) -> None:
    for index, first in enumerate(assignments):
        for second in assignments[index + 1 :]:
            length = min(len(first.path), len(second.path))
            if first.path[:length] == second.path[:length] or _same_setting(first.path, second.path):
                shorter = first.path if len(first.path) == length else second.path
                rule = f"a key is set once, but --set {show(first.text)} and --set {show(second.text)} both set"
                raise UsageError(f"{rule} {show('.'.join(shorter))}", "delete one of them")


def _same_setting(first: tuple[str, ...], second: tuple[str, ...]) -> bool:
    """Return whether one fixes and the other searches the same setting."""
    if first[0] in ("settings", "search_space") and second[0] in ("settings", "search_space"):
        return len(first) > 1 and len(second) > 1 and first[1] == second[1]
    short, long = sorted((first, second), key=len)
    return long[:2] == ("search_space", short[0]) and len(short) == 1 and short[0] != "seed"


def _assign_inside(values: dict[str, Any], assignment: _Assignment, earlier: Mapping[str, Any]) -> None:
    root, name, *inner = assignment.path
    if root not in values:
        values[root] = {}
        if root in ("pruner", "objective") and assignment.path not in _STARTS_OVER:  # replaced as a whole
            given = earlier.get(root)
            values[root] = {"type": given} if root == "pruner" and isinstance(given, str) else _object(given)
    target = values[root]
    if not inner:
        target[name] = assignment.value
        return
    if name not in target:
        target[name] = _object(_object(earlier.get(root)).get(name))
        if not target[name]:
            raise UsageError(
                f"--set {show(assignment.text)}: {show(name)} is not searched",
                f"give its range: --set search_space.{name}={{...}}",
            )
    target[name][inner[0]] = assignment.value


def _object(value: Any) -> dict[str, Any]:
    return dict(value) if isinstance(value, Mapping) else {}
