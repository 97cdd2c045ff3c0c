"""How long a call of a storage may take: a silent server ends it, and so does the user who waits for the run's end."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field

# Seconds of a server's silence until its connection is given up, and until the user gets a message.
SILENT_S, SAY_S = 15.0, 5.0
# Seconds that a call may still take once the user has asked for the end: once, and again.
_AFTER_STOPS_S = (3.0, 1.0)
NO_ANSWER = "the server does not answer"


@dataclass(frozen=True)
class Patience:
    """How long a run waits for its storage. ``outage_s``: how long a server may stay away. ``stops`` counts the user's
    requests to end; ``say`` gets messages of waits in the thread that made this object. What other threads wait for
    is cut short by ``hurry`` alone."""

    outage_s: float = 0.0
    stops: Callable[[], int] = lambda: 0
    say: Callable[[str], None] = lambda text: None
    _hurried: threading.Event = field(default_factory=threading.Event)
    _ended: threading.Event = field(default_factory=threading.Event)
    _owner: int = field(default_factory=threading.get_ident)

    def hurry(self) -> None:
        """Cut short every wait, of every thread."""
        self._hurried.set()

    def end(self) -> None:
        """Wait for nothing from here on, not even to say goodbye to the server."""
        self._ended.set()

    @property
    def is_ended(self) -> bool:
        """True once nothing is waited for."""
        return self._ended.is_set()

    def requests(self) -> int:
        """Return the number of requests to end that concern the calling thread."""
        hurried = self._hurried.is_set()
        return max(self.stops(), hurried) if hurried or self.is_own_thread else 0

    @property
    def is_own_thread(self) -> bool:
        """True in the thread that made this object."""
        return threading.get_ident() == self._owner


class Wait:
    """One call under way, of ``seconds`` at most without a sign of life. ``text`` is said of one that takes long."""

    def __init__(self, patience: Patience, seconds: float, text: str = "") -> None:
        self._patience, self._seconds, self._text = patience, seconds, text
        self._began = time.monotonic()
        self._stopped_at: float | None = None

    def renew(self) -> None:
        """Count from now on: there was a sign of life."""
        self._began = time.monotonic()

    @property
    def is_over(self) -> bool:
        """True once nothing is waited for any more. To be asked about once a second, or more often."""
        if self._patience.is_ended:
            return True
        now, requests = time.monotonic(), self._patience.requests()
        if self._text and now - self._began >= SAY_S and self._patience.is_own_thread:
            self._patience.say(self._text)
            self._text = ""
        if requests:
            self._stopped_at = self._stopped_at or now
            return now - self._stopped_at >= _AFTER_STOPS_S[min(requests, 2) - 1]
        return now - self._began >= self._seconds
