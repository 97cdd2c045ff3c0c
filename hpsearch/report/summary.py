"""The results of a study: base, default and best, counts by cause, statistics, time, and the time saved by pruning."""

from __future__ import annotations

import statistics
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hpsearch.errors import UsageError
from hpsearch.report.claims import StudyVerdict
from hpsearch.report.hours import hours_by_use
from hpsearch.report.rows import (
    Parameter,
    StudyObjective,
    TrialRow,
    definition_of,
    finite,
    groups,
    objective_of,
    prepared_of,
    ranked,
    read_parameters,
    read_rows,
)
from hpsearch.report.verdicts import verdicts_of
from hpsearch.study import attributes as attrs
from hpsearch.study.budget import ran_on_gpu
from hpsearch.study.evidence import Evidence, read_evidence
from hpsearch.study.failures import Failures
from hpsearch.study.preparation import PreparedInfo

if TYPE_CHECKING:
    from optuna import Study


@dataclass(frozen=True)
class HeadlineScore:
    """One of base, default and best. ``value`` is the searched score, ``holdout`` the score on held-out rows."""

    name: str
    value: float | None
    holdout: float | None = None
    trial: TrialRow | None = None


@dataclass(frozen=True)
class ValueStatistics:
    """Final values of the completed trials. ``deviation`` is the sample's; 0 for a single one."""

    count: int
    minimum: float
    lower_quartile: float
    median: float
    upper_quartile: float
    maximum: float
    mean: float
    deviation: float

    @property
    def spread(self) -> float:
        """Width of the middle half."""
        return self.upper_quartile - self.lower_quartile


@dataclass(frozen=True)
class StudySummary:
    """All that the report and the command line say about one study. Times are in seconds.

    ``trials`` are the last attempts, one for each configuration; ``rows`` are all attempts. ``time_saved_s`` is an
    estimate, None if nothing was pruned or no completed trial is there to compare with. ``failing`` names in words the
    values of settings with which every trial failed. ``evidence`` is what the scores are worth, None while no trial has
    completed; ``confirmed`` what `hpsearch confirm` stored, empty if nothing; ``verdicts`` what is to be said first.
    """

    name: str
    objective: StudyObjective
    rows: tuple[TrialRow, ...]
    trials: tuple[TrialRow, ...]
    parameters: tuple[Parameter, ...]
    counts: Mapping[str, int]  # last attempts by cause, the most frequent first
    base: HeadlineScore | None
    default: HeadlineScore | None
    best: HeadlineScore | None
    top: tuple[TrialRow, ...]
    statistics: ValueStatistics | None
    pruned_share: float | None  # of the finished trials
    time_total_s: float
    gpu_hours: float | None  # of all attempts; None if another program ran them
    on_gpu: bool  # a trial is known to have had one
    time_saved_s: float | None
    started: datetime | None
    ended: datetime | None
    target: int | None
    definition: Mapping[str, Any]
    prepared: PreparedInfo
    failing: tuple[str, ...] = ()
    evidence: Evidence | None = None
    confirmed: Mapping[str, Any] = field(default_factory=dict)
    verdicts: tuple[StudyVerdict, ...] = ()

    @property
    def completed(self) -> tuple[TrialRow, ...]:
        """The attempts that ended with a finite value, by number."""
        return tuple(row for row in self.rows if row.value is not None)

    @property
    def intervals(self) -> dict[int, str]:
        """The 95 % intervals of the best trials' values as text, by number; without those that have none."""
        scores = self.evidence.validation if self.evidence else {}
        return {
            number: f"{score.low:.3g} to {score.high:.3g}"
            for number, score in scores.items()
            if isinstance(number, int) and score.low is not None and score.high is not None
        }

    @property
    def hours_by_use(self) -> dict[str, float]:
        """GPU-hours by what they went into, or without a GPU hours of trials; empty if another program ran them."""
        return {} if self.gpu_hours is None else hours_by_use(self.rows)

    @property
    def failures(self) -> dict[str, tuple[TrialRow, ...]]:
        """All attempts that failed, by cause, the most frequent first; those that were interrupted did not."""
        bad = [row for row in self.rows if row.ending.group == "failed"]
        causes = [cause for cause, _ in Counter(row.cause for row in bad).most_common()]
        return {cause: tuple(row for row in bad if row.cause == cause) for cause in causes}

    @property
    def finished(self) -> int:
        """Number of trials that count towards the study's target."""
        return sum(row.counts for row in self.rows)


def summarize(study: Study, top: int = 10, study_dir: Path | None = None) -> StudySummary:
    """Read ``study`` into a summary with its ``top`` best trials. ``study_dir`` is its folder, whose predictions say
    what scores are worth; None if it has none.

    Raises:
        UsageError: the study has several objectives.
    """
    objective = objective_of(study)
    rows = read_rows(study, objective)
    trials = tuple(attempts[-1] for attempts in groups(rows).values())
    order = ranked(rows, objective)
    finished = [row for row in trials if row.counts]
    pruned = sum(row.cause == "pruned" for row in trials)
    prepared, definition = prepared_of(study), definition_of(study)
    own = study.user_attrs.get(attrs.CONFIRMED)
    evidence = read_evidence(
        study.get_trials(deepcopy=False),
        objective.metric,
        objective.direction,
        prepared.base if isinstance(prepared.base, dict) else {},
        study_dir,
        normalization=str(definition.get("text_normalization", "nfc")),
        top=max(top, 1),
    )
    summary = StudySummary(
        name=study.study_name,
        objective=objective,
        rows=rows,
        trials=trials,
        parameters=read_parameters(study),
        counts=dict(Counter(row.cause for row in trials).most_common()),
        base=_base(prepared, objective),
        default=_default(rows),
        best=_score("best", order[0]) if order else None,
        top=order[: max(top, 0)],
        statistics=describe([row.value for row in order if row.value is not None]),
        pruned_share=pruned / len(finished) if finished else None,
        time_total_s=sum(row.duration_s or 0.0 for row in rows),
        gpu_hours=sum(row.gpus * (row.duration_s or 0.0) for row in rows) / 3600 if definition else None,
        on_gpu=ran_on_gpu(study.get_trials(deepcopy=False), str(prepared.device)),
        time_saved_s=_saved(rows),
        started=min((row.start for row in rows if row.start), default=None),
        ended=max((row.end for row in rows if row.end), default=None),
        target=_target(study),
        definition=definition,
        prepared=prepared,
        failing=tuple(failing.text for failing in Failures(study.get_trials(deepcopy=False)).explained),
        evidence=evidence,
        confirmed=own if isinstance(own, dict) else {},
    )
    return replace(summary, verdicts=verdicts_of(summary))


def _target(study: Study) -> int | None:
    """Return the total of finished trials to reach; None for another program's study."""
    from hpsearch.config.definition import StudyDefinition
    from hpsearch.study.open import target_of

    definition, asked = definition_of(study), study.user_attrs.get(attrs.TARGET)
    try:
        if definition:
            return target_of(study, StudyDefinition.from_flat(definition))
    except UsageError:  # a definition of another version
        pass
    return asked if isinstance(asked, int) else None


def describe(values: Sequence[float]) -> ValueStatistics | None:
    """Return statistics of finite ``values``, None for none. Quartiles are interpolated between the values
    (inclusive)."""
    if not values:
        return None
    several = len(values) > 1
    quartiles = statistics.quantiles(values, n=4, method="inclusive") if several else [values[0]] * 3
    return ValueStatistics(
        count=len(values),
        minimum=min(values),
        lower_quartile=quartiles[0],
        median=quartiles[1],
        upper_quartile=quartiles[2],
        maximum=max(values),
        mean=statistics.fmean(values),
        deviation=statistics.stdev(values) if several else 0.0,
    )


def gain(objective: StudyObjective, before: float | None, after: float | None) -> tuple[float, float | None] | None:
    """Return how much better ``after`` is than ``before``: in the metric's unit, and as a fraction of ``before``.

    Positive is better. The fraction is None if ``before`` is 0.
    """
    if before is None or after is None:
        return None
    difference = objective.rank(before) - objective.rank(after)
    return difference, difference / abs(before) if before else None


def _score(name: str, row: TrialRow) -> HeadlineScore:
    return HeadlineScore(name, row.value, row.holdout_value, row)


def _base(prepared: PreparedInfo, objective: StudyObjective) -> HeadlineScore | None:
    measured = prepared.base
    if not isinstance(measured, dict):  # an attribute that others may have written
        return None
    value, holdout = finite(measured.get(objective.metric)), finite(measured.get(objective.holdout_metric))
    return None if value is None and holdout is None else HeadlineScore("base", value, holdout)


def _default(rows: Sequence[TrialRow]) -> HeadlineScore | None:
    """Return the default configuration's last attempt, preferably a completed one."""
    attempts = [row for row in rows if row.is_default]
    complete = [row for row in attempts if row.value is not None]
    return _score("default", (complete or attempts)[-1]) if attempts else None


def _saved(rows: Sequence[TrialRow]) -> float | None:
    """Estimate the time saved by pruning: each pruned trial's duration, scaled to the reports of a whole trial.

    A whole trial's reports are the median of the completed ones'. Loading is not distinguished from training, which
    makes the scaled duration too long; so no trial counts as longer than the longest completed one.
    """
    whole = [len(row.steps) for row in rows if row.value is not None and row.steps]
    longest = max((row.duration_s or 0.0 for row in rows if row.value is not None), default=0.0)
    pruned = [row for row in rows if row.cause == "pruned" and row.steps and row.duration_s]
    if not whole or not pruned:
        return None
    reports = statistics.median(whole)
    spent = [(row.duration_s or 0.0, len(row.steps)) for row in pruned]
    return sum(max(min(seconds * reports / steps, longest) - seconds, 0.0) for seconds, steps in spent)
