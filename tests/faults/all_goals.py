"""Every promise, by its name, and measuring one of them."""

from __future__ import annotations

import tempfile
import time
import traceback
from pathlib import Path

from tests.faults import (
    copies,
    crashes,
    cuts,
    disks,
    grids,
    kills,
    neighbours,
    overhead,
    results,
    searches,
    servers,
    strangers,
    trees,
)
from tests.faults.goals import Effort, Found
from tests.warm import warm

ROOMS = (crashes, kills, trees, grids, servers, disks, searches, strangers, neighbours, overhead, results, cuts, copies)
GOALS = {
    goal.name: goal
    for goal in sorted((each for room in ROOMS for each in room.GOALS), key=lambda goal: int(goal.name[1:]))
}


def measure(name: str, full: bool) -> tuple[float, Found]:
    """The seconds that it took, and what was found."""
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="faults-") as folder:
        try:
            found = GOALS[name].measure(Path(folder), Effort(full))
        except Exception:  # noqa: BLE001 - one goal that breaks must not hide the others
            traceback.print_exc()
            found = Found(" ".join(traceback.format_exc(limit=-1, chain=False).split())[-600:], met=False)
        finally:
            warm.close()
    return time.monotonic() - began, found
