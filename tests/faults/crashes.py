"""G1: a runner that dies at any point of its work, and one plain run after it."""

from __future__ import annotations

import json
import shutil
import signal
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from hpsearch.crash_points import POINTS, VARIABLE
from hpsearch.study.storage.session import SPOOL_FILE
from tests.conftest import run_command
from tests.e2e.conftest import Runner
from tests.faults.goals import Effort, Found, Goal, until
from tests.faults.history import configurations, violations
from tests.postgres import Server, server

TARGET = 5
RUN = ("run", "--study", "truth", "--config", "study.json", "--n-trials", str(TARGET))
PROGRAM = Path(__file__).parent / "programs" / "truth.py"
# Points that only a server that stays away leads to.
OF_OUTAGES = ("kept-back", "kept-back-made")


@dataclass
class Scene:
    """A folder with a study of truth.py, in its SQLite file or on a server."""

    folder: Path
    server: Server | None = None
    kills: int = 0
    said: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.folder.mkdir()
        fields = {
            "command": [sys.executable, str(PROGRAM), "{x}"],
            "search_space": {"x": {"type": "uniform", "low": 0.0, "high": 10.0}},
            "objective": {"metric": "score", "direction": "minimize"},
            "pruner": {"type": "median", "n_startup_trials": 1, "n_warmup_steps": 0},
            "env_pass": ["PYTHONPATH"],
            "preload": ["decimal"],  # trials are forked by a fork server, as the built-in training's are
        }
        (self.folder / "study.json").write_text(json.dumps(fields))
        if self.server:
            self.server.empty()

    @property
    def url(self) -> str:
        """The study's storage."""
        return self.server.url if self.server else f"sqlite:///{self.folder / 'studies' / 'hpsearch.db'}"

    @property
    def storage(self) -> dict[str, str]:
        """What tells a command of it."""
        return {"HPSEARCH_STORAGE": self.url} if self.server else {}

    def run(self, *words: str, **environment: str) -> int:
        """Run the study; the exit code."""
        done = run_command(self.folder, *RUN, *words, **self.storage, **environment)
        self.said.append(done.stdout + done.stderr)
        return done.returncode

    def crash(self, point: str, *words: str) -> bool:
        """Run the study to its death at a point; whether it came there."""
        died = self.run(*words, **{VARIABLE: point}) == -signal.SIGKILL
        self.kills += died
        return died

    def problems(self) -> list[str]:
        """Run the study plainly, and look at what it left."""
        code = self.run()
        if code:
            return [f"exit code {code}: {self.said[-1]}"]
        return violations(self.folder, self.url, "truth", TARGET, self.kills)


def crashed(folder: Path, point: str, count: int, server: Server | None = None) -> list[str]:
    """What is wrong after a death at a point, passed for the ``count``-th time, and one plain run."""
    scene = Scene(folder, server)
    if point == "lost-told":
        scene.crash("report-read:2")
    if point == "stop-sent":
        (folder / "term").touch()
        scene.kills += 1  # the trial that is asked to end is tried once more
    if scene.crash(f"{point}:{count}"):
        return scene.problems()
    if count > 1:  # it is passed less often than that
        return crashed(folder.with_name(f"{folder.name}-again"), point, 1, server)
    return [f"the run did not come to {point}: {scene.said[-1][-200:]}"]


def crashed_in_an_outage(folder: Path, point: str, count: int, server: Server) -> list[str]:
    """The same for the points that only a server that stays away leads to."""
    scene = Scene(folder, server)
    (folder / "hold").touch()
    crash = {VARIABLE: f"{point}:{count}"} if point == "kept-back" else {}
    spool = folder / "studies" / "truth" / SPOOL_FILE
    with Runner(folder, *RUN, **scene.storage, **crash) as runner:
        runner.wait_for("trial 0 step 1")
        server.stop("immediate")
        runner.wait_for("results are spooled to")
        (folder / "hold").unlink()
        until(lambda: crash or len(spool.read_bytes().splitlines()) > count, "the changes below the spool's head")
        if not crash:
            runner.send(signal.SIGKILL)
        died = runner.end()[0] == -signal.SIGKILL
    server.start()
    scene.kills += 1
    if point == "kept-back-made":
        died = scene.crash(f"{point}:{count}")
    return scene.problems() if died else [f"the run did not come to {point}"]


def undisturbed(folder: Path) -> list[tuple[float, int]]:
    """The configurations of a run without any fault."""
    scene = Scene(folder)
    assert scene.problems() == [], scene.said
    return configurations(folder)


def points() -> Mapping[str, str]:
    """Those that a plain run, or one that is stopped, passes."""
    return {name: meaning for name, meaning in POINTS.items() if name not in OF_OUTAGES}


def tried(folder: Path, cases: Iterator[tuple[str, Callable[[Path], list[str]]]]) -> tuple[int, list[str]]:
    """How many cases there were, each in a folder of its own, and what was wrong."""
    count, wrong = 0, []
    for count, (name, problems) in enumerate(cases, 1):
        scene = folder / f"case-{count}"
        wrong += [f"{name}: {each}" for each in problems(scene)]
        shutil.rmtree(scene, ignore_errors=True)
    return count, wrong


def found(count: int, wrong: list[str], plain: str, what: str) -> Found:
    """The result, with the first thing that was wrong."""
    text = f"{len(wrong)} of {count} {what}" + (f": {wrong[0]}" if wrong else "")
    return Found(text, not wrong, plain)


def measure_points(folder: Path, effort: Effort) -> Found:
    """Each point several times, in both databases."""

    def cases(server: Server) -> Iterator[tuple[str, Callable[[Path], list[str]]]]:
        for place in (None, server):
            for point in points():
                for count in range(1, effort.times(6, 2)):
                    yield point, lambda scene, p=point, k=count, s=place: crashed(scene, p, k, s)  # type: ignore[misc]
        for point in OF_OUTAGES:
            for count in range(1, effort.times(6, 2)):
                yield point, lambda scene, p=point, k=count: crashed_in_an_outage(scene, p, k, server)  # type: ignore[misc]

    with server() as running:
        count, wrong = tried(folder, cases(running))
    return found(count, wrong, "not applicable", "studies not whole")


GOALS = [
    Goal(
        "G1",
        "After a runner is killed at any named point of its work, one plain run repairs everything",
        "0 studies with a result lost, a trial left RUNNING or done twice",
        measure_points,
    ),
]
