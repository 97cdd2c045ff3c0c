"""How long a study's next trials will take, drawn many times from what those that ended took.

The time of a whole trial is taken as log-normal, with its mean and spread as uncertain as the trials seen leave them.
Settings of the built-in training that decide it are taken into account; of a program of the study's own nothing is
known. A trial may be cut short: pruned, or ended by a fault of its configuration, which counts as finished too.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from optuna.trial import FrozenTrial, TrialState

from hpsearch.config.advice import too_long_warmup
from hpsearch.config.definition import StudyDefinition
from hpsearch.config.fields import PRUNER_NUMBERS
from hpsearch.study.budget import seconds_of, whole_s
from hpsearch.study.sampling.planner import open_points, params_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Numbers = NDArray[np.float64]

# Before any is seen, whole trials are taken to differ by a factor of about exp(0.4) = 1.5 either way, as surely as if
# that had been seen in four of them. An assumption of ours: what is seen outweighs it from about five trials on.
SPREAD, SPREAD_TRIALS = 0.4, 4
# By how much the logarithm of the time grows with that of the passes over the rows, and with that of the pictures'
# area: assumptions too. Loading and judging do not grow with the passes, and small pictures not with their limit.
GROWTH, GROWTH_SPREAD = (0.9, 0.5), 0.5
# Share of trials cut short once the pruner may, as surely as if seen in two of them. On simulated fine-tunes the
# median stopped 57 to 68 % of them, and that a tenth of the rest of the way after its warm-up, if not at once
# (benchmarks/pruning.py). For hyperband it is an assumption; without a pruner a few are ended by their own faults.
CUT_SHARE = {"median": 0.65, "hyperband": 0.6, "none": 0.05}
CUT_TRIALS = 2
# What each trial seen weighs there: those it stops make a pruner stricter, so that the next ones do not go as they did.
CUT_WEIGHT = 0.5
CUT_SOON = 9  # a beta distribution of 1 and 9 has the mean 0.1
# A Bayesian search moves to where it is good, which may be where trials are longer or shorter: so far away, in standard
# deviations of the logarithm of the time among all that it may try.
DRIFT = 0.6
# So many of the trials seen say better than the search space which settings the next ones will have.
SEEN_SPEAK = 10
_DRAWN_POINTS, _MOST_NUMBERS = 200, 2_000_000


@dataclass(frozen=True)
class EndedTrials:
    """Ended trials: seconds of the ``whole`` ones and of those ``cut`` short, what decides each one's time, and by what
    factor failed ones added to their sum. ``last_step`` is how far a whole one goes, where it is known."""

    whole: Sequence[float]
    whole_sizes: Numbers
    cut: Sequence[float]
    cut_sizes: Numbers
    waste: float
    last_step: int | None = None


class Forecast:
    """Draws what the next trials of a study take. Needs one completed trial at least.

    Raises:
        ValueError: none is completed.
    """

    def __init__(self, definition: StudyDefinition, trials: Sequence[FrozenTrial], seed: int = 0) -> None:
        self._definition = definition
        self._chance = np.random.default_rng(seed)
        self.seen = see(definition, trials)
        if not self.seen.whole:
            raise ValueError("no trial is completed")
        self._growth, self._residues = _fit(self.seen)
        self._sizes = _next_sizes(definition, trials, self.seen, seed)

    def draw(self, count: int, times: int = 2000) -> tuple[Numbers, Numbers]:
        """Seconds of the next ``count`` trials, drawn up to so many ``times``: an array of draws x trials. And of each
        draw, the share that it takes to be cut short."""
        times = max(100, min(times, _MOST_NUMBERS // max(count, 1)))
        seconds = self.draw_whole(count, times)
        shares = self._shares(times)
        is_cut = self._chance.random((times, count)) < shares[:, None]
        is_cut[:, : self._never_cut()] = False
        return np.where(is_cut, seconds * self._fractions(times, count), seconds) * self.seen.waste, shares

    def draw_whole(self, count: int, times: int = 2000) -> Numbers:
        """The same for trials that are not cut short."""
        known = len(self._residues)
        freedom = SPREAD_TRIALS + known - 1
        squares = SPREAD_TRIALS * SPREAD**2 + float(np.sum((self._residues - self._residues.mean()) ** 2))
        spread = np.sqrt(squares / self._chance.chisquare(freedom, times))
        middle = self._residues.mean() + spread * self._chance.standard_normal(times) / math.sqrt(known)
        if self._definition.search_mode == "bayesian":
            apart = np.sqrt(np.var(self._sizes @ self._growth) + spread**2)
            middle = middle + DRIFT * apart * self._chance.standard_normal(times)
        sizes = self._sizes[self._chance.integers(len(self._sizes), size=(times, count))]
        noise = spread[:, None] * self._chance.standard_normal((times, count))
        drawn: Numbers = np.exp(middle[:, None] + sizes @ self._growth + noise)
        return drawn

    def _shares(self, times: int) -> Numbers:
        expected = _expected_share(self._definition, self.seen.last_step)
        may_be_cut = max(0, len(self.seen.whole) - self._startup())
        drawn: Numbers = self._chance.beta(
            CUT_TRIALS * expected + CUT_WEIGHT * len(self.seen.cut),
            CUT_TRIALS * (1 - expected) + CUT_WEIGHT * may_be_cut,
            times,
        )
        return drawn

    def _startup(self) -> int:
        """Completed trials before the pruner stops any."""
        pruner = self._definition.pruner
        return pruner.n_startup_trials if "n_startup_trials" in PRUNER_NUMBERS[pruner.type] else 0

    def _never_cut(self) -> int:
        """How many trials from now on the pruner leaves alone."""
        return max(0, self._startup() - len(self.seen.whole))

    def _fractions(self, times: int, count: int) -> Numbers:
        """Of a whole trial's time, what one takes that is cut short: as those that were, and as one stopped soon after
        the pruner's warm-up, as surely as two of them."""
        pruner, steps = self._definition.pruner, self.seen.last_step
        first = min(1.0, pruner.warmup(steps) / steps) if steps and pruner.type != "none" else 0.0
        drawn: Numbers = first + (1 - first) * self._chance.beta(1, CUT_SOON, (times, count))
        if not self.seen.cut:
            return drawn
        whole = np.exp(self._residues.mean() + self.seen.cut_sizes @ self._growth)
        known = np.minimum(np.asarray(self.seen.cut) / whole, 1.0)
        is_known = self._chance.random((times, count)) < len(known) / (len(known) + 2)
        chosen: Numbers = np.where(is_known, known[self._chance.integers(len(known), size=(times, count))], drawn)
        return chosen


def see(definition: StudyDefinition, trials: Sequence[FrozenTrial]) -> EndedTrials:
    """What the ended trials of a study tell of the next ones."""
    ended = [(trial, seconds) for trial, seconds in whole_s(trials) if seconds > 0]
    whole = [each for each in ended if each[0].state is TrialState.COMPLETE]
    cut = [each for each in ended if each[0].state is TrialState.PRUNED]
    counted = sum(seconds for _, seconds in ended)
    waste = sum(map(seconds_of, trials)) / counted if counted else 1.0
    sizes = [_sizes(definition, [trial.params for trial, _ in group]) for group in (whole, cut)]
    last = definition.steps or max((trial.last_step or 0 for trial, _ in whole), default=0) or None
    times = [[seconds for _, seconds in group] for group in (whole, cut)]
    return EndedTrials(times[0], sizes[0], times[1], sizes[1], max(1.0, waste), last)


def _fit(seen: EndedTrials) -> tuple[Numbers, Numbers]:
    """How time grows with what decides it, by least squares that lean on ``GROWTH``; and what that leaves unexplained,
    in logarithms."""
    logs, sizes, expected = np.log(np.asarray(seen.whole)), seen.whole_sizes, np.asarray(GROWTH)
    centred = sizes - sizes.mean(axis=0)
    left = logs - logs.mean() - centred @ expected
    trust = (SPREAD / 2 / GROWTH_SPREAD) ** 2
    growth = expected + np.linalg.solve(centred.T @ centred + trust * np.eye(len(expected)), centred.T @ left)
    growth = np.clip(growth, 0.0, 1.5)
    return growth, logs - sizes @ growth


def _sizes(definition: StudyDefinition, points: Sequence[Mapping[str, Any]]) -> Numbers:
    """Logarithms of the passes and of the pictures' area, a row for each point."""
    rows = [[math.log(size) for size in _size(definition, point)] for point in points]
    return np.asarray(rows, dtype=np.float64).reshape(len(rows), 2)


def _size(definition: StudyDefinition, params: Mapping[str, Any]) -> Iterator[float]:
    if definition.command is not None:
        yield from (1.0, 1.0)
        return
    values = definition.trial_settings(params, 0)
    batch = values["effective_batch_size"] or (
        values["per_device_train_batch_size"] * values["gradient_accumulation_steps"]
    )
    yield float(values["num_train_epochs"] if values["max_steps"] is None else values["max_steps"] * batch)
    yield float(values["longest_edge"] ** 2 if values["longest_edge"] else values["max_pixels"] or 1.0)


def _next_sizes(definition: StudyDefinition, trials: Sequence[FrozenTrial], seen: EndedTrials, seed: int) -> Numbers:
    """Sizes of points that may come next."""
    known = np.concatenate([seen.whole_sizes, seen.cut_sizes])
    if definition.search_mode == "grid":
        points = open_points(trials, definition)
        points = [points[each] for each in np.linspace(0, len(points) - 1, min(len(points), _DRAWN_POINTS)).astype(int)]
        points += [params_of(trial) for trial in trials if trial.state is TrialState.WAITING]
        return _sizes(definition, points) if points else known
    if len(known) >= SEEN_SPEAK or definition.command is not None:
        return known
    return _sizes(definition, list(_drawn_points(definition, seed)))


def _drawn_points(definition: StudyDefinition, seed: int) -> Iterator[dict[str, Any]]:
    from optuna import create_study
    from optuna.distributions import BaseDistribution
    from optuna.samplers import RandomSampler

    ranges: dict[str, BaseDistribution] = {name: each.distribution() for name, each in definition.search_space.items()}
    study = create_study(sampler=RandomSampler(seed))
    for _ in range(_DRAWN_POINTS):
        yield definition.active_params(study.ask(ranges).params)


def _expected_share(definition: StudyDefinition, last_step: int | None) -> float:
    """Share of trials cut short, before any is seen; ``last_step`` is how far a whole trial goes, where it is known."""
    pruner = definition.pruner
    if last_step is not None and any(too_long_warmup(definition, last_step)):
        return CUT_SHARE["none"]
    if pruner.type == "percentile":
        return min(0.95, max(0.05, 1 - pruner.percentile / 100))
    return CUT_SHARE.get(pruner.type, CUT_SHARE["median"])
