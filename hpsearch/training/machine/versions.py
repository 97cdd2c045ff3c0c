"""Versions of what decides a result, read without importing any of it."""

from __future__ import annotations

import platform
from importlib.metadata import PackageNotFoundError, version

LIBRARIES = (
    *("torch", "transformers", "trl", "peft", "accelerate", "datasets", "tokenizers", "bitsandbytes", "pillow"),
    *("unsloth", "unsloth_zoo", "triton", "xformers"),
)


def library_versions() -> dict[str, str]:
    """The installed versions by library, and Python's."""
    found = {"python": platform.python_version()}
    for name in LIBRARIES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found
