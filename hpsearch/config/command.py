"""The command line of one's own program: its placeholders, and filling them. Never a shell."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from hpsearch.config.names import is_parameter_name
from hpsearch.config.problems import SHOWN_PROBLEMS, Problem, nearest_names, show

if TYPE_CHECKING:
    from hpsearch.config.parameters import Parameter

RESERVED = ("seed", "output_dir", "checkpoint_dir", "trial", "study")

_PART = re.compile(r"\{\{|\}\}|\{([^{}]*)\}|[{}]")


def placeholders(command: Sequence[str]) -> set[str]:
    """Names of the placeholders in a command."""
    return {match[1] for argument in command for match in _PART.finditer(argument) if match[1] is not None}


def command_problems(command: Sequence[str], known: Iterable[str]) -> list[Problem]:
    """Single braces, and placeholders that are neither ``known`` nor reserved; no more than anybody would read."""
    names = sorted({*known, *RESERVED})
    found: list[Problem] = []
    for index, argument in enumerate(command):
        for part, name in dict.fromkeys((match[0], match[1]) for match in _PART.finditer(argument)):
            if part in ("{", "}"):
                rule = f"a brace in a command opens or closes a placeholder, but {show(argument)} has a single one"
                found.append(Problem(("command", index), rule, "double it: {{ or }}"))
            elif name is not None and name not in names:
                rule = f"{show(part)} in the command is neither searched nor fixed"
                remedy = nearest_names(name, names, ' (fixed values stand in "settings"; {{ and }} are braces)')
                found.append(Problem(("command", index), rule, remedy))
            if len(found) > SHOWN_PROBLEMS:
                return found
    return found


def name_problems(names: Iterable[str], path: tuple[str, ...]) -> list[Problem]:
    """Names below ``path`` that no placeholder can have."""
    found = []
    for name in names:
        if not is_parameter_name(name):
            rule = f"a name in a command is letters, digits, '_' and '-', but is {show(name)}"
            found.append(Problem((*path, name), rule, "rename it"))
        elif name in RESERVED and not (name == "seed" and path == ("search_space",)):
            remedy = 'write "seed" beside "command"' if name == "seed" else "rename it"
            found.append(Problem((*path, name), f"{show(name)} is filled in by hpsearch itself", remedy))
    return found


def memory_problems(names: Iterable[str], space: Mapping[str, Parameter], searched: Iterable[str]) -> Iterable[Problem]:
    """Names in memory_grows_with that are not ``searched``, or whose values cannot be compared."""
    for index, name in enumerate(names):
        path, rule = ("memory_grows_with", index), "memory_grows_with names searched settings, but {} is none"
        if name not in searched:
            yield Problem(path, rule.format(show(name)), nearest_names(name, space))
        elif name in space and any(
            isinstance(value, str) for value in (*space[name].extremes(), space[name].otherwise)
        ):
            rule = "memory_grows_with names numbers, or true and false, but {} has texts"
            yield Problem(path, rule.format(show(name)), "delete it, and what depends on it from the search space")


def fill(command: Sequence[str], values: Mapping[str, Any]) -> tuple[str, ...]:
    """The command with its placeholders filled: the same number of arguments, whatever the values hold."""
    return tuple(_PART.sub(lambda match: _filled(match, values), argument) for argument in command)


def _filled(match: re.Match[str], values: Mapping[str, Any]) -> str:
    if match[1] is not None:
        return as_argument(values[match[1]])
    return match[0][0]


def as_argument(value: Any) -> str:
    """A value as one argument: a text as it is, anything else as JSON (0.0001, true, null)."""
    return value if isinstance(value, str) else json.dumps(value)
