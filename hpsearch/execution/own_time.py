"""A clock by which one process judges others."""

from __future__ import annotations

import threading
import time


class OwnTime:
    """A clock that counts only while this process reads it: what passes between two readings counts as ``most_s``
    seconds at most. Where the whole machine was suspended or stalled, nobody else is to blame for the silence."""

    def __init__(self, most_s: float) -> None:
        self._most_s = most_s
        self._read, self._passed = time.monotonic(), 0.0
        self._lock = threading.Lock()

    def now(self) -> float:
        """Return the seconds that count so far."""
        with self._lock:
            before, self._read = self._read, time.monotonic()
            self._passed += min(self._read - before, self._most_s)
            return self._passed
