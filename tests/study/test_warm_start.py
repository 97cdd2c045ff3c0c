"""A warm start: what a study reuses of another one, what is said of it, and when it is given up."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import optuna
import pytest
from optuna.samplers import BaseSampler, TPESampler
from optuna.storages import BaseStorage, InMemoryStorage
from optuna.trial import FrozenTrial, TrialState

from hpsearch.config.definition import StudyDefinition
from hpsearch.errors import DefinitionChanged, UsageError
from hpsearch.execution.outcome import Cause
from hpsearch.study import attributes as attrs
from hpsearch.study.ledger import Ledger
from hpsearch.study.options import RunOptions
from hpsearch.study.preparation import PreparedInfo
from hpsearch.study.sampling.planner import Planner, WarmStartedSampler, queue_default
from hpsearch.study.warm_start import WarmStart, stored_warm_start
from hpsearch.study.warm_start_source import SourceStudy, find_source, make_warm_start, refuse_late
from tests.study.played import open_ledger, open_storage

SPACE = {
    "rate": {"type": "loguniform", "low": 1e-5, "high": 1e-3},
    "rank": {"type": "categorical", "choices": [8, 16, 32]},
}
STUDY = {"command": ["prog"], "objective": {"metric": "loss", "direction": "minimize"}, "search_space": SPACE}
PREPARED = {"fingerprint": "a", "model_fingerprint": "b", "resolved": {"final_samples": 64}}
INFO = PreparedInfo.from_json(PREPARED)

Value = Callable[[dict[str, Any]], float]


def defined(**keys: Any) -> StudyDefinition:
    return StudyDefinition.from_flat(STUDY | keys)


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path / 'x.db'}"


@pytest.fixture
def storage(tmp_path: Path) -> BaseStorage:
    return open_storage(tmp_path / "x.db")


def run(ledger: Ledger, count: int, value: Value, warm_start: WarmStart | None = None) -> list[dict[str, Any]]:
    """Run ``count`` more trials one after the other; return the points of all."""
    for _ in range(count):
        trial = Planner(ledger.study, ledger.definition, warm_start).next_trial()  # a new one: as if resumed
        assert trial is not None
        ledger.study.tell(trial, value(trial.params))
    return [trial.params for trial in ledger.trials()]


def good_at(rate: float) -> Value:
    return lambda params: abs(params["rate"] - rate) * 1e3 + params["rank"] / 1e4


@cache
def searched() -> Sequence[FrozenTrial]:
    """The trials of ``source_study``."""
    ledger = open_ledger(InMemoryStorage(), defined(), "old")
    queue_default(ledger.study, ledger.definition)
    run(ledger, 12, good_at(2e-4))
    return ledger.trials()


def source_study(storage: BaseStorage) -> Ledger:
    """A finished study named old, whose best rates are about 2e-4."""
    ledger = open_ledger(storage, defined(), "old")
    ledger.study.set_user_attr(attrs.PREPARED, PREPARED)
    ledger.study.add_trials(searched())
    return ledger


def found(url: str, definition: StudyDefinition, **options: Any) -> SourceStudy:
    asked = RunOptions(storage=url, warm_start_from="old", **options)
    source = find_source(asked, "new", definition)
    assert source is not None
    return source


def started(storage: BaseStorage, url: str, **keys: Any) -> tuple[Ledger, WarmStart]:
    """A study named new that was warm-started, before its first trial."""
    ledger = open_ledger(storage, defined(seed=1, **keys), "new")
    warm_start, _ = make_warm_start(found(url, ledger.definition), ledger.definition, INFO)
    ledger.study.set_user_attr(attrs.WARM_START, warm_start.to_json())
    queue_default(ledger.study, ledger.definition)
    stored = stored_warm_start(ledger.study)
    assert stored == warm_start
    return ledger, warm_start


def carried(ledger: Ledger) -> list[int]:
    """Numbers of the trials that try points of the other study."""
    return [trial.number for trial in ledger.trials() if attrs.CARRIED in trial.user_attrs]


def test_its_best_points_are_tried_in_turn_and_its_values_shown_once_they_help(storage: BaseStorage, url: str) -> None:
    old = source_study(storage)
    ledger, warm_start = started(storage, url)
    best = sorted(old.trials(), key=lambda trial: trial.value or 0.0)
    assert [each.trial for each in warm_start.points] == [trial.number for trial in best[:3]]
    assert len(warm_start.prior) == 12
    run(ledger, 6, good_at(2e-4), warm_start)
    assert carried(ledger) == [1, 3, 5]
    assert ledger.trial(1).params == best[0].params
    assert warm_start.helps(ledger.trials(), "minimize") is True
    assert len(warm_start.prior_trials(ledger.definition, ledger.trials())) == 12
    assert len(ledger.trials()) == 6  # what is shown to the sampler is no trial of the study


def test_points_that_do_no_better_are_given_up(storage: BaseStorage, url: str) -> None:
    source_study(storage)
    ledger, warm_start = started(storage, url)
    run(ledger, 12, lambda params: -good_at(2e-4)(params), warm_start)
    assert warm_start.helps(ledger.trials(), "minimize") is False
    assert carried(ledger) == [1, 3, 5]
    assert warm_start.prior_trials(ledger.definition, ledger.trials()) == []


def test_a_given_up_warm_start_leaves_the_sampler_as_it_would_be(storage: BaseStorage, url: str) -> None:
    source_study(storage)
    ledger, warm_start = started(storage, url)
    bad: Value = lambda params: -good_at(2e-4)(params)  # noqa: E731
    run(ledger, 10, bad, warm_start)
    twin = open_ledger(storage, ledger.definition, "twin")
    twin.study.add_trials(ledger.trials())
    assert run(ledger, 3, bad, warm_start)[10:] == run(twin, 3, bad)[10:]


def test_a_resumed_study_goes_on_as_an_undisturbed_one(storage: BaseStorage, url: str) -> None:
    source_study(storage)
    first, warm_start = started(storage, url)
    resumed = run(first, 12, good_at(2e-4), warm_start)  # with a planner of its own for each trial
    undisturbed = open_ledger(storage, first.definition, "undisturbed")
    queue_default(undisturbed.study, undisturbed.definition)
    planner = Planner(undisturbed.study, undisturbed.definition, warm_start)
    for _ in range(12):
        trial = planner.next_trial()
        assert trial is not None
        undisturbed.study.tell(trial, good_at(2e-4)(trial.params))
    assert [trial.params for trial in undisturbed.trials()] == resumed


def test_a_queued_retry_keeps_its_turn_and_its_mark(storage: BaseStorage, url: str) -> None:
    source_study(storage)
    ledger, warm_start = started(storage, url)
    run(ledger, 1, good_at(2e-4), warm_start)
    trial = Planner(ledger.study, ledger.definition, warm_start).next_trial()
    assert trial is not None
    ledger.note(trial.number, {attrs.OUTCOME: "lost"})
    ledger.study.tell(trial, state=TrialState.FAIL)
    ledger.retry(ledger.trial(1), Cause.LOST)
    run(ledger, 5, good_at(2e-4), warm_start)
    assert carried(ledger) == [1, 2, 4, 6]
    assert [number for number in carried(ledger) if attrs.RETRY_OF in ledger.trial(number).user_attrs] == [2]


@pytest.mark.parametrize(
    ("keys", "prepared", "doubt"),
    [
        ({"objective": {"metric": "other", "direction": "minimize"}}, PREPARED, "objective.metric"),
        ({"command": ["another"]}, PREPARED, "command"),
        ({"settings": {"batch": 4}}, PREPARED, "settings.batch"),
        ({}, PREPARED | {"fingerprint": "c"}, "fingerprint differs"),
        ({}, PREPARED | {"resolved": {"final_samples": 32}}, "final_samples differs"),
        ({"search_space": {"rate": SPACE["rate"]}}, PREPARED, "it searches other settings"),
    ],
)
def test_where_values_need_not_hold_only_points_are_reused(
    storage: BaseStorage, url: str, keys: dict[str, Any], prepared: dict[str, Any], doubt: str
) -> None:
    source_study(storage)
    definition = defined(**keys)
    warm_start, facts = make_warm_start(found(url, definition), definition, PreparedInfo.from_json(prepared))
    assert (len(warm_start.points), warm_start.prior) == (5, ())
    assert any("its values are not used here" in fact and doubt in fact for fact in facts), facts


def test_another_space_moves_points_and_says_so_parameter_by_parameter(storage: BaseStorage, url: str) -> None:
    source_study(storage)
    space = {
        "rate": {"type": "loguniform", "low": 1e-5, "high": 1e-4},
        "dropout": {"type": "uniform", "low": 0.0, "high": 0.2, "default": 0.05},
    }
    definition = defined(search_space=space, settings={"rank": 16})
    warm_start, facts = make_warm_start(found(url, definition), definition, INFO)
    assert {point.params["dropout"] for point in warm_start.points} == {0.05}
    assert all(1e-5 <= point.params["rate"] <= 1e-4 for point in warm_start.points)
    assert "dropout: not searched there, so it is 0.05 in all of them" in facts
    assert "rank: not searched here, so it is 16 in all of them" in facts
    (moved,) = [fact for fact in facts if fact.startswith("rate: moved into its range: ")]
    assert moved.endswith("-> 0.0001")


def test_a_narrower_space_keeps_the_values_inside_it(storage: BaseStorage, url: str) -> None:
    old = source_study(storage)
    space = SPACE | {"rate": {"type": "loguniform", "low": 1e-4, "high": 1e-3}}
    definition = defined(search_space=space)
    warm_start, facts = make_warm_start(found(url, definition), definition, INFO)
    inside = [trial for trial in old.trials() if trial.params["rate"] >= 1e-4]
    assert 0 < len(warm_start.prior) == len(inside) < 12
    assert any(f"{len(inside)} of its 12 values" in fact for fact in facts)


def test_a_random_search_takes_points_alone(storage: BaseStorage, url: str) -> None:
    source_study(storage)
    definition = defined(search_mode="random")
    assert make_warm_start(found(url, definition), definition, INFO)[0].prior == ()


def test_what_cannot_be_reused_is_refused(storage: BaseStorage, url: str) -> None:
    source_study(storage)
    open_ledger(storage, defined(), "empty")
    optuna.create_study(study_name="two", storage=storage, directions=["minimize", "minimize"])
    upwards = defined(objective={"metric": "loss", "direction": "maximize"})
    asked = RunOptions(storage=url, warm_start_from="old")
    for options, name, definition, said in (
        (asked, "new", upwards, "is to minimize, this one to maximize"),
        (asked, "old", defined(), "is this one"),
        (asked, "new", defined(search_mode="grid", search_space={"rank": SPACE["rank"]}), "a grid tries each"),
        (replace(asked, warm_start_from="empty"), "new", defined(), "has no completed trial"),
        (replace(asked, warm_start_from="two"), "new", defined(), "minimize and to minimize"),
        (replace(asked, warm_start_from="nope"), "new", defined(), "there is no study 'nope'"),
    ):
        with pytest.raises(UsageError, match=said):
            find_source(options, name, definition)
    with pytest.raises(UsageError, match="none is named"):
        RunOptions(warm_start_storage=url)


def test_a_study_that_has_begun_is_not_warm_started_from_another_one(storage: BaseStorage, url: str) -> None:
    source_study(storage)
    ledger, _ = started(storage, url)
    source = found(url, ledger.definition)
    run(ledger, 1, good_at(2e-4))
    refuse_late(ledger.study, source)  # the same command again
    with pytest.raises(DefinitionChanged, match="began from 'old'"):
        refuse_late(ledger.study, replace(source, study_id="another"))
    cold = open_ledger(storage, defined(), "cold")
    run(cold, 1, good_at(2e-4))
    with pytest.raises(DefinitionChanged, match="began without another study"):
        refuse_late(cold.study, source)


def test_another_programs_study_gives_its_points(storage: BaseStorage, url: str) -> None:
    theirs = optuna.create_study(study_name="old", storage=storage)
    for rate in (1e-4, 2e-4):
        theirs.tell(theirs.ask({"rate": optuna.distributions.FloatDistribution(rate, rate)}), rate)
    warm_start, facts = make_warm_start(found(url, defined()), defined(), PreparedInfo())
    assert [point.params for point in warm_start.points] == [{"rate": 2e-4, "rank": 16}]  # 1e-4 is the default itself
    assert any("another program made it" in fact for fact in facts)


@pytest.mark.parametrize("make", [lambda: TPESampler(seed=0), lambda: TPESampler(seed=0, multivariate=True)])
def test_a_sampler_that_is_shown_trials_answers_as_in_a_study_that_has_them(make: Callable[[], BaseSampler]) -> None:
    ranges: dict[str, Any] = {"x": optuna.distributions.FloatDistribution(0, 1)}

    def trials(places: Sequence[float]) -> list[optuna.trial.FrozenTrial]:
        return [optuna.trial.create_trial(params={"x": x}, distributions=ranges, value=(x - 0.3) ** 2) for x in places]

    shown, own = trials([0.05 * place for place in range(20)]), trials([0.9, 0.8])
    whole = optuna.create_study(sampler=make())
    whole.add_trials([*shown, *own])
    informed = optuna.create_study(sampler=WarmStartedSampler(make(), shown))
    informed.add_trials(own)
    assert informed.ask(ranges).params == whole.ask(ranges).params
    assert len(informed.trials) == 3
