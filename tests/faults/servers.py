"""G9, G19: a run on PostgreSQL through restarts, ended sessions and an outage, and beside a server that is silent."""

from __future__ import annotations

import signal
import subprocess
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


def strike(server: Server, fault: str, outage_s: float = OUTAGE_S) -> None:
    """Let the fault happen, and be over."""
    if fault == "terminate":
        server.terminate()
    elif fault == "outage":
        server.stop("immediate")
        time.sleep(outage_s)
        server.start()
    else:
        server.restart(fault)


FAULTS = ("immediate", "fast", "terminate", "outage")
# Trial 1 kills itself the first time.
MOMENTS = ("trial 1 started", "trial 1 step 1", "trial 1 (2nd attempt) started", "trial 1 (2nd attempt) step 1")


def struck(folder: Path, server: Server, fault: str, phase: int, outage_s: float) -> list[str]:
    """What is wrong with a run that met the fault at a moment of its second trial."""
    scene = Scene(folder, server)
    with Runner(folder, *RUN, **scene.storage) as runner:
        runner.wait_for(MOMENTS[phase % len(MOMENTS)])
        time.sleep(0.01 * (phase // 4))
        strike(server, fault, outage_s)
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
    outage_s = OUTAGE_S if effort.full else 1.0
    with server() as running:

        def cases() -> Iterator[tuple[str, object]]:
            # tests/e2e/test_postgres.py has an orderly stop.
            for fault in FAULTS if effort.full else ("immediate", "terminate", "outage"):
                for phase in range(effort.times(PHASES, 1)):
                    yield fault, lambda scene, f=fault, p=phase: struck(scene, running, f, p, outage_s)

        count, wrong = tried(folder, cases())  # type: ignore[arg-type]
        beside = "not tried"
        if effort.full:
            alive = sum(plain_survives(folder / f"plain-{fault}", running, fault) for fault in FAULTS)
            beside = f"{alive} of {len(FAULTS)} runs survive"
    return found(count, wrong, beside, "runs died, or lost or repeated a trial")


SILENT_LIMIT_S, SAID_S, STOPPED_S = 20, 10.0, 15.0
# What stands still: the server, or the run's sessions; and how often the user presses Ctrl-C.
SILENT = [(like, presses) for like in ("", "%") for presses in (0, 1, 2)]


def silenced(folder: Path, server: Server, like: str, presses: int) -> list[str]:
    """What is wrong with a run whose server stands still in the midst of a trial, and one plain run after it. Where
    only the run's sessions do, between transactions, the server lets it make others."""
    scene = Scene(folder, server)
    (folder / "hold").touch()
    wrong, outlives = [], bool(like) and not presses
    limit = 600 if outlives else SILENT_LIMIT_S
    with Runner(folder, *RUN, "--storage-timeout", str(limit), **scene.storage) as runner:
        runner.wait_for("trial 0 step 1")
        with server.frozen(like):
            began = time.monotonic()
            runner.wait_for("the storage does not answer")
            said_s = time.monotonic() - began
            if not presses:
                (folder / "hold").unlink()
                runner.wait_for("trial 1 step 1")
            pressed = time.monotonic()
            for _ in range(presses):
                runner.send(signal.SIGINT)
                time.sleep(0.2)
            code, said = runner.end()
            ended_s = time.monotonic() - (pressed if presses else began)
    (folder / "hold").unlink(missing_ok=True)
    scene.kills += 1
    if said_s > SAID_S:
        wrong.append(f"nothing was said for {said_s:.0f} s")
    if code != (130 if presses else 0 if outlives else 3):
        wrong.append(f"exit code {code}: {said[-300:]}")
    if not outlives and ended_s > (STOPPED_S if presses else SILENT_LIMIT_S + SAID_S):
        wrong.append(f"it ended after {ended_s:.0f} s")
    return wrong + scene.problems()


def plain_ends(folder: Path, server: Server) -> bool:
    """Whether Ctrl-C ends plain Optuna within a minute while the server stands still."""
    folder.mkdir()
    server.empty()
    process = plain.start(folder, plain.command(driver_url(server.url), 40))
    time.sleep(3.0)
    with server.frozen():
        time.sleep(SAID_S)
        process.send_signal(signal.SIGINT)
        try:
            process.communicate(timeout=60)
        except subprocess.TimeoutExpired:
            process.kill()
            process.communicate()
            return False
    return True


def measure_silent_servers(folder: Path, effort: Effort) -> Found:
    """Each way of standing still, with and without Ctrl-C."""
    with server() as running:

        def cases() -> Iterator[tuple[str, object]]:
            for like, presses in SILENT if effort.full else SILENT[:2]:
                for _ in range(effort.times(3, 1)):
                    name = f"silent-{len(like)}-{presses}"
                    yield name, lambda scene, k=like, p=presses: silenced(scene, running, k, p)

        count, wrong = tried(folder, cases())  # type: ignore[arg-type]
        beside = "not tried"
        if effort.full:
            beside = f"Ctrl-C ends it within a minute: {'yes' if plain_ends(folder / 'plain', running) else 'no'}"
    return found(count, wrong, beside, "runs did not keep that")


GOALS = [
    Goal(
        "G9",
        "PostgreSQL may restart, end sessions or be unreachable for a while: the run continues",
        "0 runs die, 0 trials lost or run again",
        measure_servers,
    ),
    Goal(
        "G19",
        "A silent server holds no run: a message, trials continue, exit code 3 in time, and Ctrl-C works",
        f"message within {SAID_S:g} s, end at --storage-timeout, Ctrl-C within {STOPPED_S:g} s, nothing lost",
        measure_silent_servers,
    ),
]
