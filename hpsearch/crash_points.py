"""Named points at which a test kills a runner: ``HPSEARCH_CRASH_AT=NAME``, or ``NAME:K`` for the K-th pass.

The runner sends itself SIGKILL there, so nothing is cleaned up, as after a power cut. The next run must find the study
whole, whatever the point: tests/faults tries each of them. A new phase of a run gets a point of its own. To list them:
``python -m hpsearch.crash_points``.
"""

from __future__ import annotations

import os
import signal
from collections import Counter

VARIABLE = "HPSEARCH_CRASH_AT"

# Kinds of changes that the writer makes (study/storage/changes.py); a trial's system attributes never change.
_CHANGES = ("study-user-attr", "study-system-attr", "trial", "param", "user-attr", "report", "state")

POINTS: dict[str, str] = {
    "lease-taken": "the lease is held, nothing was read",
    "kept-back": "the storage is away, a change was spooled to a file",
    "kept-back-made": "a change that an earlier run spooled was made",
    "folder-claimed": "a new study has its folder, the storage knows nothing of it",
    "study-opened": "the study is there, its epoch raised",
    "sweep-begun": "leftover processes are about to be ended",
    "sweep-done": "they are ended",
    "lost-told": "a trial of a dead runner was recorded as lost",
    "before-ask": "a trial is about to be asked for",
    "before-launch": "its configuration is stored",
    "launched": "its supervisor was started",
    "report-read": "a report came in",
    "prune-decided": "the pruner said stop",
    "answered": "the trial was answered: go on, or stop",
    "stop-sent": "a trial was asked to end",
    "end-read": "a trial and all its processes are gone",
    "end-told": "its outcome was handed to the storage",
    "results-written": "its results file is there",
    "best-staged": "the best trial's folder is ready, not yet shown",
    "best-shown": "best/ shows it",
    "file-written": "a file is written under a temporary name",
    "file-renamed": "it has its name",
    **{f"before-{change}": f"the storage is about to be given a {change}" for change in _CHANGES},
    **{f"after-{change}": f"the storage has a {change}, the queue does not know" for change in _CHANGES},
    "run-over": "everything is stored and printed, the lease is held",
}

_passed: Counter[str] = Counter()


def reached(name: str) -> None:
    """Kill this process, if this point was named."""
    wanted = os.environ.get(VARIABLE)
    if wanted is None:
        return
    point, _, count = wanted.partition(":")
    _passed[name] += 1
    if name == point and _passed[name] == int(count or 1):
        os.kill(os.getpid(), signal.SIGKILL)


if __name__ == "__main__":
    for point, meaning in POINTS.items():
        print(f"{point:24}{meaning}")
