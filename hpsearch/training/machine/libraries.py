"""The libraries: importing them quickly, their versions, and their known noise in a trial's log."""

from __future__ import annotations

import gc
import importlib.util
import platform
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.machinery import ModuleSpec

from hpsearch.execution.versions import versions_of

# Libraries that decide a result.
LIBRARIES = (
    *("torch", "transformers", "trl", "peft", "accelerate", "datasets", "tokenizers", "bitsandbytes", "pillow"),
    *("unsloth", "unsloth_zoo", "triton", "xformers"),
)
# Warnings that a library's own code gives; none is about what a user can change.
_KNOWN_WARNINGS = (
    (r"`label_smoothing_factor` is deprecated", FutureWarning),  # in trl 2, which the ranges of hpsearch leave out
    (r"`is_gradient_checkpointing` is deprecated", FutureWarning),  # peft asks transformers by the old name
    (r"`torch\.jit\.script_method` is deprecated", DeprecationWarning),  # torch's own modules, at import
    (r"`torch\.jit\.script` is deprecated", DeprecationWarning),
)


@contextmanager
def without(*hidden: str) -> Iterator[None]:
    """Hide installed packages from all imports inside the context."""
    find = importlib.util.find_spec

    def find_others(name: str, package: str | None = None) -> ModuleSpec | None:
        return None if name.partition(".")[0] in names else find(name, package)

    names = [name for name in hidden if name not in sys.modules]  # for the others it is too late, and harmless
    sys.modules |= dict.fromkeys(names)  # type: ignore[arg-type]  # None is what makes an import statement fail
    importlib.util.find_spec = find_others
    try:
        yield
    finally:
        importlib.util.find_spec = find
        for name in names:
            del sys.modules[name]


@contextmanager
def importing() -> Iterator[None]:
    """Collect no garbage inside the context, and never again among the objects that exist at its end.

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


def ignore_known_warnings() -> None:
    """Ignore the libraries' warnings about themselves."""
    for message, category in _KNOWN_WARNINGS:
        warnings.filterwarnings("ignore", message=message, category=category)


def library_versions() -> dict[str, str]:
    """Return the installed versions by library, and Python's, without importing any library."""
    return {"python": platform.python_version(), **versions_of(LIBRARIES)}


def hide_bars() -> None:
    """Switch off transformers' progress bars: the job shows its progress itself."""
    from transformers.utils.logging import disable_progress_bar

    disable_progress_bar()
