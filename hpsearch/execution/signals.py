"""Stop signals: the first asks for an orderly end, the second for one at once.

SIGUSR1 is among them: a scheduler sends it as its warning some time before it takes the machine away (Slurm's
``--signal=B:USR1@120``).
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable
from types import FrameType, TracebackType
from typing import Any

from hpsearch.errors import Interrupted

STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1)


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
        """True once a stop signal came."""
        return self.count > 0

    @property
    def at_once(self) -> bool:
        """True once a second stop signal came."""
        return self.count > 1

    @property
    def exit_code(self) -> int:
        """128 + the signal's number, as in shells: 130 for Ctrl-C."""
        return 128 + (self.signal or 0)

    def check(self) -> None:
        """Do nothing until a stop signal came.

        Raises:
            Interrupted: one did.
        """
        if self.requested:
            raise Interrupted(self.exit_code)

    def __enter__(self) -> Interruption:
        """Install the handlers; SIGHUP stays ignored where nohup asked for that."""
        if threading.current_thread() is threading.main_thread():
            nohup = signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
            caught = [number for number in STOP_SIGNALS if not (nohup and number is signal.SIGHUP)]
            self._former = {number: signal.signal(number, self._catch) for number in caught}
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Restore the former handlers."""
        for number, handler in self._former.items():
            signal.signal(number, handler)

    def _catch(self, number: int, frame: FrameType | None) -> None:
        self.count += 1
        self.signal = self.signal or signal.Signals(number)
        self.wake()
