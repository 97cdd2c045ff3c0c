"""Telling, queueing again and repairing: every row of the table in execution/outcome.py, on a real storage."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest
from optuna.trial import TrialState

from hpsearch.execution.executors.fake import FakeExecutor
from hpsearch.execution.job import Job, Outcome
from hpsearch.execution.outcome import VERDICTS, Again, Cause
from hpsearch.study import attributes as attrs
from hpsearch.study.folders import study_folders
from hpsearch.study.ledger import Ledger, checked_outcome
from hpsearch.study.recovery import recover
from hpsearch.study.sampling.planner import Planner
from tests.study.played import open_ledger, open_storage

FLAT = {
    "command": ["program", "{x}"],
    "search_space": {"x": {"type": "uniform", "low": 0.0, "high": 1.0}},
    "objective": {"metric": "cer", "direction": "minimize"},
    "max_retries": 1,
}


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    return open_ledger(open_storage(tmp_path / "x.db"), FLAT)


def next_number(ledger: Ledger) -> int:
    trial = Planner(ledger.study, ledger.definition).next_trial()
    assert trial is not None
    return trial.number


@pytest.mark.parametrize("cause", list(Cause))
def test_a_trial_is_told_as_the_table_says(ledger: Ledger, cause: Cause) -> None:
    number, verdict = next_number(ledger), VERDICTS[cause]
    ledger.report(number, 3, 0.5)
    again = ledger.tell(number, Outcome(cause, metrics={"cer": 0.25}, message="why", duration_s=1.5))
    trial = ledger.trial(number)
    assert trial.state == TrialState[verdict.state]
    assert trial.user_attrs[attrs.OUTCOME] == cause.value
    assert trial.user_attrs[attrs.MESSAGE] == "why"
    assert (again is not None) == (verdict.again is not Again.NEVER)
    values = {"final metric": 0.25, "last report": 0.5, "NaN report": None, "none": None}
    assert trial.value == values[verdict.value]
    if verdict.value == "NaN report":
        assert math.isnan(trial.intermediate_values[4])
    waiting = ledger.trials(TrialState.WAITING)
    assert [item.system_attrs["fixed_params"] for item in waiting] == [trial.params] * (again is not None)


def test_limited_retries_are_spent_and_interruptions_spend_none(ledger: Ledger) -> None:
    causes = [Cause.INTERRUPTED, Cause.SIGNAL, Cause.LOST, Cause.SIGNAL]
    again = [ledger.tell(next_number(ledger), Outcome(cause)) for cause in causes]
    assert again == [2, 3, 4, None]
    assert {trial.user_attrs.get(attrs.ROOT, trial.number) for trial in ledger.trials()} == {0}


@pytest.mark.parametrize(
    ("metrics", "cause"),
    [
        ({"cer": 0.1}, Cause.OK),
        ({"cer": math.nan}, Cause.DIVERGED),
        ({"cer": -math.inf}, Cause.DIVERGED),
        ({"wer": 1.0}, Cause.PROTOCOL),
    ],
)
def test_only_a_finite_objective_is_a_success(metrics: dict[str, float], cause: Cause) -> None:
    assert checked_outcome(Outcome(Cause.OK, metrics=metrics), "cer").cause is cause


def test_recovery_tells_untold_results_and_queues_dead_trials_again(ledger: Ledger, tmp_path: Path) -> None:
    folders = study_folders(tmp_path, "a")
    untold, dead = next_number(ledger), next_number(ledger)
    for number in (untold, dead):  # of a trial that was not launched, what lies in its folder is an older one's
        folder = folders.attempt(number, 1)
        folder.mkdir(parents=True)
        (folder / "outcome.json").write_text(Outcome(Cause.OK, metrics={"cer": 0.2}).to_json())
    ledger.note(untold, {attrs.FOLDER: "trial_0"})
    repairs = recover(ledger, folders, FakeExecutor(lambda job: iter(())), "1-1")
    assert ledger.trial(untold).value == 0.2
    assert ledger.trial(dead).user_attrs[attrs.OUTCOME] == "lost"
    assert (repairs.recorded, repairs.requeued) == ([untold], [dead])
    (waiting,) = ledger.trials(TrialState.WAITING)
    assert waiting.user_attrs[attrs.RETRY_OF] == dead
    assert str(recover(ledger, folders, FakeExecutor(lambda job: iter(())), "1-1")) == ""


def write_reports(folder: Path, *lines: dict[str, object]) -> None:
    folder.mkdir(parents=True)
    (folder / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines) + '{"half')


def test_recovery_takes_reports_and_results_from_the_disk(ledger: Ledger, tmp_path: Path) -> None:
    folders, step = study_folders(tmp_path, "a"), {"step": 1, "metrics": {"cer": 0.5}}
    ended, dead = next_number(ledger), next_number(ledger)
    for number, more in (
        (ended, [{"step": 2, "metrics": {"cer": 0.4}}, {"step": None, "metrics": {"cer": 0.3}}]),
        (dead, []),
    ):
        folder = folders.attempt(number, 1)
        write_reports(folder, step, *more)
        job = Job(id="a", kind="trial", study="a", command=(), output_dir=str(folder), settings={}, metric="cer")
        (folder / "job.json").write_text(job.to_json())
        ledger.note(number, {attrs.FOLDER: f"trial_{number}"})
    ledger.report(ended, 2, 0.4)  # this one had reached the storage
    repairs = recover(ledger, folders, FakeExecutor(lambda job: iter(())), "1-1")
    assert (repairs.recorded, repairs.requeued) == ([ended], [dead])
    assert (ledger.trial(ended).value, ledger.trial(ended).intermediate_values) == (0.3, {1: 0.5, 2: 0.4})
    assert "its runner died" in ledger.trial(ended).user_attrs[attrs.MESSAGE]
    assert ledger.trial(dead).intermediate_values == {1: 0.5}


def test_a_stop_of_an_earlier_version_did_not_undo_the_result() -> None:
    for cause in (Cause.INTERRUPTED, Cause.LOST, Cause.TIMEOUT, Cause.STALLED):
        assert checked_outcome(Outcome(cause, metrics={"cer": 0.1}), "cer").cause is Cause.OK
        assert checked_outcome(Outcome(cause, metrics={"wer": 0.1}), "cer").cause is cause


def test_a_retry_that_the_dead_runner_did_not_queue_is_queued_once(ledger: Ledger, tmp_path: Path) -> None:
    number = next_number(ledger)
    ledger.note(number, {attrs.OUTCOME: "interrupted"})
    ledger.study.tell(number, state=TrialState.FAIL)
    for expected in ([number], []):
        found = recover(ledger, study_folders(tmp_path, "a"), FakeExecutor(lambda job: iter(())), "1-1")
        assert found.requeued == expected


def test_a_trial_that_died_before_its_parameters_were_stored_leaves_nothing_behind(
    ledger: Ledger, tmp_path: Path
) -> None:
    ledger.study.ask()
    recover(ledger, study_folders(tmp_path, "a"), FakeExecutor(lambda job: iter(())), "1-1")
    assert [trial.state for trial in ledger.trials()] == [TrialState.FAIL]
