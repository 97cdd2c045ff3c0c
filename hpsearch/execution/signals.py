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


class _Handlers:
    """Signal handlers that are in force while a ``with`` block lasts."""

    def __init__(self) -> None:
        self._former: dict[signal.Signals, Any] = {}

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Restore the former handlers."""
        for number, handler in self._former.items():
            signal.signal(number, handler)


class Unwinding(_Handlers):
    """Ends its ``with`` block at the first stop signal as Ctrl-C would, by a KeyboardInterrupt, so that what the block
    began is cleaned up. ``Interruption`` inside it comes first. Outside the main thread it does nothing."""

    def __init__(self) -> None:
        super().__init__()
        self._signal = signal.SIGINT

    @property
    def exit_code(self) -> int:
        """128 + the number of the signal that came."""
        return 128 + self._signal

    def __enter__(self) -> Unwinding:
        """Install the handlers, except for signals that are ignored, as SIGHUP is by nohup; Ctrl-C has one already."""
        if threading.current_thread() is threading.main_thread():
            for number in STOP_SIGNALS:
                if signal.getsignal(number) is signal.SIG_DFL:
                    self._former[number] = signal.signal(number, self._raise)
        return self

    def _raise(self, number: int, frame: FrameType | None) -> None:
        self._signal = signal.Signals(number)
        for former in self._former:  # the next one ends the process, whatever it still cleans up
            signal.signal(former, signal.SIG_DFL)
        raise KeyboardInterrupt


class Interruption(_Handlers):
    """Catches the stop signals while its ``with`` block lasts; outside the main thread it catches nothing."""

    def __init__(self) -> None:
        super().__init__()
        self.count = 0
        self.signal: signal.Signals | None = None
        # Called at each signal, in its handler: ends the wait that the signal came in.
        self.wake: Callable[[], None] = lambda: None

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

    def _catch(self, number: int, frame: FrameType | None) -> None:
        self.count += 1
        self.signal = self.signal or signal.Signals(number)
        self.wake()
