"""G9: a run on PostgreSQL through restarts, ended sessions and an outage, at different moments of its trials."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

from hpsearch.study.storage.postgres import driver_url
from tests.e2e.conftest import Runner
from tests.faults import plain
from tests.faults.crashes import RUN, Scene, found, tried
from tests.faults.goals import Effort, Found, Goal
from tests.faults.history import violations
from tests.postgres import Server, server

OUTAGE_S = 4.0
PHASES = 10


def strike(server: Server, fault: str) -> None:
    """Let the fault happen, and be over."""
    if fault == "terminate":
        server.terminate()
    elif fault == "outage":
        server.stop("immediate")
        time.sleep(OUTAGE_S)
        server.start()
    else:
        server.restart(fault)


FAULTS = ("immediate", "fast", "terminate", "outage")


def struck(folder: Path, server: Server, fault: str, phase: int) -> list[str]:
    """What is wrong with a run that met the fault at a moment of its second trial."""
    scene = Scene(folder, server)
    with Runner(folder, *RUN, **scene.storage) as runner:
        runner.wait_for(("trial 1 started", "trial 1 step 1", "trial 2 started", "trial 2 step 1")[phase % 4])
        time.sleep(0.01 * (phase // 4))
        strike(server, fault)
        code, said = runner.end()
    if code:
        return [f"exit code {code}: {said[-300:]}"]
    return violations(folder, scene.url, "truth", int(RUN[-1]), 0)


def plain_survives(folder: Path, server: Server, fault: str) -> bool:
    """Whether plain Optuna comes through the fault."""
    folder.mkdir()
    server.empty()
    url = driver_url(server.url)
    process = plain.start(folder, plain.command(url, 40))
    time.sleep(3.0)
    strike(server, fault)
    process.communicate(timeout=120)
    return process.returncode == 0


def measure_servers(folder: Path, effort: Effort) -> Found:
    """Each fault at each phase."""
    with server() as running:

        def cases() -> Iterator[tuple[str, object]]:
            for fault in FAULTS:
                for phase in range(effort.times(PHASES, 1)):
                    yield fault, lambda scene, f=fault, p=phase: struck(scene, running, f, p)

        count, wrong = tried(folder, cases())  # type: ignore[arg-type]
        beside = "not tried"
        if effort.full:
            alive = sum(plain_survives(folder / f"plain-{fault}", running, fault) for fault in FAULTS)
            beside = f"{alive} of {len(FAULTS)} runs survive"
    return found(count, wrong, beside, "runs died, or lost or repeated a trial")


GOALS = [
    Goal(
        "G9",
        "PostgreSQL may restart, end sessions or be unreachable for a while: the run continues",
        "0 runs die, 0 trials lost or run again",
        measure_servers,
    )
]
