"""What a job shows of itself while it works, about once a second."""

from __future__ import annotations

import time
from typing import Any

from hpsearch import sdk

INTERVAL_S = 1.0
TEXT_CHARACTERS = 200  # of a sample's texts


class ProgressReporter:
    """Gathers what there is to show, and sends it when the last time is long enough ago or the phase changes."""

    def __init__(self, phase: str) -> None:
        self._values: dict[str, Any] = {}
        self._sent_at = 0.0
        self.phase(phase)

    def phase(self, name: str, **values: Any) -> None:
        """Begin a phase of the work: shown at once."""
        self._sent_at = 0.0
        self.show(phase=name, **values)

    def show(self, **values: Any) -> None:
        """Add to what is shown. Texts are cut."""
        self._values |= {
            name: value[:TEXT_CHARACTERS] if isinstance(value, str) else value for name, value in values.items()
        }
        now = time.monotonic()
        if now - self._sent_at >= INTERVAL_S:
            self._sent_at = now
            sdk.progress(**self._values)
