"""Being asked to stop: the first signal asks for an orderly end, the second for one at once."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable
from types import FrameType, TracebackType
from typing import Any

STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Interruption:
    """Catches the stop signals while its ``with`` block lasts; outside the main thread it catches nothing."""

    def __init__(self) -> None:
        self.count = 0
        self.signal: signal.Signals | None = None
        # Called at each signal, in its handler: ends the wait that the signal came in.
        self.wake: Callable[[], None] = lambda: None
        self._former: dict[signal.Signals, Any] = {}

    @property
    def requested(self) -> bool:
        """Whether an end was asked for."""
        return self.count > 0

    @property
    def at_once(self) -> bool:
        """Whether an end was asked for twice."""
        return self.count > 1

    @property
    def exit_code(self) -> int:
        """128 + the signal, as shells have it: 130 for Ctrl-C."""
        return 128 + (self.signal or 0)

    def __enter__(self) -> Interruption:
        """Start catching."""
        if threading.current_thread() is threading.main_thread():
            wanted = [number for number in STOP_SIGNALS if not _is_nohup(number)]
            self._former = {number: signal.signal(number, self._catch) for number in wanted}
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Give the signals back to whoever had them."""
        for number, handler in self._former.items():
            signal.signal(number, handler)

    def _catch(self, number: int, frame: FrameType | None) -> None:
        self.count += 1
        self.signal = self.signal or signal.Signals(number)
        self.wake()


def _is_nohup(number: signal.Signals) -> bool:
    """Whether the user said, with nohup, that the run is to outlive its terminal."""
    return number is signal.SIGHUP and signal.getsignal(number) is signal.SIG_IGN
