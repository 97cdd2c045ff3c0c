"""A sampler that sees more trials than the study has."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from optuna.distributions import BaseDistribution
from optuna.samplers import BaseSampler
from optuna.trial import FrozenTrial

if TYPE_CHECKING:
    from optuna import Study


class InformedSampler(BaseSampler):
    """Asks ``sampler`` as if the study had begun with the ``prior`` trials. The study itself is not changed.

    It is asked about a copy of the study in memory, without a pruner: Hyperband's rounds would be told apart by the
    numbers of the trials, which are others there.
    """

    def __init__(self, sampler: BaseSampler, prior: Sequence[FrozenTrial]) -> None:
        self._sampler = sampler
        self._prior = list(prior)
        self._seen: tuple[int, Study, FrozenTrial] | None = None

    def infer_relative_search_space(self, study: Study, trial: FrozenTrial) -> dict[str, BaseDistribution]:
        """What is sampled together."""
        return self._sampler.infer_relative_search_space(*self._copy(study, trial))

    def sample_relative(
        self, study: Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        """The values sampled together."""
        return self._sampler.sample_relative(*self._copy(study, trial), search_space)

    def sample_independent(
        self, study: Study, trial: FrozenTrial, param_name: str, param_distribution: BaseDistribution
    ) -> Any:
        """A value sampled by itself."""
        return self._sampler.sample_independent(*self._copy(study, trial), param_name, param_distribution)

    def _copy(self, study: Study, trial: FrozenTrial) -> tuple[Study, FrozenTrial]:
        """The study with the prior trials before its own, and ``trial`` in it. A sampler is made for each trial, so it
        is made once."""
        if self._seen is None or self._seen[0] != trial.number:
            self._seen = (trial.number, *self._copied(study, trial))
        return self._seen[1:]

    def _copied(self, study: Study, trial: FrozenTrial) -> tuple[Study, FrozenTrial]:
        from optuna import create_study
        from optuna.pruners import NopPruner
        from optuna.storages import InMemoryStorage

        storage = InMemoryStorage()
        copy = create_study(storage=storage, sampler=self._sampler, pruner=NopPruner(), direction=study.direction)
        copy.add_trials([*self._prior, *study.get_trials(deepcopy=False)])
        return copy, copy.get_trials(deepcopy=False)[len(self._prior) + trial.number]
