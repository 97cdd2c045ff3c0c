"""G27: what runs for another study of the same name, in another storage or another container, is let be."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from functools import partial
from pathlib import Path

import psutil

from hpsearch.execution.names import SUPERVISES_VARIABLE
from tests.e2e.conftest import Runner
from tests.faults.crashes import found, tried
from tests.faults.goals import Effort, Found, Goal, until
from tests.faults.results import trials_in

PROGRAM = Path(__file__).parent / "programs" / "held.py"
RUN = ("run", "--study", "same", "--config", "study.json", "--n-trials", "1")
# By what keeps it from the neighbour, the words before a command. $0 is its own folder, $1 the path under which
# each finds its own.
_PID = ("unshare", "--pid", "--fork", "--mount-proc", "--kill-child")
_MOUNT = ("sh", "-c", 'mount --bind "$0" "$1" && cd "$1" && shift && exec "$@"')
WALLS: dict[str, tuple[str, ...]] = {
    "storage": (),
    "pid": _PID,
    "net": ("unshare", "--net"),
    "mount": ("unshare", "--mount", *_MOUNT),
    "container": (*_PID, "--net", "--mount", *_MOUNT),
}


class Neighbours:
    """Two studies of one name: one behind a wall, and one on the host."""

    def __init__(self, folder: Path, wall: str) -> None:
        self.inside, self.host = folder / "inside", folder / "host"
        for place in (self.inside, self.host):
            place.mkdir(parents=True)
            fields = {
                "command": [sys.executable, str(PROGRAM), "{x}"],
                "search_space": {"x": {"type": "uniform", "low": 0.0, "high": 1.0}},
                "objective": {"metric": "score", "direction": "minimize"},
                "env_pass": ["PYTHONPATH"],
            }
            (place / "study.json").write_text(json.dumps(fields))
        mounted = WALLS[wall][-1:] == _MOUNT[-1:]
        self._before = (*WALLS[wall], str(self.inside), str(self.host)) if mounted else WALLS[wall]

    def start(self) -> subprocess.Popen[bytes]:
        """Run the study behind the wall until its trial is at work."""
        words = (*self._before, sys.executable, "-m", "hpsearch", *RUN)
        with (self.inside / "said").open("ab") as said:
            runner = subprocess.Popen(words, cwd=self.inside, stdin=subprocess.DEVNULL, stdout=said, stderr=said)
        until(lambda: self.held or runner.poll() is not None, "its trial")
        return runner

    @property
    def held(self) -> list[int]:
        """Its trials that have reported: their numbers as they see them."""
        return [int(path.name.removeprefix("held-")) for path in self.inside.glob("held-*")]

    def run_the_host(self) -> list[str]:
        """Kill a run of the study on the host, and run it again, to its end; what is wrong with it."""
        with Runner(self.host, *RUN) as runner:
            until(lambda: any(self.host.glob("held-*")), "the host's trial")
            runner.send(signal.SIGKILL)
        (self.host / "go").touch()
        with Runner(self.host, *RUN) as runner:
            code, said = runner.end()
        return [f"the host's run: exit code {code}: {said[-300:]}"] if code else []

    def end(self, runner: subprocess.Popen[bytes], tries: int) -> list[str]:
        """Let the trial behind the wall end; what is wrong with its study, which holds
        ``tries`` trials."""
        (self.inside / "go").touch()
        code = runner.wait(60)
        trials = trials_in(f"sqlite:///{self.inside / 'studies' / 'hpsearch.db'}", "same")
        states = [trial.state.name for trial in trials]
        if code or states != ["FAIL"] * (tries - 1) + ["COMPLETE"]:
            return [f"{states}, exit code {code}: {(self.inside / 'said').read_text()[-300:]}"]
        return []


def disturbed(wall: str, folder: Path) -> list[str]:
    """What is wrong after a run on the host beside one that lives behind a wall."""
    neighbours = Neighbours(folder, wall)
    runner = neighbours.start()
    try:
        return neighbours.run_the_host() + neighbours.end(runner, 1)
    finally:
        runner.kill()
        runner.wait()


def inherited(wall: str, folder: Path) -> list[str]:
    """The same beside a dead one, whose frozen supervisor and its trial are for its own next run to end."""
    neighbours = Neighbours(folder, wall)
    runner = neighbours.start()
    for process in psutil.Process(runner.pid).children(recursive=True):
        if SUPERVISES_VARIABLE in process.environ():
            process.suspend()
    runner.kill()
    runner.wait()
    (left,) = neighbours.held
    wrong = neighbours.run_the_host()
    if not psutil.pid_exists(left):
        wrong.append("the host ended what was not its own")
    (neighbours.inside / f"held-{left}").unlink()
    wrong += neighbours.end(neighbours.start(), 2)
    if psutil.pid_exists(left):
        wrong.append("its own next run did not end what was left")
    return wrong


def measure_neighbours(folder: Path, effort: Effort) -> Found:
    """Every wall, the neighbour alive and dead."""
    if subprocess.run([*WALLS["container"][:-3], "true"], capture_output=True, check=False).returncode:
        return Found("not tried: no namespaces can be made here", met=True)
    alive = WALLS if effort.full else ("container",)
    dead = ("storage", "net", "mount") if effort.full else ()
    cases = [(wall, partial(disturbed, wall)) for wall in alive] + [(wall, partial(inherited, wall)) for wall in dead]
    count, wrong = tried(folder, (case for _ in range(effort.times(5, 1)) for case in cases))
    return found(count, wrong, "not applicable", "runs disturbed, or not inherited")


GOALS = [
    Goal(
        "G27",
        "A run lets be what another study of its name runs, in another storage, PID, network or mount namespace",
        "0 processes ended that are not its own, and 0 of its own left by the next run",
        measure_neighbours,
    )
]
