"""Durations of a study's next trials, drawn many times from those of the trials that ended.

The time of a whole trial is log-normal, with mean and spread as uncertain as the ended trials leave them. Settings of
the built-in training that decide it are taken into account; of a program of the user's nothing is known. A trial may be
stopped early: pruned, or ended by a fault of its configuration, which counts as finished too.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
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

# The prior: whole trials differ by a factor of about exp(0.4) = 1.5 either way, with the weight of four trials. An
# assumption of ours: the ended trials outweigh it from about five on.
SPREAD, SPREAD_TRIALS = 0.4, 4
# By how much the logarithm of the time grows with that of the passes over the rows, and with that of the pictures'
# area: assumptions too. Loading and evaluating do not grow with the passes, and small pictures not with their limit.
GROWTH, GROWTH_SPREAD = (0.9, 0.5), 0.5
# Share of trials stopped early once the pruner may, with the weight of two trials. On simulated fine-tunes the median
# pruner stopped 57 to 68 % of them, and that a tenth of the rest of the way after its warm-up, if not at once
# (benchmarks/pruning.py). For hyperband it is an assumption; without a pruner a few end by their own faults.
CUT_SHARE = {"median": 0.65, "hyperband": 0.6, "none": 0.05}
CUT_TRIALS = 2
# The weight of each ended trial there: those it stops make a pruner stricter, so that the next ones differ from them.
CUT_WEIGHT = 0.5
CUT_SOON = 9  # a beta distribution of 1 and 9 has the mean 0.1
# A Bayesian search moves to the good regions, where trials may be longer or shorter: by how much, in standard
# deviations of the logarithm of the time over the whole space.
DRIFT = 0.6
# From this many ended trials on, they show better than the search space which settings the next ones will have.
ENOUGH_ENDED = 10
_DRAWN_POINTS, _MOST_NUMBERS = 200, 2_000_000


@dataclass(frozen=True)
class EndedTrials:
    """Ended trials: seconds of the ``whole`` ones and of those ``cut`` short, and sizes, which decide a trial's time.
    ``waste`` is the factor by which failed trials add to the sum; ``last_step`` is a whole one's, where it is known."""

    whole: Sequence[float]
    whole_sizes: Numbers
    cut: Sequence[float]
    cut_sizes: Numbers
    waste: float
    last_step: int | None = None


class Forecast:
    """Draws the durations of a study's next trials. Needs one completed trial at least.

    Raises:
        ValueError: none is completed.
    """

    def __init__(self, definition: StudyDefinition, trials: Sequence[FrozenTrial], seed: int = 0) -> None:
        self._definition = definition
        self._rng = np.random.default_rng(seed)
        self.seen = ended_trials(definition, trials)
        if not self.seen.whole:
            raise ValueError("no trial is completed")
        self._growth, self._residues = _fit(self.seen)
        self._sizes = _next_sizes(definition, trials, self.seen, seed)

    def draw(self, count: int, times: int = 2000) -> tuple[Numbers, Numbers]:
        """Draw the seconds of the next ``count`` trials, up to ``times`` times: an array of draws x trials; and for
        each draw, the share of trials that are stopped early."""
        times = max(100, min(times, _MOST_NUMBERS // max(count, 1)))
        seconds = self.draw_whole(count, times)
        pruner = self._definition.pruner
        startup = pruner.n_startup_trials if "n_startup_trials" in PRUNER_NUMBERS[pruner.type] else 0
        expected, whole = _expected_share(self._definition, self.seen.last_step), len(self.seen.whole)
        shares: Numbers = self._rng.beta(
            CUT_TRIALS * expected + CUT_WEIGHT * len(self.seen.cut),
            CUT_TRIALS * (1 - expected) + CUT_WEIGHT * max(0, whole - startup),
            times,
        )
        is_cut = self._rng.random((times, count)) < shares[:, None]
        is_cut[:, : max(0, startup - whole)] = False  # the pruner leaves the next ones alone
        return np.where(is_cut, seconds * self._fractions(times, count), seconds) * self.seen.waste, shares

    def draw_whole(self, count: int, times: int = 2000) -> Numbers:
        """Draw the seconds of trials that are not stopped early."""
        known = len(self._residues)
        freedom = SPREAD_TRIALS + known - 1
        squares = SPREAD_TRIALS * SPREAD**2 + float(np.sum((self._residues - self._residues.mean()) ** 2))
        spread = np.sqrt(squares / self._rng.chisquare(freedom, times))
        middle = self._residues.mean() + spread * self._rng.standard_normal(times) / math.sqrt(known)
        if self._definition.search_mode == "bayesian":
            apart = np.sqrt(np.var(self._sizes @ self._growth) + spread**2)
            middle = middle + DRIFT * apart * self._rng.standard_normal(times)
        sizes = self._sizes[self._rng.integers(len(self._sizes), size=(times, count))]
        noise = spread[:, None] * self._rng.standard_normal((times, count))
        drawn: Numbers = np.exp(middle[:, None] + sizes @ self._growth + noise)
        return drawn

    def _fractions(self, times: int, count: int) -> Numbers:
        """Draw the fraction of a whole trial's time that a stopped one takes. The prior, with the weight of two trials:
        it is stopped soon after the pruner's warm-up."""
        pruner, steps = self._definition.pruner, self.seen.last_step
        first = min(1.0, pruner.warmup(steps) / steps) if steps and pruner.type != "none" else 0.0
        drawn: Numbers = first + (1 - first) * self._rng.beta(1, CUT_SOON, (times, count))
        if not self.seen.cut:
            return drawn
        whole = np.exp(self._residues.mean() + self.seen.cut_sizes @ self._growth)
        known = np.minimum(np.asarray(self.seen.cut) / whole, 1.0)
        is_known = self._rng.random((times, count)) < len(known) / (len(known) + 2)
        chosen: Numbers = np.where(is_known, known[self._rng.integers(len(known), size=(times, count))], drawn)
        return chosen


def ended_trials(definition: StudyDefinition, trials: Sequence[FrozenTrial]) -> EndedTrials:
    """Sum up the ended trials of a study, for a forecast of the next ones."""
    ended = [(trial, seconds) for trial, seconds in whole_s(trials) if seconds > 0]
    whole = [(trial, seconds) for trial, seconds in ended if trial.state is TrialState.COMPLETE]
    cut = [(trial, seconds) for trial, seconds in ended if trial.state is TrialState.PRUNED]
    counted = sum(seconds for _, seconds in ended)
    waste = sum(map(seconds_of, trials)) / counted if counted else 1.0
    sizes = [_sizes(definition, [trial.params for trial, _ in group]) for group in (whole, cut)]
    last = definition.steps or max((trial.last_step or 0 for trial, _ in whole), default=0) or None
    times = [[seconds for _, seconds in group] for group in (whole, cut)]
    return EndedTrials(times[0], sizes[0], times[1], sizes[1], max(1.0, waste), last)


def _fit(seen: EndedTrials) -> tuple[Numbers, Numbers]:
    """Fit how time grows with sizes, by least squares regularised to ``GROWTH``; return the growth, and the logarithms
    of the times without it."""
    logs, sizes, expected = np.log(np.asarray(seen.whole)), seen.whole_sizes, np.asarray(GROWTH)
    centred = sizes - sizes.mean(axis=0)
    left = logs - logs.mean() - centred @ expected
    trust = (SPREAD / 2 / GROWTH_SPREAD) ** 2
    growth = expected + np.linalg.solve(centred.T @ centred + trust * np.eye(len(expected)), centred.T @ left)
    growth = np.clip(growth, 0.0, 1.5)
    return growth, logs - sizes @ growth


def _sizes(definition: StudyDefinition, points: Sequence[Mapping[str, Any]]) -> Numbers:
    """Return the logarithms of the passes and of the pictures' area, a row for each point."""
    if definition.command is not None:
        return np.zeros((len(points), 2))
    rows = []
    for point in points:
        values = definition.trial_settings(point, 0)
        batch = values["effective_batch_size"] or (
            values["per_device_train_batch_size"] * values["gradient_accumulation_steps"]
        )
        passes = float(values["num_train_epochs"] if values["max_steps"] is None else values["max_steps"] * batch)
        area = float(values["longest_edge"] ** 2 if values["longest_edge"] else values["max_pixels"] or 1.0)
        rows.append([math.log(passes), math.log(area)])
    return np.asarray(rows, dtype=np.float64).reshape(len(rows), 2)


def _next_sizes(definition: StudyDefinition, trials: Sequence[FrozenTrial], seen: EndedTrials, seed: int) -> Numbers:
    """Return the sizes of points that may come next."""
    known = np.concatenate([seen.whole_sizes, seen.cut_sizes])
    if definition.search_mode == "grid":
        points = open_points(trials, definition)
        places = np.linspace(0, len(points) - 1, min(len(points), _DRAWN_POINTS)).astype(int)
        points = [points[place] for place in places]
        points += [params_of(trial) for trial in trials if trial.state is TrialState.WAITING]
        return _sizes(definition, points) if points else known
    if len(known) >= ENOUGH_ENDED or definition.command is not None:
        return known
    from optuna import create_study
    from optuna.distributions import BaseDistribution
    from optuna.samplers import RandomSampler

    ranges: dict[str, BaseDistribution] = {name: axis.distribution() for name, axis in definition.search_space.items()}
    study = create_study(sampler=RandomSampler(seed))
    return _sizes(definition, [definition.active_params(study.ask(ranges).params) for _ in range(_DRAWN_POINTS)])


def _expected_share(definition: StudyDefinition, last_step: int | None) -> float:
    """Return the prior of the share of trials stopped early; ``last_step`` is a whole trial's, where it is known."""
    pruner = definition.pruner
    if last_step is not None and any(too_long_warmup(definition, last_step)):
        return CUT_SHARE["none"]
    if pruner.type == "percentile":
        return min(0.95, max(0.05, 1 - pruner.percentile / 100))
    return CUT_SHARE.get(pruner.type, CUT_SHARE["median"])
