"""Figures: valid plotly in both colour schemes, a sentence where there is too little, and light at any size."""

from __future__ import annotations

import json
import math
import re
from typing import Any

import optuna
import plotly.graph_objects as go
import pytest
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.trial import create_trial

from hpsearch.report.figures import study_figures
from hpsearch.report.figures.history import best_points, best_so_far
from hpsearch.report.figures.importance import MINIMUM_TRIALS, importances
from hpsearch.report.figures.style import PALETTES, Figure, value_axis
from hpsearch.report.rows import StudyObjective
from hpsearch.report.summary import StudySummary, summarize
from hpsearch.report.text import script_json
from tests.report.sample_studies import foreign_study, sample_study

KEYS = ["history", "importance", "slice", "parallel", "intermediate", "timeline"]
CER = StudyObjective("eval_cer", "minimize")


def wide_study(parameters: int) -> optuna.Study:
    """Twenty trials of many parameters, one of them with as many choices."""
    study = optuna.create_study(direction="maximize")
    names = [f"p{number:02d}" for number in range(parameters)]
    choices = CategoricalDistribution(tuple(f"choice {number}" for number in range(40)))
    distributions = {name: FloatDistribution(0, 1) for name in names} | {"words": choices}
    for number in range(20):
        params: dict[str, Any] = {name: math.sin(place + number) ** 2 for place, name in enumerate(names)}
        params["words"] = f"choice {number}"
        study.add_trial(create_trial(value=number / 20, params=params, distributions=distributions))
    return study


def one_trial() -> optuna.Study:
    study = optuna.create_study()
    study.add_trial(create_trial(value=0.0, params={"x": 1}, distributions={"x": IntDistribution(1, 1)}))
    return study


STUDIES = {
    "ours": sample_study,
    "another script's": foreign_study,
    "empty": optuna.create_study,
    "one trial": one_trial,
    "twenty parameters": lambda: wide_study(20),
}


def drawn(study: optuna.Study) -> tuple[StudySummary, dict[str, Figure]]:
    summary = summarize(study)
    return summary, {figure.key: figure for figure in study_figures(study, summary)}


@pytest.mark.parametrize("scheme", PALETTES)
@pytest.mark.parametrize("kind", STUDIES)
def test_every_figure_is_valid_plotly_or_a_sentence(kind: str, scheme: str) -> None:
    _, figures = drawn(STUDIES[kind]())
    assert list(figures) == KEYS
    for figure in figures.values():
        if figure.drawn:
            assert isinstance(figure.plotly(scheme), go.Figure)
            assert '"@' not in json.dumps(figure.painted(scheme))
            script_json(figure.spec())  # strict: no nan, no infinity
        else:
            assert figure.sentence.endswith(".") and not figure.traces


def test_our_study_draws_all_of_them() -> None:
    _, figures = drawn(sample_study())
    assert all(figure.drawn for figure in figures.values())


def test_an_empty_study_draws_none() -> None:
    _, figures = drawn(optuna.create_study())
    assert not any(figure.drawn for figure in figures.values())


def test_palettes_name_the_same_colours() -> None:
    assert PALETTES["light"].keys() == PALETTES["dark"].keys()


def test_axes_say_which_way_is_better() -> None:
    _, figures = drawn(sample_study())
    assert "CER (lower is better" in figures["history"].layout["yaxis"]["title"]["text"]
    _, figures = drawn(wide_study(2))
    assert "value (higher is better)" in figures["slice"].layout["yaxis"]["title"]["text"]


def test_history_has_base_and_default_as_lines() -> None:
    summary, figures = drawn(sample_study())
    assert summary.default is not None
    levels = [line["y0"] for line in figures["history"].layout["shapes"]]
    assert levels == [0.914, summary.default.value]
    assert [label["text"].split()[0] for label in figures["history"].layout["annotations"]] == ["base", "default"]


def test_best_so_far_never_gets_worse_and_ends_at_the_last_trial() -> None:
    summary, figures = drawn(sample_study())
    line = next(trace for trace in figures["history"].traces if trace["name"] == "best so far")
    assert line["y"][:-1] == sorted(line["y"][:-1], reverse=True)
    assert line["x"][-1] == summary.rows[-1].number
    assert line["y"][-1] == pytest.approx(summary.best.value if summary.best else None, rel=1e-5)


@pytest.mark.parametrize("count", [0, 1, MINIMUM_TRIALS - 1])
def test_importance_of_few_trials_is_a_sentence(count: int) -> None:
    study = optuna.create_study()
    for number in range(count):
        params = {"x": number / 10, "y": 1 - number / 10}
        ranges = {"x": FloatDistribution(0, 1), "y": FloatDistribution(0, 1)}
        study.add_trial(create_trial(value=number, params=params, distributions=ranges))
    shares = importances(study, summarize(study))
    assert isinstance(shares, str) and f"needs {MINIMUM_TRIALS} completed trials" in shares and str(count) in shares


def test_importance_needs_two_parameters_that_vary() -> None:
    study = optuna.create_study()
    ranges = {"x": FloatDistribution(0, 1), "fixed": IntDistribution(3, 3)}
    for number in range(20):
        params = {"x": number / 20, "fixed": 3}
        study.add_trial(create_trial(value=number, params=params, distributions=ranges))
    shares = importances(study, summarize(study))
    assert isinstance(shares, str) and "1 of them varied" in shares


def test_importance_of_equal_values_is_a_sentence() -> None:
    study = optuna.create_study()
    ranges = {"x": FloatDistribution(0, 1), "y": FloatDistribution(0, 1)}
    for number in range(20):
        params = {"x": number / 20, "y": 1 - number / 20}
        study.add_trial(create_trial(value=1.0, params=params, distributions=ranges))
    assert "same value" in str(importances(study, summarize(study)))


def test_importance_finds_the_parameter_that_decides() -> None:
    shares = importances(sample_study(), summarize(sample_study()))
    assert isinstance(shares, dict)
    assert next(iter(shares)) == "learning_rate"
    assert sum(shares.values()) == pytest.approx(1.0)
    assert list(shares.values()) == sorted(shares.values(), reverse=True)


def test_a_thousand_trials_stay_light() -> None:
    summary, figures = drawn(sample_study("big", 1000))
    sizes = {key: len(script_json(figure.spec())) for key, figure in figures.items()}
    assert sum(sizes.values()) < 1_500_000, sizes
    assert max(len(figure.traces) for figure in figures.values()) <= 20
    assert "trials are drawn" in figures["intermediate"].caption
    assert len(summary.rows) == 1001


def test_some_hundred_trials_share_the_lines_of_the_timeline() -> None:
    _, figures = drawn(sample_study("some", 300))
    assert "share a line" in figures["timeline"].caption


def test_many_parameters_are_cut_and_the_caption_says_so() -> None:
    _, figures = drawn(wide_study(20))
    assert "Shows 12 of 21 parameters" in figures["slice"].caption
    assert "Shows 8 of 21 parameters" in figures["parallel"].caption


def test_labels_cannot_carry_plotlys_markup() -> None:
    study = optuna.create_study(study_name="<b>bold</b>")
    name = '<a href="https://example.org">click</a>'
    ranges = {name: FloatDistribution(0, 1), "<b>c</b>": CategoricalDistribution(("<i>one</i>", "two"))}
    for number in range(12):
        params = {name: number / 12, "<b>c</b>": ("<i>one</i>", "two")[number % 2]}
        study.add_trial(create_trial(value=number, params=params, distributions=ranges))
    _, figures = drawn(study)
    for figure in [*figures.values(), best_so_far([summarize(study)])]:
        assert not re.search(r"<(?!br>)", json.dumps(figure.spec())), figure.key


def test_axes_of_errors_that_span_decades_are_logarithmic() -> None:
    axis, note = value_axis(CER, [0.05, 0.06, 0.9])
    assert axis["type"] == "log" and note == "" and "0.1" in axis["ticktext"]
    assert "type" not in value_axis(CER, [0.5, 0.6, 0.9])[0]
    assert "type" not in value_axis(CER, [0.0, 0.6, 0.9])[0]
    assert "type" not in value_axis(StudyObjective("f1", "maximize"), [0.01, 0.6, 0.9])[0]


def test_a_penalty_value_does_not_set_the_scale() -> None:
    axis, note = value_axis(CER, [0.05, 0.06, 0.07, 0.9, 1e9])
    assert note == "1 value lies beyond the axis."
    assert axis["range"][1] < 1
    whole, note = value_axis(CER, [0.055, 0.06, 0.06, 0.06, 0.061, 1.0])
    assert note == "" and whole["range"][1] > 0


def test_a_race_counts_trials_and_time() -> None:
    summary = summarize(sample_study())
    points = best_points(summary)
    assert points[-1][0] == len(summary.rows)
    assert points[-1][1] == pytest.approx(summary.time_total_s)
    assert summary.best is not None and points[-1][2] == summary.best.value
    assert best_points(summarize(optuna.create_study())) == []


def test_pruned_trials_are_drawn_apart_at_their_last_value() -> None:
    summary, figures = drawn(sample_study())
    pruned = [row for row in summary.rows if row.cause == "pruned"]
    panel = next(trace for trace in figures["slice"].traces if trace["name"] == "pruned, last value")
    assert panel["y"] == pytest.approx([row.steps[-1][1] for row in pruned], rel=1e-5)
    assert panel["marker"]["symbol"] == "x" and "Pruned trials" in figures["slice"].caption
    lines = next(trace for trace in figures["parallel"].traces if trace["name"] == "pruned, last value")
    assert lines["line"]["dash"] == "dot" and lines["x"].count(None) == len(pruned)
    assert all(value is None or -0.2 < value <= 1 for value in lines["y"])


def test_on_a_phone_panels_lie_below_each_other() -> None:
    _, figures = drawn(sample_study())
    domains = [value["domain"] for key, value in figures["slice"].narrow.items() if key.startswith("xaxis")]
    assert domains == [[0, 1]] * 4
    lying = figures["parallel"].narrow
    assert {shape["x1"] - shape["x0"] for shape in lying["shapes"]} == {1} and figures["parallel"].turned
