"""The progress that a job shows while it works, about once a second."""

from __future__ import annotations

import time
from typing import Any

from hpsearch import sdk

INTERVAL_S = 1.0
TEXT_CHARACTERS = 200  # of a sample's texts


class ProgressReporter:
    """Gathers values to show, and sends them about once a second and when the phase changes."""

    def __init__(self, phase: str) -> None:
        self._values: dict[str, Any] = {}
        self._sent_at = 0.0
        self.phase(phase)

    def phase(self, name: str, **values: Any) -> None:
        """Begin a phase of the work, and show it at once."""
        self._sent_at = 0.0
        self.show(phase=name, **values)

    def show(self, **values: Any) -> None:
        """Add values. Texts are cut."""
        self._values |= {
            name: value[:TEXT_CHARACTERS] if isinstance(value, str) else value for name, value in values.items()
        }
        now = time.monotonic()
        if now - self._sent_at >= INTERVAL_S:
            self._sent_at = now
            sdk.progress(**self._values)
