"""The samplers by name: Optuna's, and hpsearch's own."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from typing import Any

from optuna.distributions import BaseDistribution
from optuna.samplers import BaseSampler, RandomSampler, TPESampler

from hpsearch.study.sampling.avoiding import AvoidingSampler
from hpsearch.study.sampling.cmaes import EvolutionSampler
from hpsearch.study.sampling.gp_sampler import BayesianSampler
from hpsearch.study.sampling.halton import HaltonSampler
from hpsearch.study.sampling.unit_cube import Conditions


@dataclass(frozen=True)
class SampleRequest:
    """A request for a configuration of ``space``: number ``index``, from 0, of a study with seed ``study_seed``; with a
    ``seed`` of its own. ``when``: the conditions on which a trial has a parameter; ``avoided``: values that are not to
    be proposed; None: failures teach nothing, as in a study that began before they did."""

    space: Mapping[str, BaseDistribution]
    seed: int
    study_seed: int = 0
    index: int = 0
    when: Conditions = field(default_factory=dict)
    avoided: Mapping[str, Collection[Any]] | None = None


SAMPLERS: dict[str, Callable[[SampleRequest], BaseSampler]] = {
    # In groups TPE models together what was searched together; else only what every trial searched.
    "tpe": lambda request: TPESampler(seed=request.seed, group=bool(request.when)),
    "gp": lambda request: BayesianSampler(request.space, request.seed, request.when, avoided=request.avoided),
    "cmaes": lambda request: EvolutionSampler(request.space, request.seed),
    "qmc": lambda request: HaltonSampler(request.space, request.study_seed, request.index),
    "random": lambda request: RandomSampler(seed=request.seed),
    # Grid points are queued with every value given; nothing is left to it.
    "grid": lambda request: RandomSampler(seed=request.seed),
}
# The sampler of "auto", by search mode, as measured by benchmarks/search.py.
AUTO = {"bayesian": "gp", "random": "random", "grid": "grid"}


def make_sampler(name: str, request: SampleRequest) -> BaseSampler:
    """Make the sampler of this name for one trial. Values to be avoided are left out; of a grid nothing is."""
    sampler = SAMPLERS[name](request)
    if not request.avoided or name in ("gp", "grid"):  # the Gaussian process looks for its best among the others
        return sampler
    return AvoidingSampler(sampler, request.avoided, request.seed)
