"""The one loop of a study: ask for a trial, launch it, read its reports, answer them, record how it ends."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path

from optuna.trial import FrozenTrial, TrialState

from hpsearch.config.advice import too_long_warmup
from hpsearch.crash_points import reached
from hpsearch.execution.events import Note
from hpsearch.execution.executors import Executor
from hpsearch.execution.job import Finished, Job, Notice, Outcome, Progress, Report
from hpsearch.execution.names import METRICS_FILE, OUTCOME_FILE
from hpsearch.execution.outcome import VERDICTS, Cause
from hpsearch.execution.reports import read_reports
from hpsearch.execution.run_job import STOP_GRACE_S, TICK_S
from hpsearch.execution.signals import Interruption
from hpsearch.study import attributes as attrs
from hpsearch.study.budget import Budget
from hpsearch.study.events import NewBest, TrialEnded, TrialProgress, TrialReported, TrialStarted, View
from hpsearch.study.folders import StudyFolders, full_place
from hpsearch.study.jobs import JobMaker
from hpsearch.study.ledger import Ledger, checked_outcome, is_kept
from hpsearch.study.memory_gate import Gate
from hpsearch.study.preparation import PreparedInfo
from hpsearch.study.pruning import should_prune
from hpsearch.study.records import attempt_of, root_of
from hpsearch.study.results import IN_THE_WAY, AdapterRetention, has_half_adapter, write_best, write_trial_results
from hpsearch.study.sampling.planner import Planner, open_points, trial_seed
from hpsearch.study.second_copy import restore_folder, write_trial
from hpsearch.study.warm_start import WarmStart

# Seconds that a pruned trial gets to stop by itself.
PRUNE_GRACE_S = 30.0
NOT_BEGUN = "stopped before it began"
# This many trials in a row that failed with one cause end the study: a broken program must not burn the search. What
# goes with a value of a setting does not (failures.py).
MAX_ALIKE = 5


class LoopEnding(Enum):
    """Why the loop ended."""

    TARGET = "target reached"
    EXHAUSTED = "every grid point is done"
    STUCK = "only failed grid points are left"
    TIMEOUT = "time limit reached"
    SPENT = "no hours left"
    SCARCE = "fewer hours left than a trial takes"
    INTERRUPTED = "stopped"
    FAILURES = "too many failures"
    NO_SLOT = "no GPU is left to run a trial on"
    NO_ROOM = "no space left"


@dataclass
class Running:
    """A trial that runs now."""

    job: Job
    number: int
    began: float  # a time of the runner's clock, in seconds
    reports: int = 0
    pruned_at: float | None = None
    stop_sent: bool = False


@dataclass
class Runner:
    """Runs trials of one study until its target, a limit, a signal or a failure ends it.

    ``target`` is the study's total of finished trials. ``deadline`` is a time of ``clock``, in seconds. ``places`` are
    the folders in which a trial needs room; ``gate`` refuses what is sure to run out of device memory; ``budget`` is
    what the study may spend. ``planner`` chooses the configurations; without one, the search does.
    """

    ledger: Ledger
    folders: StudyFolders
    jobs: JobMaker
    executor: Executor
    view: View
    interruption: Interruption
    target: int
    deadline: float = math.inf
    prepared: PreparedInfo = field(default_factory=PreparedInfo)
    places: tuple[Path, ...] = ()
    gate: Gate | None = None
    budget: Budget = field(default_factory=Budget)
    warm_start: WarmStart | None = None
    planner: Planner | None = None
    clock: Callable[[], float] = time.monotonic

    def __post_init__(self) -> None:
        self._planner = self.planner or Planner(self.ledger.study, self.ledger.definition, self.warm_start)
        self._retention = AdapterRetention(self.ledger, self.folders)
        self._running: dict[str, Running] = {}  # by job id
        self._alike: list[tuple[Cause, int]] = []  # cause and first attempt of the last trials, failed with one cause
        self._explained: set[str] = set()  # values of settings of which it was said that trials fail with them

    def run(self) -> LoopEnding:
        """Run until there is an ending; no trial runs any more when it returns."""
        while True:
            ending = self._halt() or self._fill_slots()
            if ending is not None and not self._running:
                return ending
            if ending in (LoopEnding.INTERRUPTED, LoopEnding.TIMEOUT, LoopEnding.SPENT, LoopEnding.FAILURES):
                self._stop_all()
                return ending
            self._tick()

    @property
    def last_failure(self) -> Cause | None:
        """The cause that kept coming, where the ending is FAILURES."""
        return self._alike[-1][0] if self._alike else None

    def _halt(self) -> LoopEnding | None:
        """Return why the trials that run are to be stopped, if they are."""
        if self.interruption.requested:
            return LoopEnding.INTERRUPTED
        if self.clock() >= self.deadline:
            return LoopEnding.TIMEOUT
        if self.budget.is_limited and self.budget.is_spent(self.ledger.trials(), self._elapsed()):
            return LoopEnding.SPENT
        if len(self._alike) < MAX_ALIKE:
            return None
        # A configuration's fault counts only while nothing has succeeded.
        is_configuration = VERDICTS[self._alike[-1][0]].teaches and self.ledger.counts.best is not None
        explained = is_configuration or self._planner.failures.explain(root for _, root in self._alike)
        return None if explained else LoopEnding.FAILURES

    def _elapsed(self) -> list[float]:
        """Seconds that each running trial has run."""
        return [self.clock() - running.began for running in self._running.values()]

    def _fill_slots(self) -> LoopEnding | None:
        """Launch trials while slots are free. Returns why no other one is launched, if it is not for want of slots."""
        if not self.executor.slots:
            return LoopEnding.NO_SLOT
        while self.executor.free and len(self._running) < self.executor.slots:
            if self.ledger.counts.finished + len(self._running) >= self.target:
                return LoopEnding.TARGET
            if full_place(self.places):
                return LoopEnding.NO_ROOM
            if self.budget.is_limited and not self.budget.has_room(self.ledger.trials(), self._elapsed()):
                return LoopEnding.SCARCE
            reached("before-ask")
            with self.ledger.together():
                trial = self._planner.next_trial()
                job = None if trial is None or self._refused(trial.number) else self._make_job(trial.number)
            if trial is None:
                is_grid = self.ledger.definition.search_mode == "grid"
                left = is_grid and open_points(self.ledger.trials(), self.ledger.definition)
                return LoopEnding.STUCK if left else LoopEnding.EXHAUSTED
            if job is not None and not self._launch(job, trial.number):
                return LoopEnding.INTERRUPTED
        return None

    def _refused(self, number: int) -> bool:
        """Refuse a trial that is sure to run out of device memory; it costs no time. Returns True if it was refused."""
        if self.gate is None or self.gate.device is None:
            return False
        why = self.gate.refusal(self.ledger.trial(number), self.ledger.trials())
        if why:
            self.ledger.refuse(number, why)
            self.view(Note(f"trial {number} is {why}"))
        else:
            self.ledger.note(number, {attrs.DEVICE: self.gate.device.kind})
        return bool(why)

    def _make_job(self, number: int) -> Job:
        """Make a trial's job, and note with the trial what the runner after a dead one needs to know of it."""
        trial = self.ledger.trial(number)
        root, attempt = root_of(trial), attempt_of(trial)
        derived = trial_seed(self.ledger.definition, self.ledger.counts.configurations(root))
        seed = int(trial.user_attrs.get(attrs.SEED, derived))  # a fresh run is queued with its own
        job = self.jobs.trial(number, root, attempt, trial.params, seed)
        for name in (OUTCOME_FILE, METRICS_FILE):
            (Path(job.output_dir) / name).unlink(missing_ok=True)  # what lies there is not this trial's
        folder = self.folders.attempt(root, attempt).relative_to(self.folders.root)
        noted = {attrs.ROOT: root, attrs.ATTEMPT: attempt, attrs.SEED: job.seed, attrs.FOLDER: str(folder)}
        self.ledger.note(number, noted | {attrs.GPUS: self.budget.gpus})
        return job

    def _launch(self, job: Job, number: int) -> bool:
        """Launch a trial once the storage knows of it. Returns False if a stop signal came before that."""
        trial = self.ledger.trial(number)
        self._running[job.id] = Running(job, number, self.clock())
        own = trial.user_attrs
        default, carried, first = own.get(attrs.IS_DEFAULT), own.get(attrs.CARRIED), own.get(attrs.TRY_FIRST, "")
        self.view(TrialStarted(number, root_of(trial), attempt_of(trial), trial.params, bool(default), carried, first))
        while not self.ledger.settle(TICK_S):  # nothing runs that the runner after a dead one would not know of
            self._show_notices()
            if self.interruption.requested:
                self._end(self._running[job.id], Finished(job.id, Outcome(Cause.INTERRUPTED, message=NOT_BEGUN)))
                return False
        if restore_folder(self.ledger.study, self.folders):
            gone = f"{self.folders.root} was removed or moved away under this run; it is made again"
            self.view(
                Note(f"{gone}, without the files of earlier trials; their results are in the storage", warning=True)
            )
        write_trial(Path(job.output_dir), trial)
        reached("before-launch")
        self.executor.launch(job)
        if self.ledger.counts.finished + len(self._running) < self.target:
            self.executor.expect(job)
        reached("launched")
        return True

    def _tick(self) -> None:
        """Handle what happened, or wait for it for ``TICK_S`` at most."""
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
                self.view(TrialProgress(running.number, event.values))
            else:
                self._end(running, event)
        for running in self._running.values():
            late = running.pruned_at is not None and self.clock() - running.pruned_at > PRUNE_GRACE_S
            if late and not running.stop_sent:
                running.stop_sent = True
                self.executor.stop(running.job.id, STOP_GRACE_S)
        self._show_notices()

    def _show_notices(self) -> None:
        for text in self.ledger.notices():
            self.view(Note(text, warning=True))
        self.ledger.check()  # a trial may be silent for hours

    def _report(self, running: Running, event: Report) -> None:
        """Record a report and answer it: the trial goes on, or is pruned."""
        number, job, value = running.number, running.job, event.metrics.get(running.job.metric)
        reached("report-read")
        running.reports += 1
        if running.reports == 1 and job.attempt > 1:
            self.ledger.copy_reports(number, event.step)
        prune, kept = False, is_kept(running.reports)
        if kept and value is not None and math.isfinite(value):
            self.ledger.report(number, event.step, value)
            # A trial that is through with its training is not stopped: that would save nothing. The pruner is asked of
            # its last report too, as it may learn from it.
            is_last = job.steps is not None and event.step >= job.steps
            if self._halt() is None:
                prune = should_prune(self.ledger.study, self.ledger.trial(number)) and not is_last
        if prune:
            reached("prune-decided")
        self.executor.answer(event.job_id, event.step, prune)
        reached("answered")
        if prune and running.pruned_at is None:
            running.pruned_at = self.clock()
        if kept:
            self.view(TrialReported(number, event.step, event.metrics, prune))

    def _end(self, running: Running, event: Finished) -> None:
        """Record how a trial ended, and write and show what follows from it."""
        reached("end-read")
        number, former_best, helped = running.number, self.ledger.counts.best, self._helps()
        outcome, folder = checked_outcome(event.outcome, running.job.metric), Path(running.job.output_dir)
        if outcome.exit_code is None and outcome.signal is None:  # its supervisor died, with reports unread
            self.ledger.complete_reports(number, read_reports(folder / METRICS_FILE)[0])
        if has_half_adapter(folder, outcome):
            self.ledger.note(number, {attrs.HALF_ADAPTER: True})
        again = self.ledger.tell(number, outcome)
        reached("end-told")
        del self._running[running.job.id]
        trial = self.ledger.trial(number)
        self._write(lambda: write_trial_results(folder, running.job, outcome, trial))
        reached("results-written")
        if outcome.refusals and outcome.refusals not in outcome.message:
            self.view(Note(f"trial {number}: {outcome.refusals}", warning=True))
        self.view(TrialEnded(number, outcome, trial.state.name, trial.value, self.ledger.counts.finished, again))
        self._check_warmup(trial)
        helps = self._helps()
        if self.warm_start is not None and helps is not None and helps is not helped:
            self.view(Note(self.warm_start.verdict(helps)))
        best = self.ledger.counts.best
        if best is not None and (former_best is None or best.number != former_best.number):
            self._write(lambda: write_best(self.ledger, self.folders, self.prepared))
            if attrs.HALF_ADAPTER in best.user_attrs:
                half = f"trial {best.number} is the best so far, but its program ended while saving its adapter"
                self.view(Note(f"{half}: best/ has the best trial whose adapter is complete", warning=True))
            self.view(NewBest(best.number, float(best.value or 0.0), best.params))
        self._retention.after(number)
        self._learn(root_of(trial), outcome.cause)

    def _learn(self, root: int, cause: Cause) -> None:
        """Keep the last trials that failed with one cause, and say which values of settings explain failures."""
        if cause in (Cause.OK, Cause.PRUNED, Cause.INTERRUPTED):
            self._alike = []
        else:
            self._alike = [*(alike for alike in self._alike if alike[0] is cause), (cause, root)][-MAX_ALIKE:]
        left = "" if self.ledger.definition.search_mode == "grid" else "; it is not proposed again"
        for failing in self._planner.failures.explained:
            if failing.setting not in self._explained:
                self._explained.add(failing.setting)
                self.view(Note(failing.text + left, warning=True))

    def _write(self, write: Callable[[], object]) -> None:
        """Write files of results; warn where something stands in their way."""
        try:
            write()
        except IN_THE_WAY as error:
            path = error.filename2 or error.filename
            self.view(Note(f"cannot write {path} ({error.strerror}); the result is in the storage", warning=True))

    def _check_warmup(self, trial: FrozenTrial) -> None:
        """Warn if the pruner can never stop a trial, once the first one shows how many steps a program's have."""
        unknown = self.ledger.definition.steps is None
        if unknown and trial.state is TrialState.COMPLETE and len(self.ledger.trials(TrialState.COMPLETE)) == 1:
            for text in too_long_warmup(self.ledger.definition, trial.last_step or 0):
                self.view(Note(text, warning=True))

    def _helps(self) -> bool | None:
        """Return True if the warm start helps; None while that is not known, or without one."""
        if self.warm_start is None:
            return None
        return self.warm_start.helps(self.ledger.trials(), self.ledger.definition.objective.direction)

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
