"""Importing the libraries without what this machine cannot use anyway."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.machinery import ModuleSpec


@contextmanager
def without(hidden: str) -> Iterator[None]:
    """Let an installed package look missing to whatever is imported meanwhile.

    peft imports bitsandbytes wherever it is installed, and that pulls in torch's compiler: a fifth of the time a trial
    takes to start, on a machine without CUDA, where bitsandbytes has nothing to offer.
    """
    find = importlib.util.find_spec

    def find_others(name: str, package: str | None = None) -> ModuleSpec | None:
        return None if name.partition(".")[0] == hidden else find(name, package)

    if hidden in sys.modules:  # too late, and harmless
        yield
        return
    sys.modules[hidden] = None  # type: ignore[assignment]  # what makes an import statement fail
    importlib.util.find_spec = find_others
    try:
        yield
    finally:
        importlib.util.find_spec = find
        del sys.modules[hidden]
