"""Predictions of a trial's final value from its learning curve, learned from the study's own trials.

A trial that was stopped has no final value, but its curve says nearly as much. How much a curve still falls after some
step is learned from the completed trials: from their curves up to that step and their final values, which are measured
on other rows and differ from the last report.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, TrialState

from hpsearch.study.records import is_finite, root_of, value_of

# How far a curve still falls, as a share of what it fell since its middle: a prior that the first trials correct.
USUAL_GAIN, GAIN_SPREAD = 0.4, 0.4
# The error of a prediction, as a share of the same, where no completed trial shows it.
USUAL_ERROR = 0.3
# Share of a curve's reports, at its end and at its middle, that are averaged against noise.
WINDOW = 0.2
MOST_CURVES = 200  # that are learned from: with more the prediction is no better


@dataclass(frozen=True)
class CurveFeatures:
    """A curve up to some step: its ``level`` there, and its ``gain``, how much it fell since its middle."""

    level: float
    gain: float


@dataclass(frozen=True)
class Final:
    """The final value that a trial has or is predicted to have, less being better; and its standard deviation."""

    value: float
    error: float


class Curves:
    """The last ``MOST_CURVES`` completed curves of a study, and all its final values, ``finals``; less is better,
    whatever the direction of its objective."""

    def __init__(self, trials: Iterable[FrozenTrial], direction: StudyDirection) -> None:
        self.sign = -1.0 if direction is StudyDirection.MAXIMIZE else 1.0
        complete = [trial for trial in trials if value_of(trial) is not None]
        self.finals = [self.sign * float(trial.value or 0.0) for trial in complete]
        # A retry has the place of its first attempt.
        reporting = sorted((trial for trial in complete[-MOST_CURVES:] if trial.intermediate_values), key=root_of)
        self._ended = [(self.reports(trial), self.sign * float(trial.value or 0.0)) for trial in reporting]
        self._known: dict[int, list[tuple[CurveFeatures, float]]] = {}

    def __len__(self) -> int:
        """Count the curves to learn from."""
        return len(self._ended)

    def reports(self, trial: FrozenTrial) -> dict[int, float]:
        """Return the finite reports of a trial, in order."""
        reported = sorted(trial.intermediate_values.items())
        return {step: self.sign * value for step, value in reported if is_finite(value)}

    def final(self, reports: Mapping[int, float]) -> Final | None:
        """Predict the final value of a curve; None where it has no report."""
        step = max(reports, default=0)
        features = features_at(reports, step)
        if features is None:
            return None
        if step not in self._known:  # the completed curves up to this step, and how much each changed afterwards
            known = [(features_at(curve, step), final) for curve, final in self._ended]
            self._known[step] = [(other, final - other.level) for other, final in known if other is not None]
        return _predict(features, self._known[step])


def final_of(trial: FrozenTrial, curves: Curves) -> Final | None:
    """Return the final value of a trial, predicted for a pruned one; None where it failed."""
    if trial.state is TrialState.COMPLETE:
        value = trial.value
        return Final(curves.sign * value, 0.0) if value is not None and math.isfinite(value) else None
    last = trial.last_step
    if trial.state is TrialState.FAIL or last is None or not math.isfinite(trial.intermediate_values[last]):
        return None
    return curves.final(curves.reports(trial))


def features_at(reports: Mapping[int, float], step: int) -> CurveFeatures | None:
    """Return the features of a curve up to a step; None where it has no report by then."""
    values = [value for at, value in reports.items() if at <= step]
    if not values:
        return None
    width, middle = max(1, math.ceil(WINDOW * len(values))), (len(values) - 1) // 2
    late, early = values[-width:], values[max(0, middle - width // 2) : middle + (width + 1) // 2]
    level = sum(late) / len(late)
    return CurveFeatures(level, sum(early) / len(early) - level if len(values) > 1 else 0.0)


def _predict(features: CurveFeatures, pairs: list[tuple[CurveFeatures, float]]) -> Final:
    """Predict how much a curve changes after its last report, by a linear model of those of others: their mean change
    and share of their gain, regularised to the prior."""
    scale = (sum(abs(other.gain) for other, _ in pairs) / len(pairs) if pairs else abs(features.gain)) or 1e-12
    rows = np.array([[1.0, other.gain / scale] for other, _ in pairs]).reshape(-1, 2)
    changes = np.array([change / scale for _, change in pairs])
    usual, precision = np.array([0.0, -USUAL_GAIN]), np.diag([1.0 / USUAL_ERROR**2, 1.0 / GAIN_SPREAD**2])
    noise = USUAL_ERROR**2
    for _ in range(2):  # the second time with the spread that the first one gives
        covariance = np.linalg.inv(precision + rows.T @ rows / noise)
        factors = covariance @ (precision @ usual + rows.T @ changes / noise)
        rest = changes - rows @ factors
        noise = (2.0 * USUAL_ERROR**2 * 0.5 + float(rest @ rest)) / (2.0 * 0.5 + max(0.0, len(pairs) - 1.0))
    own = np.array([1.0, features.gain / scale])
    error = math.sqrt(max(1e-24, noise + float(own @ covariance @ own)))
    return Final(features.level + scale * float(own @ factors), scale * error)
