"""Processes whose supervisor is gone, found by the tag in their environment and ended.

A tag is ``study/job/launch``; ``launch`` names the runner's process and counts its launches. A process is left over
when it carries a tag of the study and no living supervisor looks after that tag: a supervisor that lives ends its tree
by itself, also for a study of the same name in another storage. No process is signalled unless its environment carries
the tag at that moment. A process that emptied its environment is not found. Needs /proc; elsewhere nothing is found.
"""

from __future__ import annotations

import itertools
import os
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path

from hpsearch.execution.names import SUPERVISES_VARIABLE, TAG_VARIABLE

_ORPHANED_SUPERVISOR_S = 5.0  # for a supervisor whose runner died to end its tree; 0.1 s is usual
_SWEEP_S = 10.0  # for killed processes to vanish
_PAUSE_S = 0.005
_launches = itertools.count(1)


def make_tag(study: str, job_id: str) -> str:
    """A new tag for a launch of a job by this process."""
    pid = os.getpid()
    return f"{_escape(study)}/{_escape(job_id)}/{pid}.{_start_time(pid)}.{next(_launches)}"


def end_tagged(tag: str) -> int:
    """End every process that carries this tag; the number of them."""
    return _end_all(lambda: {pid: found for pid, found in _marked(TAG_VARIABLE).items() if found == tag})


def sweep(study: str) -> int:
    """End every process of the study that no living supervisor looks after; the number of them.

    Supervisors whose runner died get 5 s to end their trees and to write their outcomes.
    """
    prefix = f"{_escape(study)}/"
    _wait_for_orphans(prefix)
    return _end_all(lambda: _left_over(prefix))


def _left_over(prefix: str) -> dict[int, str]:
    tagged = {pid: tag for pid, tag in _marked(TAG_VARIABLE).items() if tag.startswith(prefix)}
    # Second, because a program is never there before its supervisor.
    guarded = set(_marked(SUPERVISES_VARIABLE).values()) if tagged else set()
    return {pid: tag for pid, tag in tagged.items() if tag not in guarded}


def _wait_for_orphans(prefix: str) -> None:
    """Until there are none: one that was killed still looks after its tree until it is gone."""
    patience = time.monotonic() + _ORPHANED_SUPERVISOR_S
    while (orphans := _orphaned_supervisors(prefix)) and time.monotonic() < patience + _SWEEP_S:
        if time.monotonic() > patience:
            for pid, tag in orphans.items():
                _kill(pid, SUPERVISES_VARIABLE, tag)
        time.sleep(_PAUSE_S)


def _orphaned_supervisors(prefix: str) -> dict[int, str]:
    supervisors = _marked(SUPERVISES_VARIABLE).items()
    return {pid: tag for pid, tag in supervisors if tag.startswith(prefix) and not _runner_lives(tag)}


def _runner_lives(tag: str) -> bool:
    pid, start, _ = tag.rpartition("/")[2].split(".")
    return _start_time(int(pid)) == int(start)


def _end_all(find: Callable[[], dict[int, str]]) -> int:
    deadline = time.monotonic() + _SWEEP_S
    ended: dict[int, int] = {}  # when each was started
    while time.monotonic() < deadline:
        left = find()
        for pid, tag in left.items():
            start = _start_time(pid)
            if _kill(pid, TAG_VARIABLE, tag):
                ended[pid] = start
        # One that is going has no environment any more, and may still hold a GPU.
        if not left and not any(_lives(pid, start) for pid, start in ended.items()):
            break
        time.sleep(_PAUSE_S)
    return len(ended)


def _kill(pid: int, variable: str, tag: str) -> bool:
    """Kill the process if it carries the tag; a pidfd keeps its number from being given to another in between."""
    if sys.platform != "linux":
        return False
    try:
        pidfd = os.pidfd_open(pid)
    except ProcessLookupError:
        return False
    except OSError:  # a kernel before 5.3, or a container that forbids it
        pidfd = -1
    try:
        if _value(pid, variable) != tag:
            return False
        if pidfd >= 0:
            signal.pidfd_send_signal(pidfd, signal.SIGKILL)
        else:
            os.kill(pid, signal.SIGKILL)
        return True
    except OSError:
        return False
    finally:
        if pidfd >= 0:
            os.close(pidfd)


def _marked(variable: str) -> dict[int, str]:
    """The living processes with this variable in their environment, and its value."""
    found = {}
    try:
        pids = [int(name) for name in os.listdir("/proc") if name.isdigit()]  # noqa: PTH208 - ten times faster
    except OSError:
        return {}
    for pid in pids:
        value = _value(pid, variable)
        if value is not None:
            found[pid] = value
    return found


def _value(pid: int, variable: str) -> str | None:
    try:
        environment = b"\0" + Path(f"/proc/{pid}/environ").read_bytes()
    except OSError:
        return None  # it ended, or belongs to another user
    _, found, rest = environment.partition(f"\0{variable}=".encode())
    return os.fsdecode(rest.partition(b"\0")[0].rstrip()) if found else None  # a starter keeps room for longer tags


def _lives(pid: int, start: int) -> bool:
    """Whether the process that was started then is there, and no zombie."""
    fields = _stat(pid)
    return bool(fields) and int(fields[19]) == start and fields[0] not in (b"Z", b"X")


def _start_time(pid: int) -> int:
    """When a process started, in the kernel's ticks since boot; 0 if there is no such process."""
    fields = _stat(pid)
    return int(fields[19]) if fields else 0  # field 22, man 5 proc


def _stat(pid: int) -> list[bytes]:
    """What the kernel says of a process, from its state (field 3) on; nothing if there is none."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()
    except OSError:
        return []
    return fields if len(fields) > 19 else []


def _escape(name: str) -> str:
    return name.replace("%", "%25").replace("/", "%2F").replace("\0", "%00")
