"""Studies that commit bb3fe56 stored are resumed, analysed, exported and trained from.

tests/compatibility has them: a search with a custom program, whose runner was killed, and one with the built-in
training, interrupted within a trial; in SQLite, and in PostgreSQL, whose server had been away.
"""

from __future__ import annotations

import importlib.util
import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from optuna.trial import FrozenTrial, TrialState

from tests.compatibility.stored_studies import continued, described, dump, is_same_machine, restore, trials
from tests.conftest import CommandLine
from tests.postgres import Server

needs_training = pytest.mark.skipif(
    importlib.util.find_spec("torch") is None, reason="needs the training side: pip install 'hpsearch[train]'"
)
# Trials from this number on had not been launched when the studies were stored. The results of the last trials before
# it are not in the storage, but in files of the study's folder.
NEW = {("own", "sqlite"): 19, ("own", "postgres"): 21, ("digits", "sqlite"): 3, ("digits", "postgres"): 3}
# Metrics that are equal in each run; the others are seconds and bytes.
SCORES = ("eval_cer", "eval_wer", "eval_loss", "holdout_cer", "holdout_wer", "holdout_loss", "steps", "best_step")


@dataclass(frozen=True)
class Stored:
    """The stored studies in a folder, with the URL of their storage, and the command line for both."""

    kind: str
    folder: Path
    url: str
    command_line: CommandLine

    def run(self, *words: str, code: int = 0, cwd: str = ".") -> str:
        """Return the output of a command, which must end with this code."""
        done = self.command_line(*words, cwd=self.folder / cwd, HPSEARCH_STORAGE=self.url)
        assert done.returncode == code, done.stdout + done.stderr
        return done.stdout

    def read(self, path: str) -> Any:
        """Return the content of a JSON file in the folder."""
        return json.loads((self.folder / path).read_text())

    def trials(self, study: str) -> list[FrozenTrial]:
        """Return the trials of a study."""
        return trials(self.url, study)

    def status(self, study: str) -> dict[str, Any]:
        """Return the answer of ``hpsearch status`` about a study."""
        (status,) = json.loads(self.run("status", "--study", study, "--json"))["studies"]
        return dict(status)


@pytest.fixture
def stored(request: pytest.FixtureRequest, tmp_path: Path, command_line: CommandLine) -> Callable[[str], Stored]:
    """Return a function that restores the studies in a storage of some kind."""

    def restored(kind: str) -> Stored:
        folder = tmp_path / kind
        folder.mkdir()
        if kind == "sqlite":
            restore(folder, kind)
            return Stored(kind, folder, f"sqlite:///{folder}/studies/hpsearch.db", command_line)
        postgres: Server = request.getfixturevalue("running")
        restore(folder, kind)
        postgres.empty()
        postgres.ask(dump(folder, kind))
        return Stored(kind, folder, postgres.url, command_line)

    return restored


@pytest.mark.parametrize("kind", ["sqlite", "postgres"])
def test_a_stored_search_with_a_custom_program_continues(stored: Callable[[str], Stored], kind: str) -> None:
    studies = stored(kind)
    before = studies.trials("own")
    status = studies.status("own")
    assert (status["finished"], status["target"]) == ({"sqlite": 13, "postgres": 14}[kind], 16)

    (studies.folder / "elsewhere").mkdir()
    studies.run("resume", "--study", "own", "--base-output-dir", "../studies", cwd="elsewhere")
    after = studies.trials("own")
    _assert_kept(before, after)
    _assert_continued_as_by_the_commit(studies, "own", before, after)
    _assert_ran_once_each(studies, after)
    assert not (studies.folder / "studies/own/kept_back.jsonl").exists()
    _assert_analysed(studies, "own", after)
    best = _assert_exported(studies, "own", after)
    studies.run("train", "--config", "exported/own_best_config.json", "--output-dir", "again")
    assert studies.read("again/train_results.json")["metrics"] == best["metrics"]

    same = ("run", "--study", "own", "--config", "own.json", "--warm-start-from", "source")
    studies.run(*same, "--n-trials", "17")
    _assert_kept(after, studies.trials("own"))
    status = studies.status("own")
    assert (status["finished"], status["target"], status["gpu_hours_limit"]) == (17, 17, 5)
    studies.run(*same, "--set", "seed=8", code=6)


def test_a_stored_search_is_made_again_from_its_folder_alone(stored: Callable[[str], Stored]) -> None:
    """The commit wrote no second copy of the study into it, so the definition has to be named."""
    studies = stored("sqlite")
    before = studies.trials("own")
    (studies.folder / "studies/hpsearch.db").unlink()
    studies.run("storage", "rebuild", "--study", "own", code=2)
    said = studies.run("storage", "rebuild", "--study", "own", "--config", "own.json")
    assert "the folder holds nothing of trial 12\n" in said, "it was refused before its launch"
    after = studies.trials("own")
    assert [trial.number for trial in after] == list(range(19))
    assert after[18].state is TrialState.COMPLETE, "its outcome was in the folder alone"
    for old, new in zip(before, after, strict=True):
        if old.number not in (12, 18):
            was, found = described(old), described(new)
            for origin in ("try_first", "carried"):
                was["attributes"].pop(origin, None)
            assert found == was
    assert studies.status("own")["finished"] == 14
    studies.run("resume", "--study", "own", "--n-trials", "15")
    _assert_kept(after, studies.trials("own"))


@needs_training
@pytest.mark.timeout(600)  # six commands that import the training's libraries, on a machine that may be busy
def test_a_stored_search_with_the_built_in_training_continues(stored: Callable[[str], Stored]) -> None:
    first = stored("sqlite")
    _assert_training_continues(first)
    _assert_trained_again(first)
    second = stored("postgres")
    # Prepared on this machine a moment ago, so prepare has nothing to do again.
    shutil.copytree(
        first.folder / "studies/digits/prepared", second.folder / "studies/digits/prepared", dirs_exist_ok=True
    )
    _assert_training_continues(second)


def _assert_training_continues(studies: Stored) -> None:
    before = studies.trials("digits")
    assert studies.status("digits")["states"] == {"COMPLETE": 2, "FAIL": 1, "WAITING": 1}
    config, best = (studies.read(f"studies/digits/digits_best_{name}.json") for name in ("config", "params"))
    exported = _assert_exported(studies, "digits", before)
    assert exported == best | {name: exported[name] for name in ("time", "versions", "confirmed", "evidence")}
    assert studies.read("exported/digits_best_config.json") == config

    studies.run("resume", "--study", "digits")
    after = studies.trials("digits")
    _assert_kept(before, after)
    _assert_continued_as_by_the_commit(studies, "digits", before, after)
    trial = studies.folder / "studies/digits/trial_2"
    assert after[3].intermediate_values[1] == after[2].intermediate_values[1], "from before the checkpoint"
    assert f"{trial}/checkpoints/checkpoint-6" in (trial / "attempt-2/log.txt").read_text()
    report = _assert_analysed(studies, "digits", after)
    assert report["base"]["value"] == studies.read("studies/digits/prepared/prepared.json")["base"]["eval_cer"]
    assert (studies.folder / "studies/digits/best/adapter_model.safetensors").is_file()
    studies.run("run", "--study", "digits", "--config", "digits.json")
    assert len(studies.trials("digits")) == len(after)


def _assert_trained_again(studies: Stored) -> None:
    """Train with the best configuration of the stored study, and check that it gives the stored best trial: exactly on
    the same kind of machine, else nearly."""
    studies.run("train", "--config", "exported/digits_best_config.json", "--output-dir", "again")
    results, best = studies.read("again/train_results.json"), studies.read("exported/digits_best_params.json")
    assert results["settings"]["seed"] == best["seed"]
    metrics, stored_metrics = ({name: file["metrics"][name] for name in SCORES} for file in (results, best))
    assert metrics["eval_loss"] == pytest.approx(stored_metrics["eval_loss"], rel=0.1)
    if is_same_machine():
        assert metrics == stored_metrics
        trial = studies.folder / "studies/digits/trial_0"
        written, stored = (
            [json.loads(line) for line in (folder / "predictions.jsonl").read_text(encoding="utf-8").splitlines()]
            for folder in (studies.folder / "again", trial)
        )
        assert [{name: row[name] for name in stored[0]} for row in written] == stored  # today's lines have more keys


def _assert_kept(before: list[FrozenTrial], after: list[FrozenTrial]) -> None:
    """Check that each value, parameter, attribute, report and time of the trials that had ended is unchanged."""
    ended = [trial for trial in before if trial.state.is_finished()]
    assert len(ended) > 1
    for trial in ended:
        assert _everything(after[trial.number]) == _everything(trial)


def _everything(trial: FrozenTrial) -> dict[str, object]:
    values = vars(trial)
    return {**values, "_user_attrs": trial.user_attrs, "intermediate_values": repr(trial.intermediate_values)}  # NaN


def _assert_continued_as_by_the_commit(
    studies: Stored, study: str, before: list[FrozenTrial], after: list[FrozenTrial]
) -> None:
    """Check the new trials against those that the commit itself added; numbers that depend on the processor only if it
    is of the same kind."""
    ended = {trial.number for trial in before if trial.state.is_finished()}
    added, expected = [described(trial) for trial in after if trial.number not in ended], continued(studies.kind, study)
    for trial, own in zip(added, expected, strict=is_same_machine()):
        if "retry_of" not in trial["attributes"]:  # the commit left reports of a recovered trial on the disk
            assert own["reports"].items() <= trial["reports"].items()
            own["reports"] = trial["reports"]
        assert (trial["number"], trial["attributes"]["seed"]) == (own["number"], own["attributes"]["seed"])
        if trial["number"] < NEW[study, studies.kind] or is_same_machine():
            assert trial == own
        elif "retry_of" in own["attributes"]:
            assert (trial["params"], trial["attributes"]) == (own["params"], own["attributes"])
    assert all(trial.state.is_finished() for trial in after)


def _assert_ran_once_each(studies: Stored, after: list[FrozenTrial]) -> None:
    """Check by the program's own record that it ran once for each new trial, and for no other."""
    lines = (studies.folder / "runs.txt").read_text().splitlines()
    runs = [line.partition("studies/own/")[2].split() for line in lines]
    new = [trial.user_attrs for trial in after[NEW["own", studies.kind] :]]
    assert runs == [[own["hps:folder"], str(own["hps:seed"])] for own in new]


def _assert_analysed(studies: Stored, study: str, now: list[FrozenTrial]) -> dict[str, Any]:
    """Check that the report has every trial as it is stored."""
    (studies.folder / "studies" / study / "report/report.json").unlink()  # written by the run
    studies.run("analyze", "--study", study)
    report: dict[str, Any] = studies.read(f"studies/{study}/report/report.json")
    rows = {row["number"]: row for row in report["rows"]}
    assert sorted(rows) == [trial.number for trial in now]
    for trial in now:
        row, own = rows[trial.number], trial.user_attrs
        cause = "not_tried" if "hps:not_tried" in own else own["hps:outcome"]
        assert (row["state"], row["cause"], row["params"]) == (trial.state.name, cause, trial.params)
        assert (row["seed"], row["message"]) == (own.get("hps:seed"), own["hps:message"])
        assert (row["root"], row["attempt"]) == (own.get("hps:root", trial.number), own.get("hps:attempt", 1))
        assert (row["metrics"], row["gpus"]) == (own.get("hps:metrics", {}), own.get("hps:gpus", 1))
        assert (row["is_default"], row["first"]) == (own.get("hps:default", False), own.get("hps:try_first", ""))
        assert (row["folder"], row["duration_s"]) == (own.get("hps:folder"), own["hps:duration_s"])
        if trial.state is TrialState.COMPLETE:
            assert row["value"] == trial.value
            assert row["steps"] == [[step, value] for step, value in trial.intermediate_values.items()]
    return report


def _assert_exported(studies: Stored, study: str, now: list[FrozenTrial]) -> dict[str, Any]:
    """Check the exported best parameters, and that the archive holds every trial."""
    studies.run("export", "--study", study, "--archive", f"{study}.zip", "--output-dir", "exported")
    best = min((trial for trial in now if trial.state is TrialState.COMPLETE), key=lambda trial: trial.value or 0.0)
    written: dict[str, Any] = studies.read(f"exported/{study}_best_params.json")
    assert (written["trial"], written["value"], written["params"]) == (best.number, best.value, best.params)
    assert (written["metrics"], written["seed"]) == (best.user_attrs["hps:metrics"], best.user_attrs["hps:seed"])
    if study == "own":
        studies.run("analyze", "--archive", "own.zip", "--output-dir", "read")
        assert [row["number"] for row in studies.read("read/report.json")["rows"]] == [trial.number for trial in now]
    return written
