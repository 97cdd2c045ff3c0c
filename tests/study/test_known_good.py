"""What is tried before a sampler is asked, and that a resumed study tries the same."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from optuna.trial import TrialState

from hpsearch.config.definition import StudyDefinition
from hpsearch.config.load import load_definition
from hpsearch.execution.job import Outcome
from hpsearch.execution.outcome import Cause
from hpsearch.study import attributes as attrs
from hpsearch.study.ledger import Ledger
from hpsearch.study.open import begin, open_study
from hpsearch.study.sampling.planner import Planner, first_configurations
from hpsearch.study.storage.open import StorageUrl

RATE = {"type": "loguniform", "low": 1e-5, "high": 1e-3}
RANKS = {"type": "categorical", "choices": [8, 16, 32, 64]}
LORA = {"input_data": "/rows.json", "search_space": {"learning_rate": RATE, "lora_r": RANKS}}
PROGRAM = {
    "command": ["train", "{learning_rate}"],
    "search_space": {"learning_rate": RATE},
    "objective": {"metric": "cer", "direction": "minimize"},
}


def first(values: dict[str, Any]) -> list[dict[str, Any]]:
    return first_configurations(StudyDefinition.from_flat(values))


def opened(folder: Path, values: dict[str, Any]) -> Ledger:
    ledger = open_study(
        StorageUrl(f"sqlite:///{folder / 'x.db'}").open(create=True), "a", StudyDefinition.from_flat(values)
    )
    begin(ledger)
    return ledger


def value_of(params: dict[str, Any]) -> float:
    return float(params["lora_r"]) / 100 + float(params["learning_rate"])


def make(ledger: Ledger, count: int) -> None:
    """Make trials and complete each."""
    planner = Planner(ledger.study, ledger.definition)
    for _ in range(count):
        trial = planner.next_trial()
        assert trial is not None
        ledger.report(trial.number, 1, value_of(trial.params) + 0.1)
        ledger.tell(trial.number, Outcome(Cause.OK, metrics={"eval_cer": value_of(trial.params)}))


class TestWhich:
    def test_known_good_settings_of_lora_lie_in_the_space_and_differ(self) -> None:
        assert first(LORA) == [{"learning_rate": 1e-4, "lora_r": 64}, {"learning_rate": 5e-4, "lora_r": 8}]
        fewer = {"type": "categorical", "choices": [16, 32]}
        assert first(LORA | {"search_space": {"learning_rate": RATE, "lora_r": fewer}}) == [
            {"learning_rate": 1e-4, "lora_r": 32},
            {"learning_rate": 5e-4, "lora_r": 16},
        ]
        narrow = RATE | {"low": 5e-5, "high": 3e-4}
        assert first(LORA | {"search_space": {"learning_rate": narrow}}) == [{"learning_rate": 1e-4}]

    @pytest.mark.parametrize(
        "values",
        [
            PROGRAM,
            LORA | {"search_mode": "random"},
            LORA | {"sampler": "gp"},
            LORA | {"sampler": "tpe"},
            LORA | {"try_first": []},
            LORA | {"search_space": {"lora_r": RANKS}},
            LORA | {"search_space": {"learning_rate": RATE | {"default": 2e-5}}},
            LORA | {"search_space": {"lora_r": RANKS}, "search_mode": "grid"},
        ],
        ids=["program", "random", "gp", "tpe", "none named", "no rate", "another rate to begin with", "grid"],
    )
    def test_elsewhere_nothing_is_known(self, values: dict[str, Any]) -> None:
        assert first(values) == []

    def test_of_the_demo_nothing_is_known(self) -> None:
        assert first_configurations(load_definition("digits-ocr")) == []
        assert len(first_configurations(load_definition("gemma-ocr"))) == 2

    def test_a_definition_names_others_also_for_a_program(self) -> None:
        assert first(PROGRAM | {"try_first": [{"learning_rate": 1e-3}, {"learning_rate": 1e-3}]}) == [
            {"learning_rate": 1e-3}
        ]
        assert first(LORA | {"try_first": [{"lora_r": 32}, {"lora_r": 16}], "sampler": "tpe"}) == [
            {"learning_rate": 2e-4, "lora_r": 32}  # the second is the default configuration
        ]


class TestOrder:
    def test_they_come_after_the_default_and_are_marked(self, tmp_path: Path) -> None:
        ledger = opened(tmp_path, LORA)
        make(ledger, 5)
        marks = [trial.user_attrs.get(attrs.TRY_FIRST) for trial in ledger.trials()]
        assert marks == [None, "known good", "known good", None, None]
        assert [trial.params for trial in ledger.trials()][1:3] == first(LORA)
        assert [attrs.IS_DEFAULT in trial.user_attrs for trial in ledger.trials()] == [True, False, False, False, False]

    @pytest.mark.parametrize(
        ("sampler", "cut"), [("auto", 1), ("auto", 2), ("auto", 6), ("gp", 6), ("tpe", 6), ("cmaes", 6), ("qmc", 2)]
    )
    def test_a_resumed_study_goes_on_as_an_undisturbed_one(self, tmp_path: Path, sampler: str, cut: int) -> None:
        values = LORA | {"sampler": sampler}
        (tmp_path / "whole").mkdir(), (tmp_path / "parts").mkdir()
        make(whole := opened(tmp_path / "whole", values), 9)
        make(opened(tmp_path / "parts", values), cut)
        make(parts := opened(tmp_path / "parts", values), 9 - cut)
        assert [trial.params for trial in parts.trials()] == [trial.params for trial in whole.trials()]

    def test_an_interrupted_trial_changes_nothing_of_those_after_it(self, tmp_path: Path) -> None:
        (tmp_path / "whole").mkdir(), (tmp_path / "parts").mkdir()
        make(whole := opened(tmp_path / "whole", LORA), 9)
        parts = opened(tmp_path / "parts", LORA)
        for done in (1, 4):  # a known-good configuration, and one of the sampler's
            make(parts, done)
            trial = Planner(parts.study, parts.definition).next_trial()
            assert trial is not None
            parts.tell(trial.number, Outcome(Cause.INTERRUPTED))
        make(parts, 4)
        ended = [trial for trial in parts.trials() if trial.state is TrialState.COMPLETE]
        assert [trial.params for trial in ended] == [trial.params for trial in whole.trials()]
        again = next(trial for trial in ended if trial.user_attrs.get(attrs.RETRY_OF) == 1)
        assert again.user_attrs[attrs.TRY_FIRST] == "known good"

    def test_a_study_that_a_sampler_was_asked_for_gets_none_later(self, tmp_path: Path) -> None:
        make(opened(tmp_path, LORA | {"sampler": "tpe"}), 3)
        later = opened(tmp_path, LORA)
        make(later, 3)
        assert not any(attrs.TRY_FIRST in trial.user_attrs for trial in later.trials())


@pytest.mark.parametrize("sampler", ["auto", "tpe", "cmaes", "qmc"])
def test_what_depends_on_others_is_tried_where_it_is_active(tmp_path: Path, sampler: str) -> None:
    space = {
        "learning_rate": RATE,
        "lora_r": RANKS,
        "lora_dropout": {"type": "uniform", "low": 0.0, "high": 0.2, "when": {"lora_r": [64]}},
    }
    ledger = opened(tmp_path, LORA | {"search_space": space, "sampler": sampler, "try_first": [{"lora_r": 64}]})
    make(ledger, 9)
    for trial in ledger.trials():
        assert ("lora_dropout" in trial.params) == (trial.params["lora_r"] == 64)
    assert ledger.trials()[1].params["lora_r"] == 64
