"""The events of a run: plain values, each given to a view. The command line has two views, a live table and lines."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from hpsearch.execution.events import JobProgress, Note
from hpsearch.execution.job import Outcome
from hpsearch.study import attributes as attrs
from hpsearch.study.budget import seconds_of
from hpsearch.study.preparation import PreparedInfo
from hpsearch.study.records import attempt_of, cause_of, root_of

if TYPE_CHECKING:
    from optuna.trial import FrozenTrial


@dataclass(frozen=True)
class StudyPrepared:
    """Data and model are ready."""

    info: PreparedInfo


@dataclass(frozen=True)
class TrialStarted:
    """A trial's process was started."""

    number: int
    root: int
    attempt: int
    params: dict[str, Any]
    is_default: bool
    carried: int | None = None  # number of the other study's trial whose point it tries
    first: str = ""  # why it runs before the sampler is asked, one of attributes.FIRST; else empty


@dataclass(frozen=True)
class TrialReported:
    """A trial made an evaluation."""

    number: int
    step: int
    metrics: dict[str, float]
    pruned: bool


@dataclass(frozen=True)
class TrialProgress:
    """A trial's progress; the keys are those of ``execution.job.Progress``."""

    number: int
    values: dict[str, Any]


@dataclass(frozen=True)
class TrialEnded:
    """A trial ended. ``again`` is the number of the retry that was queued, if any."""

    number: int
    outcome: Outcome
    state: str
    value: float | None
    finished: int
    again: int | None = None


@dataclass(frozen=True)
class RunStarted:
    """The study is open and recovered; no trial of this run has started. ``earlier`` are the events of the trials that
    earlier runs ended. ``search_mode`` is empty for fresh runs, which search nothing."""

    study: str
    metric: str
    direction: str
    target: int
    finished: int
    search_mode: str
    steps: int | None  # number of a trial's last step, where it is known
    best: tuple[int, float] | None  # number and value
    slots: int = 1  # trials run at once
    earlier: tuple[TrialStarted | TrialReported | TrialEnded, ...] = ()


@dataclass(frozen=True)
class NewBest:
    """A trial became the best one."""

    number: int
    value: float
    params: dict[str, Any] = field(default_factory=dict)


RunEvent = (
    RunStarted
    | Note
    | StudyPrepared
    | JobProgress
    | TrialStarted
    | TrialReported
    | TrialProgress
    | TrialEnded
    | NewBest
)
View = Callable[[RunEvent], None]


def earlier_events(trials: Sequence[FrozenTrial], metric: str) -> Iterator[TrialStarted | TrialReported | TrialEnded]:
    """Yield for each trial that has ended what a view needs to show it: its start, last report and end."""
    retried = {
        trial.user_attrs[attrs.RETRY_OF]: attempt_of(trial) for trial in trials if attrs.RETRY_OF in trial.user_attrs
    }
    for trial in trials:
        cause, own = cause_of(trial), trial.user_attrs
        if cause is None or not trial.state.is_finished():
            continue
        default, carried, first = own.get(attrs.IS_DEFAULT), own.get(attrs.CARRIED), own.get(attrs.TRY_FIRST, "")
        yield TrialStarted(trial.number, root_of(trial), attempt_of(trial), trial.params, bool(default), carried, first)
        if trial.last_step is not None:
            yield TrialReported(
                trial.number, trial.last_step, {metric: trial.intermediate_values[trial.last_step]}, False
            )
        outcome = Outcome(cause, duration_s=seconds_of(trial))
        yield TrialEnded(trial.number, outcome, trial.state.name, trial.value, 0, retried.get(trial.number))


def silent(event: RunEvent) -> None:
    """Show nothing."""


def show_prepared(view: View, info: PreparedInfo) -> None:
    """Show the result of the prepare job, and its warnings."""
    view(StudyPrepared(info))
    for text in info.warnings:
        view(Note(text, warning=True))
