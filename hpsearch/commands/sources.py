"""Data as commands are told of it: DATA, or DATA?KEY=VALUE&KEY=VALUE with settings that say how it is read."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path
from typing import Any

from hpsearch.config.layers import known_settings
from hpsearch.config.load import load_settings
from hpsearch.errors import UsageError

READING = frozenset(
    {"image_column", "text_column", "document_column", "image_root", "dataset_subset", "dataset_revision"}
)


def data_settings(text: str, more: dict[str, Any] | None = None, allowed: Collection[str] = READING) -> dict[str, Any]:
    """Settings of a study that name the data and say how it is read; ``more`` are further ones, and ``allowed`` those
    that may stand behind the question mark.

    Raises:
        UsageError: it is empty, or what stands behind the question mark is no such setting.
    """
    data, mark, behind = text.rpartition("?")
    if not mark or Path(text).exists():
        data, behind = text, ""
    if not data.strip():
        raise UsageError("--data must name rows, but is empty", "name a file, a folder or a dataset on the Hub")
    given = {"input_data": data, **known_settings([_pair(each, text) for each in behind.split("&") if each], allowed)}
    given |= more or {}
    settings = load_settings(options=given).settings
    return {name: settings[name] for name in given}


def _pair(part: str, text: str) -> str:
    if not part.partition("=")[0] or "=" not in part:
        raise UsageError(
            f"behind the question mark of {text!r} stand settings as KEY=VALUE, but {part!r} is none",
            f"write for example {text.rpartition('?')[0]}?text_column=reading",
        )
    return part
