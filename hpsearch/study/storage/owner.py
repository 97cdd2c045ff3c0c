"""Who holds a lease, so that who is refused can be told, and `stop` finds the process."""

from __future__ import annotations

import os
import socket
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path


@dataclass(frozen=True)
class Owner:
    """Who holds a lease: process, machine, since when (ISO 8601, UTC), and when the process started (kernel ticks)."""

    pid: int
    host: str
    since: str
    start_ticks: int

    @staticmethod
    def this_process() -> Owner:
        """The running process as an owner."""
        since = datetime.now(UTC).isoformat(timespec="seconds")
        return Owner(os.getpid(), socket.gethostname(), since, start_ticks(os.getpid()))

    @property
    def is_here(self) -> bool:
        """Whether it is a living process of this machine. A host's name may be cut: a server keeps 63 bytes of it."""
        return socket.gethostname().startswith(self.host) and start_ticks(self.pid) == self.start_ticks


def start_ticks(pid: int) -> int:
    """When process ``pid`` started, in kernel ticks since boot; 0 where that cannot be read.

    Together with the pid it names a process for good: pids are used again, these pairs are not.
    """
    try:
        return int(Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[19])
    except (OSError, IndexError, ValueError):
        return 0


def owned_by(owner: Owner | None) -> str:
    """Who holds a study, in words; ``owner`` is None where that cannot be read."""
    if owner is None:
        return "another runner holds this study"
    return f"the study is owned by pid {owner.pid} on {owner.host} since {owner.since}"
