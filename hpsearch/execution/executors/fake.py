"""Jobs played by a Python function in this process: no program, no process, no clock, always the same.

For tests of code that drives an executor, and for trying a study's search with a formula in place of a training:

    def play(job):
        for step in range(1, 4):
            prune = yield {"step": step, "cer": 1 / step}
            if prune:
                return
        yield {"cer": 0.3}

    executor = FakeExecutor(play, slots=2)

A play yields lines of the report channel, as mappings or as raw bytes, and gets back whether the job was asked to stop
after the step it has just reported. Returning is exit code 0, ``SystemExit`` another code, any other exception a crash;
yielding an ``Outcome`` ends the job with exactly that.
"""

from __future__ import annotations

import json
import traceback
from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from hpsearch.execution.exit import Exit, JobEnding, Stop, classify_exit
from hpsearch.execution.files import open_new, replace_file
from hpsearch.execution.job import Event, Finished, Job, Outcome, Progress, ProgressLine, Report, StepLine
from hpsearch.execution.names import JOB_FILE, LOG_FILE, METRICS_FILE, OUTCOME_FILE
from hpsearch.execution.outcome import Cause
from hpsearch.execution.reports import Record

Play = Callable[[Job], Generator[Mapping[str, Any] | bytes | Outcome, bool, None]]


@dataclass(eq=False)
class _Playing:
    """One job that is being played."""

    job: Job
    lines: Generator[Mapping[str, Any] | bytes | Outcome, bool, None]
    record: Record
    started: bool = False
    step: int | None = None  # the last one it reported
    prune: bool = False  # the answer to that step
    pruned_at: int | None = None
    stop: Stop | None = None
    log: str = ""


class FakeExecutor:
    """Plays up to ``slots`` jobs side by side. Satisfies ``Executor``.

    Each call of ``events`` takes one line from every running job, in the order of their launches, and never waits. An
    answer counts when it is given before that; a job without an answer goes on.
    """

    def __init__(self, play: Play, slots: int = 1) -> None:
        self.slots = slots
        self._play = play
        self._jobs: dict[str, _Playing] = {}
        self._refused: list[Event] = []

    @property
    def free(self) -> int:
        """Number of jobs that can be launched now. See ``Executor``."""
        return self.slots - len(self._jobs)

    def expect(self, job: Job) -> None:
        """Nothing: a play has nothing to get ready. See ``Executor``."""

    def launch(self, job: Job) -> None:
        """Begin to play a job. See ``Executor``.

        Raises:
            ValueError: a job with this id is running.
        """
        if job.id in self._jobs:
            raise ValueError(f"the ids of running jobs are unique, but {job.id!r} runs already")
        if len(self._jobs) >= self.slots:
            self._refuse(job, f"all {self.slots} slots are taken")
            return
        folder = Path(job.output_dir)
        try:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            (folder / OUTCOME_FILE).unlink(missing_ok=True)
            (folder / JOB_FILE).write_text(replace(job, environment={}).to_json(), encoding="utf-8")
            record = Record(job.metric, open_new(str(folder / METRICS_FILE)))
        except OSError as error:
            self._refuse(job, f"cannot make the job's folder: {error}")
            return
        self._jobs[job.id] = _Playing(job, self._play(job), record)

    def events(self, timeout_s: float) -> Sequence[Event]:
        """Take the next line of every running job. See ``Executor``."""
        events, self._refused = self._refused, []
        for playing in list(self._jobs.values()):
            events += self._advance(playing)
        return events

    def answer(self, job_id: str, step: int, prune: bool) -> None:
        """Tell a job whether to stop after ``step``. See ``Executor``."""
        playing = self._jobs.get(job_id)
        if playing is None:
            return
        if step == playing.step:
            playing.prune = prune
        if prune and playing.pruned_at is None and not playing.record.has_result:
            playing.pruned_at = step

    def stop(self, job_id: str, grace_s: float) -> None:
        """End a job at the next call of ``events``. See ``Executor``."""
        playing = self._jobs.get(job_id)
        if playing is not None and playing.stop is None:
            playing.stop = Stop(Cause.INTERRUPTED, "stopped on request")
            playing.record.close_verdict()

    def take_over(self, study: str, lease: str) -> int:
        """Find nothing, as nothing outlives this process. See ``Executor``."""
        return 0

    def wake(self) -> None:
        """Do nothing, as ``events`` never waits. See ``Executor``."""

    def close(self) -> None:
        """Drop everything that is being played. See ``Executor``."""
        for playing in self._jobs.values():
            playing.lines.close()
            playing.record.close()
        self._jobs.clear()

    def _refuse(self, job: Job, reason: str) -> None:
        self._refused.append(Finished(job.id, Outcome(Cause.LAUNCH, message=reason)))

    def _advance(self, playing: _Playing) -> list[Event]:
        if playing.stop is not None:
            playing.lines.close()
            return [self._finish(playing, Exit(number=15))]
        try:
            line = playing.lines.send(playing.prune) if playing.started else next(playing.lines)
        except StopIteration:
            return [self._finish(playing, Exit(code=0))]
        except SystemExit as end:
            return [self._finish(playing, Exit(code=end.code if isinstance(end.code, int) else int(bool(end.code))))]
        except Exception:  # noqa: BLE001 - whatever a play raises is how its program crashed
            playing.log = traceback.format_exc()
            return [self._finish(playing, Exit(code=1))]
        playing.started, playing.prune, playing.step = True, False, None
        if isinstance(line, Outcome):
            return [self._end(playing, line)]
        return self._take(playing, line)

    def _take(self, playing: _Playing, message: Mapping[str, Any] | bytes) -> list[Event]:
        raw = message if isinstance(message, bytes) else json.dumps(message).encode()
        line = playing.record.take(raw)
        events: list[Event] = []
        if isinstance(line, StepLine):
            playing.step = line.step
            events.append(Report(playing.job.id, line.step, line.metrics))
        elif isinstance(line, ProgressLine):
            events.append(Progress(playing.job.id, line.values))
        verdict = playing.record.verdict
        if verdict is not None and verdict[0] in (Cause.DIVERGED, Cause.PROTOCOL):
            playing.lines.close()
            events.append(self._finish(playing, Exit(number=15)))
        return events

    def _finish(self, playing: _Playing, ended: Exit) -> Finished:
        ending = JobEnding(ended, 0.0, log_tail=playing.log.encode(), stop=playing.stop, pruned_at=playing.pruned_at)
        return self._end(playing, classify_exit(playing.job, playing.record, ending))

    def _end(self, playing: _Playing, outcome: Outcome) -> Finished:
        playing.lines.close()
        playing.record.close()
        del self._jobs[playing.job.id]
        folder = Path(playing.job.output_dir)
        (folder / LOG_FILE).write_text(playing.log, encoding="utf-8")
        replace_file(str(folder / OUTCOME_FILE), outcome.to_json().encode())
        return Finished(playing.job.id, outcome)
