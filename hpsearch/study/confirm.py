"""Confirm a study: run its best configurations again with fresh seeds, and name the one to take."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace

from optuna import Study
from optuna.storages import BaseStorage
from optuna.trial import FrozenTrial

from hpsearch.config.definition import StudyDefinition
from hpsearch.config.names import check_study_name
from hpsearch.crash_points import reached
from hpsearch.errors import TooManyFailures, UsageError
from hpsearch.execution.events import Note
from hpsearch.study import attributes as attrs
from hpsearch.study.budget import Budget, gpus_of, limit_of
from hpsearch.study.candidates import (
    SEEDS,
    SUFFIX,
    TOP,
    ConfirmPlan,
    choose_candidates,
    fresh_definition,
    fresh_seeds,
)
from hpsearch.study.conclusion import BEST, CHEAP, Conclusion
from hpsearch.study.confirmed import Confirmed
from hpsearch.study.events import View, silent
from hpsearch.study.folders import StudyFolders, study_folders
from hpsearch.study.fresh_runs import Confirming, FreshRuns, refuse_fresh_runs
from hpsearch.study.ledger import Ledger
from hpsearch.study.open import load_study, read_study, stored_definition, study_names
from hpsearch.study.options import RunOptions, command_text
from hpsearch.study.preparation import PreparedInfo
from hpsearch.study.race import INDIFFERENCE, RaceEnding, RaceState
from hpsearch.study.records import best_trial, finished
from hpsearch.study.resolve import rebuild_offered
from hpsearch.study.results import write_best
from hpsearch.study.run import run_definition
from hpsearch.study.second_copy import write_study
from hpsearch.study.storage.lease import lease_for

SPENT = "the hours are spent"


@dataclass(frozen=True)
class ConfirmOptions:
    """The options of `hpsearch confirm`. ``run`` has those that it shares with a run: the searched study, storage,
    devices and limits; its ``sets`` are values that each candidate is run with, beside its own. None: as before, else
    the default."""

    run: RunOptions
    top: int | None = None
    seeds: int | None = None
    indifference: float | None = None
    prefer: str | None = None

    def __post_init__(self) -> None:
        """Refuse numbers out of range."""
        for name, least in (("top", 1), ("seeds", 2)):
            value = getattr(self, name)
            if value is not None and (isinstance(value, bool) or not isinstance(value, int) or value < least):
                what = f"{name} must be a whole number of at least {least}, but is {value!r}"
                raise UsageError(what, "leave it out for the default")
        if self.indifference is not None and not 0 <= self.indifference < 1:
            raise UsageError(f"indifference is a share from 0 to below 1, but is {self.indifference!r}", "write 0.02")
        if self.prefer not in (None, CHEAP, BEST):
            raise UsageError(
                f"prefer is {BEST} or {CHEAP}, but is {self.prefer!r}", f'write "{CHEAP}", or leave it out'
            )


@dataclass(frozen=True)
class ConfirmSummary:
    """How a confirmation ended: ``exit_code`` is the command's. ``confirmed`` has the result, once there is one."""

    study: str
    exit_code: int
    text: str
    confirmed: Confirmed | None = None

    @property
    def lines(self) -> list[str]:
        """All that is said of it."""
        result = self.confirmed.lines() if self.confirmed else []
        return [*result, f"{self.study}: {self.text}"]


def confirm_study(options: ConfirmOptions, view: View = silent) -> ConfirmSummary:
    """Run the best configurations of a study again, or go on with that, and store which one to take.

    Raises:
        UsageError: there is no such study, no trial of it has succeeded, or an option is wrong.
        DefinitionChanged: data or base model are not those of the search.
        StudyOwned: another runner holds the study, or that of its fresh runs.
        StorageError: the storage cannot be used.
    """
    run = options.run
    if run.study is None:
        raise UsageError("a study is confirmed by its name", "name it with --study")
    name = check_study_name(run.study)
    with rebuild_offered(run):
        run.url.check(lambda text: view(Note(text, warning=True)))
        with run.url.opened() as storage:
            load_study(storage, name)  # before its lease leaves a file
        with lease_for(run.url, name):  # nobody searches on while its best/ is decided
            return _Confirmation(options, name, view).go()


@dataclass(frozen=True)
class _Confirmation:
    """The confirmation of a study whose lease is held."""

    options: ConfirmOptions
    name: str
    view: View

    @property
    def _fresh_name(self) -> str:
        return check_study_name(f"{self.name}{SUFFIX}")

    def go(self) -> ConfirmSummary:
        """Plan, run what the race still needs, and conclude."""
        run = self.options.run
        with self._opened() as storage:
            searched = read_study(storage, self.name)
            refuse_fresh_runs(searched, run)
            definition = stored_definition(searched)
            stored = _stored(storage, self._fresh_name, self.name)
            plan, ended = self._plan(searched, definition, stored)
        fresh = fresh_definition(definition, plan.sets)
        fresh = fresh.with_trainer(run.trainer_python).model_copy(update={"keep_adapters": _runs(plan)})
        code, text = 0, ""
        if not ended:
            summary = run_definition(
                plan.name,
                fresh,
                replace(run, study=plan.name, sets=(), n_trials=_runs(plan)),
                self.view,
                self._confirming(searched, definition, fresh, plan),
            )
            code, text = summary.exit_code, summary.text
            reached("confirm-run")
        with self._opened() as storage:
            return self._conclude(storage, definition, plan, code, text)

    @contextmanager
    def _opened(self) -> Iterator[BaseStorage]:
        with self.options.run.url.opened() as storage:
            yield storage

    def _plan(
        self, searched: Study, definition: StudyDefinition, stored: Study | None
    ) -> tuple[ConfirmPlan, RaceEnding | None]:
        """Return the plan, and how its race ended, if it did: the stored plan, with more candidates or seeds if they
        are asked for, or if the search went on after the race."""
        options, trials = self.options, searched.get_trials(deepcopy=False)
        known = None if stored is None else ConfirmPlan.from_json(stored.user_attrs[attrs.CONFIRMS])
        sets = tuple(options.run.sets) or (known.sets if known else ())
        if known is not None and sorted(sets) != sorted(known.sets):
            delete = command_text("delete", known.name, options.run.storage, options.run.base_output_dir)
            what = f"{known.name} was begun with --set {' --set '.join(known.sets) or 'nothing'}, and keeps that"
            raise UsageError(what, f"leave --set out, or begin again after `{delete}`")
        if best_trial(trials, definition.objective.direction) is None:
            raise UsageError(f"no trial of {self.name} has succeeded yet", "see `hpsearch status`")
        top = options.top or (known.top if known else TOP)
        count = max(options.seeds or 0, len(known.seeds)) if known else options.seeds or SEEDS
        indifference = options.indifference
        if indifference is None:
            indifference = known.indifference if known else INDIFFERENCE
        candidates = choose_candidates(trials, definition, fresh_definition(definition, sets), sets, top)
        plan = ConfirmPlan(self.name, candidates, fresh_seeds(definition, count), len(trials), sets, top, indifference)
        if known is None or stored is None:
            return plan, None
        kept = replace(known, seeds=plan.seeds, indifference=indifference)
        ended = self._state(stored, kept).ending
        is_over = self._state(stored, known).ending is not None
        is_wider = top > known.top or (is_over and known.before < plan.before)
        if not is_wider:
            return kept, ended
        more = tuple(one for one in candidates if one not in known.candidates)
        plan = replace(kept, candidates=(*known.candidates, *more), before=plan.before, top=max(top, known.top))
        return plan, self._state(stored, plan).ending

    def _state(self, stored: Study, plan: ConfirmPlan) -> RaceState:
        fresh = FreshRuns(plan, stored_definition(stored), self._folders(plan.name))
        runs = fresh.runs(stored.get_trials(deepcopy=False))
        return plan.race(fresh.definition.objective.direction).state(runs)

    def _folders(self, study: str) -> StudyFolders:
        return study_folders(self.options.run.base_output_dir.absolute(), study)

    def _confirming(
        self, searched: Study, definition: StudyDefinition, fresh: StudyDefinition, plan: ConfirmPlan
    ) -> Confirming:
        # What is prepared depends on the search space: another one is prepared beside it.
        same = definition.identity()["search_space"] == fresh.identity()["search_space"]
        shared = self._folders(self.name).prepared if same and definition.command is None else None
        working_dir = searched.user_attrs.get(attrs.WORKING_DIR)
        return Confirming(plan, PreparedInfo.stored(searched), shared, working_dir)

    def _conclude(
        self, storage: BaseStorage, definition: StudyDefinition, plan: ConfirmPlan, code: int, text: str
    ) -> ConfirmSummary:
        """Store the result, if there is one, and write the searched study's best files."""
        again = self._command("confirm", self.name)
        if code or plan.name not in study_names(storage):
            return ConfirmSummary(self.name, code, text)
        study = read_study(storage, plan.name)
        trials = study.get_trials(deepcopy=False)
        fresh = FreshRuns(plan, stored_definition(study), self._folders(plan.name))
        runs, race = fresh.runs(trials), plan.race(definition.objective.direction)
        state = race.state(runs)
        ended = state.ending.value if state.ending else ""
        if not ended and state.looks and not _has_hours(study, trials):
            ended = SPENT
        if state.ending is RaceEnding.FAILED:
            why = "; ".join(f"{plan.candidates[one].label}: {why}" for one, why in state.out.items())
            return ConfirmSummary(self.name, TooManyFailures.exit_code, f"{RaceEnding.FAILED.value}: {why}")
        if not ended:
            return ConfirmSummary(self.name, 0, text or f"continue with: {again}")
        searched = load_study(storage, self.name)
        prepared = PreparedInfo.stored(searched)
        conclusion = Conclusion(fresh, trials, runs, race, state, self._preference(searched))
        values = conclusion.values(prepared) | {"ended": ended, "before": plan.before}
        searched.set_user_attr(attrs.CONFIRMED, values)
        reached("confirm-stored")
        if state.ending is not None:  # no more runs: it is a finished study
            load_study(storage, plan.name).set_user_attr(attrs.TARGET, finished(trials))
        folders = self._folders(self.name)
        write_best(Ledger(searched, storage, definition), folders, prepared)
        write_study(searched, folders)
        confirmed = Confirmed(values)
        number, hours = finished(trials), values["gpu_hours"]
        done = f"confirmed by {number} fresh runs, {hours:.3g} hours ({ended}); best/ has {conclusion.label}"
        more = f"; continue with: {again} --gpu-hours N" if ended == SPENT else ""
        return ConfirmSummary(self.name, 0, done + more, confirmed)

    def _preference(self, searched: Study) -> str:
        """Return what was asked for: an earlier --prefer holds until another is given."""
        earlier = Confirmed.of(searched)
        return self.options.prefer or (str(earlier.values["prefer"]) if earlier else BEST)

    def _command(self, verb: str, study: str) -> str:
        return command_text(verb, study, self.options.run.storage, self.options.run.base_output_dir)


def _stored(storage: BaseStorage, name: str, searched: str) -> Study | None:
    """Return the study of the fresh runs, if there is one with a plan."""
    if name not in study_names(storage):
        return None
    study = read_study(storage, name)
    plan = study.user_attrs.get(attrs.CONFIRMS)
    if plan is None and study.get_trials(deepcopy=False):
        what = f"the fresh runs of {searched} are kept in the study {name}, but this one is another study"
        raise UsageError(what, f"delete it with `hpsearch delete --study {name}`, or search under another name")
    return study if plan else None


def _runs(plan: ConfirmPlan) -> int:
    return len(plan.candidates) * len(plan.seeds)


def _has_hours(study: Study, trials: Sequence[FrozenTrial]) -> bool:
    """Return True if the study of the fresh runs has hours left for another run."""
    hours = limit_of(study)
    gpus = max(map(gpus_of, trials), default=1)
    return math.isinf(hours) or Budget(hours, gpus).has_room(list(trials), [])
