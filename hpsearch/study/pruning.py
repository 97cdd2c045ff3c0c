"""Which pruner a study uses. A step is one evaluation; evaluations come at equal fractions of a trial's training."""

from __future__ import annotations

from collections.abc import Callable

from optuna.pruners import BasePruner, HyperbandPruner, MedianPruner, NopPruner, PercentilePruner

from hpsearch.definitions.fields import PrunerSettings

PRUNERS: dict[str, Callable[[PrunerSettings, int | None], BasePruner]] = {
    "median": lambda settings, _: MedianPruner(settings.n_startup_trials, settings.n_warmup_steps),
    "percentile": lambda settings, _: PercentilePruner(
        settings.percentile, settings.n_startup_trials, settings.n_warmup_steps
    ),
    "hyperband": lambda settings, steps: HyperbandPruner(
        min_resource=max(1, settings.n_warmup_steps),
        max_resource="auto" if steps is None else max(steps, settings.n_warmup_steps + 1),
    ),
    "none": lambda settings, _: NopPruner(),
}


def make_pruner(settings: PrunerSettings, steps: int | None) -> BasePruner:
    """The pruner of a study whose trials report so many steps; None: hyperband takes it from the first that ends."""
    return PRUNERS[settings.type](settings, steps)
