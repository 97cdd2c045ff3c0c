"""What a warm start gains, and what a misleading one costs: ``python benchmarks/transfer.py``, some minutes.

Searches of 40 trials over a simulated fine-tune (surrogates.py), cold and after a search of 30 trials over another one:
the same, one with its optimum a little or far away, and one that is mirrored, so that it is best where this one is
worst. Of each source either the points alone are taken over, or also the values, as if data and settings were the same:
the worst that can be taken for granted wrongly. Regret is the value of the best trial, without noise, less the best
there is; means over seeds. "behind" counts the seeds on which the warm search's best is worse than the cold one's.
"""

from __future__ import annotations

import argparse
import math
import random
import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import optuna
from gate import definition
from optuna.distributions import CategoricalDistribution
from optuna.trial import FrozenTrial
from surrogates import FAR, Surrogate

from hpsearch.config.definition import StudyDefinition
from hpsearch.study.preparation import PreparedInfo
from hpsearch.study.sampling.planner import Planner, queue_default
from hpsearch.study.warm_start import WarmStart
from hpsearch.study.warm_start_source import SourceStudy, make_warm_start

TARGET = replace(FAR, limit=math.inf)
SOURCE_TRIALS, TRIALS, SHOWN = 30, 40, (5, 10, 20, 40)
DATA = PreparedInfo.from_json({"fingerprint": "a"})

Params = Mapping[str, Any]


def moved(rate: float, edge: float) -> Callable[[Params], float]:
    """The target with its optimum at so many times its learning rate and edge."""

    def value(params: Params) -> float:
        there = {"learning_rate": params["learning_rate"] / rate, "longest_edge": params["longest_edge"] / edge}
        return TARGET.value({**params, **there})

    return value


def mirrored(params: Params) -> float:
    """The target seen in a mirror."""
    return TARGET.value({name: _opposite(TARGET.space[name], value) for name, value in params.items()})


def _opposite(distribution: Any, value: Any) -> Any:
    if isinstance(distribution, CategoricalDistribution):
        return distribution.choices[-1 - distribution.choices.index(value)]
    if distribution.log:
        return distribution.low * distribution.high / value
    return distribution.low + distribution.high - value


SOURCES = {
    "the same": TARGET,
    "similar": replace(TARGET, value=moved(1.5, 1.15)),
    "shifted": replace(TARGET, value=moved(5.0, 1.7)),
    "misleading": replace(TARGET, value=mirrored),
}


@dataclass(frozen=True)
class Search:
    """One search: the best value without noise after each trial, and whether a warm start was kept."""

    best: Sequence[float]
    kept: bool | None
    trials: Sequence[FrozenTrial]


def search(surrogate: Surrogate, seed: int, count: int, warm_start: WarmStart | None = None) -> Search:
    """One search by hpsearch's own planner."""
    defined, chance = _definition(seed), random.Random(seed)
    study = optuna.create_study(direction=surrogate.direction)
    queue_default(study, defined)
    best: list[float] = []
    planner = Planner(study, defined, warm_start)
    for _ in range(count):
        trial = planner.next_trial()
        assert trial is not None
        value = surrogate.run(trial.params, chance)
        assert value is not None
        study.tell(trial, value)
        best.append(surrogate.value(study.best_params))
    trials = study.get_trials(deepcopy=False)
    return Search(best, warm_start.helps(trials, surrogate.direction) if warm_start else None, trials)


def _definition(seed: int) -> StudyDefinition:
    return definition(TARGET, "tpe", seed)


def warm(source: Surrogate, seed: int, *, believed: bool) -> Search:
    """A search after one over ``source``."""
    before = search(source, 1000 + seed, SOURCE_TRIALS)
    ranked = sorted(before.trials, key=lambda trial: trial.value or 0.0)
    found = SourceStudy("source", "id", _definition(1000 + seed), DATA, ranked)
    return search(
        TARGET, seed, TRIALS, make_warm_start(found, _definition(seed), DATA if believed else PreparedInfo())[0]
    )


def row(label: str, searches: Sequence[Search], cold: Sequence[Search], least: float) -> str:
    """A line of the table."""
    regrets = [statistics.fmean(each.best[at - 1] - least for each in searches) for at in SHOWN]
    behind = [sum(one.best[at - 1] > other.best[at - 1] for one, other in zip(searches, cold, strict=True))
              for at in SHOWN]  # fmt: skip
    kept = sum(bool(each.kept) for each in searches)
    figures = "".join(f"{regret:9.4f} {count:>3}" for regret, count in zip(regrets, behind, strict=True))
    return f"{label:28}{figures}{'' if searches is cold else f'{kept:8}'}"


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=40)
    seeds = range(parser.parse_args().seeds)
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    chance = random.Random(0)
    least = min(TARGET.value(TARGET.draw(chance)) for _ in range(100_000))
    print(f"mean regret, and on how many of {len(seeds)} seeds it is behind, after so many trials\n")
    print(f"{'':28}{''.join(f'{at:>13}' for at in SHOWN)}{'kept':>8}")
    cold = [search(TARGET, seed, TRIALS) for seed in seeds]
    print(row("cold", cold, cold, least), flush=True)
    for name, source in SOURCES.items():
        for believed in (False, True):
            searches = [warm(source, seed, believed=believed) for seed in seeds]
            print(row(f"{name}, {'values too' if believed else 'points'}", searches, cold, least), flush=True)


if __name__ == "__main__":
    main()
