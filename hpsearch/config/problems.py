"""The problems of a definition: each with its place, rule, values and remedy; all of them are reported at once."""

from __future__ import annotations

import difflib
import json
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from pydantic import ValidationError

from hpsearch.errors import UsageError

JsonPath = tuple[str | int, ...]  # keys and indexes from a document's root, the parts of a JSON pointer

_SHOWN_CHARACTERS = 80
SHOWN_PROBLEMS = 100  # in a message
_KINDS = {"number": "a number", "integer": "a whole number", "string": "a text", "boolean": "true or false"}

# Pydantic's words, and those of people who write JSON.
_WORDS: dict[str, str | Callable[[re.Match[str]], str]] = {
    r"^\w+ should ": "must ",
    r"a valid (number|integer|string|boolean)": lambda match: _KINDS[match[1]],
    r"a valid (tuple|list)": "a list",
    r"a valid (dictionary|mapping).*": "an object",
    r" after validation, not \d+": "",
    r"greater than or equal to": ">=",
    r"less than or equal to": "<=",
    r"greater than": ">",
    r"less than": "<",
    r"'": '"',
}


@dataclass(frozen=True)
class Origin:
    """The place of a value: a file and the path in it, or an option (whose path is empty)."""

    source: str
    path: JsonPath = ()
    is_file: bool = True

    def at(self, rest: JsonPath) -> str:
        """Return the place of ``rest`` below this origin, for people: FILE#/json/pointer, or the option."""
        place = pointer((*self.path, *rest))
        text = f"{self.source}#{place}" if self.is_file or place else self.source
        return "".join(sign if sign.isprintable() else sign.encode("unicode_escape").decode() for sign in text)


@dataclass(frozen=True)
class Problem:
    """One broken rule. ``path`` is its place in the definition; ``where`` the same for people, once it is known."""

    path: JsonPath
    rule: str  # the rule and the values
    remedy: str
    where: str = ""

    def __str__(self) -> str:
        place = f" ({self.where})" if self.where else ""
        return f"{self.rule}{place}; {self.remedy}"


class BrokenRules(ValueError):
    """Raised by a model's validator: broken rules between its fields."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        super().__init__("; ".join(problem.rule for problem in problems))
        self.problems = tuple(problems)


class InvalidDefinition(UsageError):
    """A definition that breaks rules; ``problems`` holds every one of them."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        self.problems = tuple(problems)
        if len(self.problems) == 1:
            only = self.problems[0]
            super().__init__(f"{only.rule} ({only.where})" if only.where else only.rule, only.remedy)
        else:
            lines = "".join(f"\n  - {problem}" for problem in self.problems[:SHOWN_PROBLEMS])
            more = len(self.problems) - SHOWN_PROBLEMS
            lines += f"\n  and {more} more" if more > 0 else ""
            super().__init__(f"the definition breaks {len(self.problems)} rules:{lines}")


class Origins:
    """The origins of the parts of a merged definition; the longest known path decides."""

    def __init__(self, default: Origin) -> None:
        self._default = default
        self._known: dict[JsonPath, Origin] = {}

    def set(self, path: JsonPath, origin: Origin) -> None:
        """Record that ``path`` and all below it was given at ``origin``."""
        for known in [known for known in self._known if known[: len(path)] == path]:
            del self._known[known]
        self._known[path] = origin

    def find(self, path: JsonPath) -> str:
        """Return the place of ``path`` for people."""
        for length in range(len(path), 0, -1):
            origin = self._known.get(path[:length])
            if origin is not None:
                return origin.at(path[length:])
        return self._default.at(path)

    def locate(self, problems: Iterable[Problem]) -> list[Problem]:
        """Fill in the places of problems."""
        return [replace(problem, where=problem.where or self.find(problem.path)) for problem in problems]


def pointer(path: JsonPath) -> str:
    """Write a path as a JSON pointer (RFC 6901)."""
    return "".join("/" + str(part).replace("~", "~0").replace("/", "~1") for part in path)


def show(value: Any) -> str:
    """Write a value as JSON, short enough for one line and without control characters."""
    try:
        text = json.dumps(value, ensure_ascii=False)
        text = text if text.isprintable() else json.dumps(value)
    except (TypeError, ValueError):
        text = repr(value)
    return text if len(text) <= _SHOWN_CHARACTERS else text[: _SHOWN_CHARACTERS - 3] + "..."


def nearest_names(name: str, known: Iterable[str], hint: str = "") -> str:
    """Return the remedy for an unknown name: the known ones like it, or all of them."""
    names = sorted(known)
    return (did_you_mean(name, names) or "known: " + ", ".join(names)) + hint


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """Ask for the known names that are like an unknown one; empty where none is."""
    names = sorted(known)
    near = (
        difflib.get_close_matches(name, names, n=2, cutoff=0.6)
        or [other for other in names if name and name in other][:2]
    )
    return "did you mean " + " or ".join(map(show, near)) + "?" if near else ""


def from_pydantic(
    error: ValidationError,
    path: JsonPath = (),
    *,
    known: Callable[[JsonPath], Iterable[str]],
    expected: Callable[[JsonPath], str] = lambda _: "",
) -> list[Problem]:
    """Convert a pydantic error to problems below ``path``.

    ``known`` returns the names that the object at a place may have; ``expected`` the remedy of a wrong value there.
    """
    return [problem for details in error.errors() for problem in _read(details, path, known, expected)]


def _read(
    details: Mapping[str, Any],
    path: JsonPath,
    known: Callable[[JsonPath], Iterable[str]],
    expected: Callable[[JsonPath], str],
) -> list[Problem]:
    place = (*path, *details["loc"])
    context = details.get("ctx", {})
    broken = context.get("error")
    if isinstance(broken, BrokenRules):
        return [Problem((*place, *problem.path), problem.rule, problem.remedy) for problem in broken.problems]
    names = [str(part) for part in place if not isinstance(part, int)]
    name = show(names[-1]) if names else "the value"
    if len(names) > 1 and names[-2] not in ("search_space", "settings"):
        name = f"{name} of {show(names[-2])}"
    if details["type"] == "extra_forbidden":
        return [Problem(place, f"{name} is not a known key", nearest_names(str(place[-1]), known(place[:-1])))]
    if details["type"] == "missing":
        return [Problem(place[:-1], f"{name} is missing", f"add {show(place[-1])}")]
    wanted = details["msg"]
    for pattern, words in _WORDS.items():
        wanted = re.sub(pattern, words, wanted)
    remedy = expected(place)
    if not remedy:
        value = wanted.removeprefix("must be ")
        remedy = f"write {'a value ' if value[0] in '<>' else ''}{value}" if value != wanted else "correct it"
    return [Problem(place, f"{name} {wanted}, but is {show(details['input'])}", remedy)]
