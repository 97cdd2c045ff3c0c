"""What a curve leads to, and which trials the curve pruner stops."""

from __future__ import annotations

import math
import random
from collections.abc import Sequence

import optuna
import pytest
from optuna.study import Study
from optuna.trial import TrialState, create_trial

from hpsearch.config.fields import PrunerSettings
from hpsearch.study.learning_curves import Curves
from hpsearch.study.pruning import make_pruner

STEPS = 20


def curve(final: float, steps: int = STEPS, drop: float = 0.5, noise: float = 0.0, seed: int = 0) -> list[float]:
    """A curve that falls by ``drop``, nearly to its final value."""
    chance = random.Random(seed)
    return [final + drop * math.exp(-4 * step / STEPS) + chance.gauss(0, noise) for step in range(1, steps + 1)]


def study_of(finals: Sequence[float], direction: str = "minimize", every: int = 1, noise: float = 0.0) -> Study:
    study, sign = optuna.create_study(direction=direction), 1 if direction == "minimize" else -1
    for number, final in enumerate(finals):
        reports = {step: sign * value for step, value in enumerate(curve(final, noise=noise, seed=number), 1)}
        kept = {step: value for step, value in reports.items() if step % every == 0}
        study.add_trial(create_trial(value=sign * final, intermediate_values=kept))
    return study


def stopped_at(study: Study, values: Sequence[float], every: int = 1, steps: int | None = STEPS, **numbers: int) -> int:
    """The step at which the pruner stops a trial with these values; 0 where it never does."""
    sign = 1 if study.direction.name == "MINIMIZE" else -1
    pruner = make_pruner(PrunerSettings(type="curve", **numbers), steps)
    trial = study.ask()
    for step in range(every, len(values) + 1, every):
        trial.report(sign * values[step - 1], step)
        if pruner.prune(study, study.get_trials(deepcopy=False)[trial.number]):
            return step
    return 0


class TestGuess:
    def test_a_curve_is_taken_to_where_those_before_it_went(self) -> None:
        study = study_of([0.1, 0.2, 0.3, 0.25])
        curves = Curves(study.get_trials(), study.direction)
        early = curves.final(dict(enumerate(curve(0.15, steps=6), 1)))
        late = curves.final(dict(enumerate(curve(0.15, steps=16), 1)))
        assert early is not None and late is not None
        assert early.value == pytest.approx(0.15, abs=0.03)
        assert late.value == pytest.approx(0.15, abs=0.015)
        assert late.error < early.error

    def test_noise_is_seen_in_the_error(self) -> None:
        errors = []
        for noise in (0.0, 0.05):
            study = study_of([0.1, 0.2, 0.3, 0.25, 0.15], noise=noise)
            guess = Curves(study.get_trials(), study.direction).final(dict(enumerate(curve(0.15, steps=10), 1)))
            assert guess is not None
            errors.append(guess.error)
        assert errors[1] > 2 * errors[0]

    def test_a_constant_change_at_the_end_is_learned(self) -> None:
        """The last value comes from other rows than those on the way."""
        study = optuna.create_study()
        for final in (0.1, 0.2, 0.3, 0.15, 0.25):
            reports = dict(enumerate(curve(final), 1))
            study.add_trial(create_trial(value=final + 0.2, intermediate_values=reports))
        guess = Curves(study.get_trials(), study.direction).final(dict(enumerate(curve(0.15, steps=12), 1)))
        assert guess is not None and guess.value == pytest.approx(0.35, abs=0.03)

    def test_without_a_report_there_is_none(self) -> None:
        assert Curves([], optuna.create_study().direction).final({}) is None

    def test_without_any_trial_before_it_is_doubted(self) -> None:
        guess = Curves([], optuna.create_study().direction).final(dict(enumerate(curve(0.2, steps=8), 1)))
        assert guess is not None
        assert guess.value < curve(0.2, steps=8)[-1]
        assert guess.error > 0.02


class TestDefault:
    def test_it_is_the_median_pruner_of_the_target_or_the_curve_pruner_of_a_budget(self) -> None:
        chosen = {target: PrunerSettings().settled(target) for target in (1, 3, 8, 12, 20, 100, None)}
        assert {target: pruner.n_startup_trials for target, pruner in chosen.items()} == {
            1: 2,
            3: 2,
            8: 3,
            12: 4,
            20: 5,
            100: 5,
            None: 5,
        }
        assert {(pruner.type, pruner.warmup(20)) for pruner in chosen.values()} == {("median", 4)}
        limited = PrunerSettings().settled(20, is_limited=True)
        assert limited == PrunerSettings(type="curve")
        assert PrunerSettings(n_warmup_steps=7).settled(20).flat() == {
            "type": "median",
            "n_startup_trials": 5,
            "n_warmup_steps": 7,
        }
        assert PrunerSettings(type="none").settled(20) == PrunerSettings(type="none")

    @pytest.mark.parametrize("steps", [STEPS, None])
    def test_it_stops_what_is_worse_than_the_median_after_a_fifth(self, steps: int | None) -> None:
        for levels, step in (([0.2, 0.3, 0.25, 0.2], 4), ([0.2, 0.3], 0)):
            study, pruner = study_of(levels), make_pruner(PrunerSettings().settled(9), steps)
            trial = study.ask()
            stops = []
            for at, value in enumerate(curve(0.6), 1):
                trial.report(value, at)
                if pruner.prune(study, study.get_trials(deepcopy=False)[trial.number]):
                    stops.append(at)
            assert (stops or [0])[0] == step


class TestCurvePruner:
    @pytest.mark.parametrize("direction", ["minimize", "maximize"])
    def test_it_stops_what_cannot_become_the_best_and_nothing_else(self, direction: str) -> None:
        study = study_of([0.2, 0.3, 0.25], direction)
        assert stopped_at(study, curve(0.6)) == 4
        assert stopped_at(study, curve(0.1)) == 0
        assert stopped_at(study, curve(0.199)) == 0

    def test_it_stops_no_best_trial_of_a_noisy_search(self) -> None:
        """Each trial is better than all before by less than the noise of a report; none may be stopped."""
        study = study_of([0.30, 0.29, 0.28, 0.27], noise=0.03)
        stops = [stopped_at(study, curve(0.26 - 0.01 * seed, noise=0.03, seed=seed)) for seed in range(10)]
        assert stops == [0] * 10

    def test_a_late_starter_that_those_before_it_resemble_goes_on(self) -> None:
        """Far above the best at the same step, which the median pruner goes by; but steep, as its like were."""
        study = study_of([0.2, 0.3])
        for final in (0.15, 0.18):
            reports = dict(enumerate(curve(final, drop=2.0), 1))
            study.add_trial(create_trial(value=final, intermediate_values=reports))
        assert stopped_at(study, curve(0.1, drop=2.0)) == 0

    def test_none_is_stopped_before_enough_are_completed_or_in_its_warm_up(self) -> None:
        assert stopped_at(study_of([0.2]), curve(0.9)) == 0
        assert stopped_at(study_of([0.2, 0.3]), curve(0.9)) == 4
        assert stopped_at(study_of([0.2, 0.3, 0.25]), curve(0.9), n_startup_trials=4) == 0
        assert stopped_at(study_of([0.2, 0.3, 0.25]), curve(0.9), n_warmup_steps=9) == 9

    def test_the_length_of_a_trial_is_seen_where_it_is_not_known(self) -> None:
        assert stopped_at(study_of([0.2, 0.3, 0.25]), curve(0.9), steps=None) == 4

    def test_trials_that_report_some_steps_only_are_compared_at_those(self) -> None:
        study = study_of([0.2, 0.3, 0.25], every=4)
        assert stopped_at(study, curve(0.8), every=4) in (4, 8)
        assert stopped_at(study, curve(0.15), every=4) == 0

    def test_what_is_not_finite_is_left_to_who_reported_it(self) -> None:
        assert stopped_at(study_of([0.2, 0.3, 0.25]), [math.nan] * STEPS) == 0

    def test_completed_trials_without_a_report_or_a_finite_value_are_no_trouble(self) -> None:
        study = optuna.create_study()
        for value in (0.2, 0.3, math.inf):
            study.add_trial(create_trial(value=value, state=TrialState.COMPLETE))
        assert stopped_at(study, curve(0.1)) == 0
