"""From studies of every kind to rows and summaries."""

from __future__ import annotations

import json
import math
from datetime import UTC, datetime, timedelta

import optuna
import pytest
from optuna.distributions import CategoricalDistribution, FloatDistribution
from optuna.trial import TrialState, create_trial

from hpsearch.errors import UsageError
from hpsearch.execution.outcome import Cause
from hpsearch.report.rows import ENDINGS, StudyObjective, evenly, finite, groups, objective_of, read_rows
from hpsearch.report.summary import describe, gain, summarize
from hpsearch.report.terminal import render, summary_tables
from hpsearch.study import attributes as attrs
from tests.report.sample_studies import DEFINITION, ENDED, MESSAGES, PREPARED, foreign_study

LOSS = StudyObjective("eval_loss", "minimize")
X = {"x": FloatDistribution(0, 1)}


def study_of(*values: float, direction: str = "minimize") -> optuna.Study:
    study = optuna.create_study(direction=direction)
    for value in values:
        study.add_trial(create_trial(value=value, params={"x": 0.5}, distributions=X))
    return study


def test_our_rows_say_how_each_trial_ended(study: optuna.Study) -> None:
    rows = read_rows(study, objective_of(study))
    for cause, number in ENDED.items():
        assert rows[number].cause == cause.value
        assert rows[number].message == MESSAGES[cause]
        assert rows[number].value is None
    assert rows[0].is_default
    assert rows[0].seed == 1000
    assert rows[0].holdout_value == rows[0].metrics["holdout_cer"]


def test_what_the_sampler_did_not_choose_is_tagged() -> None:
    study = study_of()
    for own in ({"hps:default": True}, {"hps:try_first": "known good"}, {"hps:try_first": "<b>"}, {}):
        study.add_trial(create_trial(value=0.1, params={"x": 0.5}, distributions=X, user_attrs=own))
    rows = read_rows(study, LOSS)
    assert [row.tag for row in rows] == ["default", "known good", "", ""]
    assert any("1, known good" in line for line in render(summary_tables(summarize(study))))


def test_a_pruned_trial_has_no_value_though_optuna_gives_it_its_last_report() -> None:
    study = optuna.create_study()
    trial = study.ask()
    trial.report(0.01, 1)
    study.tell(trial, state=TrialState.PRUNED)
    assert study.trials[0].value == 0.01
    [row] = read_rows(study, LOSS)
    assert row.value is None
    assert row.steps == ((1, 0.01),)
    assert summarize(study).best is None


def test_retries_are_one_trial(study: optuna.Study) -> None:
    summary = summarize(study)
    lost = ENDED[Cause.LOST]
    attempts = groups(summary.rows)[lost]
    assert [row.attempt for row in attempts] == [1, 2]
    assert len(summary.rows) == len(summary.trials) + 1
    assert next(row for row in summary.trials if row.root == lost).cause == "ok"
    assert attempts[1].label == f"{lost} (2nd attempt)"


def test_retries_of_optunas_own_callback_are_one_trial() -> None:
    study = optuna.create_study()
    study.add_trial(create_trial(state=TrialState.FAIL))
    study.add_trial(create_trial(value=1.0, system_attrs={"failed_trial": 0, "retry_history": [0]}))
    assert [(row.root, row.attempt) for row in summarize(study).rows] == [(0, 1), (0, 2)]


def test_the_summary_has_base_default_and_best(study: optuna.Study) -> None:
    summary = summarize(study, top=3)
    assert summary.base is not None and summary.default is not None and summary.best is not None
    assert (summary.base.value, summary.base.holdout) == (0.914, 0.921)
    assert summary.default.trial is not None and summary.default.trial.number == 0
    assert summary.best.value == study.best_value
    assert [row.value for row in summary.top] == sorted(row.value or 0 for row in summary.completed)[:3]
    assert sum(summary.counts.values()) == len(summary.trials)
    assert summary.objective.title == "CER"
    assert summary.target == 40


@pytest.mark.parametrize(
    ("direction", "best"), [("minimize", 0.2), ("maximize", 0.7)], ids=["lower is better", "higher is better"]
)
def test_what_is_not_finite_never_ranks(direction: str, best: float) -> None:
    summary = summarize(study_of(math.inf, 0.7, -math.inf, 0.2, 1.7e308, direction=direction))
    assert summary.best is not None and summary.best.value == best
    assert summary.counts == {"not_finite": 3, "ok": 2}
    assert summary.statistics is not None and summary.statistics.count == 2


def test_a_study_of_another_script() -> None:
    summary = summarize(foreign_study())
    assert summary.best is not None and math.isfinite(summary.best.value or math.nan)
    assert summary.base is None and summary.default is None
    assert set(summary.counts) == {"ok", "not_finite", "failed", "running", "waiting"}
    assert {parameter.name: parameter.scale for parameter in summary.parameters} == {
        "lr": "log",
        "momentum": "linear",
        "optimizer": "choice",
    }
    assert summary.trials[-1].params == {"lr": 1e-3}  # what was enqueued
    assert summary.objective == StudyObjective("value", "minimize")


def test_metric_names_of_optuna_name_the_objective() -> None:
    study = study_of(1.0)
    study._storage.set_study_system_attr(study._study_id, "study:metric_names", ["error rate"])
    assert objective_of(study).title == "error rate"


def test_an_empty_study() -> None:
    summary = summarize(optuna.create_study())
    assert summary.best is None and summary.statistics is None and summary.pruned_share is None
    assert summary.counts == {} and summary.top == () and summary.time_total_s == 0


def test_a_study_in_which_everything_failed() -> None:
    study = optuna.create_study()
    study.add_trial(create_trial(state=TrialState.FAIL))
    summary = summarize(study)
    assert summary.best is None and set(summary.failures) == {"failed"}


def test_several_objectives_are_refused_with_their_number() -> None:
    study = optuna.create_study(directions=["minimize", "maximize"])
    with pytest.raises(UsageError, match=r"one objective, but .* has 2; .*dashboard"):
        summarize(study)


def test_attributes_that_are_not_what_we_write_are_ignored() -> None:
    study = optuna.create_study()
    study.set_user_attr(attrs.DEFINITION, "{not json")
    study.set_user_attr(attrs.PREPARED, [1, 2])
    study.set_user_attr(attrs.TARGET, "many")
    odd = {
        attrs.OUTCOME: "exploded",
        attrs.ROOT: "x",
        attrs.ATTEMPT: -1,
        attrs.METRICS: ["a"],
        attrs.SEED: True,
        attrs.MESSAGE: 7,
        attrs.DURATION: "long",
        attrs.FOLDER: 3,
    }
    study.add_trial(create_trial(value=1.0, user_attrs=odd))
    summary = summarize(study)
    [row] = summary.rows
    assert (row.cause, row.root, row.attempt, row.metrics, row.seed, row.message, row.folder) == (
        "ok", 0, 1, {}, None, "", None,
    )  # fmt: skip
    assert summary.definition == {} and summary.base is None and summary.target is None


def test_attributes_may_be_json_text() -> None:
    study = study_of(0.5)
    study.set_user_attr(attrs.DEFINITION, json.dumps(DEFINITION))
    study.set_user_attr(attrs.PREPARED, json.dumps(PREPARED))
    summary = summarize(study)
    assert summary.objective.metric == "eval_cer"
    assert summary.base is not None and summary.base.value == 0.914


def test_times_with_and_without_a_zone_can_be_compared() -> None:
    study = study_of(1.0, 2.0)
    aware, naive = study._storage.get_all_trials(study._study_id, deepcopy=False)
    aware.datetime_start = datetime(2026, 3, 2, 10, tzinfo=UTC)
    aware.datetime_complete = aware.datetime_start + timedelta(hours=1)
    naive.datetime_start, naive.datetime_complete = datetime(2026, 3, 2, 9), datetime(2026, 3, 2, 10)
    summary = summarize(study)
    assert summary.started == datetime(2026, 3, 2, 9) and summary.ended == datetime(2026, 3, 2, 11)


def test_one_name_with_two_kinds_of_range() -> None:
    study = optuna.create_study()
    study.add_trial(create_trial(value=1.0, params={"r": 8}, distributions={"r": CategoricalDistribution((8, 16))}))
    study.add_trial(create_trial(value=2.0, params={"r": 12.5}, distributions={"r": FloatDistribution(1, 20)}))
    [parameter] = summarize(study).parameters
    assert parameter.scale == "choice" and set(parameter.choices) == {8, 16, 12.5}


def test_choices_that_are_equal_in_python_are_told_apart() -> None:
    study = optuna.create_study()
    choices = (True, 1, 1.0, "1", None)
    for choice in choices:
        distribution = {"c": CategoricalDistribution(choices)}
        study.add_trial(create_trial(value=1.0, params={"c": choice}, distributions=distribution))
    assert len(summarize(study).parameters[0].choices) == 5


def test_statistics() -> None:
    numbers = describe([4.0, 1.0, 3.0, 2.0])
    assert numbers is not None
    assert (numbers.lower_quartile, numbers.median, numbers.upper_quartile, numbers.spread) == (1.75, 2.5, 3.25, 1.5)
    single = describe([7.0])
    assert single is not None and (single.median, single.deviation, single.spread) == (7.0, 0.0, 0.0)
    assert describe([]) is None


def test_statistics_of_huge_values_do_not_overflow() -> None:
    numbers = summarize(study_of(1e300, -1e300, 9e299, 1.0)).statistics
    assert numbers is not None and all(math.isfinite(value) for value in vars(numbers).values())


def test_what_pruning_saved_is_estimated_from_whole_trials() -> None:
    study = optuna.create_study()
    whole = dict.fromkeys(range(1, 21), 0.5)
    own = {attrs.OUTCOME: "ok", attrs.DURATION: 100.0}
    cut = {attrs.OUTCOME: "pruned", attrs.DURATION: 30.0}
    broken = {attrs.OUTCOME: "crash", attrs.DURATION: 30.0}
    study.add_trial(create_trial(value=0.5, intermediate_values=whole, user_attrs=own))
    steps = dict.fromkeys(range(1, 6), 0.9)
    study.add_trial(create_trial(state=TrialState.PRUNED, value=0.9, intermediate_values=steps, user_attrs=cut))
    study.add_trial(create_trial(state=TrialState.FAIL, intermediate_values=steps, user_attrs=broken))
    summary = summarize(study)
    assert summary.time_saved_s == pytest.approx(70.0)  # 30 s for 5 of 20 reports: 120 s, but none took over 100 s
    assert summary.time_total_s == 160.0
    assert summary.pruned_share == 0.5  # the crashed one is not finished


def test_hours_go_by_what_they_went_into() -> None:
    study = optuna.create_study()
    study.set_user_attr(attrs.DEFINITION, {"search_space": {}})
    measured = {attrs.METRICS: {"train_seconds": 60.0, "eval_seconds": 30.0}, attrs.GPUS: 2}
    late = {attrs.METRICS: {"train_seconds": 80.0, "eval_seconds": 30.0}, attrs.REPEATS: 0}  # more than it took
    for outcome, seconds, own in (
        ("ok", 100.0, measured),
        ("ok", 50.0, late | {attrs.REPEATS: None}),
        ("ok", 40.0, {}),
        ("ok", 20.0, late),
    ):
        attributes = {attrs.OUTCOME: outcome, attrs.DURATION: seconds, **own}
        study.add_trial(create_trial(value=0.5, user_attrs=attributes))
    for outcome, state in (("pruned", TrialState.PRUNED), ("crash", TrialState.FAIL), ("lost", TrialState.FAIL)):
        attributes = {attrs.OUTCOME: outcome, attrs.DURATION: 30.0}
        value = 0.9 if outcome == "pruned" else None
        steps = {1: 0.9} if outcome == "pruned" else {}
        study.add_trial(create_trial(state=state, value=value, intermediate_values=steps, user_attrs=attributes))
    summary = summarize(study)
    seconds = {use: round(hours * 3600) for use, hours in summary.hours_by_use.items()}
    assert seconds == {
        "loading": 20,
        "training": 120 + 50 + 40,
        "judging": 60,
        "pruned": 30,
        "failed": 30,
        "interrupted": 30,
        "repeated": 20,
    }
    assert sum(summary.hours_by_use.values()) == pytest.approx(summary.gpu_hours)
    shown = "\n".join(render(summary_tables(summary), 300))
    assert "GPU-hours by use: loading 0.00556" in shown


@pytest.mark.parametrize(
    ("direction", "before", "after", "expected"),
    [
        ("minimize", 0.2, 0.1, (0.1, 0.5)),
        ("maximize", 0.2, 0.1, (-0.1, -0.5)),
        ("minimize", 0.0, 0.1, (-0.1, None)),
        ("minimize", None, 0.1, None),
    ],
)
def test_gain(direction: str, before: float | None, after: float, expected: object) -> None:
    assert gain(StudyObjective("m", direction), before, after) == expected


def test_evenly_keeps_both_ends() -> None:
    assert evenly(range(1000), 5) == [0, 250, 500, 749, 999]
    assert evenly([1, 2], 5) == [1, 2]


def test_finite() -> None:
    assert [finite(value) for value in (1, 0.5, "0.25", "nan", "x", True, None, 10**400, math.inf)] == [
        1.0, 0.5, 0.25, None, None, None, None, None, None,
    ]  # fmt: skip


def test_every_cause_has_words_and_every_failure_a_remedy() -> None:
    assert {cause.value for cause in Cause} <= set(ENDINGS)
    assert all(ending.remedy for ending in ENDINGS.values() if ending.group == "failed")
