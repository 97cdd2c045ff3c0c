"""The one loop: plan, ask, launch, read what happens, answer, tell."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path
from typing import Any

from optuna.trial import FrozenTrial, TrialState

from hpsearch.config.advice import too_long_warmup
from hpsearch.crash_points import reached
from hpsearch.execution.events import Note
from hpsearch.execution.executors import Executor
from hpsearch.execution.job import Finished, Job, Notice, Progress, Report
from hpsearch.execution.names import OUTCOME_FILE
from hpsearch.execution.outcome import VERDICTS, Cause
from hpsearch.execution.run_job import STOP_GRACE_S, TICK_S
from hpsearch.execution.signals import Interruption
from hpsearch.study import attributes as attrs
from hpsearch.study.budget import Budget
from hpsearch.study.events import NewBest, TrialEnded, TrialProgress, TrialReported, TrialStarted, View
from hpsearch.study.folders import StudyFolders, full_place
from hpsearch.study.jobs import JobMaker
from hpsearch.study.ledger import Ledger, settled
from hpsearch.study.memory_gate import Gate
from hpsearch.study.records import attempt_of, root_of
from hpsearch.study.results import AdapterRetention, write_best, write_trial_results
from hpsearch.study.sampling.planner import Planner, open_points, trial_seed
from hpsearch.study.warm_start import WarmStart

# Optuna reads and writes a trial's values anew at every report: 20,000 of them took more than 15 minutes.
ALL_KEPT = 200
# Seconds a trial gets to stop by itself once it was told that it is pruned.
PRUNE_GRACE_S = 30.0
# This many trials in a row that failed with one cause end the study: a broken program must not burn the search.
MAX_ALIKE = 5


class LoopEnding(Enum):
    """Why the loop ended."""

    TARGET = "target reached"
    EXHAUSTED = "every grid point is done"
    STUCK = "only failed grid points are left"
    TIMEOUT = "time limit reached"
    SPENT = "no GPU-hours left"
    SCARCE = "fewer GPU-hours left than a trial takes"
    INTERRUPTED = "stopped"
    FAILURES = "too many failures"
    NO_SLOT = "no GPU is left to run a trial on"
    NO_ROOM = "no space left"


@dataclass
class Running:
    """A trial that runs now."""

    job: Job
    began: float  # a time of the runner's clock, in seconds
    reports: int = 0
    pruned_at: float | None = None
    stop_sent: bool = False


@dataclass
class Runner:
    """Runs trials of one study until its target, a limit, a signal or a failure ends it.

    ``target`` is the study's total of finished trials. ``deadline`` is a time of
    ``clock``, in seconds. ``places`` are the folders in which a trial needs room; ``gate`` keeps back what is sure to
    run out of device memory; ``budget`` is what the study may spend.
    """

    ledger: Ledger
    folders: StudyFolders
    jobs: JobMaker
    executor: Executor
    view: View
    interruption: Interruption
    target: int
    deadline: float = math.inf
    prepared: dict[str, Any] = field(default_factory=dict)
    places: tuple[Path, ...] = ()
    gate: Gate | None = None
    budget: Budget = field(default_factory=Budget)
    warm_start: WarmStart | None = None
    clock: Callable[[], float] = time.monotonic
    _running: dict[str, Running] = field(default_factory=dict)
    _alike: list[Cause] = field(default_factory=list)

    def run(self) -> LoopEnding:
        """Run until there is an ending; no trial runs any more when it returns."""
        self._planner = Planner(self.ledger.study, self.ledger.definition, self.warm_start)
        self._keeper = AdapterRetention(self.ledger, self.folders)
        while True:
            ending = self._halt() or self._fill_slots()
            if ending is not None and not self._running:
                return ending
            if ending in (LoopEnding.INTERRUPTED, LoopEnding.TIMEOUT, LoopEnding.SPENT, LoopEnding.FAILURES):
                self._stop_all()
                return ending
            self._tick()

    def _halt(self) -> LoopEnding | None:
        if self.interruption.requested:
            return LoopEnding.INTERRUPTED
        if self.clock() >= self.deadline:
            return LoopEnding.TIMEOUT
        if self.budget.is_limited and self.budget.is_spent(self.ledger.trials(), self._elapsed()):
            return LoopEnding.SPENT
        return LoopEnding.FAILURES if self._failing() else None

    def _fill_slots(self) -> LoopEnding | None:
        if not self.executor.slots:
            return LoopEnding.NO_SLOT
        while self.executor.free and len(self._running) < self.executor.slots:
            if self.ledger.tally.finished + len(self._running) >= self.target:
                return LoopEnding.TARGET
            if full_place(self.places):
                return LoopEnding.NO_ROOM
            if self.budget.is_limited and not self.budget.has_room(self.ledger.trials(), self._elapsed()):
                return LoopEnding.SCARCE
            reached("before-ask")
            with self.ledger.together():
                trial = self._planner.next_trial()
                job = None if trial is None or self._refused(trial.number) else self._note_job(trial.number)
            if trial is None:
                return (
                    LoopEnding.STUCK
                    if open_points(self.ledger.trials(), self.ledger.definition)
                    else LoopEnding.EXHAUSTED
                )
            if job is not None:
                self._launch(job)
        return None

    def _elapsed(self) -> list[float]:
        """Seconds that each running trial has run."""
        return [self.clock() - running.began for running in self._running.values()]

    def _refused(self, number: int) -> bool:
        """Whether a trial is sure to run out of device memory; it is told so at once and costs no time."""
        if self.gate is None or self.gate.device is None:
            return False
        why = self.gate.refusal(self.ledger.trial(number), self.ledger.trials())
        if why:
            self.ledger.refuse(number, why)
            self.view(Note(f"trial {number} is {why}"))
        else:
            self.ledger.note(number, {attrs.DEVICE: self.gate.device.kind})
        return bool(why)

    def _note_job(self, number: int) -> Job:
        """A trial's job, with what a dead runner's successor would have to know of it noted."""
        trial = self.ledger.trial(number)
        root, attempt = root_of(trial), attempt_of(trial)
        seed = trial_seed(self.ledger.definition, self.ledger.tally.configurations(root))
        job = self.jobs.trial(number, root, attempt, trial.params, seed)
        folder = self.folders.attempt(root, attempt).relative_to(self.folders.root)
        noted = {attrs.ROOT: root, attrs.ATTEMPT: attempt, attrs.SEED: job.seed, attrs.FOLDER: str(folder)}
        self.ledger.note(number, noted | {attrs.GPUS: self.budget.gpus})
        return job

    def _launch(self, job: Job) -> None:
        trial = self.ledger.trial(_number(job))
        (Path(job.output_dir) / OUTCOME_FILE).unlink(missing_ok=True)  # what lies there is not this trial's
        self._running[job.id] = Running(job, self.clock())
        own = trial.user_attrs
        default, carried, first = own.get(attrs.IS_DEFAULT), own.get(attrs.CARRIED), own.get(attrs.TRY_FIRST, "")
        numbers = trial.number, root_of(trial), attempt_of(trial)
        self.view(TrialStarted(*numbers, trial.params, bool(default), carried, first))
        while not self.ledger.settle(TICK_S):  # before anything runs that a dead runner's successor would have to know
            self._show_notices()
        reached("before-launch")
        self.executor.launch(job)
        if self.ledger.tally.finished + len(self._running) < self.target:
            self.executor.expect(job)
        reached("launched")

    def _tick(self) -> None:
        for event in self.executor.events(TICK_S):
            if isinstance(event, Notice):
                self.view(Note(event.text, warning=True))
                continue
            running = self._running.get(event.job_id)
            if running is None:
                continue
            if isinstance(event, Report):
                self._report(running, event)
            elif isinstance(event, Progress):
                self.view(TrialProgress(_number(running.job), event.values))
            else:
                self._end(running, event)
        self._stop_those_that_ignore_pruning()
        self._show_notices()

    def _show_notices(self) -> None:
        for text in self.ledger.notices():
            self.view(Note(text, warning=True))
        self.ledger.check()  # a trial may be silent for hours

    def _report(self, running: Running, event: Report) -> None:
        number, value = _number(running.job), event.metrics.get(running.job.metric)
        reached("report-read")
        running.reports += 1
        if running.reports == 1 and running.job.attempt > 1:
            self.ledger.take_over_reports(number, event.step)
        prune, kept = False, is_kept(running.reports) and self._halt() is None
        if kept and value is not None and math.isfinite(value):
            prune = self.ledger.report(number, event.step, value) and not self._is_last(running.job, event.step)
        if prune:
            reached("prune-decided")
        self.executor.answer(event.job_id, event.step, prune)
        reached("answered")
        if prune and running.pruned_at is None:
            running.pruned_at = self.clock()
        if kept:
            self.view(TrialReported(number, event.step, event.metrics, prune))

    def _is_last(self, job: Job, step: int) -> bool:
        """Whether a trial is through with its training, so that stopping it would save nothing."""
        return job.steps is not None and step >= job.steps

    def _stop_those_that_ignore_pruning(self) -> None:
        for running in self._running.values():
            late = running.pruned_at is not None and self.clock() - running.pruned_at > PRUNE_GRACE_S
            if late and not running.stop_sent:
                running.stop_sent = True
                self.executor.stop(running.job.id, STOP_GRACE_S)

    def _end(self, running: Running, event: Finished) -> None:
        reached("end-read")
        number, before = _number(running.job), self.ledger.tally.best
        helped = self._helps()
        outcome = settled(event.outcome, running.job.metric)
        again = self.ledger.tell(number, outcome)
        reached("end-told")
        del self._running[running.job.id]
        trial = self.ledger.trial(number)
        write_trial_results(Path(running.job.output_dir), running.job, outcome, trial)
        reached("results-written")
        if outcome.refusals and outcome.refusals not in outcome.message:
            self.view(Note(f"trial {number}: {outcome.refusals}", warning=True))
        self.view(TrialEnded(number, outcome, trial.state.name, trial.value, self.ledger.tally.finished, again))
        self._check_warmup(trial)
        self._judge_warm_start(helped)
        self._after(number, before.number if before else None)
        self._count_alike(outcome.cause)

    def _check_warmup(self, trial: FrozenTrial) -> None:
        """Once it is seen how many steps a program's trials have, say whether the pruner can ever stop one."""
        unknown = self.ledger.definition.steps is None
        if unknown and trial.state is TrialState.COMPLETE and len(self.ledger.trials(TrialState.COMPLETE)) == 1:
            for text in too_long_warmup(self.ledger.definition, trial.last_step or 0):
                self.view(Note(text, warning=True))

    def _helps(self) -> bool | None:
        """Whether what was taken over helps; None while it is not known, or nothing was."""
        if self.warm_start is None:
            return None
        return self.warm_start.helps(self.ledger.trials(), self.ledger.definition.objective.direction)

    def _judge_warm_start(self, before: bool | None) -> None:
        """Say once it is known whether what was taken over helps."""
        helps = self._helps()
        if self.warm_start is not None and helps is not None and helps is not before:
            self.view(Note(self.warm_start.verdict(helps)))

    def _after(self, number: int, former_best: int | None) -> None:
        best = self.ledger.tally.best
        if best is not None and best.number != former_best:
            write_best(self.ledger, self.folders, self.prepared)
            self.view(NewBest(best.number, float(best.value or 0.0), best.params))
        self._keeper.after(number)

    def _count_alike(self, cause: Cause) -> None:
        if cause in (Cause.OK, Cause.PRUNED, Cause.INTERRUPTED):
            self._alike = []
        elif self._alike and self._alike[-1] is not cause:
            self._alike = [cause]
        else:
            self._alike.append(cause)

    def _failing(self) -> bool:
        """Whether trials keep failing alike; a configuration's fault counts only while nothing has succeeded."""
        if len(self._alike) < MAX_ALIKE:
            return False
        return not (VERDICTS[self._alike[-1]].teaches and self.ledger.tally.best is not None)

    def _stop_all(self) -> None:
        for running in self._running.values():
            self.executor.stop(running.job.id, 0.0 if self.interruption.at_once else STOP_GRACE_S)
            reached("stop-sent")
        hurried = self.interruption.at_once
        while self._running:
            self._tick()
            if self.interruption.at_once and not hurried:
                hurried = True
                for running in self._running.values():
                    self.executor.stop(running.job.id, 0.0)

    @property
    def last_failure(self) -> Cause | None:
        """The cause that kept coming, where the ending is FAILURES."""
        return self._alike[-1] if self._alike else None


def is_kept(count: int) -> bool:
    """Whether a trial's report number ``count``, from 1, goes to the storage and the pruner: all of the first 200,
    every tenth up to 2,000, every hundredth up to 20,000, and so on. Trials of one program keep the same ones."""
    every = 1
    while count > ALL_KEPT * every:
        every *= 10
    return count % every == 0


def _number(job: Job) -> int:
    return job.number if job.number is not None else -1
