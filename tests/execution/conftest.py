"""A bench on which real programs run under the local executor; nothing of them may be left afterwards."""

from __future__ import annotations

import os
import sys
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from hpsearch.execution.executors import Executor
from hpsearch.execution.executors.local import LocalExecutor
from hpsearch.execution.gpu_slots import without_gpus
from hpsearch.execution.job import Event, Finished, Job, Outcome, Report

ROOT = Path(__file__).parents[2]
PROGRAMS = Path(__file__).parent / "programs"
ENVIRONMENT = {"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT)}
LEASE = "1-1"  # as programs/runner.py holds it
PATIENCE_S = 60.0  # a test that waits so long has failed


def until(condition: Callable[[], Any], what: str, patience_s: float = PATIENCE_S) -> Any:
    """Wait for a condition; its value."""
    deadline = time.monotonic() + patience_s
    while not (value := condition()):
        if time.monotonic() > deadline:
            pytest.fail(f"waited {patience_s:g} s in vain: {what}")
        time.sleep(0.005)
    return value


def is_alive(pid: int) -> bool:
    """Whether there is such a process, zombies not counted."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def processes_with(text: str) -> list[int]:
    """Pids of the living processes in whose environment the text occurs."""
    found = []
    for folder in Path("/proc").iterdir():
        try:
            if folder.name.isdigit() and text.encode() in (folder / "environ").read_bytes():
                found.append(int(folder.name))
        except OSError:
            continue
    return [pid for pid in found if is_alive(pid)]


def python(code: str) -> tuple[str, ...]:
    """The command that runs this code."""
    return (sys.executable, "-c", code)


def shell(script: str) -> tuple[str, ...]:
    """The command that runs this script."""
    return ("/bin/bash", "-c", script)


def program(name: str, *arguments: str) -> tuple[str, ...]:
    """The command that runs one of the programs beside the tests."""
    return (sys.executable, str(PROGRAMS / name), *arguments)


class Bench:
    """Runs jobs on an executor and collects what it says."""

    def __init__(self, executor: Executor, study: str, folder: Path, preload: tuple[str, ...] | None = None) -> None:
        self.executor = executor
        self.preload = preload
        self.study = study
        self.folder = folder
        self.events: list[Event] = []

    def job(self, command: Sequence[str], **fields: Any) -> Job:
        """A trial of this bench's study."""
        fields = {
            "id": "trial_1",
            "kind": "trial",
            "settings": {},
            "metric": "cer",
            "environment": ENVIRONMENT,
            "preload": self.preload,
        } | fields
        fields.setdefault("output_dir", str(self.folder / fields["id"]))
        return Job(study=self.study, command=tuple(command), **fields)

    def launch(self, command: Sequence[str], **fields: Any) -> Job:
        """Start a trial."""
        job = self.job(command, **fields)
        self.executor.launch(job)
        return job

    def run(self, command: Sequence[str], **fields: Any) -> Outcome:
        """Start a trial and wait for its end."""
        return self.outcome(self.launch(command, **fields).id)

    def wait_for(self, condition: Callable[[Event], bool], what: str) -> Event:
        """Wait for the first event, past or to come, that fulfils the condition."""
        deadline = time.monotonic() + PATIENCE_S
        seen = 0
        while time.monotonic() < deadline:
            for event in self.events[seen:]:
                if condition(event):
                    return event
            seen = len(self.events)
            self.events += self.executor.events(deadline - time.monotonic())
        pytest.fail(f"waited in vain for {what}; events: {self.events}")

    def report(self, step: int, job_id: str = "trial_1") -> Report:
        """Wait for the report of a step."""
        event = self.wait_for(lambda e: isinstance(e, Report) and (e.job_id, e.step) == (job_id, step), f"step {step}")
        assert isinstance(event, Report)
        return event

    def outcome(self, job_id: str = "trial_1") -> Outcome:
        """Wait for the end of a job."""
        event = self.wait_for(lambda e: isinstance(e, Finished) and e.job_id == job_id, f"the end of {job_id}")
        assert isinstance(event, Finished)
        return event.outcome

    def reports(self, job_id: str = "trial_1") -> list[tuple[int, dict[str, float]]]:
        """Steps and metrics reported so far."""
        return [(e.step, e.metrics) for e in self.events if isinstance(e, Report) and e.job_id == job_id]


@pytest.fixture
def study() -> Iterator[str]:
    """A study's name that no other test has; none of its processes may be left."""
    name = f"test-{uuid.uuid4().hex}"
    yield name
    assert processes_with(name) == [], "the test left processes behind"


@pytest.fixture(params=[None, ("decimal",)], ids=["alone", "forked"])
def bench(request: pytest.FixtureRequest, study: str, tmp_path: Path) -> Iterator[Bench]:
    """A bench with two slots of the local executor; Python programs are started alone, then by a fork server."""
    executor = LocalExecutor(without_gpus(2))
    yield Bench(executor, study, tmp_path, request.param)
    executor.close()
