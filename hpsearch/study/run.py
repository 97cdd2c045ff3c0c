"""Running and resuming a study from its name: what the command line and ``hpsearch.run`` both call."""

from __future__ import annotations

import math
import os
import time
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from optuna.storages import BaseStorage
from optuna.trial import TrialState

from hpsearch.config.advice import advice
from hpsearch.config.definition import StudyDefinition
from hpsearch.crash_points import reached
from hpsearch.errors import Interrupted, TooManyFailures, UsageError
from hpsearch.execution.events import Note
from hpsearch.execution.executors import EXECUTORS, Executor
from hpsearch.execution.gpu_slots import SlotAllocation, look_for_gpus, share_out
from hpsearch.execution.signals import Interruption
from hpsearch.study import attributes as attrs
from hpsearch.study.budget import Budget, settle_budget, spent_hours
from hpsearch.study.ending import RunEnding
from hpsearch.study.events import RunStarted, View, silent
from hpsearch.study.folders import StudyFolders, room_for, study_folders
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
from hpsearch.study.options import RunOptions
from hpsearch.study.preparation import prepare, show_prepared
from hpsearch.study.records import best_trial, finished
from hpsearch.study.recovery import recover
from hpsearch.study.resolve import resolve, resolve_stored
from hpsearch.study.results import best_config, prepared_info, write_best
from hpsearch.study.storage.lease import lease_for
from hpsearch.study.storage.session import SPOOL_FILE, Patience, StudyLocation, writing
from hpsearch.study.warm_start import stored_warm_start
from hpsearch.study.warm_start_source import SourceStudy, find_source, refuse_late, take_over


@dataclass(frozen=True)
class RunSummary:
    """How a run ended: ``exit_code`` is what the command ends with, ``text`` says it in one sentence."""

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


def run_study(options: RunOptions, view: View = silent) -> RunSummary:
    """Run a study: start it, or go on with it where it stands.

    With ``must_exist`` and nothing said about its definition, the stored one is used, as by ``resume_study``.

    Raises:
        UsageError: the definition or an option is wrong.
        DefinitionChanged: it differs from the one stored with the study.
        StudyOwned: another runner holds the study.
        StorageError: the storage cannot be used.
    """
    if options.goes_on:
        return resume_study(options, view)
    options.url.check(lambda text: view(Note(text, warning=True)))
    resolved = resolve(options)
    name, definition = resolved.study, resolved.definition
    require_complete(definition, resolved.note)
    if options.must_exist:
        with options.url.opened() as storage:
            if name not in study_names(storage):
                what = f"there is no study {name!r} to resume"
                raise UsageError(what, "start it without --resume, or see `hpsearch status`")
    if resolved.note:
        view(Note(resolved.note))
    return _run(name, definition, options, view, resuming=resolved.is_stored)


def resume_study(options: RunOptions, view: View = silent) -> RunSummary:
    """Go on with a study as its stored definition says; without a name, with the only unfinished one.

    Raises:
        UsageError: there is no such study, or more than one is unfinished.
        StudyOwned: another runner holds the study.
        StorageError: the storage cannot be used.
    """
    options.url.check(lambda text: view(Note(text, warning=True)))
    name, definition = resolve_stored(options)
    return _run(name, definition, options, view, resuming=True)


def _run(
    name: str, definition: StudyDefinition, options: RunOptions, view: View, *, resuming: bool = False
) -> RunSummary:
    folders = study_folders(options.base_output_dir.absolute(), name)
    source = find_source(options, name, definition)
    jobs = replace(job_maker(definition, folders, Path.cwd()), ranks=options.gpus_per_trial or 1, cold=options.cold)
    if not resuming or definition.command is None:
        require_program(jobs)
    shares = shares_of(options, definition)
    with (
        options.url.errors(),
        Interruption() as interruption,
        closing(EXECUTORS[options.executor](shares.slots)) as executor,
    ):
        interruption.wake = executor.wake
        executor.expect(jobs.expected())  # what trials import is imported while the storage is opened
        storage = options.url.open(create=True)
        with (
            lease_for(options.url, name) as lease,
            writing(
                StudyLocation(options.url, storage, name, lease, folders.root / SPOOL_FILE),
                Patience(options.storage_timeout_s, lambda: interruption.requested),
                lambda text: view(Note(text)),
            ) as session,
        ):
            reached("lease-taken")
            ledger = replace(_open(session.storage, name, definition, folders, source), writer=session.writer)
            session.begin()
            reached("study-opened")
            resolved = _resolved(ledger)
            jobs = replace(jobs, working_dir=_working_dir(ledger, resuming), resolved=resolved)
            summary = _Run(ledger, folders, jobs, executor, shares, options, interruption, view, source).go()
            ledger.settle()
            reached("run-over")
            return summary


def shares_of(options: RunOptions, definition: StudyDefinition) -> SlotAllocation:
    """The slots of a run, with what there is to say of their GPUs.

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
    storage: BaseStorage, name: str, definition: StudyDefinition, folders: StudyFolders, source: SourceStudy | None
) -> Ledger:
    """Open the study and take its folder: for a new one the folder first, so that a refusal leaves nothing behind."""
    claimed = folders.claimed_for  # by a run that died before the storage knew of it
    if name in study_names(storage):
        if source is not None:
            refuse_late(load_study(storage, name), source)
        ledger = open_study(storage, name, definition, claimed)
        folders.claim(ledger.study.user_attrs[attrs.ID])
        return ledger
    study_id = claimed or new_id()
    folders.claim(study_id)
    reached("folder-claimed")
    return open_study(storage, name, definition, study_id)


def _working_dir(ledger: Ledger, resuming: bool) -> Path:
    """Where a command's relative words lead from: this folder; the one of the last run where its study is resumed."""
    known = ledger.study.user_attrs.get(attrs.WORKING_DIR)
    if resuming and known and Path(known).is_dir():
        return Path(known)
    ledger.study.set_user_attr(attrs.WORKING_DIR, str(Path.cwd()))
    return Path.cwd()


def _resolved(ledger: Ledger) -> dict[str, Any]:
    """What settings left open came to when the study began; nothing while it has no trials."""
    return dict(prepared_info(ledger).get("resolved", {})) if ledger.trials() else {}


@dataclass(frozen=True)
class _Run:
    """One run of a study whose lease is held."""

    ledger: Ledger
    folders: StudyFolders
    jobs: JobMaker
    executor: Executor
    shares: SlotAllocation
    options: RunOptions
    interruption: Interruption
    view: View
    source: SourceStudy | None = None  # of a warm start

    def go(self) -> RunSummary:
        deadline = time.monotonic() + (self.options.timeout_s or math.inf)
        repairs = str(recover(self.ledger, self.folders, self.executor))
        write_best(self.ledger, self.folders, prepared_info(self.ledger))
        target = settle_target(self.ledger, self.options.n_trials, self.options.add_trials)
        budget, end = self._budget(), RunEnding(self.ledger, self.options, self.interruption, self._places())
        self._announce(target, repairs, budget)
        done = nothing_to_do(self.ledger, target, end.command("run", "--add-trials", "N"))
        if done:
            succeeded = self.ledger.trials(TrialState.COMPLETE)
            return self._summary(target, 0 if succeeded else TooManyFailures.exit_code, done)
        if budget.is_spent(self.ledger.trials()):
            return self._summary(target, 0, end.nothing_left(budget))
        try:
            prepared = self._prepare(deadline)
        except Interrupted:
            return self._summary(target, *end.stopped_preparing())
        self._take_over(prepared)
        begin(self.ledger)
        runner = Runner(
            self.ledger,
            self.folders,
            replace(self.jobs, resolved=prepared.get("resolved", {}), backend=prepared.get("backend", "")),
            self.executor,
            self.view,
            self.interruption,
            target=self._stop_at(target),
            deadline=deadline,
            prepared=prepared,
            places=end.places,
            gate=Gate(self.ledger.definition, device_of(self.shares.gpu, prepared)),
            budget=budget,
            warm_start=stored_warm_start(self.ledger.study),
        )
        ending = runner.run()
        return self._summary(target, *end.of(ending, runner))

    def _take_over(self, prepared: dict[str, Any]) -> None:
        """Keep with a study that has no trial yet what it takes over from another one, and say it: nothing where none
        is named, though a run that died before its first trial may have named one."""
        if self.ledger.trials():
            return
        if self.source is None:
            if stored_warm_start(self.ledger.study) is not None:
                self.ledger.study.set_user_attr(attrs.WARM_START, None)
            return
        warm_start, said = take_over(self.source, self.ledger.definition, prepared)
        self.ledger.study.set_user_attr(attrs.WARM_START, warm_start.to_json())
        for text in said:
            self.view(Note(text))

    def _stop_at(self, target: int) -> int:
        """Finished trials with which this run ends, though the study may be after more."""
        most = self.options.at_most
        return target if most is None else min(target, finished(self.ledger.trials()) + most)

    def _budget(self) -> Budget:
        """What the study may spend, now that it is settled, and how many GPUs each trial of this run has."""
        gpus = len(self.shares.slots[0].gpus)  # all slots have as many
        return Budget(settle_budget(self.ledger.study, self.options.gpu_hours), max(gpus, 1), named=gpus > 0)

    def _places(self) -> tuple[Path, ...]:
        """Where a trial needs room: its study's folder, and that of a SQLite storage."""
        database = self.options.url.sqlite_path
        return (self.folders.root, *([] if database is None else [database.resolve().parent]))

    def _announce(self, target: int, repairs: str, budget: Budget) -> None:
        definition, trials = self.ledger.definition, self.ledger.trials()
        best = best_trial(trials, definition.objective.direction)
        self.view(
            RunStarted(
                study=self.folders.study,
                metric=definition.objective.metric,
                direction=definition.objective.direction,
                target=target,
                finished=finished(trials),
                search_mode=definition.search_mode,
                steps=definition.steps,
                best=(best.number, float(best.value or 0.0)) if best else None,
                slots=len(self.shares.slots),
            )
        )
        if repairs:
            self.view(Note(repairs))
        if math.isfinite(budget.hours):
            self.view(Note(budget.text(spent_hours(trials))))
        for text in self.shares.notes:
            self.view(Note(text, warning=True))
        for text in advice(definition, requested_target(self.ledger.study, definition)):
            self.view(Note(text, warning=True))
        withheld = self.jobs.withheld()
        if withheld:
            self.view(Note(f"not passed to trials: {', '.join(withheld)} (name them in env_pass to pass them)"))

    def _prepare(self, deadline: float) -> dict[str, Any]:
        """Make data and model ready, unless the study's trials are programs that bring their own."""
        if self.ledger.definition.command is not None:
            return {}
        info = prepare(self.jobs.prepare(), self.executor, self.interruption, self.view, deadline)
        changed = changed_versions(prepared_info(self.ledger), info) if self.ledger.trials() else ""
        keep_prepared(self.ledger, info)
        show_prepared(self.view, info)
        if changed:
            self.view(Note(changed, warning=True))
        for text in room_for(self.ledger.definition, info["figures"], self.folders.root):
            self.view(Note(text, warning=True))
        return info

    def _summary(self, target: int, code: int, text: str) -> RunSummary:
        best = best_trial(self.ledger.trials(), self.ledger.definition.objective.direction)
        return RunSummary(
            study=self.folders.study,
            exit_code=code,
            text=text,
            finished=finished(self.ledger.trials()),
            target=target,
            best_number=best.number if best else None,
            best_value=best.value if best else None,
            best_params=dict(best.params) if best else {},
            best_config=best_config(self.ledger, best) if best else {},
            folder=self.folders.root,
            best_config_path=self.folders.best_config if best else None,
            gpu_hours=spent_hours(self.ledger.trials()),
            storage=self.options.url.full,
        )
