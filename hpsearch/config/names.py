"""Names that become folders, placeholders or variables, and the relative paths in definitions."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from hpsearch.assets import PREFIX
from hpsearch.config.problems import show
from hpsearch.data.places import HUB, hub_id, may_be_hub_id
from hpsearch.errors import UsageError

_STUDY = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")
_DATABASE, _COMPARISON = "hpsearch.db", "comparison"  # beside the studies' folders
# What tells names of one series apart: a number, or a version such as -v2, -8 or -b at the end.
_SERIES = re.compile(r"([-_.][A-Za-z]?[0-9]*|v?[0-9]+)+$")
_MISTYPED = 2  # letters
PARAMETER_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_-]{0,127}")  # of one's own program: it becomes a placeholder
VARIABLE_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,255}")  # of an environment variable


def check_study_name(name: str) -> str:
    """Return the name, if a study may have it: it names a folder, and storages and reports show it.

    Raises:
        UsageError: it is not 1 to 128 letters, digits, ``.``, ``_`` and ``-``, beginning with a letter or digit, or
            it holds ``..``.
    """
    if _is_taken(name):
        raise UsageError(f"hpsearch keeps files of its own under the name {name}", "choose another name for the study")
    if not is_study_name(name):
        raise UsageError(
            "a study's name is 1 to 128 letters, digits, '.', '_' and '-', begins with a letter or digit "
            f"and holds no '..', but is {show(name)}",
            "choose such a name, for example gemma-ocr_2",
        )
    return name


def is_study_name(name: str) -> bool:
    """Return whether a study of ours may have this name."""
    return isinstance(name, str) and _STUDY.fullmatch(name) is not None and ".." not in name and not _is_taken(name)


def mistaken_for(name: str, known: Iterable[str]) -> list[str]:
    """Return the ``known`` names that differ from ``name`` by at most two letters, the nearest first.

    Digits, and a version at the end, make names of their own: gemma-ocr2 and gemma-ocr-v2 beside gemma-ocr.
    """
    from rapidfuzz.distance import Levenshtein

    letters, near = _letters(name), []
    for other in known:
        theirs = _letters(other)
        distance = Levenshtein.distance(letters.lower(), theirs.lower(), score_cutoff=_MISTYPED)
        if letters != theirs and distance <= _MISTYPED and distance < len(letters):
            near.append((distance, other))
    return [other for _, other in sorted(near)]


def _letters(name: str) -> str:
    """Return a name without what tells those of one series apart."""
    return re.sub("[0-9]", "", _SERIES.sub("", name))


def _is_taken(name: str) -> bool:
    return name == _COMPARISON or name.startswith(_DATABASE)  # and the files beside the database


def resolved(values: Mapping[str, Any], base: Path) -> dict[str, Any]:
    """Make the relative paths in flat values absolute, from the folder they were written in."""
    given = {name: values[name] for name in _RESOLVERS if isinstance(values.get(name), str)}
    return {**values, **{name: _RESOLVERS[name](text, base) for name, text in given.items()}}


def _data_path(text: str, base: Path) -> str:
    """Resolve a name of data: one on the Hub where it says so, or can be nothing else; then it is marked as such."""
    try:
        name = hub_id(text) or (text if may_be_hub_id(text, base) else None)
    except UsageError:
        return text  # refused with its place, where settings are checked
    return _folder_path(text, base) if name is None else HUB + name


def _folder_path(text: str, base: Path) -> str:
    return text if _is_absolute(text) else _joined(base, text)


def _model_path(text: str, base: Path) -> str:
    """Resolve a model name: a path where it begins like one, or where such a folder exists; else a name on the Hub."""
    if _is_absolute(text):
        return text
    try:
        is_path = text.startswith(("./", "../")) or (base / text).is_dir()
    except (OSError, ValueError):  # a name that no file can have
        is_path = False
    return _joined(base, text) if is_path else text


def _program_path(text: str, base: Path) -> str:
    """Resolve a program: a path where it has a slash, else a name on PATH. Links are kept: an environment's Python is
    one."""
    return str((base / Path(text).expanduser()).absolute()) if "/" in text else text


def _joined(base: Path, text: str) -> str:
    try:
        return str((base / text).resolve())
    except (OSError, ValueError, RuntimeError):  # a loop of links, or a name that no file can have
        return str((base / text).absolute())


def _is_absolute(text: str) -> bool:
    return not text or text.startswith((PREFIX, "~")) or Path(text).is_absolute()


_RESOLVERS: dict[str, Callable[[str, Path], str]] = {
    "input_data": _data_path,
    "image_root": _folder_path,
    "model_name": _model_path,
    "trainer_python": _program_path,
}
