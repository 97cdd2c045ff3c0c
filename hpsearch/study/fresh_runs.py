"""The fresh runs of a study that `hpsearch confirm` runs: read from its trials and files, and planned seed by seed."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from optuna import Study
from optuna.trial import FrozenTrial, Trial, TrialState

from hpsearch.config.definition import StudyDefinition
from hpsearch.data.predictions import ROW_METRICS, document_scores, read_predictions
from hpsearch.errors import DefinitionChanged, UsageError
from hpsearch.execution.files import make_folder
from hpsearch.execution.job import PREDICTIONS_FILE
from hpsearch.study import attributes as attrs
from hpsearch.study.candidates import ConfirmPlan
from hpsearch.study.folders import StudyFolders
from hpsearch.study.ledger import Ledger
from hpsearch.study.open import FINGERPRINTS
from hpsearch.study.options import RunOptions, command_text
from hpsearch.study.preparation import PreparedInfo
from hpsearch.study.race import FreshRun, RaceState
from hpsearch.study.records import attempt_of, cause_of, is_finite, metrics_of, root_of
from hpsearch.study.sampling.planner import Planner, queue

# Sides of a final evaluation: the split of its rows by the prefix of its metrics.
SPLITS = {"eval": "validation", "holdout": "holdout"}
_SAME = 1e-6  # of a metric and what its rows give: it may be rounded


@dataclass(frozen=True)
class FreshRuns:
    """Reads the runs of a plan. ``folders`` are those of the study of the fresh runs."""

    plan: ConfirmPlan
    definition: StudyDefinition
    folders: StudyFolders

    def trials(self, trials: Sequence[FrozenTrial]) -> list[dict[int, FrozenTrial]]:
        """Return the last attempt at each run: for each candidate the trials by seed."""
        found: list[dict[int, FrozenTrial]] = [{} for _ in self.plan.candidates]
        for trial in trials:
            place, seed = trial.user_attrs.get(attrs.CANDIDATE), trial.user_attrs.get(attrs.SEED)
            if isinstance(place, int) and place < len(found) and seed in self.plan.seeds:
                found[place][seed] = trial
        return found

    def runs(self, trials: Sequence[FrozenTrial]) -> list[dict[int, FreshRun]]:
        """Return the ended runs on validation rows: for each candidate by seed."""
        metric = self.definition.objective.metric
        return [
            {seed: self.run(trial, metric, trial.value) for seed, trial in own.items() if trial.state.is_finished()}
            for own in self.trials(trials)
        ]

    def held_out(self, trials: Sequence[FrozenTrial]) -> list[FreshRun] | None:
        """Return these runs on held-out rows; None if one of them has no score there."""
        metric = held_out_metric(self.definition)
        values = [metrics_of(trial).get(metric) for trial in trials]
        if not metric or not all(map(is_finite, values)):
            return None
        return [self.run(trial, metric, value) for trial, value in zip(trials, values, strict=True)]

    def run(self, trial: FrozenTrial, metric: str, value: float | None) -> FreshRun:
        """Return an ended trial's ``metric``, by document if its predictions give the same value."""
        seed = int(trial.user_attrs[attrs.SEED])
        if trial.state is not TrialState.COMPLETE or value is None or not is_finite(value):
            cause = cause_of(trial)
            return FreshRun(seed, failure=cause.value if cause else trial.state.name.lower())
        side, _, name = metric.partition("_")
        normalization = str(self.definition.settings.get("text_normalization", "nfc"))
        folder = self.folders.attempt(root_of(trial), attempt_of(trial))
        read = read_predictions(folder / PREDICTIONS_FILE, normalization, skip_bad=True) if name in ROW_METRICS else []
        scores = document_scores((row for row in read if row.split == SPLITS.get(side)), name)
        if scores is None or not math.isclose(scores.value, value, rel_tol=_SAME, abs_tol=_SAME):
            return FreshRun(seed, value)
        return FreshRun(seed, value, "", scores.documents, scores.above[0], scores.below[0])


def refuse_fresh_runs(study: Study, options: RunOptions) -> None:
    """Refuse to search in, or to confirm, a study of fresh runs. Raises UsageError."""
    if plan := study.user_attrs.get(attrs.CONFIRMS):
        command = command_text("confirm", plan["study"], options.storage, options.base_output_dir)
        raise UsageError(f"{study.study_name} has the fresh runs of {plan['study']}", f"continue it with `{command}`")


def held_out_metric(definition: StudyDefinition) -> str:
    """Return the name of the objective on held-out rows."""
    return f"holdout_{definition.objective.metric.removeprefix('eval_')}"


class RacePlanner(Planner):
    """Asks for the fresh runs in their order, as long as the race needs them."""

    def __init__(self, study: Study, fresh: FreshRuns) -> None:
        super().__init__(study, fresh.definition)
        self._fresh = fresh
        self._seen: dict[int, FreshRun] = {}

    def next_trial(self) -> Trial | None:
        """Return the next run, RUNNING and with all its parameters stored; None once the race is decided."""
        if not self._waiting():
            due = self._next()
            if due is None:
                return None
            seed, place = due
            queue(self._study, self._fresh.plan.candidates[place].params, {attrs.SEED: seed, attrs.CANDIDATE: place})
        return super().next_trial()

    def _next(self) -> tuple[int, int] | None:
        taken = self._fresh.trials(self._study.get_trials(deepcopy=False))
        return next(((seed, place) for seed, place in self._state().due if seed not in taken[place]), None)

    def _state(self) -> RaceState:
        """Replay the race, without reading a run's predictions twice."""
        fresh, metric = self._fresh, self._fresh.definition.objective.metric
        runs: list[dict[int, FreshRun]] = []
        for own in fresh.trials(self._study.get_trials(deepcopy=False)):
            runs.append({})
            for seed, trial in own.items():
                if trial.state.is_finished():
                    if trial.number not in self._seen:
                        self._seen[trial.number] = fresh.run(trial, metric, trial.value)
                    runs[-1][seed] = self._seen[trial.number]
        return fresh.plan.race(fresh.definition.objective.direction).state(runs)


@dataclass(frozen=True)
class Confirming:
    """What a run of fresh runs knows of the searched study: ``prepared`` is what it prepared. ``shared`` is its folder
    of it, if the fresh runs use the same; else they prepare their own."""

    plan: ConfirmPlan
    prepared: PreparedInfo
    shared: Path | None = None
    working_dir: str | None = None

    @property
    def text(self) -> str:
        """What is run, in words."""
        plan = self.plan
        names = ", ".join(candidate.label for candidate in plan.candidates)
        return f"fresh runs of {plan.study} with {len(plan.seeds)} seeds at most, the same for each: {names}"

    def begin(self, ledger: Ledger, folders: StudyFolders) -> None:
        """Store the plan with the opened study, and show it the searched study's prepared data."""
        study, plan = ledger.study, json.loads(json.dumps(self.plan.to_json()))
        if study.user_attrs.get(attrs.CONFIRMS) != plan:
            study.set_user_attr(attrs.CONFIRMS, plan)
        if self.working_dir is not None and attrs.WORKING_DIR not in study.user_attrs:
            study.set_user_attr(attrs.WORKING_DIR, self.working_dir)
        if self.shared is not None and not folders.prepared.exists():
            make_folder(self.shared)
            folders.prepared.unlink(missing_ok=True)  # a link that leads nowhere
            folders.prepared.symlink_to(Path("..", self.shared.parent.name, self.shared.name))

    def planner(self, ledger: Ledger, folders: StudyFolders) -> RacePlanner:
        """Return the planner of the runs."""
        return RacePlanner(ledger.study, FreshRuns(self.plan, ledger.definition, folders))

    def require_same(self, info: PreparedInfo) -> None:
        """Refuse other data, or another base model, than the search had. Raises DefinitionChanged."""
        for key, what in FINGERPRINTS.items():
            before, now = getattr(self.prepared, key), getattr(info, key)
            if before is not None and before != now:
                text = f"a study is confirmed with the {what} that it was searched with, but {key} "
                raise DefinitionChanged(f"{text}{str(before)[:12]} is now {str(now)[:12]}", "restore it")
