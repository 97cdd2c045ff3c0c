"""How the next configuration is chosen: Optuna's samplers, and those of hpsearch's own."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from optuna.distributions import BaseDistribution
from optuna.samplers import BaseSampler, RandomSampler, TPESampler

from hpsearch.study.sampling.cmaes import EvolutionSampler
from hpsearch.study.sampling.gp_sampler import BayesianSampler
from hpsearch.study.sampling.halton import HaltonSampler
from hpsearch.study.sampling.unit_cube import Conditions


@dataclass(frozen=True)
class SampleRequest:
    """Which configuration is wanted of a sampler: number ``index``, from 0, of a study with seed ``study_seed``; of
    ``space``, with a ``seed`` of its own. ``when``: the conditions on which a trial has a parameter."""

    space: Mapping[str, BaseDistribution]
    seed: int
    study_seed: int = 0
    index: int = 0
    when: Conditions = field(default_factory=dict)


SAMPLERS: dict[str, Callable[[SampleRequest], BaseSampler]] = {
    # In groups TPE models together what was searched together; else only what every trial searched.
    "tpe": lambda wanted: TPESampler(seed=wanted.seed, group=bool(wanted.when)),
    "gp": lambda wanted: BayesianSampler(wanted.space, wanted.seed, wanted.when),
    "cmaes": lambda wanted: EvolutionSampler(wanted.space, wanted.seed),
    "qmc": lambda wanted: HaltonSampler(wanted.space, wanted.study_seed, wanted.index),
    "random": lambda wanted: RandomSampler(seed=wanted.seed),
    # Grid points are queued with every value given; nothing is left to it.
    "grid": lambda wanted: RandomSampler(seed=wanted.seed),
}
# What "auto" is, by search mode; benchmarks/search.py has what was measured.
AUTO = {"bayesian": "gp", "random": "random", "grid": "grid"}
