"""Which configuration is tried next.

A new sampler is made for every trial, seeded from the study's seed and the number of configurations asked for so far:
the sampler's state is not in the storage, so this is what makes a resumed study repeat no point and continue as an
undisturbed one would. Grids are not Optuna's GridSampler (under ask/tell it raises at the last point, duplicates points
and counts failed ones as visited): the next point is derived from the stored trials.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from optuna.samplers import BaseSampler, RandomSampler
from optuna.trial import FrozenTrial, Trial, TrialState

from hpsearch.config.conditions import active, conditions, in_order, is_active
from hpsearch.config.parameters import Categorical, IntRange, Parameter
from hpsearch.config.space import grid_points, point_key
from hpsearch.study import attributes as attrs
from hpsearch.study.sampling import AUTO, SAMPLERS, Wanted
from hpsearch.study.sampling.informed import InformedSampler
from hpsearch.study.sampling.known_good import next_first, why_first

if TYPE_CHECKING:
    from optuna import Study

    from hpsearch.config.definition import StudyDefinition
    from hpsearch.study.warm_start import WarmStart

# What keeps a grid point from being tried (again): it is finished, running or queued.
_TAKEN = (TrialState.COMPLETE, TrialState.PRUNED, TrialState.RUNNING, TrialState.WAITING)


def derive_seed(*parts: int | str) -> int:
    """A seed in 0..2**32-1 that depends on all ``parts`` and on nothing else."""
    text = "\x1f".join(map(str, parts))
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:4], "big")


def trial_seed(definition: StudyDefinition, before: int) -> int:
    """The seed of a configuration's trials, from the study's seed and how many configurations came ``before``: a
    retried trial repeats itself, and those after it are what they would have been without."""
    return derive_seed(definition.seed, "trial", before)


class Planner:
    """Asks for one trial after another in one run of a study."""

    def __init__(self, study: Study, definition: StudyDefinition, warm_start: WarmStart | None = None) -> None:
        self._study = study
        self._definition = definition
        self._warm_start = warm_start
        self._points: Iterator[dict[str, Any]] | None = None
        self._looked_at = self._configurations = 0

    def next_trial(self) -> Trial | None:
        """The next trial, RUNNING and with all its parameters stored; None when a grid has no point left.

        Queued trials (retries, the default configuration) come first, then what is known to be good.
        """
        if self._definition.search_mode == "grid" and not self._waiting() and not self._queue_next_point():
            return None
        prior = self._queue_next()
        sampler = self._sampler()
        self._study.sampler = InformedSampler(sampler, prior) if prior else sampler
        return _ask(self._study, self._definition.search_space)

    def _sampler(self) -> BaseSampler:
        """A sampler for the next trial; for a queued one, to which it has nothing to add, one that learns nothing."""
        definition, index = self._definition, self._count()
        seed = derive_seed(definition.seed, "sampler", index)
        queued = [params_of(trial) for trial in self._waiting()[:1]]
        if any(set(params) >= set(active(definition.search_space, params)) for params in queued):
            return RandomSampler(seed=seed)
        space = {name: each.distribution() for name, each in definition.search_space.items()}
        when = conditions(definition.search_space)
        name = AUTO[definition.search_mode] if definition.sampler == "auto" else definition.sampler
        return SAMPLERS[name](Wanted(space, seed, definition.seed, index, when))

    def _queue_next(self) -> list[FrozenTrial]:
        """Queue the point whose turn it is, if any: one of another study, or one to begin with; trials of the other
        study that the sampler is to see."""
        trials, warm_start = self._study.get_trials(deepcopy=False), self._warm_start
        point = warm_start.next_point(trials, self._definition.objective.direction) if warm_start else None
        first = next_first(self._definition, trials, known=warm_start is None)
        if point is not None and not self._waiting():
            queue(self._study, point.params, {attrs.CARRIED: point.trial})
        elif first is not None and not self._waiting():
            queue(self._study, first, {attrs.TRY_FIRST: why_first(self._definition)})
        return warm_start.prior_trials(self._definition, trials) if warm_start else []

    def _queue_next_point(self) -> bool:
        """Queue the next of the points that stood open when this run began; what fails now, a later run tries again."""
        if self._points is None:
            self._points = iter(open_points(self._study.get_trials(deepcopy=False), self._definition))
        point = next(self._points, None)
        if point is not None:
            queue(self._study, point, {})
        return point is not None

    def _waiting(self) -> list[FrozenTrial]:
        return self._study.get_trials(deepcopy=False, states=(TrialState.WAITING,))

    def _count(self) -> int:
        """How many configurations were asked for, retries not counted."""
        fresh = self._study.get_trials(deepcopy=False)[self._looked_at :]
        self._looked_at += len(fresh)
        self._configurations += sum(attrs.RETRY_OF not in trial.user_attrs for trial in fresh)
        return self._configurations


def _ask(study: Study, space: Mapping[str, Parameter]) -> Trial:
    """A new trial with those settings alone that are active in it, each asked for after those it depends on."""
    trial = study.ask({name: each.distribution() for name, each in space.items() if not each.when})
    for name in in_order(space):
        if space[name].when and is_active(space[name], trial.params):
            _suggest(trial, name, space[name])
    return trial


def _suggest(trial: Trial, name: str, parameter: Parameter) -> None:
    if isinstance(parameter, Categorical):
        trial.suggest_categorical(name, parameter.choices)
    elif isinstance(parameter, IntRange):
        trial.suggest_int(name, parameter.low, parameter.high, step=parameter.step, log=parameter.log)
    else:
        trial.suggest_float(name, parameter.low, parameter.high, log=parameter.is_log)


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
