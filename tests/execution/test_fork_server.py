"""Trials forked from a process that has done their imports: once for all, and otherwise as when each starts alone."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from hpsearch.execution.executors.local import LocalExecutor
from hpsearch.execution.gpu_slots import without_gpus
from hpsearch.execution.job import Job, Notice, Outcome
from hpsearch.execution.outcome import Cause
from hpsearch.execution.python_program import parse

from .conftest import ENVIRONMENT, PROGRAMS, Bench, processes_with, until

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="fork servers need /proc")

SHOW = """
import json, os, sys
import hpsearch.sdk
main = sys.modules["__main__"]
print(json.dumps({
    "argv": sys.argv, "name": __name__, "main": main.__dict__ is globals(), "file": globals().get("__file__"),
    "package": globals().get("__package__"), "path": sys.path, "directory": os.getcwd(),
    "environment": {name: os.environ[name] for name in sorted(os.environ) if name not in ("HPSEARCH_TAG", "LC_CTYPE")},
    "flags": list(sys.flags), "executable": sys.executable, "session": os.getsid(0) != os.getpgid(0),
    "group": os.getpgid(0) == os.getpid(), "shown": b"HPSEARCH_TAG=" in open("/proc/self/environ", "rb").read(),
    "descriptors": sorted(os.listdir("/proc/self/fd")),
}))
"""
# Programs, and modules that they share.
GRANDPARENT = "import os; print(open(f'/proc/{os.getppid()}/stat').read().rpartition(')')[2].split()[1])"
POOL = """
import multiprocessing
if __name__ == "__main__":
    print(multiprocessing.get_context("spawn").Pool(1).map(abs, [-1]))
"""
THREAD = """
import threading, time
threading.Thread(target=time.sleep, args=(600,), daemon=True, name="mine").start()
"""
TORCH = "import sys, types\nsys.modules['torch'] = t = types.ModuleType('torch')\n"
GROWING = """
import os
kept = []
os.register_at_fork(after_in_parent=lambda: kept.append(bytearray(os.urandom(1)) * 10**8))
"""


class Trials(Bench):
    """A bench whose Python programs all share a module of the test's own."""

    def module(self, code: str) -> None:
        """What is imported once."""
        (self.folder / "shared.py").write_text(code)

    def script(self, code: str, *arguments: str, **fields: Any) -> Outcome:
        """The outcome of a script that stands beside the shared module."""
        path = self.folder / "script.py"
        path.write_text(code)
        return self.run((sys.executable, str(path), *arguments), kind="train", **fields)

    def notices(self) -> list[str]:
        """What there was to say."""
        return [event.text for event in self.events if isinstance(event, Notice)]


@pytest.fixture
def trials(study: str, tmp_path: Path) -> Iterator[Trials]:
    """A bench whose jobs share the module ``shared``."""
    executor = LocalExecutor(without_gpus(2))
    yield Trials(executor, study, tmp_path, ("shared",))
    executor.close()


def test_what_is_shared_is_imported_once(trials: Trials) -> None:
    trials.module("import os; open('imported', 'a').write(f'{os.getpid()}\\n')")
    for number in range(3):
        outcome = trials.script(
            "import shared, os; print(os.getpid())", id=f"trial_{number}", working_dir=str(trials.folder)
        )
        assert outcome.log_tail.strip() != (trials.folder / "imported").read_text().strip()
    assert len((trials.folder / "imported").read_text().splitlines()) == 1
    assert trials.notices() == []


def test_it_can_be_imported_ahead(trials: Trials) -> None:
    trials.module(f"open({str(trials.folder / 'imported')!r}, 'w')")
    (trials.folder / "script.py").touch()
    trials.executor.expect(trials.job((sys.executable, str(trials.folder / "script.py"))))
    until((trials.folder / "imported").exists, "the import")


@pytest.mark.parametrize("kind", ["script", "module", "code", "options", "folder"])
def test_a_program_finds_the_same_as_when_it_is_started_alone(trials: Trials, kind: str) -> None:
    trials.module("")
    (trials.folder / "place").mkdir()
    for name in ("shown.py", "__main__.py"):
        (trials.folder / "place" / name).write_text(SHOW)
    words = {
        "script": (str(trials.folder / "place" / "shown.py"), "--rate", "1e-4"),
        "module": ("-m", "shown", "x"),
        "code": ("-c", SHOW, "x"),
        "options": ("-P", "-O", "-X", "utf8", "-Wignore", str(trials.folder / "place" / "shown.py")),
        "folder": (str(trials.folder / "place"), "x"),
    }[kind]
    found = []
    for preload, fork in ((None, True), (("json",), True), (("json",), False)):
        trials.folder.joinpath("trial_1").mkdir(exist_ok=True)
        fields = {
            "kind": "train",
            "id": f"{preload} {fork}",
            "fork": fork,
            "output_dir": str(trials.folder / "trial_1"),
            "preload": preload,
            "working_dir": str(trials.folder / "place"),
            "environment": {**ENVIRONMENT, "MINE": "ü \n="},
        }
        trials.executor.expect(trials.job((sys.executable, *words), **fields))
        found.append(json.loads(trials.run((sys.executable, *words), **fields).log_tail))
        trials.events.clear()
    assert found[1] == found[0]
    assert found[2] == found[0]


@pytest.mark.parametrize(
    ("code", "exit_code"),
    [
        ("import sys; sys.exit(3)", 3),
        ("raise SystemExit('no such rate')", 1),
        ("def f():\n    raise RuntimeError('no such rate')\nf()", 1),
        ("import sys; sys.stderr.write('a'); sys.stdout.write('b')", 0),
        ("import atexit; atexit.register(print, 'at the end')", 0),
        ("import threading, time; threading.Thread(target=lambda: (time.sleep(0.2), print('later'))).start()", 0),
        ("import os, signal; os.kill(os.getpid(), signal.SIGSEGV)", None),
        ("import os, signal; os.kill(os.getpid(), signal.SIGINT)", None),
        ("what is this", 1),
        (POOL, 0),
    ],
)
def test_it_ends_as_when_it_is_started_alone(trials: Trials, code: str, exit_code: int | None) -> None:
    trials.module("")
    outcomes = [trials.script(code, id=f"{preload}", preload=preload) for preload in (None, ("shared",))]
    alone, forked = ((o.cause, o.exit_code, o.signal, sorted(o.log_tail.splitlines())) for o in outcomes)
    assert forked == alone
    assert alone[1] == exit_code


def test_chance_is_not_shared(trials: Trials) -> None:
    trials.module("import numpy, random")
    code = "import random, numpy; print(random.random(), numpy.random.rand())"
    drawn = [trials.script(code, id=f"trial_{number}").log_tail.split() for number in range(2)]
    assert drawn[0][0] != drawn[1][0] and drawn[0][1] != drawn[1][1]


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        (THREAD, "mine"),
        ("import no_such_module", "importing shared fails: ModuleNotFoundError: No module named 'no_such_module'"),
        ("raise SystemExit(3)", "importing shared fails: SystemExit: 3"),
        (TORCH + "t.cuda = types.SimpleNamespace(is_initialized=lambda: True)", "touches the GPU"),
    ],
    ids=["thread", "error", "exit", "gpu"],
)
def test_what_cannot_be_forked_is_started_alone_and_the_reason_given_once(
    trials: Trials, code: str, reason: str
) -> None:
    trials.module(code)
    for number in range(3):
        outcome = trials.script("print('done')", id=f"trial_{number}")
        assert (outcome.cause, outcome.log_tail.strip()) == (Cause.OK, "done")
    (notice,) = trials.notices()
    assert notice.startswith("each trial is started by itself: ") and reason in notice


def test_a_fork_that_has_lost_its_gpu_becomes_a_start_by_itself(trials: Trials) -> None:
    trials.module(TORCH + "t.cuda = types.SimpleNamespace(is_initialized=lambda: 0, _is_in_bad_fork=lambda: True)")
    outcome = trials.script("import sys; print('torch' in sys.modules, sys.argv[1:])", "x")
    assert outcome.log_tail.strip() == "False ['x']"


def test_a_fork_server_that_dies_costs_no_job(trials: Trials) -> None:
    trials.module("import os, signal\nos.kill(os.getpid(), signal.SIGKILL)")
    for number in range(5):
        assert trials.script("print('done')", id=f"trial_{number}").cause is Cause.OK
    assert trials.notices() == ["each trial is started by itself: the process that should fork them ended three times"]


def test_a_fork_server_killed_between_trials_is_replaced(trials: Trials) -> None:
    trials.module("")
    fork_servers = []
    for number in range(3):
        fork_servers.append(int(trials.script(GRANDPARENT, id=f"trial_{number}").log_tail))
        if number == 1:
            os.kill(fork_servers[-1], signal.SIGKILL)
    assert fork_servers[0] == fork_servers[1] != fork_servers[2]
    assert trials.notices() == []


def test_a_fork_server_that_grows_is_replaced(trials: Trials) -> None:
    trials.module(GROWING)
    fork_servers = [trials.script(GRANDPARENT, id=f"trial_{number}").log_tail for number in range(3)]
    assert len(set(fork_servers)) == 3
    assert trials.notices() == []


def test_a_job_that_waits_for_imports_can_be_stopped(trials: Trials) -> None:
    trials.module(f"open({str(trials.folder / 'begun')!r}, 'w').close()\nimport time; time.sleep(600)")
    (trials.folder / "script.py").touch()
    trials.launch((sys.executable, str(trials.folder / "script.py")))
    until((trials.folder / "begun").exists, "the import to begin")
    trials.executor.stop("trial_1", grace_s=600)
    assert trials.outcome().cause is Cause.INTERRUPTED


def test_a_killed_runner_leaves_no_fork_server_in_the_middle_of_its_imports(trials: Trials, study: str) -> None:
    trials.module(f"open({str(trials.folder / 'begun')!r}, 'w').close()\nimport time; time.sleep(600)")
    (trials.folder / "script.py").touch()
    order = trials.folder / "order.json"
    order.write_text(trials.job((sys.executable, str(trials.folder / "script.py"))).to_json())
    runner = subprocess.Popen([sys.executable, str(PROGRAMS / "runner.py"), str(order)], env=ENVIRONMENT)
    until((trials.folder / "begun").exists, "the import to begin")
    assert processes_with(study) != []
    runner.kill()
    runner.wait()
    until(lambda: not processes_with(study), "the fork server to be gone")


def test_jobs_in_other_environments_have_fork_servers_of_their_own(trials: Trials) -> None:
    trials.module("import os; found = os.environ.get('MINE')")
    code = "import shared; print(shared.found)"
    found = [
        trials.script(code, id=f"trial_{value}", environment=ENVIRONMENT | {"MINE": value}).log_tail.strip()
        for value in ("a", "b")
    ]
    assert found == ["a", "b"]


@pytest.mark.parametrize(
    ("command", "parsed"),
    [
        (("python", "train.py", "-c"), ("script", "train.py", (), ("-c",))),
        (("/x/bin/python3.12", "-P", "-m", "a.b", "x"), ("module", "a.b", ("-P",), ("x",))),
        (("python", "-X", "dev", "-Wd", "-uB", "-c", "pass"), ("code", "pass", ("-X", "dev", "-Wd", "-uB"), ())),
        (("python", "-i", "train.py"), None),
        (("python", "-"), None),
        (("python", "-m"), None),
        (("python",), None),
        (("bash", "train.py"), None),
        (("python", "--version"), None),
    ],
)
def test_commands_are_taken_apart(command: tuple[str, ...], parsed: tuple[Any, ...] | None) -> None:
    program = parse(command)
    assert parsed == (program and (program.kind, program.name, program.options, program.arguments))


def test_a_job_reads_back_what_it_shares() -> None:
    job = Job("a", "trial", "s", ("python", "x.py"), "/o", {}, preload=("torch",))
    assert Job.from_json(job.to_json()) == job


def test_a_job_that_must_not_be_forked_imports_ahead_of_its_time(trials: Trials) -> None:
    trials.module("import os; open('imported', 'a').write(f'{os.getpid()}\\n')")
    script, shared = trials.folder / "script.py", {"fork": False, "kind": "train", "working_dir": str(trials.folder)}
    script.write_text("import os, shared, sys; print(os.getpid(), *sys.argv[1:])")
    imported = trials.folder / "imported"
    for number in range(3):
        command = (sys.executable, str(script), str(number))
        trials.executor.expect(trials.job(command, **shared))
        until(lambda: imported.exists() and len(imported.read_text().split()) == number + 1, "the import")  # noqa: B023
        outcome = trials.run(command, id=f"trial_{number}", **shared)
        assert outcome.log_tail.split() == [imported.read_text().split()[-1], str(number)]
    assert trials.notices() == []


def test_whoever_waits_in_vain_is_ended_with_the_run(trials: Trials, study: str) -> None:
    trials.module(f"open({str(trials.folder / 'begun')!r}, 'w').close()\nimport time; time.sleep(600)")
    script = trials.folder / "script.py"
    script.write_text("print('done')")
    trials.executor.expect(trials.job((sys.executable, str(script)), fork=False))
    until((trials.folder / "begun").exists, "the import to begin")
    trials.executor.close()
    assert processes_with(study) == []


def test_what_cannot_be_imported_ahead_costs_no_job(trials: Trials) -> None:
    trials.module("import no_such_module")
    script = trials.folder / "script.py"
    script.write_text("print('done')")
    for number in range(2):
        trials.executor.expect(trials.job((sys.executable, str(script)), fork=False))
        outcome = trials.run((sys.executable, str(script)), id=f"trial_{number}", fork=False, kind="train")
        assert (outcome.cause, outcome.log_tail.strip()) == (Cause.OK, "done")
