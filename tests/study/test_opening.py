"""Opening a study under a name that is taken."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import optuna
import pytest
from optuna.storages import BaseStorage

from hpsearch.config.definition import StudyDefinition
from hpsearch.errors import DefinitionChanged, UsageError
from hpsearch.study.folders import study_folders
from hpsearch.study.open import open_study, settle_target
from hpsearch.study.sampling.planner import Planner, queue_default
from hpsearch.study.storage.open import StorageUrl

PROGRAM = {
    "command": ["prog", "{x}"],
    "search_space": {"x": {"type": "uniform", "low": 0.0, "high": 1.0}},
    "objective": {"metric": "loss", "direction": "minimize"},
}


def defined(**keys: Any) -> StudyDefinition:
    return StudyDefinition.from_flat(PROGRAM | keys)


@pytest.fixture
def storage(tmp_path: Path) -> BaseStorage:
    return StorageUrl(f"sqlite:///{tmp_path / 'hpsearch.db'}").open(create=True)


def test_a_study_without_trials_takes_the_new_definition(storage: BaseStorage) -> None:
    open_study(storage, "a", defined())
    upwards = defined(objective={"metric": "loss", "direction": "maximize"}, seed=5)
    ledger = open_study(storage, "a", upwards)
    assert ledger.study.direction.name == "MAXIMIZE"
    assert ledger.study.metric_names == ["loss"]


def test_a_study_with_trials_keeps_its_definition(storage: BaseStorage) -> None:
    open_study(storage, "a", defined()).study.ask()
    with pytest.raises(DefinitionChanged, match="seed: 3407 -> 5"):
        open_study(storage, "a", defined(seed=5))


@pytest.mark.parametrize("directions", [["maximize"], ["minimize", "minimize"]])
def test_an_empty_study_of_another_program_is_not_deleted(storage: BaseStorage, directions: list[str]) -> None:
    theirs = optuna.create_study(study_name="a", storage=storage, directions=directions)
    theirs.set_user_attr("note", "mine")
    with pytest.raises(UsageError, match="was not made by hpsearch"):
        open_study(storage, "a", defined())
    assert optuna.load_study(study_name="a", storage=storage).user_attrs == {"note": "mine"}


def grid(**keys: Any) -> StudyDefinition:
    space = {"x": {"type": "categorical", "choices": [1, 2, 3]}}
    return defined(search_space=space, **keys)


def test_a_grid_is_never_after_more_than_its_points(storage: BaseStorage) -> None:
    ledger = open_study(storage, "a", grid(search_mode="grid"))
    assert settle_target(ledger, None, None) == 3
    assert settle_target(ledger, 50, None) == 3
    queue_default(ledger.study, ledger.definition)
    assert settle_target(ledger, 2, None) == 2
    trial = Planner(ledger.study, ledger.definition).next_trial()
    assert trial is not None
    ledger.study.tell(trial, 1.0)
    assert settle_target(ledger, None, 7) == 3


def test_a_search_that_becomes_a_grid_is_after_all_points_that_are_left(storage: BaseStorage) -> None:
    ledger = open_study(storage, "a", grid())
    assert settle_target(ledger, 1, None) == 1
    trial = Planner(ledger.study, ledger.definition).next_trial()
    assert trial is not None
    ledger.study.tell(trial, 1.0)
    assert settle_target(open_study(storage, "a", grid(search_mode="grid")), None, None) == 3


def test_the_target_is_the_last_that_was_named(storage: BaseStorage) -> None:
    assert settle_target(open_study(storage, "a", defined()), None, None) == 20
    assert settle_target(open_study(storage, "a", defined()), 7, None) == 7
    assert settle_target(open_study(storage, "a", defined()), None, None) == 7
    assert settle_target(open_study(storage, "a", defined(n_trials=9)), None, None) == 9
    assert settle_target(open_study(storage, "a", defined(n_trials=9)), None, 2) == 2
    assert settle_target(open_study(storage, "a", defined(n_trials=9)), None, None) == 2


def test_a_folder_whose_claim_was_broken_off_can_be_claimed(tmp_path: Path) -> None:
    folders = study_folders(tmp_path, "a")
    folders.root.mkdir()
    (folders.root / ".study").touch()  # the run died before it wrote the id
    assert folders.claimed_for == ""
    folders.claim("one")
    assert folders.claimed_for == "one"
    (folders.root / "trial_0").mkdir()
    assert folders.claimed_for == "", "something came of it"
    with pytest.raises(UsageError, match="holds the results of another study"):
        folders.claim("two")
