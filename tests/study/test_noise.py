"""The noise floor: repeats in a study, their pooling, the prior."""

from __future__ import annotations

import numpy as np
import optuna
import pytest
from optuna.trial import TrialState, create_trial

from hpsearch.data.uncertainty import DocumentScores
from hpsearch.study import attributes as attrs
from hpsearch.study.noise import PRIOR, PRIOR_OF_LOSS, noise_floor, repeats_of

# Measured on the demo: eight, six and six seeds of one configuration each.
DEMO = (
    [0.0468, 0.0416, 0.0442, 0.0442, 0.0312, 0.0286, 0.0571, 0.0494],
    [0.0260, 0.0312, 0.0338, 0.0286, 0.0182, 0.0208],
    [0.1325, 0.1247, 0.1247, 0.1117, 0.1195, 0.1169],
)


def test_without_repeats_it_is_the_prior_alone_and_says_so() -> None:
    floor = noise_floor([[0.04], []], at=0.04)
    assert floor.repeats == 0 and floor.freedom == 3
    assert floor.low < PRIOR * 0.04 < floor.high
    assert floor.high / floor.low > 30
    assert "no configuration was repeated" in floor.sentence
    assert noise_floor([], at=0.04, prior=PRIOR_OF_LOSS).sd < floor.sd / 5


def test_repeats_are_pooled_over_configurations() -> None:
    alone, pooled = noise_floor(DEMO[:1], at=0.03), noise_floor(DEMO, at=0.03)
    assert (alone.repeats, pooled.repeats) == (7, 17)
    assert pooled.freedom > alone.freedom > 3
    assert pooled.high - pooled.low < alone.high - alone.low
    # Near the sds of the two good configurations, .0093 and .0060, though the bad one's errors are four times theirs.
    assert 0.005 < pooled.sd < 0.0095
    assert "17 repeats" in pooled.sentence


def test_few_repeats_are_shrunk_and_many_are_not() -> None:
    rng = np.random.default_rng(0)
    few, many = (noise_floor([rng.normal(0.04, 0.0004, runs)], at=0.04) for runs in (2, 60))
    assert few.sd > 3 * many.sd
    assert many.sd == pytest.approx(0.0004, rel=0.3)
    assert few.low < 0.0004 < few.high and many.low < 0.0004 < many.high


def test_it_grows_with_the_root_of_the_errors_within_bounds() -> None:
    floor = noise_floor(DEMO, at=0.03)
    assert floor.sd_at(0.06) == pytest.approx(2**0.5 * floor.sd)
    assert floor.sd_at(0.0) == pytest.approx(floor.sd / 3)
    assert floor.sd_at(1.0) == pytest.approx(floor.sd * 3)
    shares = noise_floor([[1 - score for score in group] for group in DEMO], at=0.97, direction="maximize")
    assert shares.sd == pytest.approx(floor.sd)
    assert shares.sd_at(0.94) == pytest.approx(floor.sd_at(0.06))


def test_the_unit_of_the_score_does_not_matter() -> None:
    percent = noise_floor([[100 * score for score in group] for group in DEMO], at=3)
    assert percent.sd == pytest.approx(100 * noise_floor(DEMO, at=0.03).sd)


def test_scores_by_document_leave_out_the_documents_part() -> None:
    rng = np.random.default_rng(1)
    below = np.full((12, 40), 100.0)
    above = rng.poisson(4, (12, 40)).astype(float)  # no seed is better than another: all noise is that of pages
    names = tuple(map(str, range(40)))
    by_document = DocumentScores(names, above, below)
    assert noise_floor([by_document]).sd < 0.6 * noise_floor([list(by_document.runs)]).sd


def test_perfect_runs_have_no_unit() -> None:
    assert noise_floor([[0.0, 0.0]]).sd == 0
    assert noise_floor([[0.0, 0.0], [0.02, 0.03]], at=0.0).sd > 0


def test_repeats_are_of_the_same_parameters_or_name_their_trial_and_have_other_seeds() -> None:
    spread = {"x": optuna.distributions.FloatDistribution(0, 1)}

    def trial(x: float, value: float | None, **attributes: int) -> optuna.trial.FrozenTrial:
        state = TrialState.COMPLETE if value is not None else TrialState.FAIL
        return create_trial(state=state, value=value, params={"x": x}, distributions=spread, user_attrs=attributes)

    study = optuna.create_study()
    named = {"seed": attrs.SEED, "repeats": attrs.REPEATS}
    for x, value, given in (
        (0.1, 1.0, {"seed": 1}),
        (0.2, 2.0, {"seed": 2}),
        (0.1, 1.1, {"seed": 3}),
        (0.1, None, {"seed": 4}),
        (0.1, 1.0, {"seed": 1}),  # the same run again
        (0.100001, 1.2, {"seed": 5, "repeats": 0}),
        (0.3, 3.0, {}),
        (0.3, 3.1, {}),
        (0.4, float("inf"), {"seed": 6}),
        (0.4, 4.0, {"seed": 7}),
    ):
        study.add_trial(trial(x, value, **{named[name]: number for name, number in given.items()}))
    groups = repeats_of(study.trials)
    assert [[run.number for run in runs] for runs in groups] == [[0, 2, 5], [6, 7]]
