"""The command line of one's own program, and its placeholders. It never passes through a shell."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from hpsearch.config.names import PARAMETER_NAME
from hpsearch.config.parameters import Parameter
from hpsearch.config.problems import SHOWN_PROBLEMS, Problem, nearest_names, show

RESERVED = ("seed", "output_dir", "checkpoint_dir", "trial", "study")

_PART = re.compile(r"\{\{|\}\}|\{([^{}]*)\}|[{}]")


def placeholders(command: Sequence[str]) -> set[str]:
    """Return the names of the placeholders in a command."""
    return {match[1] for argument in command for match in _PART.finditer(argument) if match[1] is not None}


def command_problems(command: Sequence[str], known: Iterable[str]) -> list[Problem]:
    """Find single braces, and placeholders that are neither ``known`` nor reserved; no more than a message shows."""
    names = sorted({*known, *RESERVED})
    problems: list[Problem] = []
    for index, argument in enumerate(command):
        for part, name in dict.fromkeys((match[0], match[1]) for match in _PART.finditer(argument)):
            if part in ("{", "}"):
                rule = f"a brace in a command opens or closes a placeholder, but {show(argument)} has a single one"
                problems.append(Problem(("command", index), rule, "double it: {{ or }}"))
            elif name is not None and name not in names:
                rule = f"{show(part)} in the command is neither searched nor fixed"
                remedy = nearest_names(name, names, ' (fixed values are in "settings"; {{ and }} are braces)')
                problems.append(Problem(("command", index), rule, remedy))
            if len(problems) > SHOWN_PROBLEMS:
                return problems
    return problems


def name_problems(names: Iterable[str], path: tuple[str, ...]) -> list[Problem]:
    """Find names below ``path`` that no placeholder can have."""
    problems = []
    for name in names:
        if not PARAMETER_NAME.fullmatch(name):
            rule = f"a name in a command is letters, digits, '_' and '-', but is {show(name)}"
            problems.append(Problem((*path, name), rule, "rename it"))
        elif name in RESERVED and not (name == "seed" and path == ("search_space",)):
            remedy = 'write "seed" beside "command"' if name == "seed" else "rename it"
            problems.append(Problem((*path, name), f"{show(name)} is filled in by hpsearch itself", remedy))
    return problems


def memory_problems(names: Iterable[str], space: Mapping[str, Parameter], searched: Iterable[str]) -> Iterable[Problem]:
    """Find names in memory_grows_with that are not ``searched``, or whose values cannot be compared."""
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
    """Fill the placeholders of a command: a text as it is, anything else as JSON (0.0001, true, null). The number of
    arguments stays the same, whatever the values are."""

    def filled(match: re.Match[str]) -> str:
        if match[1] is None:
            return match[0][0]
        value = values[match[1]]
        return value if isinstance(value, str) else json.dumps(value)

    return tuple(_PART.sub(filled, argument) for argument in command)
