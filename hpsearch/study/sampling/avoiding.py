"""Keeps a sampler away from values with which every trial failed."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from optuna.distributions import BaseDistribution, CategoricalDistribution
from optuna.samplers import BaseSampler

if TYPE_CHECKING:
    from optuna import Study
    from optuna.trial import FrozenTrial

ASKED = 20  # times a sampler is asked for another configuration before the value alone is replaced


class AvoidingSampler(BaseSampler):
    """Asks ``sampler`` until it proposes none of the ``avoided`` values; at last draws others in their place."""

    def __init__(self, sampler: BaseSampler, avoided: Mapping[str, Collection[Any]], seed: int) -> None:
        self._sampler = sampler
        self._avoided = avoided
        self._rng = np.random.default_rng(seed)

    def infer_relative_search_space(self, study: Study, trial: FrozenTrial) -> dict[str, BaseDistribution]:
        """Return the parameters that are sampled together."""
        return self._sampler.infer_relative_search_space(study, trial)

    def sample_relative(
        self, study: Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        """Sample values together."""
        for _ in range(ASKED):
            chosen = self._sampler.sample_relative(study, trial, search_space)
            if not any(self._is_avoided(name, value) for name, value in chosen.items()):
                break
        return {name: self._instead(name, value, search_space[name]) for name, value in chosen.items()}

    def sample_independent(
        self, study: Study, trial: FrozenTrial, param_name: str, param_distribution: BaseDistribution
    ) -> Any:
        """Sample a value by itself."""
        for _ in range(ASKED):
            value = self._sampler.sample_independent(study, trial, param_name, param_distribution)
            if not self._is_avoided(param_name, value):
                break
        return self._instead(param_name, value, param_distribution)

    def _is_avoided(self, name: str, value: Any) -> bool:
        return value in self._avoided.get(name, ())

    def _instead(self, name: str, value: Any, distribution: BaseDistribution) -> Any:
        """Return the value, or one drawn in its place."""
        if not self._is_avoided(name, value) or not isinstance(distribution, CategoricalDistribution):
            return value
        others = [choice for choice in distribution.choices if not self._is_avoided(name, choice)]
        return others[int(self._rng.integers(len(others)))] if others else value
