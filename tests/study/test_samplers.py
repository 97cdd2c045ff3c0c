"""The samplers: what they learn from, what they propose, and that all of it follows from the stored trials."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import optuna
import pytest
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.study import Study
from optuna.trial import TrialState, create_trial

from hpsearch.study.sampling import SAMPLERS, SampleRequest
from hpsearch.study.sampling.cmaes import Strategy
from hpsearch.study.sampling.gp import _densities, fit
from hpsearch.study.sampling.gp_sampler import MOST_POINTS, BayesianSampler
from hpsearch.study.sampling.planner import derive_seed
from hpsearch.study.sampling.unit_cube import Cube

LINE: Mapping[str, BaseDistribution] = {"x": FloatDistribution(0.0, 1.0)}
EVERYTHING: Mapping[str, BaseDistribution] = {
    "rate": FloatDistribution(1e-5, 1e-3, log=True),
    "dropout": FloatDistribution(0.0, 0.2),
    "epochs": IntDistribution(1, 5),
    "even": IntDistribution(2, 10, step=2),
    "many": IntDistribution(1, 100_000, log=True),
    "rank": CategoricalDistribution([64, 8, 16]),
    "share": CategoricalDistribution([0.5, 1.0]),
    "vision": CategoricalDistribution([False, True]),
    "optimizer": CategoricalDistribution(["adamw", "lion", "sgd"]),
    "fixed": CategoricalDistribution(["only"]),
}


def study_of(direction: str = "minimize") -> Study:
    return optuna.create_study(direction=direction, pruner=optuna.pruners.NopPruner())


def ask(study: Study, space: Mapping[str, BaseDistribution], seed: int = 1, sampler: str = "gp") -> dict[str, Any]:
    """The parameters of a new trial, which then runs."""
    study.sampler = SAMPLERS[sampler](SampleRequest(space, seed, index=len(study.trials)))
    return study.ask(dict(space)).params


def add(study: Study, params: Mapping[str, Any], curve: list[float], state: TrialState = TrialState.COMPLETE) -> None:
    """A trial on ``LINE`` with a report at each step; the last one is also the final value of a completed one."""
    study.add_trial(
        create_trial(
            state=state,
            value=curve[-1] if state is TrialState.COMPLETE else None,
            params=dict(params),
            distributions={name: LINE.get(name) or EVERYTHING[name] for name in params},
            intermediate_values=dict(enumerate(curve, 1)),
        )
    )


def falling(final: float, steps: int = 10) -> list[float]:
    return [final + 0.5 * 0.5**step for step in range(1, steps + 1)]


def search(sampler: str, space: Mapping[str, BaseDistribution], value: Callable[[Any], float], trials: int) -> Study:
    study = study_of()
    for number in range(trials):
        study.sampler = SAMPLERS[sampler](SampleRequest(space, derive_seed(1, number), 1, number))
        trial = study.ask(dict(space))
        study.tell(trial, value(trial.params))
    return study


class TestEverySampler:
    @pytest.mark.parametrize("name", [name for name in SAMPLERS if name != "grid"])
    def test_it_stays_in_a_space_of_every_kind_and_repeats_itself(self, name: str) -> None:
        def value(params: Mapping[str, Any]) -> float:
            return math.log10(params["rate"]) ** 2 + params["epochs"] + (params["optimizer"] == "sgd")

        first, again = (search(name, EVERYTHING, value, 12) for _ in range(2))
        assert [trial.params for trial in first.trials] == [trial.params for trial in again.trials]
        for trial in first.trials:
            assert trial.params.keys() == EVERYTHING.keys()
            for each, distribution in EVERYTHING.items():
                assert distribution._contains(distribution.to_internal_repr(trial.params[each])), (each, trial.params)
                assert isinstance(trial.params[each], int) or not isinstance(distribution, IntDistribution)
        assert len({str(trial.params) for trial in first.trials}) == 12

    @pytest.mark.parametrize(("name", "trials"), [("tpe", 60), ("gp", 30), ("cmaes", 60)])
    def test_what_learns_comes_nearer_than_what_does_not(self, name: str, trials: int) -> None:
        space = {"x": FloatDistribution(0, 1), "y": FloatDistribution(0, 1), "z": FloatDistribution(0, 1)}

        def value(params: Mapping[str, Any]) -> float:
            return sum((params[each] - 0.7) ** 2 for each in space)

        late, drawn = (
            [value(trial.params) for trial in search(each, space, value, trials).trials[trials * 2 // 3 :]]
            for each in (name, "random")
        )
        assert sum(late) < 0.5 * sum(drawn)


class TestGaussianSampler:
    def test_pruned_trials_teach_it(self) -> None:
        """Every trial but two was stopped; what their curves led to says where the best is."""
        proposals = {}
        for state in (TrialState.PRUNED, TrialState.FAIL):
            study = study_of()
            add(study, {"x": 0.0}, falling(0.9))
            add(study, {"x": 0.1}, falling(0.8))
            for x in (0.3, 0.45, 0.75, 0.9, 1.0):
                add(study, {"x": x}, falling(0.3 + 3 * (x - 0.6) ** 2)[:6], state)
            proposals[state] = ask(study, LINE)["x"]
        assert 0.45 < proposals[TrialState.PRUNED] < 0.75
        assert not 0.45 < proposals[TrialState.FAIL] < 0.75

    def test_a_pruned_trial_is_taken_for_what_its_curve_leads_to(self) -> None:
        """Stopped early, at 0.7 is a high value and a steep curve: it is known to fall as the others did."""
        study = study_of()
        for x in (0.0, 0.2, 0.4, 1.0):
            add(study, {"x": x}, falling(0.3 + abs(x - 0.7)))
        add(study, {"x": 0.7}, falling(0.3)[:2], TrialState.PRUNED)
        add(study, {"x": 0.1}, falling(0.9))
        assert abs(ask(study, LINE)["x"] - 0.7) < 0.12

    def test_it_keeps_away_from_what_was_wasted(self) -> None:
        study = study_of()
        for x in (0.1, 0.3, 0.5):
            add(study, {"x": x}, [1.0 - x])
        for x in (0.7, 0.8, 0.9, 1.0):
            add(study, {"x": x}, [0.1, math.nan], TrialState.PRUNED)
        assert 0.3 < ask(study, LINE)["x"] < 0.7

    def test_beside_a_cliff_it_finds_the_edge_and_wastes_few_trials(self) -> None:
        study = study_of()
        for number in range(24):
            study.sampler = SAMPLERS["gp"](SampleRequest(LINE, derive_seed(1, number), 1, number))
            trial = study.ask(dict(LINE))
            if trial.params["x"] < 0.7:
                study.tell(trial, 1.0 - trial.params["x"])
            else:
                trial.report(math.nan, 1)
                study.tell(trial, state=TrialState.PRUNED)
        completed = [trial for trial in study.trials if trial.state is TrialState.COMPLETE]
        assert study.best_value < 0.33
        assert len(completed) >= 17

    def test_it_searches_the_other_way_where_more_is_better(self) -> None:
        asked = []
        for sign, direction in ((1, "minimize"), (-1, "maximize")):
            study = study_of(direction)
            for x in (0.0, 0.2, 0.5, 0.6, 0.9, 1.0):
                add(study, {"x": x}, [sign * value for value in falling((x - 0.3) ** 2)])
            add(study, {"x": 0.75}, [sign * value for value in falling(0.5)[:4]], TrialState.PRUNED)
            asked.append(ask(study, LINE)["x"])
        assert asked[0] == pytest.approx(asked[1])
        assert abs(asked[0] - 0.3) < 0.15

    def test_trials_at_once_are_not_the_same(self) -> None:
        study = study_of()
        for x in (0.0, 0.2, 0.5, 0.6, 0.9, 1.0):
            add(study, {"x": x}, [(x - 0.3) ** 2])
        asked = sorted(ask(study, LINE, seed)["x"] for seed in range(4))
        assert min(after - before for before, after in itertools.pairwise(asked)) > 0.01

    def test_where_an_end_of_a_range_is_best_it_is_not_tried_again_and_again(self) -> None:
        study = search("gp", LINE, lambda params: params["x"], 14)
        places = sorted(trial.params["x"] for trial in study.trials)
        assert places[0] < 0.01
        assert all(later - sooner > 0.004 for sooner, later in itertools.pairwise(places))

    def test_a_space_that_is_used_up_is_tried_again(self) -> None:
        space = {"rank": CategoricalDistribution([64, 8, 16])}
        study = search("gp", space, lambda params: params["rank"], 10)
        assert {trial.params["rank"] for trial in study.trials[:9]} == {8, 16, 64}

    def test_a_trial_may_lack_a_parameter(self) -> None:
        study = study_of()
        for number, rate in enumerate((1e-5, 3e-5, 1e-4, 3e-4, 1e-3, 5e-5, 2e-4)):
            dropout = {"dropout": 0.02 * number} if number % 2 else {}
            add(study, {"rate": rate, **dropout}, [abs(math.log10(rate) + 4)])
        space = {name: EVERYTHING[name] for name in ("rate", "dropout")}
        assert 2e-5 < ask(study, space)["rate"] < 5e-4

    def test_of_thousands_of_trials_it_looks_at_some_and_at_the_best(self) -> None:
        study = study_of()
        for x in np.random.default_rng(1).uniform(size=1500):
            add(study, {"x": float(x)}, [(float(x) - 0.3) ** 2])
        observed = BayesianSampler(LINE, 1)._observe(study.trials, study)
        assert len(observed.points) == MOST_POINTS
        assert min(final.value for final in observed.finals if final) == study.best_value
        assert abs(ask(study, LINE)["x"] - 0.3) < 0.1

    def test_where_every_trial_was_wasted_it_spreads(self) -> None:
        study = study_of()
        for x in (0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6):
            add(study, {"x": x}, [math.nan], TrialState.PRUNED)
        assert ask(study, LINE)["x"] > 0.8

    @pytest.mark.parametrize("value", [0.0, 0.5, -1e6, 1e-12])
    def test_values_that_are_all_the_same_are_no_trouble(self, value: float) -> None:
        study = study_of()
        for x in (0.0, 0.2, 0.4, 0.6, 0.8, 1.0):
            add(study, {"x": x}, [value] * 3)
        assert 0.0 <= ask(study, LINE)["x"] <= 1.0


class TestGaussianProcess:
    def test_the_gradient_is_that_of_the_density(self) -> None:
        chance = np.random.default_rng(0)
        points, values, noise = chance.uniform(size=(12, 2)), chance.normal(size=12), chance.uniform(0, 0.1, 12)
        distances = Cube.of({"a": FloatDistribution(0, 1), "b": FloatDistribution(0, 1)}).distances(points, points)
        at = chance.normal(-1, 0.3, size=(3, 4))
        density, gradient = _densities(at, distances, values, noise)
        for number in range(4):
            moved = at.copy()
            moved[:, number] += 1e-6
            slope = (_densities(moved, distances, values, noise)[0] - density) / 1e-6
            assert slope == pytest.approx(gradient[:, number], abs=1e-3)

    def test_it_goes_through_what_is_certain_and_not_through_what_is_not(self) -> None:
        cube = Cube.of(LINE)
        points = np.linspace(0, 1, 9)[:, None]
        values = np.sin(5 * points[:, 0])
        values = (values - values.mean()) / values.std()
        noise = np.where(np.arange(9) == 4, 25.0, 0.0)
        values[4] += 5.0
        processes = fit(cube, points, values, noise, np.random.default_rng(0))
        mean, deviation = (
            np.mean(each, axis=0) for each in zip(*(one.predict(points) for one in processes), strict=True)
        )
        assert np.abs(mean - values)[[0, 1, 2, 6, 7, 8]].max() < 0.15
        assert values[4] - mean[4] > 4.0
        assert deviation[4] > deviation[1]


class TestEvolution:
    def test_it_follows_a_slope_out_of_the_first_generation(self) -> None:
        strategy, chance = Strategy(2), np.random.default_rng(1)
        for _ in range(30):
            points = np.stack([strategy.draw(chance) for _ in range(strategy.size)])
            strategy.follow(points, [float(((point - 0.8) ** 2).sum()) for point in points])
        assert np.abs(strategy.draw(chance) - 0.8).max() < 0.05


class TestHalton:
    def test_every_value_comes_up_as_often_and_another_seed_gives_others(self) -> None:
        space = {"epochs": IntDistribution(1, 4), "rank": CategoricalDistribution([8, 16, 32])}
        study = search("qmc", space, lambda _: 0.0, 36)
        pairs = [tuple(trial.params.values()) for trial in study.trials]
        assert {pairs.count(pair) for pair in set(pairs)} == {3}
        assert len(set(pairs)) == 12
        other = SAMPLERS["qmc"](SampleRequest(EVERYTHING, 1, study_seed=2, index=5))
        same = SAMPLERS["qmc"](SampleRequest(EVERYTHING, 9, study_seed=1, index=5))
        study = study_of()
        asked = []
        for study.sampler in (other, same, SAMPLERS["qmc"](SampleRequest(EVERYTHING, 3, study_seed=1, index=5))):
            asked.append(study.ask(dict(EVERYTHING)).params)
        assert asked[0] != asked[1] == asked[2]


class TestCube:
    def test_configurations_that_differ_in_what_they_do_not_have_lie_in_one_place(self) -> None:
        space = {
            "kind": CategoricalDistribution(("a", "b", "c")),
            "size": IntDistribution(1, 4),
            "on": CategoricalDistribution((False, True)),
            "depth": FloatDistribution(0, 1),
        }
        cube = Cube.of(space, {"size": {"kind": ("b",)}, "on": {"size": (1, 4)}, "depth": {"on": (True,)}})
        found = cube.snapped(np.random.default_rng(0).uniform(size=(500, 4)))
        others = np.unique(found[found[:, 0] != 0.5, 1:], axis=0)
        assert len(others) == 1
        assert np.array_equal(cube.points([{"kind": "a"}]), [[1 / 6, *others[0]]])
        some = np.array([[0.5, 1.0, 0.9, 0.2], [0.5, 0.0, 0.1, 0.2], [0.5, 0.4, 0.9, 0.2]])
        had = cube.points(
            [
                {"kind": "b", "size": 4, "on": True, "depth": 0.2},
                {"kind": "b", "size": 1, "on": False},
                {"kind": "b", "size": 2},
            ]
        )
        assert np.array_equal(cube.snapped(some), had)
