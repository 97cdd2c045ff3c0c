"""When a trial is evaluated: at equal fractions of its own training, so that trials of different lengths compare."""

from __future__ import annotations


def evaluation_steps(steps: int, evaluations: int) -> list[int]:
    """The optimiser step after which each evaluation k = 1..evaluations comes: the first at or past k/evaluations of
    ``steps``. With fewer steps than evaluations several of them fall on one step."""
    return [-(-k * steps // evaluations) for k in range(1, evaluations + 1)]


class EvaluationSchedule:
    """Says which evaluations are due as the steps go by."""

    def __init__(self, steps: int, evaluations: int) -> None:
        self._steps = evaluation_steps(steps, evaluations)
        self._reported = 0

    def due(self, step: int) -> list[int]:
        """Numbers of the evaluations that are due after ``step`` and were not yet given out."""
        numbers = [k for k, at in enumerate(self._steps, start=1) if k > self._reported and at <= step]
        self._reported = numbers[-1] if numbers else self._reported
        return numbers
