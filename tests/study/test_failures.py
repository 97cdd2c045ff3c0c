"""Failures that go with one value of a setting: how they are found, and that the search keeps away from the value."""

from __future__ import annotations

import math
from collections.abc import Generator, Mapping
from pathlib import Path
from typing import Any

import pytest
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution
from optuna.storages import InMemoryStorage
from optuna.trial import FrozenTrial, TrialState, create_trial

from hpsearch.execution.events import Note
from hpsearch.execution.job import Job
from hpsearch.execution.outcome import VERDICTS, Cause
from hpsearch.study import attributes as attrs
from hpsearch.study.failures import Failures
from hpsearch.study.loop import LoopEnding
from hpsearch.study.open import begin
from hpsearch.study.records import finished
from tests.study.played import open_ledger, run_played

SPACE: dict[str, BaseDistribution] = {
    "optimizer": CategoricalDistribution(["adamw", "lion", "sgd"]),
    "nesterov": CategoricalDistribution([False, True]),
    "rate": FloatDistribution(0, 1),
}
Ended = tuple[Cause, Mapping[str, Any]] | tuple[Cause, Mapping[str, Any], int]


def ended(*rows: Ended) -> list[FrozenTrial]:
    """Trials with their causes and parameters; a third entry is the first attempt's number."""
    trials = []
    for number, (cause, params, *root) in enumerate(rows):
        state = TrialState[VERDICTS[cause].state]
        trial = create_trial(
            state=state,
            value=0.5 if state is TrialState.COMPLETE else None,
            params=dict(params),
            distributions={name: SPACE[name] for name in params},
            user_attrs={attrs.OUTCOME: cause.value, attrs.ROOT: root[0] if root else number},
        )
        trial.number = number
        trials.append(trial)
    return trials


def texts(*rows: Ended) -> list[str]:
    return [failing.text for failing in Failures(ended(*rows)).explained]


ADAMW, LION, SGD = ({"optimizer": name} for name in ("adamw", "lion", "sgd"))
WORKED: list[Ended] = [(Cause.OK, ADAMW), (Cause.PRUNED, SGD)]
ALWAYS = ["optimizer=lion failed 2 of 2 times, and never without it"]


class TestFailures:
    @pytest.mark.parametrize(
        "cause", [Cause.CRASH, Cause.LAUNCH, Cause.TIMEOUT, Cause.STALLED, Cause.PROTOCOL, Cause.INVALID]
    )
    def test_two_failures_with_a_value_and_two_successes_without_it_explain(self, cause: Cause) -> None:
        assert texts(*WORKED, (cause, LION), (cause, LION)) == ALWAYS

    @pytest.mark.parametrize("cause", [Cause.HOST_OOM, Cause.SIGNAL, Cause.LOST, Cause.INTERRUPTED])
    def test_faults_of_the_machine_teach_nothing(self, cause: Cause) -> None:
        assert texts(*WORKED, (cause, LION), (cause, LION), (cause, LION)) == []

    @pytest.mark.parametrize(
        "rows",
        [
            [*WORKED, (Cause.CRASH, LION)],
            [*WORKED, (Cause.CRASH, LION), (Cause.OK, LION), (Cause.CRASH, LION)],
            [(Cause.OK, ADAMW), (Cause.CRASH, LION), (Cause.CRASH, LION)],
            [*WORKED, (Cause.LAUNCH, LION), (Cause.LAUNCH, LION, 2), (Cause.LAUNCH, LION, 2)],
            [*WORKED, (Cause.LAUNCH, LION), (Cause.OK, LION, 2), (Cause.CRASH, LION)],
            [*WORKED, (Cause.CRASH, {"rate": 0.5}), (Cause.CRASH, {"rate": 0.5})],
        ],
        ids=["one failure", "a success with it", "one success without", "one configuration", "a retry", "a range"],
    )
    def test_less_explains_nothing(self, rows: list[Ended]) -> None:
        assert texts(*rows) == []

    def test_failures_without_it_are_counted(self) -> None:
        rows = [*WORKED, (Cause.CRASH, ADAMW), (Cause.CRASH, LION), (Cause.CRASH, LION)]
        assert texts(*rows) == ["optimizer=lion failed 2 of 2 times, and 1 of 3 times without it"]

    def test_of_values_that_failed_together_one_is_avoided_until_more_is_known(self) -> None:
        both = {**LION, "nesterov": True}
        rows = [*WORKED, (Cause.CRASH, both), (Cause.CRASH, both)]
        assert texts(*rows) == ["optimizer=lion or nesterov=true failed 2 of 2 times, and never without it"]
        assert Failures(ended(*rows)).avoided() == {"optimizer": ["lion"]}
        rows.append((Cause.CRASH, {**SGD, "nesterov": True}))
        assert texts(*rows) == ["nesterov=true failed 3 of 3 times, and never without it"]
        assert Failures(ended(*rows)).avoided() == {"nesterov": [True]}

    def test_what_is_known_of_many_trials_is_what_is_known_of_each_in_turn(self) -> None:
        trials = ended(*WORKED, (Cause.CRASH, LION), (Cause.CRASH, LION), (Cause.OK, SGD))
        failures = Failures()
        for count in range(1, len(trials) + 1):
            failures.update(trials[:count])
        assert failures.explained == Failures(trials).explained


STUDY = {
    "command": ["train", "{rate}", "{optimizer}", "{dora}"],
    "search_space": {
        "optimizer": {"type": "categorical", "choices": ["adamw", "lion", "sgd", "muon"]},
        "rate": {"type": "loguniform", "low": 1e-5, "high": 1e-2, "values": [1e-4, 1e-3]},
        "dora": {"type": "categorical", "choices": [False, True]},
    },
    "objective": {"metric": "cer", "direction": "minimize"},
}


def searched(folder: Path, broken: str, **keys: Any) -> tuple[LoopEnding, list[FrozenTrial], list[str]]:
    """Search for 12 finished trials, of which those with ``broken`` ("*": all) crash. Returns ending, trials, notes."""
    notes: list[str] = []

    def play(job: Job) -> Generator[dict[str, Any], bool, None]:
        if broken in ("*", job.settings["optimizer"]):
            raise RuntimeError("no kernel for it")
        yield {"cer": abs(math.log10(job.settings["rate"]) + 3) + 0.1 * len(job.settings["optimizer"])}

    ledger = open_ledger(InMemoryStorage(), STUDY | {"pruner": "none", **keys})
    begin(ledger)
    ending = run_played(
        ledger, folder, play, 12, view=lambda event: notes.append(event.text) if isinstance(event, Note) else None
    )
    return ending, list(ledger.trials()), notes


@pytest.mark.filterwarnings("ignore::optuna.exceptions.ExperimentalWarning")
class TestSearch:
    @pytest.mark.parametrize("sampler", ["auto", "tpe", "random", "cmaes", "qmc"])
    @pytest.mark.parametrize(("broken", "seed"), [("sgd", 1), ("adamw", 2)])
    def test_it_reaches_its_target_if_one_of_four_choices_always_raises(
        self, tmp_path: Path, sampler: str, broken: str, seed: int
    ) -> None:
        ending, trials, notes = searched(tmp_path, broken, sampler=sampler, seed=seed)
        assert (ending, finished(trials)) == (LoopEnding.TARGET, 12)
        crashes = [trial.number for trial in trials if trial.state is TrialState.FAIL]
        assert len(crashes) <= 5
        if len(crashes) >= 2:  # else it was tried once, and then others were better
            assert Failures(trials).avoided() == {"optimizer": [broken]}
            assert any(f"optimizer={broken}" in text and text.endswith("; it is not proposed again") for text in notes)

    def test_it_ends_after_five_if_nothing_succeeds(self, tmp_path: Path) -> None:
        ending, trials, notes = searched(tmp_path, "*")
        assert (ending, len(trials), notes) == (LoopEnding.FAILURES, 5, [])

    def test_a_grid_still_visits_every_point(self, tmp_path: Path) -> None:
        ending, trials, notes = searched(tmp_path, "sgd", sampler="grid")
        assert ending is LoopEnding.TARGET
        assert len({str(trial.params) for trial in trials}) == 16
        assert notes == ["optimizer=sgd failed 2 of 2 times, and never without it"]
