"""Trials read past Optuna are those that Optuna reads; tables of an unknown revision are read by Optuna."""

from __future__ import annotations

import math
import random
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import optuna
import pytest
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.storages import RDBStorage
from optuna.trial import FrozenTrial, TrialState, create_trial
from sqlalchemy import event, text

from hpsearch.study.storage import replica
from hpsearch.study.storage.open import StorageUrl
from hpsearch.study.storage.replica import read_trials
from tests.study.test_replica import live

ODD = {
    "lr": FloatDistribution(1e-5, 1e-1, log=True),
    "r": IntDistribution(4, 64, step=4),
    "which": CategoricalDistribution(["a", None, 1.5, True, "\u4e09 \U0001f600"]),
}


@pytest.fixture(params=["sqlite", "postgres"])
def storage(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[RDBStorage]:
    """A storage with three studies: one without trials, one with odd ones, one that a search made."""
    url = f"sqlite:///{tmp_path / 'x.db'}"
    if request.param == "postgres":
        found = request.getfixturevalue("running")
        found.empty()
        url = found.url
    opened = StorageUrl(url).open(create=True)
    optuna.create_study(study_name="none", storage=opened)
    odd = optuna.create_study(study_name="odd", storage=opened, directions=["minimize", "maximize"])
    odd.add_trials(list(odd_trials()))
    live(optuna.create_study(study_name="a", storage=opened), random.Random(3))
    yield opened
    opened.remove_session()
    opened.engine.dispose()


def odd_trials() -> Iterator[FrozenTrial]:
    """Trials with what is hard to store."""
    params = {"lr": 1e-3, "r": 8, "which": "\u4e09 \U0001f600"}
    reports = {0: math.nan, 7: math.inf, 3: -math.inf, 2: 0.1 + 0.2}
    attributes: dict[str, Any] = {
        "text": 'a "b" \u2028 \U0001f600',
        "deep": {"list": [1, 2.5, None, True]},
        "none": None,
    }
    yield create_trial(values=[math.inf, -math.inf], params=params, distributions=ODD, intermediate_values=reports)
    yield create_trial(values=[1e-308, 5e300], user_attrs=attributes, system_attrs={"fixed_params": params})
    for state in (TrialState.WAITING, TrialState.RUNNING, TrialState.FAIL, TrialState.PRUNED):
        yield create_trial(state=state, user_attrs=attributes)
    for which in (None, 1.5, True):
        yield create_trial(state=TrialState.FAIL, params={"which": which}, distributions={"which": ODD["which"]})


def contents(trials: list[FrozenTrial]) -> list[dict[str, Any]]:
    """Everything in trials, with the order of parameters; NaN is not equal to itself."""
    return [
        {
            "number": (trial.number, trial._trial_id, trial.state.name),
            "numbers": repr((trial.values, sorted(trial.intermediate_values.items()))),
            "params": repr(list(trial.params.items())),
            "ranges": list(trial.distributions.items()),
            "attributes": (trial.user_attrs, trial.system_attrs),
            "times": (trial.datetime_start, trial.datetime_complete),
        }
        for trial in trials
    ]


@pytest.mark.parametrize("name", ["none", "odd", "a"])
def test_it_is_what_optuna_reads(storage: RDBStorage, name: str) -> None:
    study_id = storage.get_study_id_from_name(name)
    ours = read_trials(storage, study_id)
    assert contents(ours) == contents(storage.get_all_trials(study_id))
    assert all(type(trial) is FrozenTrial and trial.params.keys() == trial.distributions.keys() for trial in ours)
    assert all(isinstance(trial.datetime_start, datetime | None) for trial in ours)


def test_the_number_of_queries_is_that_of_the_tables(storage: RDBStorage) -> None:
    asked: list[str] = []
    event.listen(storage.engine, "before_cursor_execute", lambda *args: asked.append(args[2]))
    optuna.load_study(study_name="a", storage=storage).add_trials([create_trial(value=1.0)] * 30)
    study_id = storage.get_study_id_from_name("a")
    asked.clear()
    read_trials(storage, study_id)
    assert sum("SELECT" in query and "trial" in query for query in asked) == 6


def test_tables_that_are_not_known_are_left_to_optuna(storage: RDBStorage, monkeypatch: pytest.MonkeyPatch) -> None:
    study_id = storage.get_study_id_from_name("a")
    with storage.engine.begin() as connection:
        (revision,) = connection.execute(text("SELECT version_num FROM alembic_version")).one()
    assert revision in replica.KNOWN_REVISIONS, (
        "this Optuna has other tables: see that they are read right, and name them"
    )
    monkeypatch.setattr(replica, "KNOWN_REVISIONS", frozenset())
    monkeypatch.setattr(replica, "_read", None)
    assert contents(read_trials(storage, study_id)) == contents(storage.get_all_trials(study_id))
