"""Importing the libraries quickly: without what this machine cannot use anyway, and without looking for garbage."""

from __future__ import annotations

import gc
import importlib.util
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.machinery import ModuleSpec


@contextmanager
def without(*hidden: str) -> Iterator[None]:
    """Let installed packages look missing to whatever is imported meanwhile."""
    find = importlib.util.find_spec

    def find_others(name: str, package: str | None = None) -> ModuleSpec | None:
        return None if name.partition(".")[0] in wanted else find(name, package)

    wanted = [name for name in hidden if name not in sys.modules]  # for the others it is too late, and harmless
    sys.modules |= dict.fromkeys(wanted)  # type: ignore[arg-type]  # None is what makes an import statement fail
    importlib.util.find_spec = find_others
    try:
        yield
    finally:
        importlib.util.find_spec = find
        for name in wanted:
            del sys.modules[name]


@contextmanager
def importing() -> Iterator[None]:
    """Look for no garbage meanwhile, and never again among what is there at the end.

    Imports leave hundreds of thousands of objects and none to collect: looking among them took a sixth of the imports'
    time, and then a third of a second whenever memory is given back.
    """
    gc.disable()
    try:
        yield
    finally:
        if not gc.get_freeze_count():
            gc.freeze()
        gc.enable()
