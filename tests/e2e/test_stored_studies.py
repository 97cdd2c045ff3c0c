"""A study keeps what it began with: what commit bb3fe56 stored is gone on with, analysed, exported and trained from.

tests/compatibility has what that commit left: a search by a program of one's own whose runner was killed, and one by
the built-in training that was interrupted within a trial; in SQLite and in PostgreSQL, where the server had been away.
"""

from __future__ import annotations

import importlib.util
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import optuna
import pytest
from optuna.trial import TrialState

from tests.compatibility.stored import described, dump, gone_on, is_same_machine, lay_out, trials
from tests.conftest import CommandLine
from tests.postgres import Server, server

needs_training = pytest.mark.skipif(
    importlib.util.find_spec("torch") is None, reason="needs the training side: pip install 'hpsearch[train]'"
)
# The trials from this number on had not been run when the studies were stored. Of those before it the last had been
# run, or begun, without the storage's knowing of it: what came of them was in their folders, or put aside.
NEW = {("own", "sqlite"): 18, ("own", "postgres"): 21, ("digits", "sqlite"): 3, ("digits", "postgres"): 3}


@dataclass(frozen=True)
class Stored:
    """The stored studies in a folder, with the URL of their storage."""

    kind: str
    folder: Path
    url: str

    def trials(self, study: str) -> list[optuna.trial.FrozenTrial]:
        """The trials of a study."""
        return trials(self.url, study)


@pytest.fixture(scope="module")
def running() -> Iterator[Server]:
    """A server for this file's tests."""
    with server() as found:
        yield found


@pytest.fixture(params=["sqlite", "postgres"])
def stored(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Stored:
    """The studies as they were left in a storage of each kind, which all commands use."""
    lay_out(tmp_path, request.param)
    url = f"sqlite:///{tmp_path}/studies/hpsearch.db"
    if request.param == "postgres":
        postgres: Server = request.getfixturevalue("running")
        postgres.empty()
        postgres.ask(dump(tmp_path, "postgres"))
        url = postgres.url
    monkeypatch.setenv("HPSEARCH_STORAGE", url)
    return Stored(request.param, tmp_path, url)


def test_a_search_by_a_program_of_ones_own_goes_on(stored: Stored, command_line: CommandLine) -> None:
    before = stored.trials("own")
    assert _status(command_line, "own")["finished"] == {"sqlite": 12, "postgres": 14}[stored.kind]
    (stored.folder / "elsewhere").mkdir()
    resumed = command_line(
        "resume", "--study", "own", "--base-output-dir", "../studies", cwd=stored.folder / "elsewhere"
    )
    assert resumed.returncode == 0, resumed.stdout + resumed.stderr
    after = stored.trials("own")
    _assert_kept(before, after)
    _assert_as_it_would_have_gone_on(stored, "own", before, after)
    _assert_ran_once_each(stored, after)
    assert not (stored.folder / "studies/own/kept_back.jsonl").exists()
    _assert_analysed(stored, "own", after, command_line)
    best = _assert_exported(stored, "own", after, command_line)
    trained = command_line("train", "--config", "exported/own_best_config.json", "--output-dir", "again")
    assert trained.returncode == 0, trained.stdout + trained.stderr
    assert _trained(stored)["metrics"] == best["metrics"]

    more = command_line("run", "--study", "own", "--config", "own.json", "--n-trials", "17")
    assert more.returncode == 0, more.stdout + more.stderr
    _assert_kept(after, stored.trials("own"))
    status = _status(command_line, "own")
    assert (status["finished"], status["target"], status["gpu_hours_limit"]) == (17, 17, 5)


@needs_training
def test_a_search_by_the_built_in_training_goes_on(stored: Stored, command_line: CommandLine) -> None:
    study = stored.folder / "studies/digits"
    before = stored.trials("digits")
    assert _status(command_line, "digits")["states"] == {"COMPLETE": 2, "FAIL": 1, "WAITING": 1}
    report = _assert_analysed(stored, "digits", before, command_line)
    assert report["base"]["value"] == json.loads((study / "prepared/prepared.json").read_text())["base"]["eval_cer"]
    best = _assert_exported(stored, "digits", before, command_line)
    config = json.loads((study / "digits_best_config.json").read_text())
    assert json.loads((stored.folder / "exported/digits_best_config.json").read_text()) == config
    if stored.kind == "sqlite":  # the file is the same with any storage
        _assert_trained_again(stored, best, command_line)

    resumed = command_line("resume", "--study", "digits")
    assert resumed.returncode == 0, resumed.stdout + resumed.stderr
    after = stored.trials("digits")
    _assert_kept(before, after)
    _assert_as_it_would_have_gone_on(stored, "digits", before, after)
    assert after[3].intermediate_values[1] == after[2].intermediate_values[1], "from before the checkpoint"
    assert f"{study}/trial_2/checkpoints/checkpoint-6" in (study / "trial_2/attempt-2/log.txt").read_text()
    assert (study / "best/adapter_model.safetensors").is_file()

    again = command_line("run", "--study", "digits", "--config", "digits.json")
    assert again.returncode == 0, again.stdout + again.stderr
    assert len(stored.trials("digits")) == 4


def _assert_trained_again(stored: Stored, best: dict[str, Any], command_line: CommandLine) -> None:
    """The stored best configuration gives the best trial again: exactly on such a machine, else nearly."""
    config = "studies/digits/digits_best_config.json"
    trained = command_line("train", "--config", config, "--output-dir", "again")
    assert trained.returncode == 0, trained.stdout + trained.stderr
    results, stored_one = _trained(stored), stored.folder / "studies/digits/trial_0"
    assert results["settings"]["seed"] == best["seed"]
    names = {"eval_cer", "eval_wer", "eval_loss", "holdout_cer", "holdout_loss"}
    assert names <= best["metrics"].keys() <= results["metrics"].keys()
    if is_same_machine():
        assert {name: results["metrics"][name] for name in names} == {name: best["metrics"][name] for name in names}
        for name in ("adapter/adapter_model.safetensors", "predictions.jsonl"):
            assert (stored.folder / "again" / name).read_bytes() == (stored_one / name).read_bytes()
    assert results["metrics"]["eval_loss"] == pytest.approx(best["metrics"]["eval_loss"], rel=0.1)
    assert results["metrics"]["steps"] == best["metrics"]["steps"]


def _trained(stored: Stored) -> dict[str, Any]:
    results: dict[str, Any] = json.loads((stored.folder / "again/train_results.json").read_text())
    return results


def _status(command_line: CommandLine, study: str) -> dict[str, Any]:
    shown = command_line("status", "--study", study, "--json")
    assert shown.returncode == 0, shown.stderr
    (status,) = json.loads(shown.stdout)["studies"]
    found: dict[str, Any] = status
    return found


def _assert_kept(before: list[optuna.trial.FrozenTrial], after: list[optuna.trial.FrozenTrial]) -> None:
    """Every trial that had ended is there, with each value, parameter, attribute, report and time as it was."""
    ended = [trial for trial in before if trial.state.is_finished()]
    assert len(ended) > 1
    for trial in ended:
        assert _everything(after[trial.number]) == _everything(trial)


def _everything(trial: optuna.trial.FrozenTrial) -> dict[str, object]:
    values = {name.lstrip("_"): value for name, value in vars(trial).items()}
    return {name: repr(value) if name == "intermediate_values" else value for name, value in values.items()}  # NaN


def _assert_as_it_would_have_gone_on(
    stored: Stored, study: str, before: list[optuna.trial.FrozenTrial], after: list[optuna.trial.FrozenTrial]
) -> None:
    """The trials that came since are those that the commit itself made of the study; what depends on a processor's last
    bits is compared where the processor is the same."""
    ended = {trial.number for trial in before if trial.state.is_finished()}
    added, would = [described(trial) for trial in after if trial.number not in ended], gone_on(stored.kind, study)
    for trial, own in zip(added, would, strict=is_same_machine()):
        assert (trial["number"], trial["attributes"]["seed"]) == (own["number"], own["attributes"]["seed"])
        if trial["number"] < NEW[study, stored.kind] or is_same_machine():
            assert trial == own
        elif "retry_of" in own["attributes"]:
            assert (trial["params"], trial["attributes"]) == (own["params"], own["attributes"])
    assert all(trial.state.is_finished() for trial in after)


def _assert_ran_once_each(stored: Stored, after: list[optuna.trial.FrozenTrial]) -> None:
    """No trial whose end was known ran again, and each other ran once, by its own account."""
    lines = (stored.folder / "runs.txt").read_text().splitlines()
    runs = [line.partition("studies/own/")[2].split() for line in lines]
    new = [trial.user_attrs for trial in after[NEW["own", stored.kind] :]]
    assert runs == [[own["hps:folder"], str(own["hps:seed"])] for own in new]


def _assert_analysed(
    stored: Stored, study: str, now: list[optuna.trial.FrozenTrial], command_line: CommandLine
) -> dict[str, Any]:
    """The report has every trial as it is stored."""
    analysed = command_line("analyze", "--study", study)
    assert analysed.returncode == 0, analysed.stdout + analysed.stderr
    report: dict[str, Any] = json.loads((stored.folder / "studies" / study / "report/report.json").read_text())
    rows = {row["number"]: row for row in report["rows"]}
    assert sorted(rows) == [trial.number for trial in now]
    for trial in now:
        row, own = rows[trial.number], trial.user_attrs
        assert row["state"] == trial.state.name
        assert row["params"] == {**trial.system_attrs.get("fixed_params", {}), **trial.params}
        cause = "not_tried" if "hps:not_tried" in own else own.get("hps:outcome", trial.state.name.lower())
        assert (row["cause"], row["seed"]) == (cause, own.get("hps:seed"))
        assert (row["root"], row["attempt"]) == (own.get("hps:root", trial.number), own.get("hps:attempt", 1))
        assert (row["metrics"], row["gpus"]) == (own.get("hps:metrics", {}), own.get("hps:gpus", 1))
        assert row["is_default"] == own.get("hps:default", False)
        assert row["first"] == own.get("hps:try_first", "")
        if trial.state is TrialState.COMPLETE:
            assert row["value"] == trial.value
            assert row["steps"] == [[step, value] for step, value in trial.intermediate_values.items()]
    return report


def _assert_exported(
    stored: Stored, study: str, now: list[optuna.trial.FrozenTrial], command_line: CommandLine
) -> dict[str, Any]:
    """Best parameters and an archive are written again, and whoever gets the archive reads the study out of it."""
    exported = command_line("export", "--study", study, "--archive", f"{study}.zip", "--output-dir", "exported")
    assert exported.returncode == 0, exported.stdout + exported.stderr
    best = min((trial for trial in now if trial.state is TrialState.COMPLETE), key=lambda trial: trial.value or 0.0)
    written: dict[str, Any] = json.loads((stored.folder / f"exported/{study}_best_params.json").read_text())
    assert (written["trial"], written["value"], written["params"]) == (best.number, best.value, best.params)
    assert (written["metrics"], written["seed"]) == (best.user_attrs["hps:metrics"], best.user_attrs["hps:seed"])
    read = command_line("analyze", "--archive", f"{study}.zip", "--output-dir", "read", HPSEARCH_STORAGE="")
    assert read.returncode == 0, read.stdout + read.stderr
    rows = json.loads((stored.folder / "read/report.json").read_text())["rows"]
    assert [row["number"] for row in rows] == [trial.number for trial in now]
    return written
