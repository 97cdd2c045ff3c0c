"""Run and resume a study by its name, for the command line and for ``hpsearch.run``."""

from __future__ import annotations

import math
import os
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from optuna.storages import BaseStorage
from optuna.trial import FrozenTrial, TrialState

from hpsearch.config.advice import advice
from hpsearch.config.definition import StudyDefinition
from hpsearch.crash_points import reached
from hpsearch.errors import Interrupted, StorageError, TooManyFailures, UsageError
from hpsearch.execution.events import Note
from hpsearch.execution.executors import EXECUTORS, Executor
from hpsearch.execution.gpu_slots import SlotAllocation, look_for_gpus, share_out
from hpsearch.execution.signals import Interruption
from hpsearch.study import attributes as attrs
from hpsearch.study.budget import Budget, settle_budget, spent_hours
from hpsearch.study.confirmed import next_step
from hpsearch.study.ending import RunEnding
from hpsearch.study.events import RunStarted, View, earlier_events, show_prepared, silent
from hpsearch.study.folders import StudyFolders, require_room, study_folders
from hpsearch.study.fresh_runs import Confirming, refuse_fresh_runs
from hpsearch.study.jobs import JobMaker, job_maker, require_program
from hpsearch.study.ledger import Ledger
from hpsearch.study.loop import Runner
from hpsearch.study.memory_gate import Gate, device_of
from hpsearch.study.open import (
    begin,
    changed_versions,
    keep_prepared,
    load_study,
    new_id,
    nothing_to_do,
    open_study,
    requested_target,
    require_complete,
    settle_target,
    study_names,
)
from hpsearch.study.options import RunOptions, command_text, rebuild_remedy
from hpsearch.study.preparation import PreparedInfo, prepare
from hpsearch.study.pruning import pruner_text, warmup_warnings
from hpsearch.study.records import best_trial, finished
from hpsearch.study.recovery import recover
from hpsearch.study.resolve import rebuild_offered, resolve, resolve_stored, with_pruner
from hpsearch.study.results import best_config, write_best
from hpsearch.study.second_copy import last_trial, require_no_more, write_study
from hpsearch.study.storage.lease import lease_for
from hpsearch.study.storage.patience import Patience
from hpsearch.study.storage.session import SPOOL_FILE, StudyLocation, writing
from hpsearch.study.warm_start import stored_warm_start
from hpsearch.study.warm_start_source import SourceStudy, find_source, make_warm_start, refuse_late


@dataclass(frozen=True)
class RunSummary:
    """The result of a run: ``exit_code`` is the command's, ``text`` says in one sentence how the run ended, and
    ``next_step`` how its best configuration is confirmed, if it was not."""

    study: str
    exit_code: int
    text: str
    finished: int
    target: int
    best_number: int | None
    best_value: float | None
    best_params: dict[str, Any]
    best_config: dict[str, Any]
    folder: Path
    best_config_path: Path | None
    gpu_hours: float
    storage: str
    next_step: str = ""


def run_study(options: RunOptions, view: View = silent) -> RunSummary:
    """Start a study, or go on with it.

    With ``must_exist`` and no definition given, the stored one is used, as by ``resume_study``.

    Raises:
        UsageError: the definition or an option is wrong.
        DefinitionChanged: it differs from the one stored with the study.
        StudyOwned: another runner holds the study.
        StorageError: the storage cannot be used.
    """
    if options.goes_on:
        return resume_study(options, view)
    with rebuild_offered(options):
        options.url.check(lambda text: view(Note(text, warning=True)))
        resolved = resolve(options)
    name, definition = resolved.study, resolved.definition
    require_complete(definition, resolved.note)
    if options.must_exist:
        with options.url.opened() as storage:
            if name not in study_names(storage):
                remedy = "start it without --resume, or see `hpsearch status`"
                raise UsageError(f"there is no study {name!r} to resume", remedy)
    if resolved.note:
        view(Note(resolved.note, warning=True))
    with rebuild_offered(options):  # what is damaged may show only when the trials are read
        return run_definition(name, definition, options, view, resuming=resolved.is_stored)


def resume_study(options: RunOptions, view: View = silent) -> RunSummary:
    """Go on with a study by its stored definition; without a name, with the only unfinished one.

    Raises:
        UsageError: there is no such study, or more than one is unfinished.
        StudyOwned: another runner holds the study.
        StorageError: the storage cannot be used.
    """
    with rebuild_offered(options):
        options.url.check(lambda text: view(Note(text, warning=True)))
        name, definition = resolve_stored(options)
        return run_definition(name, definition, options, view, resuming=True)


def run_definition(
    name: str,
    definition: StudyDefinition,
    options: RunOptions,
    view: View,
    confirming: Confirming | None = None,
    *,
    resuming: bool = False,
) -> RunSummary:
    """Run the trials of a study: as a search, or as the fresh runs of one. Raises as ``run_study``."""
    folders = study_folders(options.base_output_dir.absolute(), name)
    source = find_source(options, name, definition)
    jobs = replace(job_maker(definition, folders, Path.cwd()), ranks=options.gpus_per_trial or 1, cold=options.cold)
    if not resuming or definition.command is None:
        require_program(jobs)
    shares = shares_of(options, definition)
    with (
        Interruption() as interruption,
        ended_by(interruption, view),
        options.url.errors(),
        closing(EXECUTORS[options.executor](shares.slots)) as executor,
    ):
        interruption.wake = executor.wake
        executor.expect(jobs.expected())  # what trials import is imported while the storage is opened
        patience = Patience(options.storage_timeout_s, lambda: interruption.count, lambda text: view(Note(text)))
        url = replace(options.url, patience=patience)
        storage = url.open(create=True)
        with (
            lease_for(url, name) as lease,
            writing(
                StudyLocation(url, storage, name, lease, folders.root / SPOOL_FILE, rebuild_remedy(options, name))
            ) as session,
        ):
            reached("lease-taken")
            study = load_study(session.storage, name) if name in study_names(session.storage) else None
            if study is not None and confirming is None:
                refuse_fresh_runs(study, options)
            definition, why = with_pruner(definition, study, replace(options, must_exist=resuming))
            remedy = rebuild_remedy(options, name)
            ledger = _open(session.storage, name, definition, folders, source, remedy, lambda text: view(Note(text)))
            if not session.is_superseded:
                require_no_more(folders, len(ledger.trials()), remedy)
            ledger = replace(ledger, writer=session.writer)
            session.begin()
            reached("study-opened")
            # The values of settings left open, resolved when the study began.
            resolved = PreparedInfo.stored(ledger.study).resolved if ledger.trials() else {}
            if confirming is not None:
                confirming.begin(ledger, folders)
                resuming, resolved = True, confirming.prepared.resolved
            jobs = replace(jobs, working_dir=_working_dir(ledger, resuming), resolved=resolved)
            pruner = pruner_text(definition, why)
            held = (executor, lease.identity, shares)
            summary = _Run(ledger, folders, jobs, *held, options, interruption, view, pruner, source, confirming).go()
            ledger.settle()
            reached("run-over")
            return summary


@contextmanager
def ended_by(interruption: Interruption, view: View) -> Iterator[None]:
    """End with the signal's exit code where the storage fails a run that the user is already stopping."""
    try:
        yield
    except StorageError as error:
        if not interruption.requested:
            raise
        view(Note(str(error), warning=True))
        raise Interrupted(interruption.exit_code) from error


def shares_of(options: RunOptions, definition: StudyDefinition) -> SlotAllocation:
    """Allocate the slots of a run, with notes about their GPUs.

    Raises:
        UsageError: GPUs were asked for that are not there, or several for a backend that uses one.
    """
    if (options.gpus_per_trial or 1) > 1 and definition.settings.get("backend") == "unsloth":
        raise UsageError(
            f"the backend unsloth trains on one GPU, but --gpus-per-trial says {options.gpus_per_trial}",
            'set "backend" to "hf", or leave the option out: with --gpus all each GPU runs a trial of its own',
        )
    return share_out(options.devices, os.environ, look_for_gpus(), own_program=definition.command is not None)


def _open(
    storage: BaseStorage,
    name: str,
    definition: StudyDefinition,
    folders: StudyFolders,
    source: SourceStudy | None,
    remedy: str,
    say: Callable[[str], None],
) -> Ledger:
    """Open the study and claim its folder: for a new one the folder first, so that a refusal leaves nothing behind."""
    claimed = folders.claimed_for  # by a run that died before the storage knew of it
    if name in study_names(storage):
        if source is not None:
            refuse_late(load_study(storage, name), source)
        ledger = open_study(storage, name, definition, claimed, say)
        folders.claim(ledger.study.user_attrs[attrs.ID])
        return ledger
    if last_trial(folders) >= 0:
        raise UsageError(
            f"{folders.root} holds the results of another study of this name, from another or a deleted storage",
            f"{remedy}, name its storage with --storage, or move the folder away",
        )
    study_id = claimed or new_id()
    folders.claim(study_id)
    reached("folder-claimed")
    return open_study(storage, name, definition, study_id)


def _working_dir(ledger: Ledger, resuming: bool) -> Path:
    """Return the folder from which a command's relative paths lead: this one; in a resumed study the last run's."""
    known = ledger.study.user_attrs.get(attrs.WORKING_DIR)
    if resuming and known and Path(known).is_dir():
        return Path(known)
    ledger.study.set_user_attr(attrs.WORKING_DIR, str(Path.cwd()))
    return Path.cwd()


@dataclass(frozen=True)
class _Run:
    """One run of a study whose lease is held."""

    ledger: Ledger
    folders: StudyFolders
    jobs: JobMaker
    executor: Executor
    lease: str  # its identity
    shares: SlotAllocation
    options: RunOptions
    interruption: Interruption
    view: View
    pruner: str  # which one, and why
    source: SourceStudy | None = None  # of a warm start
    confirming: Confirming | None = None  # what its trials confirm

    def go(self) -> RunSummary:
        """Recover from a dead runner, prepare, and run trials, as far as there is something to do."""
        ledger, options = self.ledger, self.options
        deadline = time.monotonic() + (options.timeout_s or math.inf)
        recovered = str(recover(ledger, self.folders, self.executor, self.lease))
        write_best(ledger, self.folders, PreparedInfo.stored(ledger.study))
        target = settle_target(ledger, options.n_trials, options.add_trials)
        gpus = len(self.shares.slots[0].gpus)  # all slots have as many
        budget = Budget(settle_budget(ledger.study, options.gpu_hours), max(gpus, 1), named=gpus > 0)
        database = options.url.sqlite_path
        places = (self.folders.root, *([] if database is None else [database.resolve().parent]))
        confirms = self.confirming.plan.study if self.confirming else ""
        end = RunEnding(ledger, options, self.interruption, places, confirms)
        self._announce(target, recovered, budget)
        done = nothing_to_do(ledger, target, end.command("run", "--add-trials", "N"))
        if done:
            return self._summary(target, 0 if ledger.trials(TrialState.COMPLETE) else TooManyFailures.exit_code, done)
        if budget.is_spent(ledger.trials()):
            return self._summary(target, 0, end.nothing_left(budget))
        try:
            prepared = self._prepare(deadline)
        except Interrupted:
            return self._summary(target, *end.stopped_preparing())
        self._store_warm_start(prepared)
        write_study(ledger.study, self.folders)
        if self.confirming is None:
            begin(ledger)
        stop_at = target if options.at_most is None else min(target, finished(ledger.trials()) + options.at_most)
        runner = Runner(
            ledger,
            self.folders,
            replace(self.jobs, resolved=prepared.resolved, backend=prepared.backend),
            self.executor,
            self.view,
            self.interruption,
            target=stop_at,
            deadline=deadline,
            prepared=prepared,
            places=places,
            gate=Gate(ledger.definition, device_of(self.shares.gpu, prepared)),
            budget=budget,
            warm_start=stored_warm_start(ledger.study),
            planner=self.confirming.planner(ledger, self.folders) if self.confirming else None,
        )
        ending = runner.run()
        return self._summary(target, *end.of(ending, runner))

    def _announce(self, target: int, recovered: str, budget: Budget) -> None:
        definition, trials = self.ledger.definition, self.ledger.trials()
        best = best_trial(trials, definition.objective.direction)
        self.view(
            RunStarted(
                study=self.folders.study,
                metric=definition.objective.metric,
                direction=definition.objective.direction,
                target=target,
                finished=finished(trials),
                search_mode="" if self.confirming else definition.search_mode,
                steps=definition.steps,
                best=(best.number, float(best.value or 0.0)) if best else None,
                slots=len(self.shares.slots),
                earlier=tuple(earlier_events(trials, definition.objective.metric)),
            )
        )
        self.view(Note(self.confirming.text if self.confirming else self.pruner))
        if recovered:
            self.view(Note(recovered))
        if budget.is_limited:
            self.view(Note(budget.text(spent_hours(trials))))
        advised = () if self.confirming else advice(definition, requested_target(self.ledger.study, definition))
        for text in (*self.shares.notes, *advised):
            self.view(Note(text, warning=True))
        withheld = self.jobs.withheld()
        if withheld:
            self.view(Note(f"not passed to trials: {', '.join(withheld)} (name them in env_pass to pass them)"))

    def _prepare(self, deadline: float) -> PreparedInfo:
        """Make data and model ready, unless the study's trials are programs that bring their own."""
        ledger = self.ledger
        if ledger.definition.command is not None:
            return PreparedInfo()
        info = prepare(self.jobs.prepare(), self.executor, self.interruption, self.view, deadline)
        changed = changed_versions(PreparedInfo.stored(ledger.study), info) if ledger.trials() else ""
        if self.confirming is not None:
            self.confirming.require_same(info)
        keep_prepared(ledger, info)
        self.folders.keep_base_predictions()
        show_prepared(self.view, info)
        if changed:
            self.view(Note(changed, warning=True))
        require_room(ledger.definition, info.adapter_bytes, self.folders.root)
        for text in warmup_warnings(ledger.definition, info.evaluations):
            self.view(Note(text, warning=True))
        return info

    def _store_warm_start(self, prepared: PreparedInfo) -> None:
        """Store with a study that has no trial yet what it reuses of another one, and show it. Without another one,
        forget the one that a run named which died before its first trial."""
        study = self.ledger.study
        if self.ledger.trials():
            return
        if self.source is not None:
            warm_start, facts = make_warm_start(self.source, self.ledger.definition, prepared)
            study.set_user_attr(attrs.WARM_START, warm_start.to_json())
            for text in facts:
                self.view(Note(text))
        elif stored_warm_start(study) is not None:
            study.set_user_attr(attrs.WARM_START, None)

    def _next_step(self, trials: Sequence[FrozenTrial]) -> str:
        study, options = self.ledger.study, self.options
        command = command_text("confirm", study.study_name, options.storage, options.base_output_dir)
        return next_step(study, self.ledger.definition, trials, command, has_gpu=bool(self.shares.slots[0].gpus))

    def _summary(self, target: int, code: int, text: str) -> RunSummary:
        trials = self.ledger.trials()
        best = best_trial(trials, self.ledger.definition.objective.direction)
        return RunSummary(
            study=self.folders.study,
            exit_code=code,
            text=text,
            finished=finished(trials),
            target=target,
            best_number=best.number if best else None,
            best_value=best.value if best else None,
            best_params=dict(best.params) if best else {},
            best_config=best_config(self.ledger, best) if best else {},
            folder=self.folders.root,
            best_config_path=self.folders.best_config if best else None,
            gpu_hours=spent_hours(trials),
            storage=self.options.url.full,
            next_step=self._next_step(trials) if code == 0 and best else "",
        )
