"""The promises of a run, each tried a few times; ``make faults`` tries them often and prints their table."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from hpsearch.crash_points import POINTS
from hpsearch.study.storage.changes import KINDS, Change
from tests.faults.all_goals import GOALS
from tests.faults.crashes import TARGET, Scene
from tests.faults.goals import Effort
from tests.faults.history import violations
from tests.postgres import own_server


# The others are tried as often by tests of their own.
@pytest.mark.parametrize(
    "name", ["G2", "G3", "G6", pytest.param("G9", marks=own_server), "G10", "G11", "G17", "G22", "G24"]
)
def test_a_promise_is_kept(name: str, tmp_path: Path) -> None:
    found = GOALS[name].measure(tmp_path, Effort(full=False))
    assert found.met, found.hpsearch
    if found.hpsearch.startswith("not tried"):
        pytest.skip(found.hpsearch)


def test_every_kind_of_change_has_its_points() -> None:
    made = {f"{when}-{Change(kind, None, {}).point}" for kind in KINDS for when in ("before", "after")}
    assert made - set(POINTS) == {"before-system-attr", "after-system-attr"}, "of a trial's, hpsearch changes none"


@pytest.mark.parametrize(
    ("statement", "said"),
    [
        ("UPDATE trials SET state = 'RUNNING' WHERE number = 4", ["trial 4 is RUNNING", "4 trials are finished"]),
        ("UPDATE trial_values SET value = value + 1", ["is complete with", "is the best, but"]),
        ("UPDATE trial_intermediate_values SET intermediate_value = 7.5 WHERE step = 1", ["has the reports"]),
        ("UPDATE trial_params SET param_value = 3.25", ["is stored with"]),
        ("DELETE FROM trial_intermediate_values WHERE step = 2", ["2 of 3 reports"]),
        ("DELETE FROM trials WHERE number = 3", ["numbers have gaps"]),
        ("UPDATE trial_user_attributes SET value_json = '\"lost\"' WHERE key = 'hps:outcome'", ["told lost"]),
    ],
)
def test_a_history_that_is_not_whole_is_found_out(scene: Scene, statement: str, said: list[str]) -> None:
    database = scene.folder / "studies" / "hpsearch.db"
    before = database.read_bytes()
    try:
        with closing(sqlite3.connect(database)) as connection:
            assert connection.execute(statement).rowcount > 0
            connection.commit()
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        found = "; ".join(violations(scene.folder, scene.url, "truth", TARGET, 0))
    finally:
        database.write_bytes(before)
    assert [words for words in said if words not in found] == [], found


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Scene:
    """A study that is whole."""
    made = Scene(tmp_path_factory.mktemp("history") / "a")
    assert made.problems() == []
    with closing(sqlite3.connect(made.folder / "studies" / "hpsearch.db")) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    return made
