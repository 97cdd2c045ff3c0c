"""Which pruner a study uses. A step is one evaluation; evaluations come at equal fractions of a trial's training."""

from __future__ import annotations

from collections.abc import Callable
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

from hpsearch.config.fields import PrunerSettings
from hpsearch.study.learning_curves import Curves
from hpsearch.study.records import is_finite

if TYPE_CHECKING:
    from optuna import Study

# A trial is stopped when the best value so far is better than its own guessed final one by so many standard deviations
# of the guess. With less, more steps are saved, and more is lost than that is worth (docs/performance.md).
MARGIN = 2.0


class CurvePruner(BasePruner):
    """Stops a trial whose curve does not lead to the best value so far (curves.py says how that is guessed).

    It stops none before ``n_startup_trials`` are completed, nor before step ``settings.warmup(steps)``; where ``steps``
    is None, the last step of completed trials stands for it.
    """

    def __init__(self, settings: PrunerSettings, steps: int | None) -> None:
        self._settings, self._steps = settings, steps

    def prune(self, study: Study, trial: FrozenTrial) -> bool:
        """Whether to stop a trial after its last report."""
        step = trial.last_step
        if step is None or not is_finite(trial.intermediate_values[step]):
            return False
        complete = study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
        steps = self._steps or max((each.last_step or 0 for each in complete), default=0)
        curves = Curves(complete, study.direction)
        if len(curves) < max(1, self._settings.n_startup_trials) or step < self._settings.warmup(steps):
            return False
        final = curves.final(curves.reports(trial))
        return final is not None and final.value - MARGIN * final.error > min(curves.finals)


PRUNERS: dict[str, Callable[[PrunerSettings, int | None], BasePruner]] = {
    "curve": CurvePruner,
    "median": lambda settings, steps: MedianPruner(settings.n_startup_trials, settings.warmup(steps)),
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
    """The pruner of a study whose trials report so many steps; None: those that end show it."""
    return PRUNERS[settings.type](settings, steps)
