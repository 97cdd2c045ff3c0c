"""The pruners of a study, and the decision to prune a trial.

A step is one evaluation; evaluations come at equal fractions of a trial's training.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

from optuna.pruners import (
    BasePruner,
    HyperbandPruner,
    MedianPruner,
    NopPruner,
    PercentilePruner,
    SuccessiveHalvingPruner,
)
from optuna.trial import FrozenTrial, TrialState

from hpsearch.config.advice import too_long_warmup
from hpsearch.config.definition import StudyDefinition
from hpsearch.config.fields import PrunerSettings
from hpsearch.study.learning_curves import Curves
from hpsearch.study.records import is_finite

if TYPE_CHECKING:
    from optuna import Study

# A trial is stopped when the best value so far is better than its own predicted final one by this many standard
# deviations of the prediction. With less, more steps are saved, and more is lost than that is worth
# (docs/performance.md).
MARGIN = 2.0


class CurvePruner(BasePruner):
    """Stops a trial whose curve does not lead to the best value so far, as predicted by learning_curves.py.

    It stops none before ``n_startup_trials`` are completed, nor before step ``settings.warmup(steps)``; where ``steps``
    is None, the last step of completed trials is used.
    """

    def __init__(self, settings: PrunerSettings, steps: int | None) -> None:
        self._settings, self._steps = settings, steps

    def prune(self, study: Study, trial: FrozenTrial) -> bool:
        """Return True if a trial is to be stopped after its last report."""
        step = trial.last_step
        if step is None or not is_finite(trial.intermediate_values[step]):
            return False
        complete = study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
        steps = self._steps or _seen_steps(complete)
        curves = Curves(complete, study.direction)
        if len(curves) < max(1, self._settings.n_startup_trials) or step < self._settings.warmup(steps):
            return False
        final = curves.final(curves.reports(trial))
        return final is not None and final.value - MARGIN * final.error > min(curves.finals)


class LateMedianPruner(BasePruner):
    """Optuna's median pruner, after a fifth of the steps that the completed trials have; for trials of which it is not
    known how many they make."""

    def __init__(self, settings: PrunerSettings) -> None:
        self._settings = settings

    def prune(self, study: Study, trial: FrozenTrial) -> bool:
        """Return True if a trial is to be stopped after its last report."""
        steps = _seen_steps(study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,)))
        return MedianPruner(self._settings.n_startup_trials, self._settings.warmup(steps)).prune(study, trial)


def _seen_steps(complete: Iterable[FrozenTrial]) -> int:
    return max((trial.last_step or 0 for trial in complete), default=0)


def _median(settings: PrunerSettings, steps: int | None) -> BasePruner:
    if settings.n_warmup_steps is None and steps is None:
        return LateMedianPruner(settings)
    return MedianPruner(settings.n_startup_trials, settings.warmup(steps))


PRUNERS: dict[str, Callable[[PrunerSettings, int | None], BasePruner]] = {
    "curve": CurvePruner,
    "median": _median,
    "percentile": lambda settings, steps: PercentilePruner(
        settings.percentile, settings.n_startup_trials, settings.warmup(steps)
    ),
    "asha": lambda settings, steps: SuccessiveHalvingPruner(
        min_resource=max(1, settings.warmup(steps)), reduction_factor=3
    ),
    "hyperband": lambda settings, steps: HyperbandPruner(
        min_resource=max(1, settings.warmup(steps)),
        max_resource="auto" if steps is None else max(steps, settings.warmup(steps) + 1),
    ),
    "none": lambda settings, _: NopPruner(),
}


def make_pruner(settings: PrunerSettings, steps: int | None) -> BasePruner:
    """Make the pruner of a study whose trials report ``steps`` steps; None: the trials that end show how many."""
    return PRUNERS[settings.type](settings, steps)


def pruner_text(definition: StudyDefinition, why: str) -> str:
    """Return a line with a study's pruner, its numbers, and ``why`` it has this one."""
    numbers = dict(definition.pruner.flat())
    kind = numbers.pop("type")
    if "n_warmup_steps" in numbers and numbers["n_warmup_steps"] is None:
        steps = definition.steps
        numbers["n_warmup_steps"] = "a fifth of the steps" if steps is None else definition.pruner.warmup(steps)
    shown = f" ({', '.join(f'{name}={value}' for name, value in numbers.items())})" if numbers else ""
    return f"pruner: {kind}{shown}, {why}"


def should_prune(study: Study, trial: FrozenTrial) -> bool:
    """Ask the study's pruner about a trial's last report; ASHA and Hyperband also record which rung it has reached."""
    return bool(study.pruner.prune(study, trial))


def warmup_warnings(definition: StudyDefinition, evaluations: int | None) -> list[str]:
    """Warn where trials have fewer ``evaluations`` than the definition says, and so few that none can be pruned."""
    known = definition.steps
    if evaluations is None or (known is not None and evaluations >= known):
        return []
    return too_long_warmup(definition, evaluations)
