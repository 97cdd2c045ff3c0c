"""Reading --set KEY=VALUE."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from hpsearch.config.command import placeholders
from hpsearch.config.fields import STUDY_KEYS
from hpsearch.config.json import parse_json
from hpsearch.config.layers import Layer
from hpsearch.config.parse import KNOWN_KEYS, OBJECT_KEYS
from hpsearch.config.problems import JsonPath, Origin, did_you_mean, nearest_names, show
from hpsearch.errors import UsageError

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
