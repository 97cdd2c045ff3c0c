"""Running jobs through the local executor, and when what happened in them."""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hpsearch.execution.environment import build_environment
from hpsearch.execution.executors.local import LocalExecutor
from hpsearch.execution.gpu import find_driver
from hpsearch.execution.job import Event, Finished, Job, Outcome, Progress, Report
from hpsearch.execution.names import JOB_VARIABLE, TAG_VARIABLE
from hpsearch.execution.outcome import Cause
from hpsearch.execution.trainer_python import Trainer
from hpsearch.settings import TrainSettings

STUDY = "gpu-check"
GRACE_S = 20.0  # between the polite and the other stop of a job that is out of time
BENCHMARKS = Path(__file__).parents[1]


class OutOfTime(Exception):
    """A section has used up its share of the time."""


class Failed(Exception):
    """A job did not do its work; the message says why."""


@dataclass
class Timeline:
    """What a job did: when it was launched, when each phase began, when it reported, and how it ended, in seconds of
    time.monotonic()."""

    launched: float
    phases: dict[str, float] = field(default_factory=dict)
    steps: list[tuple[float, int]] = field(default_factory=list)
    ended: float = 0.0
    outcome: Outcome = field(default_factory=lambda: Outcome(Cause.LOST))

    def take(self, event: Event) -> None:
        """Add what an event tells."""
        now = time.monotonic()
        if isinstance(event, Progress):
            phase = str(event.values.get("phase", ""))
            if phase and phase not in self.phases:
                self.phases[phase] = now
            if event.values.get("step"):
                self.steps.append((now, int(event.values["step"])))
        elif isinstance(event, Finished):
            self.ended, self.outcome = now, event.outcome

    def between(self, first: str, second: str) -> float:
        """Seconds from the beginning of one phase to that of another. Raises Failed where one never came."""
        if first not in self.phases or second not in self.phases:
            raise Failed(f"the job never came to {second!r}: {why(self.outcome)}")
        return self.phases[second] - self.phases[first]


@dataclass
class Bench:
    """Where the check works, with which interpreter, and until when. Times are of time.monotonic()."""

    folder: Path
    python: str = sys.executable
    cpu: bool = False
    deadline: float = float("inf")

    @property
    def left_s(self) -> float:
        """Seconds left for the section."""
        return self.deadline - time.monotonic()

    def job(self, kind: str, name: str, settings: Mapping[str, Any], prepared: Path) -> Job:
        """A job of the built-in training, which reads what ``prepared`` holds."""
        return Job(
            id=name,
            kind=kind,
            study=STUDY,
            command=Trainer(self.python if self.python != sys.executable else None).command,
            output_dir=str(prepared if kind == "prepare" else self.folder / name),
            settings=TrainSettings.model_validate(dict(settings)).model_dump(),
            environment=self._environment(kind),
            prepared_dir=str(prepared),
        )

    def program(self, name: str, module: str, *words: str) -> Job:
        """A job that runs one of this check's own programs."""
        return Job(
            id=name,
            kind="trial",
            study=STUDY,
            command=(self.python, "-m", module, *words),
            output_dir=str(self.folder / name),
            settings={},
            metric="done",
            environment=self._environment("trial"),
        )

    def _environment(self, kind: str) -> dict[str, str]:
        """That of any job; and this checkout, which another interpreter does not have."""
        path = os.pathsep.join(filter(None, (str(BENCHMARKS), str(BENCHMARKS.parent), os.environ.get("PYTHONPATH"))))
        hidden = {"CUDA_VISIBLE_DEVICES": ""} if self.cpu else {}
        return build_environment(os.environ, (), kind=kind, extra={**hidden, "PYTHONPATH": path})[0]

    def run(
        self,
        job: Job,
        watch: Callable[[LocalExecutor, Event, Timeline], None] | None = None,
        executor: LocalExecutor | None = None,
    ) -> Timeline:
        """Run a job to its end. ``watch`` sees each event after the timeline has it, and may stop, answer or kill.

        Raises:
            OutOfTime: the section's time is up; the job was stopped.
        """
        own = executor or LocalExecutor()
        try:
            return self._follow(job, own, watch)
        finally:
            if executor is None:
                own.close()

    def _follow(
        self, job: Job, executor: LocalExecutor, watch: Callable[[LocalExecutor, Event, Timeline], None] | None
    ) -> Timeline:
        timeline = Timeline(time.monotonic())
        executor.launch(job)
        stopped = False
        while not timeline.ended:
            for event in executor.events(min(1.0, max(0.0, self.left_s))):
                timeline.take(event)
                if isinstance(event, Report) and watch is None:
                    executor.answer(job.id, event.step, False)
                if watch is not None:
                    watch(executor, event, timeline)
            if self.left_s <= 0 and not stopped:
                stopped = True
                executor.stop(job.id, GRACE_S)
        if stopped:
            raise OutOfTime
        return timeline


def required(timeline: Timeline) -> Timeline:
    """The timeline of a job that did its work. Raises Failed for any other."""
    if timeline.outcome.cause is not Cause.OK:
        raise Failed(why(timeline.outcome))
    return timeline


def why(outcome: Outcome) -> str:
    """How a job ended, in one line."""
    last = (outcome.log_tail.strip().splitlines() or [""])[-1]
    return f"{outcome.cause.value}: {outcome.message or last or 'it says nothing'}"[:300]


def kill_program(job: Job) -> bool:
    """SIGKILL the job's own program, not its supervisor nor what it started; whether it was found."""
    found = _processes(JOB_VARIABLE, f"{job.output_dir}/")
    if found:
        os.kill(min(found), signal.SIGKILL)  # it came before its children
    return bool(found)


def left_over() -> int:
    """Processes of this check's jobs that are still there."""
    return len(_processes(TAG_VARIABLE, f"{STUDY}/"))


def _processes(variable: str, beginning: str) -> list[int]:
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            entries = (folder / "environ").read_bytes().split(b"\0")
        except OSError:
            continue
        if any(entry.startswith(f"{variable}={beginning}".encode()) for entry in entries):
            found.append(int(folder.name))
    return found


def memory_in_use(bench: Bench) -> int:
    """Bytes of memory in use on the GPU that jobs get, by the driver; 0 without a GPU."""
    gpus = () if bench.cpu else find_driver(20.0).gpus
    first = os.environ.get("CUDA_VISIBLE_DEVICES", "0").partition(",")[0]
    number = int(first) if first.isdigit() and int(first) < len(gpus) else 0
    return gpus[number].total - gpus[number].free if gpus else 0
