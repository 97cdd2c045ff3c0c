"""What a run tells whoever watches it: plain values, handed to one function. The command line has two such views."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from hpsearch.execution.events import JobProgress, Note
from hpsearch.execution.job import Outcome


@dataclass(frozen=True)
class RunStarted:
    """The study is open and repaired: what is known before anything runs."""

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
    """Data and model are ready; ``info`` is prepared.json."""

    info: dict[str, Any]


@dataclass(frozen=True)
class TrialStarted:
    """A trial's process was started."""

    number: int
    root: int
    attempt: int
    params: dict[str, Any]
    is_default: bool
    carried: int | None = None  # the trial of another study whose point it tries
    first: str = ""  # why it is tried before the sampler is asked, one of attributes.FIRST; else nothing


@dataclass(frozen=True)
class TrialReported:
    """A trial made an evaluation."""

    number: int
    step: int
    metrics: dict[str, float]
    pruned: bool


@dataclass(frozen=True)
class TrialProgress:
    """A trial shows how far it is; the keys are those of ``execution.job.Progress``."""

    number: int
    values: dict[str, Any]


@dataclass(frozen=True)
class TrialEnded:
    """A trial was told. ``again`` is the attempt that was queued for it, if one was."""

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


def silent(happening: RunEvent) -> None:
    """A view that shows nothing."""
