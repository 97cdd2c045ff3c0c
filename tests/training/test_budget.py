"""Judging is sized by arithmetic over what was measured."""

from __future__ import annotations

from typing import Any

import pytest

from hpsearch.settings import TrainSettings
from hpsearch.training.schedule import EVAL_ROWS, FINAL_ROWS, MOST, Pace, afford, pace_of, share_warning

THERE = {"validation": 500, "holdout": 200}
PACE = Pace(step_s=1.0, batch_s=0.5, row_s=0.02, batch_size=8)


def settings(**changes: Any) -> TrainSettings:
    return TrainSettings(**changes)


@pytest.mark.parametrize("steps", [300, 1000, 3000])
@pytest.mark.parametrize("row_s", [0.001, 0.1, 1.0])
def test_judging_stays_within_its_share_where_that_can_be(steps: int, row_s: float) -> None:
    found = afford(settings(), Pace(1.0, 0.2, row_s, 8), steps, THERE)
    least = 2 * Pace(1.0, 0.2, row_s, 8).judging(EVAL_ROWS[0]) + 2 * Pace(1.0, 0.2, row_s, 8).judging(FINAL_ROWS[0])
    if least < 0.1 * steps:
        assert found.share <= MOST
        assert share_warning(found) == []
    assert EVAL_ROWS[0] <= found.rows <= EVAL_ROWS[1]
    assert FINAL_ROWS[0] <= found.final <= FINAL_ROWS[1]


def test_a_longer_training_affords_more_rows_and_then_more_evaluations() -> None:
    found = [afford(settings(), PACE, steps, THERE) for steps in (100, 300, 1000, 10_000)]
    assert [plan.stride for plan in found] == sorted((plan.stride for plan in found), reverse=True)
    assert found[0].stride > 1
    assert found[-1].stride == 1
    assert found[-1].rows == EVAL_ROWS[1]
    assert found[-1].final == FINAL_ROWS[1]


def test_what_the_settings_say_stands_and_is_warned_of() -> None:
    found = afford(settings(eval_samples=50, final_samples=400, eval_stride=1), PACE, 100, THERE)
    assert (found.stride, found.rows, found.final) == (1, 50, 400)
    assert found.share > MOST
    assert "judging will take about" in share_warning(found)[0]


def test_there_are_never_more_rows_than_there_are() -> None:
    assert afford(settings(), PACE, 10_000, {"validation": 20, "holdout": 9}).rows == 20


def test_the_last_evaluation_is_always_made() -> None:
    for steps in (50, 100, 200, 400):
        assert 20 % afford(settings(), PACE, steps, THERE).stride == 0


def test_a_batch_and_its_rows_are_told_apart() -> None:
    pace = pace_of(1.0, 8, {2: 0.54, 8: 0.66})
    assert pace.row_s == pytest.approx(0.02)
    assert pace.batch_s == pytest.approx(0.5)
    assert pace.judging(20) == pytest.approx(3 * 0.5 + 20 * 0.02)
    assert pace_of(1.0, 8, {1: 0.5}).judging(8) == pytest.approx(0.5)
    assert pace_of(1.0, 8, {2: 0.6, 8: 0.5}).row_s == 0.0


@pytest.mark.parametrize("steps", [1, 4, 100])
def test_a_stride_beyond_the_evaluations_leaves_the_last(steps: int) -> None:
    found = afford(settings(eval_stride=50, final_samples=64), Pace(1.0, 0.0, 0.1, 8), steps, THERE)
    assert found.stride == 50
    judged = 0.1 * (found.rows + 2 * 64)
    assert found.share == pytest.approx(judged / (judged + steps))


def test_evaluations_that_fall_on_one_step_are_counted_once() -> None:
    slow = Pace(1.0, 1.0, 1.0, 8)
    found = afford(settings(evaluations=20), slow, 6, THERE)
    assert found.stride == 10
    judged = 2 * slow.judging(found.rows) + 2 * slow.judging(found.final)
    assert found.share == pytest.approx(judged / (judged + 6))


def test_a_training_that_ends_before_its_first_evaluation_is_judged_at_its_end_alone() -> None:
    found = afford(settings(eval_steps=500, final_samples=64), Pace(1.0, 0.0, 0.1, 8), 100, THERE)
    assert found.share == pytest.approx(12.8 / 112.8)
