"""The command line of one's own program: its placeholders, and filling them. Never a shell."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from hpsearch.definitions.problems import Problem, nearest_names, show

RESERVED = ("seed", "output_dir", "trial", "study")

_PART = re.compile(r"\{\{|\}\}|\{([^{}]*)\}|[{}]")


def placeholders(command: Sequence[str]) -> set[str]:
    """Names of the placeholders in a command."""
    return {match[1] for argument in command for match in _PART.finditer(argument) if match[1] is not None}


def command_problems(command: Sequence[str], known: Iterable[str]) -> list[Problem]:
    """Single braces, and placeholders that are neither ``known`` nor reserved."""
    names = sorted({*known, *RESERVED})
    found: list[Problem] = []
    for index, argument in enumerate(command):
        for match in _PART.finditer(argument):
            if match[0] in ("{", "}"):
                rule = f"a brace in a command opens or closes a placeholder, but {show(argument)} has a single one"
                found.append(Problem(("command", index), rule, "double it: {{ or }}"))
            elif match[1] is not None and match[1] not in names:
                rule = f"{show(match[0])} in the command is neither searched nor fixed"
                remedy = nearest_names(match[1], names, ' (fixed values stand in "settings"; {{ and }} are braces)')
                found.append(Problem(("command", index), rule, remedy))
    return found


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
