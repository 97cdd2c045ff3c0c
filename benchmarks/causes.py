"""What a wasted trial is best told as: ``python benchmarks/causes.py``, about four minutes on one core.

Searches in which some configurations run out of memory or diverge (surrogates.py). For each sampler and each way to
tell Optuna of such a trial: the share of trials that were wasted, the best value found (without noise) and the time a
search took; means over seeds with their 95 % intervals. Then TPE with four trials at once beside one at a time.

    python benchmarks/causes.py --seeds 5                            # a quicker look
    python benchmarks/causes.py --samplers gp --surrogates toy       # the Gaussian process: some twenty minutes
"""

from __future__ import annotations

import argparse
import math
import random
import statistics
import time
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import optuna
from optuna import Study, Trial
from optuna.samplers import BaseSampler, GPSampler, RandomSampler, TPESampler
from optuna.trial import TrialState
from surrogates import SURROGATES, Surrogate

from hpsearch.study.sampling.planner import derive_seed

SAMPLED: dict[str, Callable[[int], BaseSampler]] = {
    "random": lambda seed: RandomSampler(seed=seed),
    "tpe": lambda seed: TPESampler(seed=seed),
    "gp": lambda seed: GPSampler(seed=seed, warn_independent_sampling=False),
}
KEPT = ("gp",)  # one for a whole search: a new one would fit its kernel from scratch for every trial
KEY = "fits"  # the constraint of a trial that did: 0; of one that did not: 1


def worst(study: Study) -> float:
    """The worst value of the study so far, also of what was told as such."""
    values = [trial.value for trial in study.get_trials(deepcopy=False) if trial.state is TrialState.COMPLETE]
    known = [value for value in values if value is not None and math.isfinite(value)] or [1.0]
    return max(known) if study.direction.name == "MINIMIZE" else min(known)


def infinite(study: Study) -> float:
    """Worse than any value."""
    return math.inf if study.direction.name == "MINIMIZE" else -math.inf


def pruned_with(study: Study, trial: Trial, value: float) -> None:
    """Tell a trial as pruned after this one report."""
    trial.report(value, 0)
    study.tell(trial, state=TrialState.PRUNED)


def constrained(study: Study, trial: Trial) -> None:
    """Tell a trial as the worst one, and one that breaks a constraint."""
    trial.set_constraint(KEY, 1.0)
    study.tell(trial, worst(study))


TELLINGS: dict[str, Callable[[Study, Trial], object]] = {
    "FAIL": lambda study, trial: study.tell(trial, state=TrialState.FAIL),
    "PRUNED, no report": lambda study, trial: study.tell(trial, state=TrialState.PRUNED),
    "PRUNED, NaN": lambda study, trial: pruned_with(study, trial, math.nan),
    "PRUNED, worst": lambda study, trial: pruned_with(study, trial, worst(study)),
    "COMPLETE, worst": lambda study, trial: study.tell(trial, worst(study)),
    "COMPLETE, inf": lambda study, trial: study.tell(trial, infinite(study)),
    "worst, constraint": constrained,
}
# Random search learns from nothing; the Gaussian process looks at COMPLETE alone.
ASKED = {"random": ["FAIL"], "gp": ["FAIL", "PRUNED, NaN", "COMPLETE, worst", "worst, constraint"]}


@dataclass(frozen=True)
class Result:
    """One search: trials wasted, as a share; the best value found, without noise; seconds of computing."""

    wasted: float
    best: float
    seconds: float


@dataclass(frozen=True)
class Search:
    """One search over a surrogate; unless it is ``kept``, with a new sampler for every trial, as hpsearch has it."""

    surrogate: Surrogate
    sampler: Callable[[int], BaseSampler]
    telling: str
    seed: int
    slots: int = 1
    kept: bool = False

    def run(self) -> Result:
        """Ask for as many trials as there are slots, tell them, and so on."""
        began, chance = time.process_time(), random.Random(self.seed)
        study = optuna.create_study(direction=self.surrogate.direction, sampler=self.sampler(self.seed))
        found, wasted, asked = [], 0, 0
        while asked < self.surrogate.trials:
            count = min(self.slots, self.surrogate.trials - asked)
            for trial in [self._ask(study, asked + number) for number in range(count)]:
                value = self.surrogate.run(trial.params, chance)
                if value is None:
                    wasted += 1
                    TELLINGS[self.telling](study, trial)
                else:
                    found.append((value, self.surrogate.value(trial.params)))
                    if self.telling == "worst, constraint":
                        trial.set_constraint(KEY, 0.0)  # GPSampler wants it of all trials or of none
                    study.tell(trial, value)
            asked += count
        best = (min if self.surrogate.direction == "minimize" else max)(found)[1] if found else math.nan
        return Result(wasted / asked, best, time.process_time() - began)

    def _ask(self, study: Study, number: int) -> Trial:
        if not self.kept:
            study.sampler = self.sampler(derive_seed(self.seed, "sampler", number))
        return study.ask(dict(self.surrogate.space))


def mean(values: Sequence[float], digits: int, scale: float = 1.0) -> str:
    """A mean with half its 95 % interval."""
    half = 1.96 * statistics.stdev(values) / math.sqrt(len(values)) if len(values) > 1 else 0.0
    return f"{scale * statistics.fmean(values):.{digits}f} ± {scale * half:.{digits}f}"


def row(label: str, results: Sequence[Result]) -> str:
    """A line of a table."""
    wasted = mean([one.wasted for one in results], 1, 100)
    return (
        f"  {label:24}{wasted:>14}{mean([one.best for one in results], 4):>20}"
        f"{statistics.fmean(one.seconds for one in results):9.2f}"
    )


def tellings(surrogate: Surrogate, samplers: Sequence[str], seeds: int) -> None:
    """Print the table of a surrogate."""
    print(f"\n{surrogate.name}: {surrogate.trials} trials\n  {'told as':24}{'% wasted':>14}{'best':>20}{'s':>9}")
    for name in samplers:
        for telling in ASKED.get(name, TELLINGS):
            searches = (Search(surrogate, SAMPLED[name], telling, seed, kept=name in KEPT) for seed in range(seeds))
            results = [search.run() for search in searches]
            print(row(f"{name}: {telling}", results), flush=True)


def at_once(surrogate: Surrogate, seeds: int) -> None:
    """Print what several trials at once cost TPE, with and without its running trials taken for bad ones."""
    print(f"\n{surrogate.name}, TPE, {surrogate.trials} trials told as PRUNED, NaN")
    for slots, liar in ((1, True), (4, True), (4, False)):

        def sampler(seed: int, liar: bool = liar) -> BaseSampler:
            return optuna.samplers.TPESampler(seed=seed, constant_liar=liar)

        results = [Search(surrogate, sampler, "PRUNED, NaN", seed, slots).run() for seed in range(seeds)]
        print(row(f"{slots} at once{'' if liar else ', no liar'}", results), flush=True)


def main() -> None:
    """Print the tables."""
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    warnings.filterwarnings("ignore", module="optuna")
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--seeds", type=int, default=20, help="searches in each row")
    options.add_argument("--samplers", default="random,tpe", help="of random, tpe and gp")
    options.add_argument("--surrogates", default="", help="only those with this in their name")
    chosen = options.parse_args()
    for surrogate in (one for one in SURROGATES if chosen.surrogates in one.name):
        tellings(surrogate, chosen.samplers.split(","), chosen.seeds)
        if "tpe" in chosen.samplers:
            at_once(surrogate, chosen.seeds)


if __name__ == "__main__":
    main()
