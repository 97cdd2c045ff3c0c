"""The table of causes, its documentation, and what counts as best."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import pytest
from optuna.trial import TrialState, create_trial

from hpsearch.execution.job import Outcome
from hpsearch.execution.outcome import VERDICTS, Cause
from hpsearch.study.records import best_trial, finished
from hpsearch.study.results import has_half_adapter

DOCS = Path(__file__).parents[2] / "docs" / "trials.md"


def test_every_cause_has_one_verdict() -> None:
    assert set(VERDICTS) == set(Cause)


@pytest.mark.parametrize("cause", list(Cause))
def test_the_documented_table_is_the_one_in_the_code(cause: Cause) -> None:
    rows = [line for line in DOCS.read_text().splitlines() if line.startswith(f"| {cause.value} |")]
    assert len(rows) == 1
    verdict = VERDICTS[cause]
    cells = [cell.strip() for cell in rows[0].strip("|").split("|")]
    assert cells[2:] == [verdict.state, verdict.value, verdict.again.value, "yes" if verdict.counts else "no"]


@pytest.mark.parametrize(("direction", "number"), [("minimize", 1), ("maximize", 2)])
def test_the_best_trial_is_complete_and_finite(direction: str, number: int) -> None:
    values = [math.inf, 0.1, 0.9, -math.inf]
    trials = [create_trial(value=value) for value in values]
    trials.append(create_trial(state=TrialState.PRUNED, value=0.0))
    for index, trial in enumerate(trials):
        trial.number = index
    best = best_trial(trials, direction)
    assert best is not None
    assert best.number == number
    assert finished(trials) == 5


def test_an_adapter_that_a_power_cut_left_empty_is_half_of_one(tmp_path: Path) -> None:
    weights = tmp_path / "adapter" / "weights"
    weights.parent.mkdir()
    weights.touch()
    (tmp_path / "metrics.jsonl").touch()
    recovered = Outcome(Cause.OK, {"cer": 0.5}, "after its final metrics: its runner died")
    assert has_half_adapter(tmp_path, recovered)
    assert not has_half_adapter(tmp_path, replace(recovered, exit_code=0))
    weights.write_text("whole")
    (tmp_path / "metrics.jsonl").write_text("{}\n")
    assert not has_half_adapter(tmp_path, recovered)
