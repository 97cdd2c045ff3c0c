"""What a trial costs does not grow with the number of trials before it, as far as that can be counted."""

from __future__ import annotations

import json
import shutil
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import optuna
import pytest
from optuna.trial import TrialState
from sqlalchemy import Engine, event

from hpsearch.study.events import RunEvent, TrialEnded
from tests.conftest import run_command

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"
FEW, MANY = 60, 600


@pytest.fixture(scope="module")
def grown() -> Iterator[Any]:
    """benchmarks/grown_studies.py."""
    sys.path.insert(0, str(BENCHMARKS))
    try:
        import grown_studies

        yield grown_studies
    finally:
        sys.path.remove(str(BENCHMARKS))


@pytest.fixture(scope="module")
def studies(grown: Any, tmp_path_factory: pytest.TempPathFactory) -> Callable[[int], Path]:
    """Folders with the study "large" of so many trials."""
    folder = tmp_path_factory.mktemp("grown")
    grown.make_study(folder / "seed", "large", 20, pruner="none")

    def of(count: int) -> Path:
        base = folder / str(count)
        shutil.copytree(folder / "seed", base)
        url = f"sqlite:///{base / 'hpsearch.db'}"
        grown.grow(url, "large", count, grown.study_folders(base, "large"))
        return base

    return of


def definition_of(grown: Any, base: Path) -> Any:
    """The definition that all of them are made with."""
    return grown.definition_of(base.parent / "seed", pruner="none")


def steady(job: Any) -> Iterator[dict[str, Any]]:
    """A trial of four reports."""
    for step in range(1, 5):
        yield {"step": step, "cer": 0.5}
    yield {"cer": 0.5}


def asked_by_a_trial(grown: Any, base: Path) -> Counter[str]:
    """What the database is asked by a run of one trial, from its beginning. What the clock asks for is left out."""
    statements = Counter[str]()

    def asked(_: Any, __: Any, statement: str, *___: Any) -> None:
        if not statement.startswith("SELECT stud"):
            statements[statement] += 1

    event.listen(Engine, "before_cursor_execute", asked)
    try:
        url, definition = f"sqlite:///{base / 'hpsearch.db'}", definition_of(grown, base)
        grown.search(url, base, "large", definition, 1, playing=steady)
    finally:
        event.remove(Engine, "before_cursor_execute", asked)
    return statements


def test_a_run_of_one_trial_asks_the_storage_no_more_in_a_larger_study(
    grown: Any, studies: Callable[[int], Path]
) -> None:
    few, many = (asked_by_a_trial(grown, studies(count)) for count in (FEW, MANY))
    assert few == many
    assert few.total() > 50


def test_a_grown_study_is_one_that_a_run_goes_on_with(grown: Any, studies: Callable[[int], Path]) -> None:
    base = studies(55)
    url = f"sqlite:///{base / 'hpsearch.db'}"
    ended: list[int] = []
    definition = definition_of(grown, base)
    grown.search(url, base, "large", definition, 2, lambda one: note(one, ended), steady)
    assert ended == [55, 56]
    trials = optuna.load_study(study_name="large", storage=url).get_trials()
    assert [trial.number for trial in trials] == list(range(57))
    assert not [trial for trial in trials if not trial.state.is_finished()]
    assert all((base / "large" / trial.user_attrs["hps:folder"]).is_dir() for trial in trials)
    done = run_command(base, "status", "--base-output-dir", str(base), "--json")
    (told,) = json.loads(done.stdout)["studies"]
    assert told["states"] == dict(Counter(trial.state.name for trial in trials))
    assert told["best"] == min(trial.value for trial in trials if trial.state is TrialState.COMPLETE)


def note(happening: RunEvent, ended: list[int]) -> None:
    """Keep the numbers of trials that ended."""
    if isinstance(happening, TrialEnded):
        ended.append(happening.number)


def test_what_a_dead_runner_left_of_adapters_is_deleted_once(grown: Any, studies: Callable[[int], Path]) -> None:
    base = studies(FEW + 1)
    root = base / "large"
    for number in range(FEW):
        (root / f"trial_{number}" / "adapter").mkdir()
    (root / "trial_3" / "checkpoints").mkdir()
    grown.search(f"sqlite:///{base / 'hpsearch.db'}", base, "large", definition_of(grown, base), 1, playing=steady)
    values = {
        trial.number: trial.value
        for trial in optuna.load_study(study_name="large", storage=f"sqlite:///{base / 'hpsearch.db'}").get_trials()
        if trial.state is TrialState.COMPLETE
    }
    best = sorted(values, key=lambda number: (values[number], number))[: definition_of(grown, base).keep_adapters]
    left = {int(path.parent.name.removeprefix("trial_")) for path in root.glob("trial_*/adapter")}
    assert left == set(best)
    assert not (root / "trial_3" / "checkpoints").exists() or 3 in best
