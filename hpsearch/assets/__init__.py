"""Small files that ship with hpsearch, found by name."""

from __future__ import annotations

from pathlib import Path

from hpsearch.errors import UsageError

PREFIX = "asset:"
_ROOT = Path(__file__).parent
_DATA_SUFFIXES = {".parquet", ".safetensors"}


def asset_path(name: str) -> Path:
    """The file or folder that ``asset:NAME`` means, such as asset:FOLDER/MODEL; the prefix may be left out.

    Raises:
        UsageError: nothing of that name ships with hpsearch.
    """
    wanted = name.removeprefix(PREFIX)
    if wanted not in known_assets():
        raise UsageError(
            f"asset:NAME must name something that ships with hpsearch, but {wanted!r} does not",
            f"use one of: {', '.join(known_assets())}",
        )
    return _ROOT / wanted


def known_assets() -> list[str]:
    """Names of the shipped folders that hold a model or data."""
    folders = {path.parent for path in _ROOT.rglob("*") if path.suffix in _DATA_SUFFIXES}
    return sorted(folder.relative_to(_ROOT).as_posix() for folder in folders)
