"""Search spaces: types, grids, keys and the default configuration."""

from __future__ import annotations

import itertools
import json
import math
import random
from typing import Any

import pytest

from hpsearch.config.parameters import MAX_GRID_POINTS, Parameter
from hpsearch.config.parse import parse_space
from hpsearch.config.problems import pointer
from hpsearch.config.space import default_grid_point, default_point, grid_points, grid_size, point_key
from hpsearch.errors import UsageError


def space_of(**ranges: Any) -> dict[str, Parameter]:
    space, problems = parse_space(ranges)
    assert problems == []
    return space


def problems_of(**ranges: Any) -> list[str]:
    return [f"{pointer(each.path[1:])}: {each.rule}; {each.remedy}" for each in parse_space(ranges)[1]]


LOG = {"type": "loguniform", "low": 1e-5, "high": 1e-3}


class TestDistributions:
    """Each type as Optuna knows it."""

    def test_each_type_becomes_the_distribution_of_its_kind(self) -> None:
        from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

        space = space_of(
            a=LOG,
            b={"type": "uniform", "low": 0, "high": 0.15},
            c={"type": "int", "low": 2, "high": 8, "step": 3},
            d={"type": "int", "low": 1, "high": 64, "log": True},
            e={"type": "categorical", "choices": [8, 16]},
        )
        assert [each.distribution() for each in space.values()] == [
            FloatDistribution(1e-5, 1e-3, log=True),
            FloatDistribution(0.0, 0.15),
            IntDistribution(2, 8, step=3),
            IntDistribution(1, 64, log=True),
            CategoricalDistribution((8, 16)),
        ]

    def test_choices_of_whole_and_real_numbers_become_real_ones(self) -> None:
        choices = space_of(a={"type": "categorical", "choices": [0, 0.5]})["a"].grid_values()
        assert [(type(choice), choice) for choice in choices] == [(float, 0.0), (float, 0.5)]

    def test_what_optuna_suggests_is_contained(self) -> None:
        import optuna

        space = space_of(
            a=LOG, c={"type": "int", "low": 2, "high": 8, "step": 3}, e={"type": "categorical", "choices": ["x"]}
        )
        study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=1))
        for _ in range(20):
            trial = study.ask({name: each.distribution() for name, each in space.items()})
            assert all(space[name].contains(value) for name, value in trial.params.items())


class TestRefusals:
    """Ranges that are refused: place, rule, values and remedy."""

    @pytest.mark.parametrize(
        ("parameter", "message"),
        [
            (
                {"type": "loguniform", "low": 1e-3, "high": 1e-5},
                '/x: low <= high must hold for "x", but low=0.001, high=1e-05; swap them',
            ),
            (
                {"type": "loguniform", "low": 0, "high": 1},
                '/x/low: low > 0 must hold for the log range of "x", but low=0.0; '
                'give a low above 0, or use type "uniform" (for "int": leave log out)',
            ),
            (
                {"type": "int", "low": 1, "high": 8, "step": 2},
                '/x/step: step must divide high - low of "x", but step=2, low=1, high=8; write "high": 7',
            ),
            (
                {"type": "int", "low": 1, "high": 8, "step": 2, "log": True},
                '/x/step: a log range of "x" has step 1, but step=2; delete step or log',
            ),
            (
                {"type": "int", "low": 1, "high": 8, "step": 0},
                '/x/step: "step" of "x" must be >= 1, but is 0; write a value >= 1',
            ),
            (
                {"type": "int", "low": 1.5, "high": 8},
                '/x/low: "low" of "x" must be a whole number, but is 1.5; write a whole number',
            ),
            (
                {"type": "int", "low": True, "high": 8},
                '/x/low: "low" of "x" must be a whole number, but is true; write a whole number',
            ),
            (
                {"type": "uniform", "low": "0", "high": 8},
                '/x/low: "low" of "x" must be a number, but is "0"; write a number',
            ),
            ({"type": "uniform", "low": 0}, '/x: "high" of "x" is missing; add "high"'),
            (
                {"type": "uniform", "low": -1e308, "high": 1e308},
                '/x: high - low of "x" must be finite, but low=-1e+308, high=1e+308; narrow the range',
            ),
            (
                {"type": "uniform", "low": 0, "high": 1, "stp": 2},
                '/x/stp: "stp" of "x" is not a known key; known: default, high, low, '
                "otherwise, points, type, values, when, why",
            ),
            (
                {"type": "uniform", "low": 0, "high": 1, "valus": [0]},
                '/x/valus: "valus" of "x" is not a known key; did you mean "values"?',
            ),
            (
                {"type": "normal"},
                '/x/type: "x" must have a type it may have, but is "normal"; '
                'write one of "loguniform", "uniform", "int", "categorical"',
            ),
            (
                {"low": 1},
                '/x: "x" must have a type, but has none; write one of "loguniform", "uniform", "int", "categorical"',
            ),
            (
                3,
                '/x: a range is an object with a type, but "x" is 3; write an object of type '
                '"loguniform", "uniform", "int", "categorical", or move the value out of search_space',
            ),
            (
                {"type": "categorical", "choices": []},
                '/x/choices: "choices" of "x" must have at least 1 item, but is []; correct it',
            ),
            (
                {"type": "categorical", "choices": [1, True]},
                '/x/choices: the choices of "x" are of one kind, but these are numbers and true/false: '
                "[1, true]; use one kind",
            ),
            (
                {"type": "categorical", "choices": ["1", 1]},
                '/x/choices: the choices of "x" are of one kind, but these are numbers and text: ["1", 1]; '
                "use one kind",
            ),
            (
                {"type": "categorical", "choices": [1, 2, 1.0]},
                '/x/choices/2: the choices of "x" differ, but 1 and 1.0 are equal; delete one of them',
            ),
            (
                {"type": "categorical", "choices": ["a", "a"]},
                '/x/choices/1: the choices of "x" differ, but "a" and "a" are equal; delete one of them',
            ),
            (
                {"type": "categorical", "choices": [1, 2], "default": 3},
                '/x/default: default of "x" must be one of its values [1, 2], but is 3; move it there',
            ),
            (
                {"type": "int", "low": 1, "high": 9, "step": 2, "default": 4},
                '/x/default: default of "x" must be one of its values 1..9 in steps of 2, but is 4; move it there',
            ),
            (
                {**LOG, "default": 1},
                '/x/default: default of "x" must be one of its values 1e-05..0.001, but is 1.0; move it there',
            ),
            (
                {**LOG, "values": [1e-4, 1]},
                '/x/values/1: values of "x" must be one of its values 1e-05..0.001, but is 1.0; move it there',
            ),
            (
                {**LOG, "values": [1e-4, 1e-4]},
                '/x/values/1: the values of "x" differ, but 0.0001 and 0.0001 are equal; delete one of them',
            ),
            (
                {**LOG, "values": [1e-4], "points": 3},
                "/x: a grid range has either values or points, but both are given; delete one of them",
            ),
            ({**LOG, "points": 1}, '/x/points: "points" of "x" must be >= 2, but is 1; write a value >= 2'),
        ],
    )
    def test_a_broken_rule_is_told_with_place_values_and_remedy(self, parameter: Any, message: str) -> None:
        assert problems_of(x=parameter) == [message]

    def test_every_broken_rule_is_told(self) -> None:
        assert (
            len(problems_of(a={"type": "uniform", "low": "x"}, b=1, c={"type": "categorical", "choices": [1, 1]})) == 4
        )

    def test_choices_with_lists_null_or_objects_are_refused(self) -> None:
        for odd in ([1], None, {"a": 1}):
            assert problems_of(x={"type": "categorical", "choices": [odd, 2]})

    def test_whole_numbers_beyond_what_storages_keep_are_refused(self) -> None:
        assert "<= 9007199254740992" in problems_of(x={"type": "int", "low": 0, "high": 2**53 + 1})[0]

    def test_a_number_too_large_for_a_float_is_refused(self) -> None:
        assert len(problems_of(x={"type": "uniform", "low": 0, "high": 10**400})) == 1


class TestGrid:
    """Grid points: which, in what order, and how many."""

    def test_points_are_spaced_evenly_and_include_both_ends(self) -> None:
        assert space_of(x={**LOG, "points": 3})["x"].grid_values() == [1e-5, 1e-4, 1e-3]
        assert space_of(x={"type": "uniform", "low": 0, "high": 1, "points": 5})["x"].grid_values() == [
            0,
            0.25,
            0.5,
            0.75,
            1,
        ]
        assert space_of(x={"type": "uniform", "low": 2, "high": 2, "points": 5})["x"].grid_values() == [2]

    @pytest.mark.parametrize("points", range(2, 60))
    def test_points_are_distinct_inside_and_short_to_write(self, points: int) -> None:
        for low, high in ((1e-6, 3e-2), (7e-5, 7.1e-5), (0.1, 0.3)):
            for kind in ("loguniform", "uniform"):
                parameter = space_of(x={"type": kind, "low": low, "high": high, "points": points})["x"]
                values = list(parameter.grid_values())
                assert len(values) == points == len(set(values))
                assert values == sorted(values)
                assert values[0] == low and values[-1] == high
                assert all(float(f"{value:.12g}") == value for value in values)

    def test_order_does_not_depend_on_the_order_of_the_names(self) -> None:
        axes = {"b": {"type": "int", "low": 1, "high": 2}, "a": {"type": "categorical", "choices": ["y", "x"]}}
        points = grid_points(space_of(**axes))
        assert points == grid_points(space_of(**dict(reversed(axes.items()))))
        assert points == [{"a": a, "b": b} for a in ("y", "x") for b in (1, 2)]

    def test_a_continuous_range_has_no_grid_and_says_what_to_add(self) -> None:
        with pytest.raises(UsageError) as error:
            grid_points(space_of(x=LOG))
        assert str(error.value) == (
            '"x": a grid has finitely many points, but the range 1e-05..0.001 is continuous; '
            'add "points": 5 or "values": [...] to it, or search with --search-mode bayesian'
        )

    def test_too_many_points_are_refused_with_their_count_before_any_is_made(self) -> None:
        wide = {"type": "int", "low": 0, "high": 2**53}
        with pytest.raises(
            UsageError, match=r"at most 10,000 points, this one 36,028,797,018,963,972 \(a 9007199254740993 x b 4\)"
        ):
            grid_points(space_of(a=wide, b={"type": "int", "low": 1, "high": 4}))
        assert grid_size(space_of(a={"type": "int", "low": 1, "high": MAX_GRID_POINTS})) == MAX_GRID_POINTS

    def test_every_point_lies_in_its_ranges_and_survives_json(self) -> None:
        space = space_of(
            a={**LOG, "points": 7},
            b={"type": "int", "low": -3, "high": 9, "step": 4},
            c={"type": "categorical", "choices": [0, 0.5]},
        )
        points = grid_points(space)
        assert len(points) == grid_size(space) == 7 * 4 * 2
        for point in points:
            assert all(space[name].contains(value) for name, value in point.items())
            assert point_key(json.loads(json.dumps(point))) == point_key(point)


class TestPointKey:
    """Equal parameters have one key, others have others."""

    def test_numbers_are_equal_by_value_and_nothing_else_is(self) -> None:
        values = [1, 0, True, False, "1", "true", "", 1.5, "1.5", None, 1e22, -1, 1e-5, "a", "A"]
        keys = [point_key({"x": value}) for value in values]
        assert len(set(keys)) == len(values)
        for one, other in ((1, 1.0), (0, -0.0), (10**22, 1e22), (2, 2.0)):
            assert point_key({"x": one}) == point_key({"x": other})

    def test_names_count_and_their_order_does_not(self) -> None:
        assert point_key({"a": 1, "b": 2}) == point_key({"b": 2.0, "a": 1.0})
        assert point_key({"a": 1, "b": 2}) != point_key({"a": 2, "b": 1}) != point_key({"a": 1})

    def test_random_grids_have_as_many_keys_as_points(self) -> None:
        rng = random.Random(5)
        for _ in range(50):
            numbers = sorted({round(rng.uniform(-5, 5), rng.randrange(3)) for _ in range(rng.randrange(1, 9))})
            texts = sorted({str(number) for number in numbers})
            space = space_of(
                a={"type": "categorical", "choices": numbers},
                b={"type": "categorical", "choices": texts},
                c={"type": "categorical", "choices": [True, False]},
            )
            points = grid_points(space)
            shuffled = [dict(rng.sample(sorted(point.items()), len(point))) for point in points]
            assert {point_key(point) for point in shuffled} == {point_key(point) for point in points}
            assert len({point_key(point) for point in points}) == grid_size(space) == len(numbers) * len(texts) * 2

    def test_a_stored_point_has_the_key_of_the_grid_point(self, tmp_path: Any) -> None:
        """Optuna's storage gives back other number types; the key is what the next grid point is derived from."""
        import optuna

        space = space_of(
            a={**LOG, "points": 3},
            b={"type": "int", "low": 1, "high": 3},
            c={"type": "categorical", "choices": [1, 2.5]},
        )
        study = optuna.create_study(storage=f"sqlite:///{tmp_path}/s.db")
        for point in grid_points(space):
            study.enqueue_trial(point)
            study.tell(study.ask({name: each.distribution() for name, each in space.items()}), 0.0)
        stored = optuna.load_study(study_name=study.study_name, storage=f"sqlite:///{tmp_path}/s.db").trials
        assert [point_key(trial.params) for trial in stored] == [point_key(point) for point in grid_points(space)]


class TestNearestAndDefault:
    """Moving a value into a range, and the default configuration."""

    @pytest.mark.parametrize(
        ("parameter", "value", "nearest"),
        [
            (LOG, 1.0, 1e-3),
            (LOG, 0.0, 1e-5),
            ({"type": "int", "low": 2, "high": 8, "step": 3}, 4, 5),
            ({"type": "int", "low": 2, "high": 8, "step": 3}, 3.4, 2),
            ({"type": "int", "low": 2, "high": 8, "step": 3}, 100, 8),
            ({"type": "categorical", "choices": [8, 64]}, 20, 8),
            ({"type": "categorical", "choices": [8, 64]}, 24, 64),
            ({"type": "categorical", "choices": [0, 10]}, 4, 0),
            ({"type": "categorical", "choices": ["a", "b"]}, "b", "b"),
            ({"type": "categorical", "choices": ["a", "b"]}, "c", "a"),
            ({"type": "categorical", "choices": [False, True]}, True, True),
        ],
    )
    def test_nearest(self, parameter: Any, value: Any, nearest: Any) -> None:
        assert space_of(x=parameter)["x"].nearest(value) == nearest

    @pytest.mark.parametrize(
        ("parameter", "default", "expected"),
        [
            ({**LOG, "default": 3e-4}, 2e-4, 3e-4),
            (LOG, 2e-4, 2e-4),
            (LOG, 1, 1e-3),
            (LOG, None, 1e-4),
            ({"type": "uniform", "low": 0, "high": 3}, None, 1.5),
            ({"type": "int", "low": 1, "high": 100, "log": True}, None, 10),
            ({"type": "int", "low": 0, "high": 10, "step": 5}, None, 5),
            ({"type": "categorical", "choices": [64, 8, 16]}, None, 16),
            ({"type": "categorical", "choices": [64, 8, 16]}, 16, 16),
            ({"type": "categorical", "choices": ["b", "a"]}, None, "b"),
            ({"type": "categorical", "choices": ["b", "a"]}, "a", "a"),
            ({"type": "categorical", "choices": [8, 16]}, "text", 8),
            (LOG, "text", 1e-4),
            ({"type": "uniform", "low": 0, "high": 3}, True, 1.5),
        ],
    )
    def test_default_configuration(self, parameter: Any, default: Any, expected: Any) -> None:
        assert default_point(space_of(x=parameter), {"x": default}) == {"x": pytest.approx(expected)}

    def test_a_grids_default_is_its_nearest_point(self) -> None:
        space = space_of(
            a={**LOG, "values": [1e-5, 1e-4, 1e-3]},
            b={"type": "int", "low": 0, "high": 10, "step": 5},
            c={"type": "categorical", "choices": [8, 32]},
        )
        point = default_grid_point(space, {"a": 2.5e-4, "b": 6, "c": 16})
        assert point == {"a": 1e-4, "b": 5, "c": 8}
        assert point_key(point) in {point_key(each) for each in grid_points(space)}

    def test_middles_are_inside(self) -> None:
        for low, high in itertools.combinations((1, 2, 3, 7, 1000, 2**53), 2):
            for log in (False, True):
                parameter = space_of(x={"type": "int", "low": low, "high": high, "log": log})["x"]
                assert parameter.contains(parameter.middle())
        tiny = space_of(x={"type": "loguniform", "low": 1e-300, "high": 1e300})["x"]
        assert math.isclose(tiny.middle(), 1.0)
