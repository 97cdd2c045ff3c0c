"""Which configuration is tried next.

A new sampler is made for every trial, seeded from the study's seed and the number of configurations asked for so far:
the sampler's state is not in the storage, so this is what makes a resumed study repeat no point and continue as an
undisturbed one would. Grids are not Optuna's GridSampler (under ask/tell it raises at the last point, duplicates points
and counts failed ones as visited): the next point is derived from the stored trials.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from optuna.samplers import BaseSampler, RandomSampler, TPESampler
from optuna.trial import FrozenTrial, Trial, TrialState

from hpsearch.definitions.space import grid_points, point_key
from hpsearch.study import attributes as attrs

if TYPE_CHECKING:
    from optuna import Study

    from hpsearch.definitions.definition import StudyDefinition

SAMPLERS: dict[str, Callable[[int], BaseSampler]] = {
    "bayesian": lambda seed: TPESampler(seed=seed),
    "random": lambda seed: RandomSampler(seed=seed),
    "grid": lambda seed: RandomSampler(
        seed=seed
    ),  # grid points are queued with every value given; nothing is left to it
}

# What keeps a grid point from being tried (again): it is finished, running or queued.
_TAKEN = (TrialState.COMPLETE, TrialState.PRUNED, TrialState.RUNNING, TrialState.WAITING)


def derive_seed(*parts: int | str) -> int:
    """A seed in 0..2**32-1 that depends on all ``parts`` and on nothing else."""
    text = "\x1f".join(map(str, parts))
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:4], "big")


def trial_seed(definition: StudyDefinition, root: int) -> int:
    """The seed of a trial, from the study's seed and its root number: a retried trial repeats itself."""
    return derive_seed(definition.seed, "trial", root)


class Planner:
    """Asks for one trial after another in one run of a study."""

    def __init__(self, study: Study, definition: StudyDefinition) -> None:
        self._study = study
        self._definition = definition
        self._first = len(study.get_trials(deepcopy=False))

    def next_trial(self) -> Trial | None:
        """The next trial, RUNNING and with all its parameters stored; None when a grid has no point left.

        Queued trials (retries, the default configuration) come first.
        """
        definition = self._definition
        if definition.search_mode == "grid" and not self._has_waiting() and not self._queue_next_point():
            return None
        seed = derive_seed(definition.seed, "sampler", self._configurations())
        self._study.sampler = SAMPLERS[definition.search_mode](seed)
        return self._study.ask({name: parameter.distribution() for name, parameter in definition.search_space.items()})

    def _queue_next_point(self) -> bool:
        trials = self._study.get_trials(deepcopy=False)
        failed_now = {point_key(params_of(trial)) for trial in trials[self._first :] if trial.state == TrialState.FAIL}
        fresh = [point for point in open_points(trials, self._definition) if point_key(point) not in failed_now]
        if fresh:
            queue(self._study, fresh[0], {})
        return bool(fresh)

    def _has_waiting(self) -> bool:
        return bool(self._study.get_trials(deepcopy=False, states=(TrialState.WAITING,)))

    def _configurations(self) -> int:
        """How many configurations were asked for, retries not counted."""
        return sum(attrs.RETRY_OF not in trial.user_attrs for trial in self._study.get_trials(deepcopy=False))


def queue(study: Study, params: Mapping[str, Any], user_attrs: Mapping[str, Any]) -> None:
    """Put a configuration in the study's queue."""
    study.enqueue_trial(dict(params), user_attrs=dict(user_attrs))


def queue_default(study: Study, definition: StudyDefinition) -> None:
    """Queue the study's default configuration, which becomes trial 0."""
    queue(study, definition.default_params(), {attrs.IS_DEFAULT: True})


def params_of(trial: FrozenTrial) -> dict[str, Any]:
    """A trial's parameters, those it was queued with included."""
    return {**trial.system_attrs.get("fixed_params", {}), **trial.params}


def open_points(trials: Sequence[FrozenTrial], definition: StudyDefinition) -> list[dict[str, Any]]:
    """Grid points that no trial has finished or is about to, in grid order.

    A point whose only trials failed stands open: a later run tries it again.
    """
    taken = {point_key(params_of(trial)) for trial in trials if trial.state in _TAKEN}
    return [point for point in grid_points(definition.search_space) if point_key(point) not in taken]
