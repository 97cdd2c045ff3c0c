"""The race of a few configurations over fresh seeds: which of them may be the best, and when that is known.

After each seed that all of them have run, a look: a configuration leaves once it is surely worse than another one
(multiple comparison with the best). Over all looks, the best one is sent away in at most 5 % of races: each look spends
a part of these, most of it the last, shared among the comparisons with the others (Bonferroni).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import Enum
from itertools import permutations
from statistics import mean, stdev
from typing import TYPE_CHECKING

from hpsearch.data.uncertainty import DocumentScores, Interval, difference, interval, student

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from hpsearch.study.noise import NoiseFloor

MISSED = 0.05  # share of races in which the best configuration may be sent away
INDIFFERENCE = 0.02  # of the best mean: a difference of which is not worth a run
_EQUAL = 1e-9  # of a gap: what rounding leaves between two that are equal
LEAST_RUNS = 2  # of each configuration before the first look: one says nothing of other seeds


@dataclass(frozen=True, eq=False)
class FreshRun:
    """A run of a configuration with a fresh seed: its ``value``, or ``failure``, why it has none. ``above`` and
    ``below`` are its documents' errors and lengths, if each is known."""

    seed: int
    value: float = math.nan
    failure: str = ""
    documents: tuple[str, ...] = ()
    above: NDArray[np.float64] | None = None
    below: NDArray[np.float64] | None = None


class RaceEnding(Enum):
    """Why no more runs are needed."""

    WINNER = "one configuration is surely better than the others"
    ALIKE = "no configuration left differs from the best by more than is worth a run"
    SEEDS = "all seeds are run"
    FAILED = "no configuration has run with every seed"


@dataclass(frozen=True)
class RaceState:
    """The state of a race: ``alive`` may be the best (numbers of configurations, in their order), ``out`` has why the
    others are not. ``looks`` counts the seeds that all of the alive have run. ``due`` are the next runs, (seed,
    configuration); the first of them are needed for the next look."""

    alive: tuple[int, ...]
    looks: int
    ending: RaceEnding | None = None
    out: Mapping[int, str] = field(default_factory=dict)
    due: tuple[tuple[int, int], ...] = ()


@dataclass(frozen=True)
class Race:
    """A race over ``seeds``, in their order. ``direction`` is the objective's. A difference of ``indifference`` times
    the best mean does not matter."""

    seeds: Sequence[int]
    direction: str = "minimize"
    indifference: float = INDIFFERENCE

    def state(self, runs: Sequence[Mapping[int, FreshRun]]) -> RaceState:
        """Replay the race from the runs so far, which each configuration has by seed."""
        state = RaceState(tuple(range(len(runs))), 0)
        for number, seed in enumerate(self.seeds, 1):
            alive, out = list(state.alive), dict(state.out)
            for one in state.alive:
                if seed in runs[one] and runs[one][seed].failure:
                    alive.remove(one)
                    out[one] = f"its run with seed {seed} ended with {runs[one][seed].failure}"
            state = replace(state, alive=tuple(alive), out=out)
            if not alive:
                return replace(state, ending=RaceEnding.FAILED)
            if any(seed not in runs[one] for one in alive):
                return replace(state, due=self._due(runs, alive, number - 1))
            state = self._look(runs, replace(state, looks=number), len(runs))
            if state.ending is not None:
                return state
        return replace(state, ending=RaceEnding.SEEDS)

    def level(self, looks: int, count: int) -> float:
        """Return the share of races in which a look may call one given configuration worse than another one by mistake,
        on one side; ``count`` configurations began."""
        whole, past = len(self.seeds) - LEAST_RUNS + 1, looks - LEAST_RUNS
        spent = ((past + 1) ** 2 - past**2) / max(whole, 1) ** 2
        return MISSED * spent / max(count - 1, 1)

    def mean(self, runs: Mapping[int, FreshRun], looks: int) -> float:
        """Return a configuration's mean over the first seeds."""
        return mean(runs[seed].value for seed in self.seeds[:looks])

    def best(self, runs: Sequence[Mapping[int, FreshRun]], state: RaceState) -> int:
        """Return which of the alive has the best mean; the earlier one if two are equal."""
        sign = self._sign
        return min(state.alive, key=lambda one: sign * self.mean(runs[one], state.looks))

    def named_by_others(self, runs: Sequence[Mapping[int, FreshRun]], state: RaceState, seed: int) -> int:
        """Return which configuration the other seeds name as the best, of those that have all their runs."""
        others = [other for other in self.seeds[: state.looks] if other != seed]

        def has_value(one: int, number: int) -> bool:
            return number in runs[one] and not runs[one][number].failure

        whole = [one for one in range(len(runs)) if all(has_value(one, number) for number in (seed, *others))]
        return min(whole, key=lambda one: self._sign * mean(runs[one][other].value for other in others))

    def _due(
        self, runs: Sequence[Mapping[int, FreshRun]], alive: Sequence[int], done: int
    ) -> tuple[tuple[int, int], ...]:
        return tuple((seed, one) for seed in self.seeds[done:] for one in alive if seed not in runs[one])

    def _look(self, runs: Sequence[Mapping[int, FreshRun]], state: RaceState, count: int) -> RaceState:
        """Compare the alive with each other after one more seed."""
        if count == 1 or state.looks < LEAST_RUNS:
            return state
        level, out = 1 - 2 * self.level(state.looks, count), dict(state.out)
        scores = {one: [runs[one][seed] for seed in self.seeds[: state.looks]] for one in state.alive}
        for one, other in permutations(state.alive, 2):
            if one not in out and self._worse_by(scores[one], scores[other], level)[0] > 0:
                out[one] = f"surely worse than another one after {state.looks} seeds"
        alive = tuple(one for one in state.alive if one not in out)
        state = replace(state, alive=alive, out=out)
        if len(alive) == 1:
            return replace(state, ending=RaceEnding.WINNER)
        best = self.best(runs, state)
        least = self.indifference * abs(self.mean(runs[best], state.looks))
        for one in alive:
            low, high = self._worse_by(scores[one], scores[best], level) if one != best else (0.0, 0.0)
            if not -least <= low <= high <= least:
                return state
        return replace(state, ending=RaceEnding.ALIKE)

    def _worse_by(self, one: Sequence[FreshRun], other: Sequence[FreshRun], level: float) -> tuple[float, float]:
        """Return the ends of the interval of how much worse one configuration is than another."""
        found = compare(one, other, level)
        low = -math.inf if found.low is None else found.low
        high = math.inf if found.high is None else found.high
        return (-high, -low) if self._sign < 0 else (low, high)

    @property
    def _sign(self) -> int:
        return -1 if self.direction == "maximize" else 1


def compare(one: Sequence[FreshRun], other: Sequence[FreshRun], level: float = 0.95) -> Interval:
    """Return the difference of two configurations' means over the same seeds, and its interval: over seeds and
    documents if both are judged on the same documents, else over seeds alone."""
    first, second = documents_of(one), documents_of(other)
    if first is not None and second is not None and first.documents == second.documents:
        return difference(first, second, level)
    gaps = [run.value - twin.value for run, twin in zip(one, other, strict=True)]
    is_fixed = all(len({run.value for run in runs}) == 1 for runs in (one, other))
    # Gaps that are equal by chance say nothing of the noise.
    if len(gaps) < LEAST_RUNS or (stdev(gaps) < _EQUAL * max(map(abs, gaps)) and not is_fixed):
        return Interval(mean(gaps))
    return _over_seeds(gaps, level)


def value_of_runs(runs: Sequence[FreshRun], level: float = 0.95, floor: NoiseFloor | None = None) -> Interval:
    """Return a configuration's mean over its runs, and its interval: over seeds and documents if these are known, else
    over seeds alone. ``floor`` is what is known of the noise of seeds from other configurations too."""
    scores = documents_of(runs)
    if scores is not None and floor is not None:
        return interval(scores, level, floor.sd_at(scores.value), floor.freedom)
    if scores is not None:
        return interval(scores, level)
    values = [run.value for run in runs]
    return _over_seeds(values, level) if len(values) >= LEAST_RUNS else Interval(values[0], this_run_only=True)


def documents_of(runs: Sequence[FreshRun]) -> DocumentScores | None:
    """Return the runs' scores by document; None if a run has none, or other documents than the rest."""
    if not runs or any(run.above is None or run.documents != runs[0].documents for run in runs):
        return None
    import numpy as np

    above, below = (np.stack([getattr(run, name) for run in runs]) for name in ("above", "below"))
    return DocumentScores(runs[0].documents, above, below, tuple(run.seed for run in runs))


def _over_seeds(values: Sequence[float], level: float) -> Interval:
    reach = student(0.5 + level / 2, len(values) - 1) * stdev(values) / math.sqrt(len(values))
    return Interval(mean(values), mean(values) - reach, mean(values) + reach)
