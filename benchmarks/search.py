"""What a search finds, and what it spends: ``make bench``, or ``python benchmarks/search.py``.

Searches of 20 trials over made-up fine-tunes (learning_curves.py), 30 seeds each, by hpsearch's default strategy and by
rivals. Regret is how much worse the configuration of the best completed trial is than the best there is, without noise:
0 is perfect, 1 the median of random configurations. A step is a tenth of an epoch. Each figure is a median over seeds;
each strategy's line has their means over all kinds of fine-tunes. "At 300" is the regret when 300 steps are spent.

    python benchmarks/search.py --quick                         # some minutes: 6 seeds, the rows that matter
    python benchmarks/search.py --strategies "hpsearch;TPE, no pruner" --kinds flat,wide
    python -m pip install -r benchmarks/rivals.txt              # for the rows of other tools, in their own environment
"""

from __future__ import annotations

import argparse
import math
import os
import platform
import random
import statistics
import warnings
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import Any, Protocol

import optuna
import rivals
from learning_curves import EVALUATIONS, FAMILIES, STEPS_PER_EPOCH, Landscape, Params
from optuna.distributions import BaseDistribution, CategoricalDistribution
from optuna.pruners import BasePruner, HyperbandPruner, MedianPruner, NopPruner, SuccessiveHalvingPruner
from optuna.trial import TrialState

from hpsearch.config.fields import PrunerSettings
from hpsearch.study.pruning import make_pruner
from hpsearch.study.sampling import SAMPLERS, SampleRequest
from hpsearch.study.sampling.planner import KNOWN_GOOD, derive_seed

TRIALS, BUDGET, SEEDS = 20, 300, 30
FIRST_SEED = 1000  # those below were looked at to choose the strategy
Space = Mapping[str, BaseDistribution]

# Trial 0 of a study of hpsearch's: the defaults of its settings.
DEFAULT: Params = {
    "learning_rate": 2e-4,
    "lora_r": 16,
    "num_train_epochs": 3,
    "effective_batch_size": 8,
    "warmup_ratio": 0.03,
    "lora_dropout": 0.0,
    "weight_decay": 0.01,
    "lora_alpha_ratio": 1.0,
    "finetune_vision_layers": False,
}


class Search(Protocol):
    """One search of one tool: ``ask`` gives a configuration, ``report`` whether to stop it, ``tell`` ends it with its
    final value, with None where it was stopped, with NaN where it diverged."""

    def ask(self) -> Params: ...

    def report(self, step: int, value: float) -> bool: ...

    def tell(self, value: float | None) -> None: ...


@dataclass
class OptunaSearch:
    """A search as hpsearch's runner makes it: with a new sampler for every trial; ``kept``, with one for all."""

    sampler: str
    pruner: Callable[[], BasePruner]
    first: Sequence[Params]
    space: Space
    seed: int
    kept: optuna.samplers.BaseSampler | None = None
    _asked: int = 0

    def __post_init__(self) -> None:
        self._study = optuna.create_study(pruner=self.pruner(), sampler=self.kept)
        for one in self.first:
            self._study.enqueue_trial(within(self.space, one))

    def ask(self) -> Params:
        if self.kept is None:
            seed = derive_seed(self.seed, "sampler", self._asked)
            self._study.sampler = SAMPLERS[self.sampler](SampleRequest(self.space, seed, self.seed, self._asked))
        self._asked += 1
        self._trial = self._study.ask(dict(self.space))
        return self._trial.params

    def report(self, step: int, value: float) -> bool:
        self._trial.report(value, step)
        return step < EVALUATIONS and self._trial.should_prune()

    def tell(self, value: float | None) -> None:
        if value is not None and math.isfinite(value):
            self._study.tell(self._trial, value)
            return
        if value is not None:
            self._trial.report(math.nan, 1 + EVALUATIONS)
        self._study.tell(self._trial, state=TrialState.PRUNED)


def within(space: Space, params: Params) -> dict[str, Any]:
    """The part of a configuration that a space searches, moved into it."""
    found = {}
    for name, one in space.items():
        value: Any = params.get(name, DEFAULT[name])
        if isinstance(one, CategoricalDistribution):
            found[name] = value if value in one.choices else one.choices[len(one.choices) // 2]
        else:
            found[name] = min(one.high, max(one.low, value))  # type: ignore[attr-defined]
    return found


def ours(
    sampler: str, pruner: Callable[[], BasePruner], first: Sequence[Params] = ()
) -> Callable[[Space, int], Search]:
    """Searches with one of hpsearch's samplers."""
    return partial(OptunaSearch, sampler, pruner, first)


def optunas_gaussian_process(pruner: Callable[[], BasePruner]) -> Callable[[Space, int], Search]:
    """Searches with Optuna's own, which needs torch; one sampler for all trials, as it is meant to be used."""

    def begin(space: Space, seed: int) -> Search:
        kept = optuna.samplers.GPSampler(seed=seed, warn_independent_sampling=False)
        return OptunaSearch("gp", pruner, (), space, seed, kept)

    return begin


KNOWN = (DEFAULT, *({**DEFAULT, **one} for one in KNOWN_GOOD))
MEDIAN = partial(MedianPruner, 5, 10)
CURVE = partial(make_pruner, PrunerSettings(type="curve"), EVALUATIONS)
DEFAULT_PRUNER = partial(make_pruner, PrunerSettings().settled(TRIALS), EVALUATIONS)  # median 5 4
BASELINE, OURS, UNPRUNED = "TPE, median 5 10", "hpsearch", "hpsearch, no pruner"
OURS_IN_A_BUDGET = "hpsearch, curve"  # the default with --timeout or --gpu-hours
STRATEGIES: dict[str, Callable[[Space, int], Search]] = {
    BASELINE: ours("tpe", MEDIAN),
    OURS: ours("gp", DEFAULT_PRUNER, KNOWN),
    OURS_IN_A_BUDGET: ours("gp", CURVE, KNOWN),
    UNPRUNED: ours("gp", NopPruner, KNOWN),
    "TPE, no pruner": ours("tpe", NopPruner),
    "TPE, median 5 4": ours("tpe", partial(MedianPruner, 5, 4)),
    "TPE, ASHA": ours("tpe", partial(SuccessiveHalvingPruner, min_resource=4, reduction_factor=3)),
    "TPE, Hyperband": ours("tpe", partial(HyperbandPruner, min_resource=4, max_resource=EVALUATIONS)),
    "TPE, known first, median 5 10": ours("tpe", MEDIAN, KNOWN),
    "TPE, known first, curve": ours("tpe", CURVE, KNOWN),
    "random, no pruner": ours("random", NopPruner),
    "random, curve": ours("random", CURVE),
    "qmc, no pruner": ours("qmc", NopPruner),
    "cmaes, no pruner": ours("cmaes", NopPruner),
    "hpsearch, default first": ours("gp", DEFAULT_PRUNER, KNOWN[:1]),
    "hpsearch, nothing first": ours("gp", DEFAULT_PRUNER),
    "hpsearch, median 5 10": ours("gp", MEDIAN, KNOWN),
    "Optuna's GP, no pruner": optunas_gaussian_process(NopPruner),
    "Optuna's GP, median 5 10": optunas_gaussian_process(MEDIAN),
    **rivals.installed(),
}
SLOW = ("Optuna's GP, no pruner", "Optuna's GP, median 5 10", *rivals.RIVALS)  # only where they are named
QUICK = (BASELINE, OURS, OURS_IN_A_BUDGET, UNPRUNED, "TPE, no pruner", "random, no pruner")


@dataclass(frozen=True)
class Result:
    """One search: regret and steps of its first 20 trials, and its regret when 300 steps were spent."""

    regret: float
    steps: float
    at_budget: float


def run(begin: Callable[[Space, int], Search], landscape: Landscape) -> Result:
    """Search until 20 trials are made and 300 steps are spent."""
    search, chance = begin(landscape.family.space, landscape.seed), random.Random(f"noise {landscape.seed}")
    spent, best, regrets, steps = 0.0, math.inf, [1.0], [0.0]
    while len(steps) <= TRIALS or spent <= BUDGET:
        params = search.ask()
        value, taken = _train(search, landscape, params, chance)
        spent += STEPS_PER_EPOCH * params["num_train_epochs"] * taken / EVALUATIONS
        better = value is not None and value < best
        best = value if better and value is not None else best
        regrets.append(landscape.regret(params) if better else regrets[-1])
        steps.append(spent)
    within_budget = sum(each <= BUDGET for each in steps) - 1
    return Result(regrets[TRIALS], steps[TRIALS], regrets[within_budget])


def _train(search: Search, landscape: Landscape, params: Params, chance: random.Random) -> tuple[float | None, int]:
    """One trial: its final value if it came to one, and how many evaluations it made."""
    noise = landscape.family.noise
    for step in range(1, EVALUATIONS + 1):
        exact = landscape.value(params, step / EVALUATIONS)
        if not math.isfinite(exact):
            search.tell(math.nan)
            return None, step
        if search.report(step, exact + chance.gauss(0, noise)):
            search.tell(None)
            return None, step
    value = landscape.value(params) + chance.gauss(0, noise / 3)
    search.tell(value)
    return value, EVALUATIONS


def _one(job: tuple[str, str, int]) -> Result:
    """One search in a process of its own."""
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    warnings.filterwarnings("ignore")
    strategy, kind, seed = job
    family = next(each for each in FAMILIES if each.name == kind)
    return run(STRATEGIES[strategy], family.moved(seed))


Results = dict[str, dict[str, list[Result]]]


def measure(
    strategies: Sequence[str], kinds: Sequence[str], seeds: range, workers: int
) -> Iterator[tuple[str, Results]]:
    """All results so far, whenever a strategy is through."""
    results: Results = defaultdict(dict)
    with ProcessPoolExecutor(workers) as pool:
        for strategy in strategies:
            for kind in kinds:
                jobs = [(strategy, kind, seed) for seed in seeds]
                results[strategy][kind] = list(pool.map(_one, jobs, chunksize=4))
            yield strategy, results


def summary(by_kind: Mapping[str, Sequence[Result]], whole: float) -> str:
    """One strategy's figures: means over the kinds of medians over seeds."""
    regret, at_budget = (
        statistics.fmean(statistics.median(getattr(each, name) for each in results) for results in by_kind.values())
        for name in ("regret", "at_budget")
    )
    steps = mean_steps(by_kind)
    return f"{regret:8.3f}{steps:8.0f}{1 - steps / whole if whole else 0.0:8.0%}{at_budget:10.3f}"


def mean_steps(by_kind: Mapping[str, Sequence[Result]]) -> float:
    """Steps of 20 trials, over all kinds."""
    return statistics.fmean(each.steps for results in by_kind.values() for each in results)


def ratio(ours: Sequence[Result], theirs: Sequence[Result], name: str) -> tuple[float, float, float]:
    """Ours over theirs of the medians, and between what its bootstrap has 95 % of: the same seeds for both."""
    pairs = [(getattr(one, name), getattr(other, name)) for one, other in zip(ours, theirs, strict=True)]

    def of(sample: Sequence[tuple[float, float]]) -> float:
        return statistics.median(one for one, _ in sample) / max(1e-9, statistics.median(other for _, other in sample))

    chance = random.Random(0)
    drawn = sorted(of(chance.choices(pairs, k=len(pairs))) for _ in range(500))
    return of(pairs), drawn[12], drawn[487]


def compared(results: Results, one: str, other: str, kinds: Sequence[str]) -> Iterator[str]:
    """A table of one strategy beside another, a line for each kind of fine-tune."""
    yield f"{'':16}{'regret':>16}{'ratio (95 %)':>22}{'steps':>7}{'at 300':>16}{'ratio (95 %)':>22}"
    totals: dict[str, list[float]] = defaultdict(list)
    for kind in kinds:
        line = f"{kind + ('' if held_out(kind) else ' *'):16}"
        for name in ("regret", "at_budget"):
            ours, theirs = results[one][kind], results[other][kind]
            first, second = (statistics.median(getattr(each, name) for each in side) for side in (ours, theirs))
            middle, low, high = ratio(ours, theirs, name)
            totals[name].append(math.log(max(middle, 1e-3)))
            line += f"{first:8.3f}{second:8.3f}{f'{middle:.2f} ({low:.2f}-{high:.2f})':>22}"
            if name == "regret":
                line += f"{mean_steps({kind: ours}) / mean_steps({kind: theirs}):7.2f}"
        yield line
    means = {name: math.exp(statistics.fmean(values)) for name, values in totals.items()}
    yield f"{'geometric mean':32}{means['regret']:22.2f}{'':23}{means['at_budget']:22.2f}"


def held_out(kind: str) -> bool:
    """Whether a kind of fine-tune was kept from choosing the strategy."""
    return next(each for each in FAMILIES if each.name == kind).held_out


def main() -> None:
    """Print the tables."""
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--seeds", type=int, default=SEEDS, help="searches in each figure")
    options.add_argument("--from-seed", type=int, default=FIRST_SEED, help="the first of them")
    options.add_argument("--quick", action="store_true", help="6 seeds, and only the rows that matter")
    options.add_argument("--strategies", default="", help="only those of these names, between semicolons")
    options.add_argument("--kinds", default="", help="only these kinds of fine-tunes")
    options.add_argument("--workers", type=int, default=os.cpu_count(), help="processes at once")
    chosen = options.parse_args()
    kinds = [each.name for each in FAMILIES if not chosen.kinds or each.name in chosen.kinds.split(",")]
    usual = QUICK if chosen.quick else [name for name in STRATEGIES if name not in SLOW]
    names = [name for name in STRATEGIES if name in (chosen.strategies.split(";") if chosen.strategies else usual)]
    seeds = range(chosen.from_seed, chosen.from_seed + (6 if chosen.quick else chosen.seeds))
    print(f"{len(kinds)} kinds of fine-tunes, {len(seeds)} seeds; {platform.machine()}, {os.cpu_count()} cores\n")
    print(f"{'':32}{'regret':>8}{'steps':>8}{'saved':>8}{'at 300':>10}", flush=True)
    results: Results = {}
    for name, results in measure(names, kinds, seeds, chosen.workers):
        alone = next((each for each in (f"{name.partition(',')[0]}, no pruner",) if each in results), "")
        whole = mean_steps(results[alone]) if alone and alone != name else 0.0
        print(f"{name:32}{summary(results[name], whole)}", flush=True)
    print("\n".join(["", *rivals.missing()]) if rivals.missing() else "")
    for one, other in ((OURS, BASELINE), (OURS_IN_A_BUDGET, BASELINE), (OURS, UNPRUNED)):
        if one in results and other in results:
            print(f"\n{one} beside {other} (* looked at to choose the strategy)")
            print("\n".join(compared(results, one, other, kinds)), flush=True)


if __name__ == "__main__":
    main()
