"""Where relative paths in definitions lead: from the file that has them, or from the working folder."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from hpsearch.assets import PREFIX
from hpsearch.data.places import HUB, hub_id, may_be_hub_id
from hpsearch.errors import UsageError


def resolved(values: Mapping[str, Any], base: Path) -> dict[str, Any]:
    """Flat values with their relative paths made absolute, from the folder they were written in."""
    given = {name: values[name] for name in _RESOLVERS if isinstance(values.get(name), str)}
    return {**values, **{name: _RESOLVERS[name](text, base) for name, text in given.items()}}


def _data_path(text: str, base: Path) -> str:
    """A name of data is one on the Hub where it says so, or can be nothing else; marked, so that nobody asks again."""
    try:
        name = hub_id(text) or (text if may_be_hub_id(text, base) else None)
    except UsageError:
        return text  # refused with its place, where settings are checked
    if name is not None:
        return HUB + name
    return _folder_path(text, base)


def _folder_path(text: str, base: Path) -> str:
    return text if _is_absolute(text) else _joined(base, text)


def _model_path(text: str, base: Path) -> str:
    """A model name is a path where it begins like one, or where such a folder exists; else a name on the Hub."""
    looks_like_one = text.startswith(("./", "../")) or _is_folder(base / text)
    return _joined(base, text) if looks_like_one and not _is_absolute(text) else text


def _program_path(text: str, base: Path) -> str:
    """A program is a path where it has a slash, else a name on PATH. Links are kept: an environment's Python is one."""
    return str((base / Path(text).expanduser()).absolute()) if "/" in text else text


def _joined(base: Path, text: str) -> str:
    try:
        return str((base / text).resolve())
    except (OSError, ValueError, RuntimeError):  # a loop of links, or a name that no file can have
        return str((base / text).absolute())


def _is_folder(path: Path) -> bool:
    try:
        return path.is_dir()
    except (OSError, ValueError):
        return False


def _is_absolute(text: str) -> bool:
    return not text or text.startswith((PREFIX, "~")) or Path(text).is_absolute()


_RESOLVERS: dict[str, Callable[[str, Path], str]] = {
    "input_data": _data_path,
    "image_root": _folder_path,
    "model_name": _model_path,
    "trainer_python": _program_path,
}
