"""The events of a run: plain values, each given to a view. The command line has two views, a live table and lines."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from hpsearch.execution.events import JobProgress, Note
from hpsearch.execution.job import Outcome
from hpsearch.study.preparation import PreparedInfo


@dataclass(frozen=True)
class RunStarted:
    """The study is open and recovered; no trial of this run has started."""

    study: str
    metric: str
    direction: str
    target: int
    finished: int
    search_mode: str
    steps: int | None  # number of a trial's last step, where it is known
    best: tuple[int, float] | None  # number and value
    slots: int = 1  # trials run at once


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


def silent(event: RunEvent) -> None:
    """Show nothing."""


def show_prepared(view: View, info: PreparedInfo) -> None:
    """Show the result of the prepare job, and its warnings."""
    view(StudyPrepared(info))
    for text in info.warnings:
        view(Note(text, warning=True))
