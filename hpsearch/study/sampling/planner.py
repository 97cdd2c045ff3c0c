"""Which configuration is tried next: a queued one, a grid point, one known to be good, or the sampler's.

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
from hpsearch.config.definition import StudyDefinition
from hpsearch.config.json import is_number
from hpsearch.config.parameters import Categorical, IntRange, Parameter
from hpsearch.config.space import grid_points, point_key
from hpsearch.study import attributes as attrs
from hpsearch.study.failures import Failures
from hpsearch.study.sampling import AUTO, SampleRequest, make_sampler

if TYPE_CHECKING:
    from optuna import Study
    from optuna.distributions import BaseDistribution

    from hpsearch.study.warm_start import WarmStart

# Settings of published fine-tunes, beside the default configuration's 2e-4 (QLoRA, up to 13B parameters): QLoRA for
# 33B and 65B (arXiv:2305.14314, appendix B), and LoRA for RoBERTa (arXiv:2106.09685, appendix D). They are tried after
# the default configuration, before a sampler is asked.
KNOWN_GOOD: tuple[Mapping[str, float], ...] = (
    {"learning_rate": 1e-4, "lora_r": 64},
    {"learning_rate": 5e-4, "lora_r": 8},
)
# In a study of more a sampler was asked, or its retries are past counting.
MOST_TRIALS = 1000
# The marks of a trial that no sampler chose.
_MARKS = {attrs.IS_DEFAULT, attrs.CARRIED, attrs.TRY_FIRST}
# What keeps a grid point from being tried (again): it is finished, running or queued.
_TAKEN = (TrialState.COMPLETE, TrialState.PRUNED, TrialState.RUNNING, TrialState.WAITING)


class Planner:
    """Asks for one trial after another in one run of a study."""

    def __init__(self, study: Study, definition: StudyDefinition, warm_start: WarmStart | None = None) -> None:
        self._study = study
        self._definition = definition
        self._warm_start = warm_start
        self._points: Iterator[dict[str, Any]] | None = None
        self._counted = self._configurations = 0
        self._failures = Failures() if study.user_attrs.get(attrs.RULES, 1) >= attrs.LEARNING else None

    @property
    def failures(self) -> Failures:
        """The values with which all trials failed, as they are known now; none in a study that does not avoid them."""
        return Failures() if self._failures is None else self._failures.update(self._study.get_trials(deepcopy=False))

    def next_trial(self) -> Trial | None:
        """Return the next trial, RUNNING and with all its parameters stored; None when a grid has no point left.

        Queued trials (retries, the default configuration) come first, then the configurations known to be good.
        """
        if self._definition.search_mode == "grid" and not self._waiting() and not self._queue_next_point():
            return None
        prior = self._queue_first()
        sampler = self._sampler()
        self._study.sampler = WarmStartedSampler(sampler, prior) if prior else sampler
        return _ask(self._study, self._definition.search_space)

    def _queue_next_point(self) -> bool:
        """Queue the next of the points that were open when this run began; what fails now, a later run tries again."""
        if self._points is None:
            self._points = iter(open_points(self._study.get_trials(deepcopy=False), self._definition))
        point = next(self._points, None)
        if point is not None:
            queue(self._study, point, {})
        return point is not None

    def _queue_first(self) -> list[FrozenTrial]:
        """Queue the point that is due before the sampler is asked, if any: one of another study, or one known to be
        good. Returns the trials of the other study that the sampler is to see."""
        trials, warm_start = self._study.get_trials(deepcopy=False), self._warm_start
        point = warm_start.next_point(trials, self._definition.objective.direction) if warm_start else None
        first = _next_first(self._definition, trials, known=warm_start is None)
        if point is not None and not self._waiting():
            queue(self._study, point.params, {attrs.CARRIED: point.trial})
        elif first is not None and not self._waiting():
            why = attrs.FIRST[0 if self._definition.try_first is None else 1]
            queue(self._study, first, {attrs.TRY_FIRST: why})
        return warm_start.prior_trials(self._definition, trials) if warm_start else []

    def _sampler(self) -> BaseSampler:
        """Make a sampler for the next trial; for a queued one, to which it has nothing to add, one without a model."""
        definition = self._definition
        trials = self._study.get_trials(deepcopy=False)
        fresh = trials[self._counted :]
        self._counted += len(fresh)
        self._configurations += sum(attrs.RETRY_OF not in trial.user_attrs for trial in fresh)
        index = self._configurations
        seed = derive_seed(definition.seed, "sampler", index)
        queued = [params_of(trial) for trial in self._waiting()[:1]]
        if any(set(params) >= set(active(definition.search_space, params)) for params in queued):
            return RandomSampler(seed=seed)
        space = {name: axis.distribution() for name, axis in definition.search_space.items()}
        when = conditions(definition.search_space)
        name = AUTO[definition.search_mode] if definition.sampler == "auto" else definition.sampler
        avoided = None if self._failures is None else self.failures.avoided()
        return make_sampler(name, SampleRequest(space, seed, definition.seed, index, when, avoided))

    def _waiting(self) -> list[FrozenTrial]:
        return self._study.get_trials(deepcopy=False, states=(TrialState.WAITING,))


def derive_seed(*parts: int | str) -> int:
    """Derive a seed in 0..2**32-1 that depends on all ``parts`` and on nothing else."""
    text = "\x1f".join(map(str, parts))
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:4], "big")


def trial_seed(definition: StudyDefinition, before: int) -> int:
    """Derive the seed of a configuration's trials from the study's seed and the number of configurations ``before``: a
    retry repeats its trial, and the trials after it are what they would have been without."""
    return derive_seed(definition.seed, "trial", before)


def queue(study: Study, params: Mapping[str, Any], user_attrs: Mapping[str, Any]) -> None:
    """Put a configuration in the study's queue."""
    study.enqueue_trial(dict(params), user_attrs=dict(user_attrs))


def queue_default(study: Study, definition: StudyDefinition) -> None:
    """Queue the study's default configuration, which becomes trial 0."""
    queue(study, definition.default_params(), {attrs.IS_DEFAULT: True})


def params_of(trial: FrozenTrial) -> dict[str, Any]:
    """Return a trial's parameters, those it was queued with included."""
    return {**trial.system_attrs.get("fixed_params", {}), **trial.params}


def open_points(trials: Sequence[FrozenTrial], definition: StudyDefinition) -> list[dict[str, Any]]:
    """Return the grid points that no trial has finished, runs or waits for, in grid order.

    A point whose trials all failed is open: a later run tries it again.
    """
    taken = {point_key(params_of(trial)) for trial in trials if trial.state in _TAKEN}
    return [point for point in grid_points(definition.search_space) if point_key(point) not in taken]


def first_configurations(definition: StudyDefinition, known: bool = True) -> list[dict[str, Any]]:
    """Return what is tried after the default configuration: the definition's ``try_first``, else, where ``known``, the
    configurations known to be good for the built-in training that lie in the search space. None comes twice, and none
    is the default one."""
    if definition.search_mode == "grid" or (definition.try_first is None and not known):
        return []
    named = _known_good(definition) if definition.try_first is None else definition.try_first
    points = {point_key(point): point for point in map(definition.point_of, named)}
    points.pop(point_key(definition.default_params()), None)
    return list(points.values())


def _next_first(definition: StudyDefinition, trials: Sequence[FrozenTrial], known: bool) -> dict[str, Any] | None:
    """Return the next of ``first_configurations``; None where all were tried, or a sampler has been asked."""
    points = first_configurations(definition, known)
    if len(trials) > MOST_TRIALS or not points:
        return None
    asked = [trial for trial in trials if attrs.RETRY_OF not in trial.user_attrs]
    tried = sum(attrs.TRY_FIRST in trial.user_attrs for trial in asked)
    sampled = any(not _MARKS & trial.user_attrs.keys() for trial in asked)
    return None if sampled or tried >= len(points) else points[tried]


def _known_good(definition: StudyDefinition) -> list[dict[str, Any]]:
    space, rates = definition.search_space, [point["learning_rate"] for point in KNOWN_GOOD]
    if definition.command is not None or definition.sampler != "auto" or definition.search_mode != "bayesian":
        return []
    if not min(rates) <= definition.default_params().get("learning_rate", 0.0) <= max(rates):
        return []  # the definition knows better where to begin: its model is not of the usual kind
    return [
        {name: _nearest(space[name], value) for name, value in point.items() if name in space}
        for point in KNOWN_GOOD
        if "learning_rate" in space and space["learning_rate"].contains(point["learning_rate"])
    ]


def _nearest(parameter: Parameter, value: float) -> Any:
    comparable = all(map(is_number, parameter.extremes()))
    return parameter.nearest(value) if comparable else parameter.middle()


def _ask(study: Study, space: Mapping[str, Parameter]) -> Trial:
    """Ask for a trial with only the settings that are active in it, each asked for after those it depends on."""
    trial = study.ask({name: axis.distribution() for name, axis in space.items() if not axis.when})
    for name in in_order(space):
        axis = space[name]
        if not axis.when or not is_active(axis, trial.params):
            continue
        if isinstance(axis, Categorical):
            trial.suggest_categorical(name, axis.choices)
        elif isinstance(axis, IntRange):
            trial.suggest_int(name, axis.low, axis.high, step=axis.step, log=axis.log)
        else:
            trial.suggest_float(name, axis.low, axis.high, log=axis.is_log)
    return trial


class WarmStartedSampler(BaseSampler):
    """Asks ``sampler`` as if the study had begun with the ``prior`` trials. The study itself is not changed.

    The sampler gets a copy of the study in memory, without a pruner: Hyperband's rounds would be told apart by the
    numbers of the trials, which are others there.
    """

    def __init__(self, sampler: BaseSampler, prior: Sequence[FrozenTrial]) -> None:
        self._sampler = sampler
        self._prior = list(prior)
        self._seen: tuple[int, Study, FrozenTrial] | None = None

    def infer_relative_search_space(self, study: Study, trial: FrozenTrial) -> dict[str, BaseDistribution]:
        """Return the parameters that are sampled together."""
        return self._sampler.infer_relative_search_space(*self._copy(study, trial))

    def sample_relative(
        self, study: Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        """Sample values together."""
        return self._sampler.sample_relative(*self._copy(study, trial), search_space)

    def sample_independent(
        self, study: Study, trial: FrozenTrial, param_name: str, param_distribution: BaseDistribution
    ) -> Any:
        """Sample a value by itself."""
        return self._sampler.sample_independent(*self._copy(study, trial), param_name, param_distribution)

    def _copy(self, study: Study, trial: FrozenTrial) -> tuple[Study, FrozenTrial]:
        """Copy the study with the prior trials before its own; return the copy, and ``trial`` in it.

        A sampler is made for each trial, so it is copied once.
        """
        if self._seen is None or self._seen[0] != trial.number:
            from optuna import create_study
            from optuna.pruners import NopPruner
            from optuna.storages import InMemoryStorage

            storage = InMemoryStorage()
            copy = create_study(storage=storage, sampler=self._sampler, pruner=NopPruner(), direction=study.direction)
            copy.add_trials([*self._prior, *study.get_trials(deepcopy=False)])
            self._seen = (trial.number, copy, copy.get_trials(deepcopy=False)[len(self._prior) + trial.number])
        return self._seen[1:]
