"""Keeping known noise of the libraries out of a trial's log, so that what is left there means something."""

from __future__ import annotations

import warnings

# Each with the library whose own code gives it; none is about what a user can change.
_KNOWN_WARNINGS = (
    (r"`label_smoothing_factor` is deprecated", FutureWarning),  # in trl 2, which the ranges of hpsearch leave out
    (r"`is_gradient_checkpointing` is deprecated", FutureWarning),  # peft asks transformers by the old name
    (r"`torch\.jit\.script_method` is deprecated", DeprecationWarning),  # torch's own modules, at import
    (r"`torch\.jit\.script` is deprecated", DeprecationWarning),
)


def ignore_known_warnings() -> None:
    """Ignore the libraries' warnings about themselves."""
    for message, category in _KNOWN_WARNINGS:
        warnings.filterwarnings("ignore", message=message, category=category)


def hide_bars() -> None:
    """Switch off transformers' progress bars: the job shows its progress itself."""
    from transformers.utils.logging import disable_progress_bar

    disable_progress_bar()
