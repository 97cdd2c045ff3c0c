"""Running and resuming a study from its name: what the command line and ``hpsearch.run`` both call."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from optuna.storages import BaseStorage
from optuna.trial import TrialState

from hpsearch.definitions.advice import advice
from hpsearch.definitions.definition import StudyDefinition
from hpsearch.errors import TooManyFailures, UsageError
from hpsearch.study import attributes as attrs
from hpsearch.study.folders import StudyFolders, study_folders
from hpsearch.study.interruption import Interruption
from hpsearch.study.jobs import JobMaker, job_maker, require_program
from hpsearch.study.lease import lease_for
from hpsearch.study.ledger import Ledger
from hpsearch.study.lookup import (
    study_names,
    wanted_of,
)
from hpsearch.study.opening import (
    begin,
    keep_prepared,
    new_id,
    nothing_to_do,
    open_study,
    require_complete,
    settle_target,
)
from hpsearch.study.options import RunOptions, command_text
from hpsearch.study.preflight import room_for
from hpsearch.study.preparing import prepare, show_prepared
from hpsearch.study.records import best_trial, finished
from hpsearch.study.recovery import recover
from hpsearch.study.resolving import resolve, stored
from hpsearch.study.results import best_config, prepared_info, write_best
from hpsearch.study.runner import MAX_ALIKE, Ending, Runner
from hpsearch.study.sampling import open_points
from hpsearch.study.storage import open_storage, storage_errors
from hpsearch.study.view import Note, RunStarted, View, silent
from hpsearch.trials.executors import EXECUTORS, Executor


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
    resolved = resolve(options)
    name, definition = resolved.study, resolved.definition
    require_complete(definition, resolved.note)
    if options.must_exist:
        with storage_errors(options.url):
            if name not in study_names(open_storage(options.url)):
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
    name, definition = stored(options)
    return _run(name, definition, options, view, resuming=True)


def _run(
    name: str, definition: StudyDefinition, options: RunOptions, view: View, *, resuming: bool = False
) -> RunSummary:
    folders = study_folders(options.base_output_dir.absolute(), name)
    if not resuming:
        require_program(job_maker(definition, folders, Path.cwd()))
    with storage_errors(options.url), Interruption() as interruption:
        storage = open_storage(options.url, create=True)
        with lease_for(options.url, name):
            ledger = _open(storage, name, definition, folders)
            jobs = job_maker(definition, folders, _working_dir(ledger, resuming), _resolved(ledger))
            executor = EXECUTORS[options.executor](1)
            interruption.wake = executor.wake
            try:
                return _Run(ledger, folders, jobs, executor, options, interruption, view).go()
            finally:
                executor.close()


def _open(storage: BaseStorage, name: str, definition: StudyDefinition, folders: StudyFolders) -> Ledger:
    """Open the study and take its folder: for a new one the folder first, so that a refusal leaves nothing behind."""
    if name in study_names(storage):
        ledger = open_study(storage, name, definition)
        folders.claim(ledger.study.user_attrs[attrs.ID])
        return ledger
    study_id = new_id()
    folders.claim(study_id)
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
    options: RunOptions
    interruption: Interruption
    view: View

    def go(self) -> RunSummary:
        deadline = time.monotonic() + (self.options.timeout_s or math.inf)
        repairs = str(recover(self.ledger, self.folders, self.executor))
        write_best(self.ledger, self.folders, prepared_info(self.ledger))
        target = settle_target(self.ledger, self.options.n_trials, self.options.add_trials)
        self._announce(target, repairs)
        done = nothing_to_do(self.ledger, target, self._command("run", "--add-trials", "N"))
        if done:
            succeeded = self.ledger.trials(TrialState.COMPLETE)
            return self._summary(target, 0 if succeeded else TooManyFailures.exit_code, done)
        prepared = self._prepare(deadline)
        if prepared is None:
            return self._summary(target, *self._stopped_preparing())
        begin(self.ledger)
        runner = Runner(
            self.ledger,
            self.folders,
            replace(self.jobs, resolved=prepared.get("resolved", {})),
            self.executor,
            self.view,
            self.interruption,
            target=target,
            deadline=deadline,
            prepared=prepared,
        )
        ending = runner.run()
        return self._summary(target, *self._conclusion(ending, runner))

    def _announce(self, target: int, repairs: str) -> None:
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
            )
        )
        if repairs:
            self.view(Note(repairs))
        for text in advice(definition, wanted_of(self.ledger.study, definition)):
            self.view(Note(text, warning=True))
        withheld = self.jobs.withheld()
        if withheld:
            self.view(Note(f"not passed to trials: {', '.join(withheld)} (name them in env_pass to pass them)"))

    def _prepare(self, deadline: float) -> dict[str, Any] | None:
        """Make data and model ready, unless the study's trials are programs that bring their own; None if stopped."""
        if self.ledger.definition.command is not None:
            return {}
        info = prepare(self.jobs.prepare(), self.executor, self.interruption, self.view, deadline)
        if info is not None:
            keep_prepared(self.ledger, info)
            show_prepared(self.view, info)
            for text in room_for(self.ledger.definition, info["figures"], self.folders.root):
                self.view(Note(text, warning=True))
        return info

    def _stopped_preparing(self) -> tuple[int, str]:
        if self.interruption.requested:
            return self.interruption.exit_code, self._resume_text()
        return 0, f"time limit reached while preparing, with 0 new trials; {self._resume_text()}"

    def _conclusion(self, ending: Ending, runner: Runner) -> tuple[int, str]:
        """Exit code and sentence for an ending."""
        done, resume = finished(self.ledger.trials()), self._resume_text()
        if ending is Ending.INTERRUPTED:
            return self.interruption.exit_code, f"stopped with {done} finished trials; {resume}"
        if ending is Ending.TIMEOUT:
            return 0, f"time limit reached with {done} finished trials; {resume}"
        if ending is Ending.FAILURES:
            cause = runner.last_failure.value if runner.last_failure else "failure"
            why = f"stopped: {MAX_ALIKE} trials in a row ended with {cause}"
            return TooManyFailures.exit_code, f"{why}; see `{self._command('logs')}`, then {resume}"
        if ending is Ending.STUCK:
            left = len(open_points(self.ledger.trials(), self.ledger.definition))
            return TooManyFailures.exit_code, f"{done} grid points finished, {left} failed; {resume}"
        if not self.ledger.trials(TrialState.COMPLETE):
            return TooManyFailures.exit_code, f"no trial succeeded; see `{self._command('logs')}`"
        return 0, f"{ending.value}: {done} finished trials"

    def _resume_text(self) -> str:
        return f"go on with: {self._command('resume')}"

    def _command(self, verb: str, *words: str) -> str:
        return command_text(verb, self.folders.study, self.options.storage, self.options.base_output_dir, *words)

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
            storage=self.options.url,
        )
