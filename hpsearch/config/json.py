"""Reading users' JSON strictly: values that a lenient reader would change or drop silently are errors with their
places. And the comparison of such values."""

from __future__ import annotations

import json
import math
import stat
from dataclasses import replace
from pathlib import Path
from typing import Any

from hpsearch.config.problems import InvalidDefinition, JsonPath, Origin, Problem, show
from hpsearch.errors import UsageError

MAX_FILE_BYTES = 1024 * 1024
MAX_DEPTH = 32
MAX_VALUES = 1000  # each may break a rule, which takes a millisecond to report; the largest file that ships has 59
MAX_INTEGER_DIGITS = 309  # a longer one is beyond the range of a float


class _NotStandard:
    """Takes the place of a number that strict JSON or a float cannot hold."""

    def __init__(self, text: str) -> None:
        self.text = text


class _Repeated(dict[str, Any]):
    """An object with repeated keys."""

    def __init__(self, pairs: list[tuple[str, Any]]) -> None:
        super().__init__(pairs)
        seen: set[str] = set()
        self.repeated = sorted({key for key, _ in pairs if key in seen or seen.add(key)})  # type: ignore[func-returns-value]


def load_json(path: Path) -> dict[str, Any]:
    """Read a file that holds one JSON object.

    Raises:
        UsageError: the file cannot be read, is over 1 MB, is not UTF-8 or has a byte order mark, is not JSON, holds
            NaN or an infinity, a key twice, more than 32 levels or 1,000 values, or something else than an object.
    """
    value = parse_json(_read(path), Origin(str(path)))
    if not isinstance(value, dict):
        kind = _KINDS.get(type(value), "null")
        raise _error(Origin(str(path)), f"a definition is one JSON object, but the file holds {kind}", "write {...}")
    return value


def parse_json(text: str, origin: Origin) -> Any:
    """Read JSON text strictly; problems are reported with ``origin`` and a JSON pointer.

    Raises:
        UsageError: as for ``load_json``.
        json.JSONDecodeError: the text is not JSON at all, and ``origin`` is not a file.
    """
    try:
        value = json.loads(
            text,
            parse_constant=_NotStandard,
            parse_float=lambda text: value if math.isfinite(value := float(text)) else _NotStandard(text),
            parse_int=lambda text: int(text) if len(text) < MAX_INTEGER_DIGITS else _NotStandard(text),
            object_pairs_hook=lambda pairs: members if len(members := dict(pairs)) == len(pairs) else _Repeated(pairs),
        )
    except RecursionError:
        raise _error(origin, f"JSON may be nested {MAX_DEPTH} deep, this is deeper", "flatten it") from None
    except json.JSONDecodeError as error:
        if not origin.is_file:
            raise
        what = f"not JSON: {error.msg} at line {error.lineno}, column {error.colno}"
        raise _error(origin, what, "correct the file there") from None
    if _count(value, MAX_DEPTH) > MAX_VALUES:
        raise _error(origin, f"a definition has at most {MAX_VALUES} values, this has more", "shorten it")
    problems = list(_problems(value, ()))
    if problems:
        raise InvalidDefinition([replace(problem, where=origin.at(problem.path)) for problem in problems])
    return value


def _read(path: Path) -> str:
    try:
        status = path.stat()
        if not stat.S_ISREG(status.st_mode):
            raise UsageError(f"a definition is a file, but {path} is not", "name a JSON file")
        with path.open("rb") as file:
            raw = file.read(MAX_FILE_BYTES + 1)
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else str(error)
        raise UsageError(f"cannot read {path}: {reason}", "name a JSON file that you can read") from None
    if len(raw) > MAX_FILE_BYTES:
        raise UsageError(f"a definition has at most {MAX_FILE_BYTES} bytes, {path} has more", "name the right file")
    if raw.startswith((b"\xef\xbb\xbf", b"\xff\xfe", b"\xfe\xff")):
        raise UsageError(f"JSON has no byte order mark, but {path} begins with one", "save it as UTF-8 without BOM")
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError as error:
        raise UsageError(f"JSON is UTF-8, but {path} is not (at byte {error.start})", "save it as UTF-8") from None


def _count(value: Any, levels: int) -> int:
    """Count the values in a number of levels."""
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return 1 + (sum(_count(item, levels - 1) for item in inner) if levels else 0)


def _problems(value: Any, path: JsonPath) -> list[Problem]:
    if len(path) > MAX_DEPTH:
        return [Problem(path, f"JSON may be nested {MAX_DEPTH} deep, this is deeper", "flatten it")]
    if isinstance(value, _NotStandard):
        return [Problem(path, f"numbers must be finite, but this is {show(value.text)}", "write a finite number")]
    if isinstance(value, str):
        return _text_problems(value, path)
    problems: list[Problem] = []
    if isinstance(value, _Repeated):
        rule = "a key is given once in an object, but {} is given twice"
        problems += [Problem((*path, key), rule.format(show(key)), "delete one of them") for key in value.repeated]
    if isinstance(value, dict):
        for key in value:
            problems += _text_problems(key, path)
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, item in inner:
        problems += _problems(item, (*path, key))
    return problems


def _text_problems(text: str, path: JsonPath) -> list[Problem]:
    if "\0" in text:
        return [Problem(path, "texts have no NUL character, but this one has", "delete it")]
    if any("\ud800" <= character <= "\udfff" for character in text):
        return [Problem(path, f"texts are Unicode, but {show(text)} holds half a surrogate pair", "delete it")]
    return []


def _error(origin: Origin, rule: str, remedy: str) -> InvalidDefinition:
    """Make the error of a whole document."""
    return InvalidDefinition([Problem((), rule, remedy, origin.source)])


_KINDS: dict[type, str] = {list: "a list", str: "a text", bool: "true or false", int: "a number", float: "a number"}


def canonical(value: Any) -> Any:
    """Return a value in a form in which only equal values are equal: 1.0 as 1, true marked as no number."""
    if isinstance(value, bool):
        return ["bool", value]
    if isinstance(value, float) and value.is_integer():
        return int(value)
    return value


def is_number(value: Any) -> bool:
    """Return whether ``value`` is a number; true and false are not."""
    return isinstance(value, (int, float)) and not isinstance(value, bool)
