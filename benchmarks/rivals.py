"""Searches by other tools, for benchmarks/search.py; rivals.txt says how to have them."""

from __future__ import annotations

import importlib.util
import logging
import tempfile
from collections.abc import Callable, Mapping
from typing import Any

from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution

Space = Mapping[str, BaseDistribution]


class SmacSearch:
    """SMAC3's random forest, with the defaults of its facade for hyperparameters: it makes whole trials only.

    A trial that diverged is told as crashed with the worst cost so far, as SMAC3 cannot learn from an infinite one.
    """

    def __init__(self, space: Space, seed: int, trials: int = 20) -> None:
        from smac import HyperparameterOptimizationFacade, Scenario

        logging.disable(logging.WARNING)
        self._space, self._worst = space, 1.0
        self._folder = tempfile.TemporaryDirectory()
        scenario = Scenario(
            _configuration_space(space, seed),
            deterministic=True,
            n_trials=trials,
            seed=seed,
            output_directory=self._folder.name,
        )
        self._smac = HyperparameterOptimizationFacade(scenario, lambda config, seed=0: 0.0, overwrite=True)

    def ask(self) -> dict[str, Any]:
        """The next configuration."""
        self._info = self._smac.ask()
        values = dict(self._info.config)
        return {name: _plain(values[name], one) for name, one in self._space.items()}

    def report(self, step: int, value: float) -> bool:
        """Nothing is stopped."""
        return False

    def tell(self, value: float | None) -> None:
        """The final value, or NaN."""
        from smac.runhistory import TrialValue
        from smac.runhistory.enumerations import StatusType

        if value is not None and value == value:
            self._smac.tell(self._info, TrialValue(cost=value))
        else:
            self._smac.tell(self._info, TrialValue(cost=self._worst, status=StatusType.CRASHED))


def _configuration_space(space: Space, seed: int) -> Any:
    from ConfigSpace import Categorical, ConfigurationSpace, Float, Integer, OrdinalHyperparameter

    found = ConfigurationSpace(seed=seed)
    for name, one in space.items():
        if isinstance(one, FloatDistribution):
            found.add(Float(name, (one.low, one.high), log=one.log))
        elif isinstance(one, IntDistribution):
            found.add(Integer(name, (one.low, one.high), log=one.log))
        elif isinstance(one, CategoricalDistribution) and not isinstance(one.choices[0], bool):
            found.add(OrdinalHyperparameter(name, sorted(one.choices)))  # type: ignore[type-var]
        elif isinstance(one, CategoricalDistribution):
            found.add(Categorical(name, list(one.choices)))
    return found


def _plain(value: Any, one: BaseDistribution) -> Any:
    """A value as Python has it: NumPy's are not equal to choices in every way."""
    if isinstance(one, CategoricalDistribution):
        return next(choice for choice in one.choices if choice == value)
    return int(value) if isinstance(one, IntDistribution) else float(value)


# Whole names of strategies, and what must be installed for them.
RIVALS: dict[str, tuple[str, Callable[[Space, int], Any]]] = {"SMAC3, no pruner": ("smac", SmacSearch)}


def installed() -> dict[str, Callable[[Space, int], Any]]:
    """The strategies whose packages are there."""
    return {name: begin for name, (package, begin) in RIVALS.items() if importlib.util.find_spec(package)}


def missing() -> list[str]:
    """What there is to say of the others."""
    return [
        f"{name}: not measured, as {package} is not installed (benchmarks/rivals.txt)"
        for name, (package, _) in RIVALS.items()
        if not importlib.util.find_spec(package)
    ]
