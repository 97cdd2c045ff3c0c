"""A pickle in any place of a storage is text like any other: whatever reads a study does not run it."""

from __future__ import annotations

import os
import pickle
import sqlite3
import urllib.request
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import optuna
import pytest

from tests.conftest import CommandLine
from tests.e2e.conftest import Runner, definition

# Where Optuna's CMA-ES samplers keep, and unpickle, their state (optuna/samplers/_cmaes.py).
KEYS = ("cma:optimizer:0", "sepcma:optimizer:0", "cmawm:optimizer:0", "cma:generation", "theirs")


class Planted:
    """An object that makes a file when it is unpickled."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.system, (f"touch '{self.mark}'",)


def plant(folder: Path, mark: Path) -> None:
    """Put a pickle, as Optuna writes them, into every attribute that there is, and into some more."""
    text = pickle.dumps(Planted(mark)).hex()
    with closing(sqlite3.connect(folder / "studies" / "hpsearch.db")) as connection:
        for table, owner in (("study", "study"), ("trial", "trial")):
            for kind in ("user", "system"):
                name = f"{table}_{kind}_attributes"
                ids = connection.execute(f"SELECT {owner}_id FROM {'studies' if table == 'study' else 'trials'}")
                for (each,) in ids.fetchall():
                    for key in KEYS:
                        connection.execute(
                            f"INSERT INTO {name} ({owner}_id, key, value_json) VALUES (?, ?, ?)",
                            (each, key, f'"{text}"'),
                        )
        connection.commit()


@pytest.fixture
def mark(tmp_path: Path, command_line: CommandLine) -> Path:
    """The file that stands for code that ran; in the test's folder is a study with a pickle in all attributes."""
    definition(tmp_path)
    assert command_line("run", "--study", "quad", "--config", "study.json", "--n-trials", "2").returncode == 0
    plant(tmp_path, tmp_path / "ran")
    return tmp_path / "ran"


def test_what_is_planted_would_run_where_it_is_unpickled(tmp_path: Path, mark: Path) -> None:
    study = optuna.load_study(study_name="quad", storage=f"sqlite:///{tmp_path / 'studies' / 'hpsearch.db'}")
    pickle.loads(bytes.fromhex(study.trials[0].system_attrs["cma:optimizer:0"]))  # as Optuna's sampler does
    assert mark.exists()


def test_a_planted_pickle_is_not_run_by_anything_that_reads_the_study(
    tmp_path: Path, command_line: CommandLine, mark: Path
) -> None:
    for words in (
        ("resume", "--study", "quad", "--add-trials", "1"),
        ("run", "--study", "quad", "--config", "study.json", "--n-trials", "4"),
        ("status", "--json"),
        ("analyze", "--study", "quad"),
        ("export", "--study", "quad", "--archive", "quad.zip"),
        ("analyze", "--archive", "quad.zip", "--output-dir", "theirs"),
        ("storage", "copy", "--study", "quad", "--to", "sqlite:///copy.db"),
    ):
        done = command_line(*words)
        assert done.returncode == 0, done.stdout + done.stderr
        assert not mark.exists(), words


def test_nor_is_one_in_an_attribute_of_ours(tmp_path: Path, command_line: CommandLine, mark: Path) -> None:
    text = pickle.dumps(Planted(mark)).hex()
    with closing(sqlite3.connect(tmp_path / "studies" / "hpsearch.db")) as connection:
        for name in ("study_user_attributes", "study_system_attributes", "trial_user_attributes"):
            connection.execute(f"UPDATE {name} SET value_json = ?", (f'"{text}"',))
        connection.commit()
    for words in (("resume", "--study", "quad"), ("status",), ("analyze",), ("export",)):
        command_line(*words)  # the study is broken by that, and may be refused
        assert not mark.exists(), words


def test_nor_by_the_dashboard(mark: Path, start: Callable[..., Runner]) -> None:
    board = start("dashboard", "--port", "0")
    address = next(word for word in board.wait_for("http://").split() if word.startswith("http://")).rstrip(",;.")
    with urllib.request.urlopen(f"{address}/api/studies/1", timeout=30) as answer:
        assert b"cma:optimizer:0" in answer.read()
    assert not mark.exists()
