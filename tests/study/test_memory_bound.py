"""What can be said of a configuration's memory whatever formula it follows."""

from __future__ import annotations

import random
from collections.abc import Callable

import pytest

from hpsearch.study.memory_bound import rules_out

Formula = Callable[[float, float], float]


def drawn_formula(chance: random.Random) -> Formula:
    """A formula of the kind that is looked for, up to 40 units on the unit square."""
    base, first, second, both, square = (chance.choice([0.0, chance.uniform(0, 10)]) for _ in range(5))
    return lambda x, y: 1 + base + first * x + second * y + both * x * y + square * y * y


@pytest.mark.parametrize("seed", range(20))
def test_what_fits_is_never_ruled_out(seed: int) -> None:
    chance = random.Random(seed)
    memory = drawn_formula(chance)
    points = [(chance.random(), chance.random()) for _ in range(12)]
    taken = [memory(*point) * (1 + chance.uniform(-0.01, 0.01)) for point in points]
    for _ in range(10):
        asked = (1.5 * chance.random(), 1.5 * chance.random())
        assert not rules_out(points, taken, asked, limit=memory(*asked))


def test_what_is_far_above_the_limit_is_ruled_out() -> None:
    points = [(0.0, 0.0), (1.0, 0.0), (0.0, 1.0), (1.0, 1.0), (0.5, 0.5)]
    taken = [10 + 4 * x + 6 * y for x, y in points]
    assert rules_out(points, taken, (2.0, 2.0), limit=24.0)  # takes 30 at least
    assert not rules_out(points, taken, (2.0, 1.0), limit=24.0)  # takes 24
    assert rules_out(points, taken, (2.0, 1.0), limit=22.0)


def test_few_trials_rule_out_nothing_that_they_do_not_tell() -> None:
    assert not rules_out([(1.0, 1.0)], [20.0], (4.0, 4.0), limit=24.0)  # it may all be the base
    assert not rules_out([(1.0, 1.0), (2.0, 1.0)], [20.0, 20.1], (2.0, 4.0), limit=24.0)  # the second never varied


def test_memory_that_follows_no_such_formula_rules_out_nothing() -> None:
    points = [(0.1, 0.0), (0.5, 0.0), (1.0, 0.0)]
    assert not rules_out(points, [10.0, 20.0, 10.0], (2.0, 1.0), limit=5.0)
