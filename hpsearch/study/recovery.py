"""Putting a study right after its runner died.

Called with the lease held, so no clock is needed: every RUNNING trial is dead.

A result that the dead runner did not get to tell lies in its trial's folder and is told now; the other RUNNING trials
are told as lost and queued again with the same parameters and seed.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from optuna.trial import FrozenTrial, TrialState

from hpsearch.crash_points import reached
from hpsearch.execution.executors import Executor
from hpsearch.execution.job import Job, Outcome
from hpsearch.execution.names import JOB_FILE, LOG_FILE, METRICS_FILE, OUTCOME_FILE
from hpsearch.execution.outcome import Cause
from hpsearch.study import attributes as attrs
from hpsearch.study.folders import StudyFolders
from hpsearch.study.ledger import Ledger, settled
from hpsearch.study.records import attempt_of, cause_of, root_of
from hpsearch.study.results import write_trial_results


@dataclass
class RecoveryResult:
    """What recovery did: numbers of the trials told from their folders, and of those queued again; processes ended."""

    told: list[int] = field(default_factory=list)
    requeued: list[int] = field(default_factory=list)
    swept: int = 0

    def __str__(self) -> str:
        parts = []
        if self.told:
            parts.append(f"took in the untold result of trial {_numbers(self.told)}")
        if self.requeued:
            parts.append(f"queued trial {_numbers(self.requeued)} again")
        if self.swept:
            parts.append(f"ended {self.swept} leftover process{'es' if self.swept > 1 else ''}")
        return "repaired after an interrupted run: " + "; ".join(parts) if parts else ""


def recover(ledger: Ledger, folders: StudyFolders, executor: Executor) -> RecoveryResult:
    """Leave no process and no RUNNING trial of a dead runner, and lose no result."""
    reached("sweep-begun")
    repairs = RecoveryResult(swept=executor.sweep(ledger.study.study_name))
    reached("sweep-done")
    folders.drop_half_written()
    for trial in ledger.trials(TrialState.RUNNING):
        outcome = _outcome_of(ledger, folders, trial)
        attempt = ledger.tell(trial.number, outcome)
        reached("lost-told")
        _write_results(folders, outcome, ledger.trial(trial.number))
        if attempt is not None:
            repairs.requeued.append(trial.number)
        elif outcome.cause is not Cause.LOST:
            repairs.told.append(trial.number)
    for trial in ledger.trials(TrialState.FAIL):
        cause = cause_of(trial)
        if cause is not None and ledger.requeue(trial, cause) is not None:
            repairs.requeued.append(trial.number)
    return repairs


def _outcome_of(ledger: Ledger, folders: StudyFolders, trial: FrozenTrial) -> Outcome:
    launched = attrs.FOLDER in trial.user_attrs
    folder = folders.attempt(root_of(trial), attempt_of(trial))
    stored = read_outcome(folder) if launched else None
    if stored is None:
        return Outcome(Cause.LOST, message="its runner died", duration_s=_seen_s(folder) if launched else 0.0)
    return settled(stored, ledger.definition.objective.metric)


def _seen_s(folder: Path) -> float:
    """Seconds from a trial's launch to the last that was heard of it: the least that it took."""
    try:
        began = (folder / JOB_FILE).stat().st_mtime
        heard = [(folder / name).stat().st_mtime for name in (LOG_FILE, METRICS_FILE) if (folder / name).exists()]
    except OSError:
        return 0.0
    return max([0.0, *(each - began for each in heard)])


def _write_results(folders: StudyFolders, outcome: Outcome, trial: FrozenTrial) -> None:
    """Write the results file that the dead runner did not come to; there is none to write for a job never launched."""
    folder = folders.attempt(root_of(trial), attempt_of(trial))
    try:
        job = Job.load(folder / "job.json")
    except (OSError, ValueError):
        return
    write_trial_results(folder, job, outcome, trial)


def read_outcome(folder: Path) -> Outcome | None:
    """What the supervisor left in a trial's folder, or None."""
    try:
        return Outcome.from_json((folder / OUTCOME_FILE).read_text(encoding="utf-8"))
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _numbers(numbers: list[int]) -> str:
    return ", ".join(map(str, numbers))
