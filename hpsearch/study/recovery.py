"""Recovery of a study after its runner died.

It runs with the lease held, so no clock is needed: every RUNNING trial is dead.

A result that the dead runner did not record lies in its trial's folder and is recorded now; the other RUNNING trials
are recorded as lost and queued again with the same parameters and seed.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from optuna.trial import FrozenTrial, TrialState

from hpsearch.crash_points import reached
from hpsearch.execution.executors import Executor
from hpsearch.execution.exit import lost_outcome
from hpsearch.execution.job import Job, Outcome
from hpsearch.execution.names import JOB_FILE, LOG_FILE, METRICS_FILE, OUTCOME_FILE
from hpsearch.execution.outcome import Cause
from hpsearch.execution.reports import read_reports
from hpsearch.study import attributes as attrs
from hpsearch.study.folders import StudyFolders
from hpsearch.study.ledger import Ledger, checked_outcome
from hpsearch.study.records import attempt_of, cause_of, root_of
from hpsearch.study.results import IN_THE_WAY, has_half_adapter, write_trial_results

_DIED = "its runner died"


@dataclass
class RecoveryResult:
    """What recovery did: numbers of the trials recorded from their folders, and of those queued again; the number of
    processes that it ended."""

    recorded: list[int] = field(default_factory=list)
    requeued: list[int] = field(default_factory=list)
    ended: int = 0

    def __str__(self) -> str:
        parts = []
        if self.recorded:
            parts.append(f"recorded the result of trial {', '.join(map(str, self.recorded))}")
        if self.requeued:
            parts.append(f"queued trial {', '.join(map(str, self.requeued))} again")
        if self.ended:
            parts.append(f"ended {self.ended} leftover process{'es' if self.ended > 1 else ''}")
        return "repaired after an interrupted run: " + "; ".join(parts) if parts else ""


def recover(ledger: Ledger, folders: StudyFolders, executor: Executor, lease: str) -> RecoveryResult:
    """Leave no process and no RUNNING trial of a dead runner, and lose no result. ``lease`` is the identity of the
    study's lease, which is held."""
    reached("sweep-begun")
    result = RecoveryResult(ended=executor.take_over(ledger.study.study_name, lease))
    reached("sweep-done")
    folders.drop_half_written()
    for trial in ledger.trials(TrialState.RUNNING):
        folder = folders.attempt(root_of(trial), attempt_of(trial))
        # What lies in the folder of a trial that was not launched is an older one's.
        outcome = Outcome(Cause.LOST, message=_DIED)
        if attrs.FOLDER in trial.user_attrs:
            outcome = checked_outcome(_outcome_in(folder), ledger.definition.objective.metric)
            ledger.complete_reports(trial.number, read_reports(folder / METRICS_FILE)[0])
            if has_half_adapter(folder, outcome):
                ledger.note(trial.number, {attrs.HALF_ADAPTER: True})
        attempt = ledger.tell(trial.number, outcome)
        reached("lost-told")
        _write_results(folder, outcome, ledger.trial(trial.number))
        if attempt is not None:
            result.requeued.append(trial.number)
        elif outcome.cause is not Cause.LOST:
            result.recorded.append(trial.number)
    for trial in ledger.trials(TrialState.FAIL):
        cause = cause_of(trial)
        if cause is not None and ledger.retry(trial, cause) is not None:
            result.requeued.append(trial.number)
    return result


def _outcome_in(folder: Path) -> Outcome:
    """Read the outcome that the supervisor left in a trial's folder; without one the trial's reports decide."""
    with suppress(OSError, ValueError, KeyError, TypeError):
        return Outcome.from_json((folder / OUTCOME_FILE).read_text(encoding="utf-8"))
    with suppress(OSError, ValueError):
        return lost_outcome(folder, Job.load(folder / JOB_FILE), _DIED, _least_seconds(folder))
    return Outcome(Cause.LOST, message=_DIED, duration_s=_least_seconds(folder))


def _least_seconds(folder: Path) -> float:
    """Return a lower bound of a lost trial's duration: from its launch to its last report, in seconds."""
    try:
        began = (folder / JOB_FILE).stat().st_mtime
        written = [(folder / name).stat().st_mtime for name in (LOG_FILE, METRICS_FILE) if (folder / name).exists()]
    except OSError:
        return 0.0
    return max([0.0, *(moment - began for moment in written)])


def _write_results(folder: Path, outcome: Outcome, trial: FrozenTrial) -> None:
    """Write the results file that the dead runner did not write; there is none for a job that was never launched."""
    try:
        job = Job.load(folder / JOB_FILE)
    except (OSError, ValueError):
        return
    with suppress(*IN_THE_WAY):
        write_trial_results(folder, job, outcome, trial)
