"""Comparing what may not change under an existing study: ``StudyDefinition.identity`` of two definitions."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from hpsearch.config.values import canonical

_ABSENT = object()


def diff_identity(stored: Any, new: Any, name: str = "") -> list[str]:
    """One line for each difference: ``search_space.learning_rate.high: 0.0005 -> 0.001``."""
    if isinstance(stored, Mapping) and isinstance(new, Mapping):
        lines = []
        for key in sorted({*stored, *new}):
            inner = f"{name}.{key}" if name else str(key)
            lines += diff_identity(stored.get(key, _ABSENT), new.get(key, _ABSENT), inner)
        return lines
    return [] if _same(stored, new) else [f"{name}: {_shown(stored)} -> {_shown(new)}"]


def _same(one: Any, other: Any) -> bool:
    if isinstance(one, (list, tuple)) and isinstance(other, (list, tuple)):
        return len(one) == len(other) and all(map(_same, one, other))
    return bool(canonical(one) == canonical(other))


def _shown(value: Any) -> str:
    return "(not given)" if value is _ABSENT else json.dumps(value, ensure_ascii=False)
