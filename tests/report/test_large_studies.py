"""The report of thousands of trials: small, and each figure still shows something; what is left out is said."""

from __future__ import annotations

import random
from datetime import datetime, timedelta
from pathlib import Path

import optuna
import pytest
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution
from optuna.trial import FrozenTrial, TrialState, create_trial

from hpsearch.report.analyze import analyze_study
from hpsearch.report.figures import study_figures
from hpsearch.report.figures.style import Figure
from hpsearch.report.rows import best_and_evenly
from hpsearch.report.summary import StudySummary, summarize
from hpsearch.study import attributes as attrs

COUNT, STEPS, TRIAL_S = 5000, 16, 60.0
SPACE: dict[str, BaseDistribution] = {
    **{f"x{place}": FloatDistribution(0, 1) for place in range(5)},
    "word": CategoricalDistribution(("a", "b", "c")),
}
# Every 20th trial failed, and half of the others were pruned; two ran at once.
STATES = [TrialState.FAIL, *[TrialState.PRUNED, TrialState.COMPLETE] * 10][:20]


def trial(number: int, chance: random.Random) -> FrozenTrial:
    state, level = STATES[number % 20], chance.random()
    reports = STEPS if state is TrialState.COMPLETE else chance.randrange(1, STEPS)
    made = create_trial(
        state=state,
        value=level if state is TrialState.COMPLETE else None,
        params={name: level if name != "word" else chance.choice("abc") for name in SPACE},
        distributions=SPACE,
        intermediate_values={step: level + 1 / step for step in range(1, reports + 1)},
        user_attrs={attrs.MESSAGE: "why", attrs.SEED: chance.getrandbits(31)}
        | ({attrs.IS_DEFAULT: True} if number == 2 else {}),
    )
    made.datetime_start = datetime(2026, 1, 1) + timedelta(seconds=number // 2 * TRIAL_S)
    made.datetime_complete = made.datetime_start + timedelta(seconds=TRIAL_S)
    return made


@pytest.fixture(scope="module")
def study() -> optuna.Study:
    chance, study = random.Random(3), optuna.create_study(study_name="large")
    study.add_trials([trial(number, chance) for number in range(COUNT)])
    return study


@pytest.fixture(scope="module")
def summary(study: optuna.Study) -> StudySummary:
    return summarize(study)


@pytest.fixture(scope="module")
def figures(study: optuna.Study, summary: StudySummary) -> dict[str, Figure]:
    return {figure.key: figure for figure in study_figures(study, summary)}


def test_the_report_of_five_thousand_trials_is_small(study: optuna.Study, tmp_path: Path) -> None:
    result = analyze_study(study, study_dir=None, output_dir=tmp_path, png=False)
    assert result.report.stat().st_size < 7_500_000, "of which plotly.js is 4.8 MB"
    assert len((tmp_path / "report.json").read_text().splitlines()) < COUNT + 500


def test_a_thinned_ranking_keeps_the_best() -> None:
    assert best_and_evenly(range(12), 3, 3) == [0, 1, 2, 3, 7, 11]
    assert best_and_evenly(range(5), 3, 3) == [0, 1, 2, 3, 4]


def test_slices_show_the_best_the_default_and_some_of_the_others(
    summary: StudySummary, figures: dict[str, Figure]
) -> None:
    complete = len(summary.completed)
    assert f"the best 200 of {complete}, and 300 of the others" in figures["slice"].caption
    panel = [trace for trace in figures["slice"].traces if trace["xaxis"] == "x"]
    drawn = {text.split(",")[0] for trace in panel if trace["name"] == "completed" for text in trace["text"]}
    best = sorted(summary.completed, key=lambda row: row.value or 0.0)[:200]
    assert {f"trial {row.label}" for row in best} <= drawn
    assert 500 <= len(drawn) <= 501
    assert {trace["name"] for trace in panel} == {"pruned, last value", "completed", "default", "best"}


def test_shares_below_the_history_add_up_to_the_trials(summary: StudySummary, figures: dict[str, Figure]) -> None:
    bars = {trace["name"]: trace for trace in figures["history"].traces if trace["type"] == "bar"}
    assert figures["history"].caption.endswith("of each 50 trials, the share that was pruned or failed.")
    for name, trace in bars.items():
        assert sum(trace["y"]) * 50 == pytest.approx(sum(row.ending.group == name for row in summary.rows))
    assert bars["failed"]["base"] == bars["pruned"]["y"], "one stands on the other"


def test_the_timeline_tells_how_many_ran_at_once(summary: StudySummary, figures: dict[str, Figure]) -> None:
    traces = {trace["name"]: trace for trace in figures["timeline"].traces}
    assert set(traces) == {"completed", "pruned", "failed"}
    at_once = [sum(shares) for shares in zip(*(trace["y"] for trace in traces.values()), strict=True)]
    assert at_once == pytest.approx([2.0] * 100, abs=1e-3)
    whole = COUNT / 2 * TRIAL_S
    for group, trace in {"complete": traces["completed"], "failed": traces["failed"]}.items():
        seconds = sum(row.duration_s or 0.0 for row in summary.rows if row.ending.group == group)
        assert sum(trace["y"]) * whole / 100 == pytest.approx(seconds, rel=1e-3)


@pytest.mark.parametrize("key", ["parallel", "intermediate"])
def test_lines_are_thinned_with_the_best_on_top(summary: StudySummary, figures: dict[str, Figure], key: str) -> None:
    figure, best = figures[key], summary.best
    assert best is not None and best.trial is not None
    assert "trials are drawn" in figure.caption
    assert set(figure.traces[-1]["text"]) == {f"trial {best.trial.label}"}
    assert sum(trace["x"].count(None) for trace in figure.traces) <= 200
