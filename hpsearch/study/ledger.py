"""A study in its storage: the one place that writes its trials.

Ends are recorded as the table in execution/outcome.py says. Attributes are written before the state, as a finished
trial can no longer be changed; what a dead runner left half written is completed by the next one (recovery.py).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field, replace
from typing import Any

from optuna import Study
from optuna.storages import BaseStorage
from optuna.trial import FrozenTrial, TrialState

from hpsearch.config.conditions import active
from hpsearch.config.definition import StudyDefinition
from hpsearch.execution.exit import after_result
from hpsearch.execution.job import Outcome, StepLine, encode_values
from hpsearch.execution.outcome import VERDICTS, Again, Cause
from hpsearch.study import attributes as attrs
from hpsearch.study.records import TrialCounts, attempt_of, root_of
from hpsearch.study.sampling.planner import params_of, queue
from hpsearch.study.storage.writer import StorageWriter

# Optuna reads and writes all values of a trial at every report: 20,000 of them took more than 15 minutes.
ALL_KEPT = 200
_ENDED_FROM_OUTSIDE = (Cause.INTERRUPTED, Cause.LOST, Cause.TIMEOUT, Cause.STALLED)
# Attributes that a retry inherits: why its configuration is tried, and with which seed.
_INHERITED = (attrs.IS_DEFAULT, attrs.CARRIED, attrs.TRY_FIRST, attrs.CANDIDATE, attrs.SEED)


@dataclass
class Ledger:
    """A study, its storage and its definition. With a ``writer``, ``storage`` answers before changes are durable."""

    study: Study
    storage: BaseStorage
    definition: StudyDefinition
    writer: StorageWriter | None = None
    _counts: TrialCounts = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        self._counts = TrialCounts(self.definition.objective.direction)

    @property
    def counts(self) -> TrialCounts:
        """Counts over the study's trials as they are now."""
        return self._counts.update(self.trials())

    def settle(self, seconds: float = math.inf) -> bool:
        """Wait until all changes are durable, ``seconds`` at most. Returns False on timeout, or if the user asks for
        the end meanwhile.

        Raises the error that keeps changes from the storage.
        """
        return self.writer is None or self.writer.settle(seconds)

    def together(self) -> AbstractContextManager[None]:
        """Write a new trial and what fills it in one transaction."""
        return nullcontext() if self.writer is None else self.writer.together()

    def check(self) -> None:
        """Raise what keeps changes from the storage: the lease is lost, or the storage stayed away too long."""
        if self.writer is not None:
            self.writer.check()

    def notices(self) -> list[str]:
        """Return the notices about the storage since the last call."""
        return [] if self.writer is None else self.writer.notices()

    def trials(self, *states: TrialState) -> Sequence[FrozenTrial]:
        """Return the study's trials in order of number; only those in ``states`` where any are given."""
        return self.study.get_trials(deepcopy=False, states=states or None)

    def trial(self, number: int) -> FrozenTrial:
        """Return the trial with this number."""
        return self.storage.get_trial(self._id(number))

    def note(self, number: int, user_attrs: Mapping[str, Any]) -> None:
        """Write attributes of an unfinished trial."""
        for key, value in user_attrs.items():
            self.storage.set_trial_user_attr(self._id(number), key, value)

    def report(self, number: int, step: int, value: float) -> None:
        """Record the objective at an evaluation of a running trial."""
        self.storage.set_trial_intermediate_value(self._id(number), step, value)

    def complete_reports(self, number: int, steps: Sequence[StepLine]) -> None:
        """Record the reports of a running trial, ``steps`` in their order, that have not reached the storage: its
        runner or its supervisor died first, or the storage was away."""
        metric, trial = self.definition.objective.metric, self.trial(number)
        if steps and attempt_of(trial) > 1:
            self.copy_reports(number, steps[0].step)
        for count, line in enumerate(steps, 1):
            value = line.metrics.get(metric, math.nan)
            if is_kept(count) and math.isfinite(value) and line.step not in trial.intermediate_values:
                self.report(number, line.step, value)

    def copy_reports(self, number: int, before: int) -> None:
        """Copy the last attempt's reports to a retry that goes on from its checkpoint: those of steps ``before``."""
        former = self.trial(number).user_attrs.get(attrs.RETRY_OF)
        own = self.trial(number).intermediate_values
        for step, value in sorted(self.trial(former).intermediate_values.items()) if former is not None else ():
            if step < before and step not in own and math.isfinite(value):
                self.report(number, step, value)

    def tell(self, number: int, outcome: Outcome) -> int | None:
        """Record the outcome of a running trial, and queue a retry where its cause asks for one.

        Returns:
            The number of the attempt that was queued, or None.
        """
        verdict = VERDICTS[outcome.cause]
        described: dict[str, Any] = {
            attrs.OUTCOME: outcome.cause.value,
            attrs.MESSAGE: outcome.message,
            attrs.DURATION: round(outcome.duration_s, 3),
        }
        if outcome.metrics:
            described[attrs.METRICS] = encode_values(outcome.metrics)
        self.note(number, described)
        if verdict.value == "NaN report":
            self.report(number, 1 + max(self.trial(number).intermediate_values, default=-1), math.nan)
        value = outcome.metrics[self.definition.objective.metric] if verdict.value == "final metric" else None
        self.study.tell(number, value, state=TrialState[verdict.state], skip_if_finished=True)
        return self.retry(self.trial(number), outcome.cause)

    def refuse(self, number: int, why: str) -> None:
        """Record a trial that is not launched, as it is sure to run out of device memory, as one that did."""
        self.note(number, {attrs.NOT_TRIED: True})
        self.tell(number, Outcome(Cause.CUDA_OOM, message=why))

    def retry(self, trial: FrozenTrial, cause: Cause) -> int | None:
        """Queue the configuration of ``trial`` again, once, if ``cause`` asks for it and retries are left.

        Returns:
            The number of the attempt that was queued, or None.
        """
        again, root, counts = VERDICTS[cause].again, root_of(trial), self.counts
        params = params_of(trial)
        searched = active(self.definition.search_space, params)
        if again is Again.NEVER or not set(searched) <= set(params) or counts.is_retried(trial.number):
            return None
        if again is Again.LIMITED and counts.spent_retries(root) > self.definition.max_retries:
            return None
        attempt = attempt_of(trial) + 1
        chain = {attrs.ROOT: root, attrs.ATTEMPT: attempt, attrs.RETRY_OF: trial.number}
        inherited = {key: trial.user_attrs[key] for key in _INHERITED if key in trial.user_attrs}
        queue(self.study, {name: params[name] for name in searched}, inherited | chain)
        return attempt

    def _id(self, number: int) -> int:
        study_id = self.storage.get_study_id_from_name(self.study.study_name)
        return self.storage.get_trial_id_from_study_id_trial_number(study_id, number)


def is_kept(count: int) -> bool:
    """Return True if a trial's report number ``count``, from 1, goes to the storage and the pruner: all of the first
    200, every tenth up to 2,000, every hundredth up to 20,000, and so on. Trials of one program keep the same ones."""
    every = 1
    while count > ALL_KEPT * every:
        every *= 10
    return count % every == 0


def checked_outcome(outcome: Outcome, metric: str) -> Outcome:
    """Return ``outcome``; one that is OK without a finite ``metric`` gets the cause that really holds, and one that has
    a final ``metric`` is OK, however its program was ended."""
    value = outcome.metrics.get(metric)
    if outcome.cause in _ENDED_FROM_OUTSIDE and value is not None and math.isfinite(value):
        return replace(outcome, cause=Cause.OK, message=after_result(outcome.message))  # as earlier versions wrote it
    if outcome.cause is not Cause.OK or (value is not None and math.isfinite(value)):
        return outcome
    if value is not None:
        return replace(outcome, cause=Cause.DIVERGED, message=f"the final {metric} is {value}")
    reported = ", ".join(sorted(outcome.metrics)) or "nothing"
    return replace(
        outcome, cause=Cause.PROTOCOL, message=f"it ended without reporting {metric}; it reported {reported}"
    )
