"""The process tree below a supervisor: nothing in it gets away, and all of it can be ended.

On Linux the supervisor is a subreaper: whoever loses its parent becomes the supervisor's child, so that daemons and new
sessions stay in the tree, and the tree is empty exactly when the supervisor has no child left. Elsewhere only the
program's process group is ended: a grandchild that moved to another group or session survives.

Only light imports here: the supervisor loads this module before it has started the job's program.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import sys
import time

_PR_SET_CHILD_SUBREAPER = 36  # linux/prctl.h
_LONGEST_PAUSE_S = 0.05


def adopt_orphans() -> None:
    """Become the parent of every descendant that loses its own (Linux; elsewhere nothing happens).

    Raises:
        OSError: the kernel refused.
    """
    if sys.platform != "linux":
        return
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"prctl(PR_SET_CHILD_SUBREAPER): {os.strerror(number)}")


def descendants(root: int) -> list[int]:
    """Pids of the living processes below ``root``, by what /proc says now; none where there is no /proc."""
    children: dict[int, list[int]] = {}
    for pid, parent in _parents():
        children.setdefault(parent, []).append(pid)
    found = []
    waiting = [root]
    while waiting:
        below = children.pop(waiting.pop(), [])
        found += below
        waiting += below
    return found


class Family:
    """Every child of this process, adopted ones too; one of them is the job's program.

    ``status`` is the program's wait status once it has ended.
    """

    def __init__(self, program: int) -> None:
        self.program = program
        self.status: int | None = None

    def reap(self) -> bool:
        """Collect the dead; whether any child is left."""
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return False
            if pid == 0:
                return True
            if pid == self.program:
                self.status = status

    def ask_to_end(self) -> None:
        """Send SIGTERM to the program's process group."""
        if self.status is None:  # not reaped yet, so its number cannot belong to anyone else
            with contextlib.suppress(OSError):
                os.killpg(self.program, signal.SIGTERM)

    def end(self, patience_s: float) -> int:
        """Kill until no descendant is left; the number of those that are still there after ``patience_s``.

        Killing is repeated because a process may fork between the listing and its death. What survives for long
        belongs to another user or hangs inside the kernel.
        """
        give_up = time.monotonic() + patience_s
        pause = 0.001
        while self.reap():
            left = self._kill_all()
            if time.monotonic() > give_up:
                return left
            time.sleep(pause)
            pause = min(2 * pause, _LONGEST_PAUSE_S)
        if sys.platform != "linux":
            self._kill_group()
        return 0

    def _kill_all(self) -> int:
        below = descendants(os.getpid())
        for pid in below:
            with contextlib.suppress(OSError):
                os.kill(pid, signal.SIGKILL)
        if not below:
            self._kill_group()
        return len(below)

    def _kill_group(self) -> None:
        with contextlib.suppress(OSError):
            os.killpg(self.program, signal.SIGKILL)


def _parents() -> list[tuple[int, int]]:
    found = []
    for name in _numbers_in_proc():
        try:
            with open(f"/proc/{name}/stat", "rb") as file:  # noqa: PTH123 - pathlib takes 30 ms to import
                # "pid (any bytes) state parent ..."
                state, parent = file.read().rpartition(b")")[2].split()[:2]
        except (OSError, ValueError):
            continue  # it ended meanwhile
        if state not in b"ZX":
            found.append((int(name), int(parent)))
    return found


def _numbers_in_proc() -> list[str]:
    try:
        return [name for name in os.listdir("/proc") if name.isdigit()]  # noqa: PTH208
    except OSError:
        return []
