"""The demo by the real command line: tiny models, handwriting, fine-tunes, all real, shortened by settings alone."""

from __future__ import annotations

import importlib.util
import json
import signal
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from optuna.trial import TrialState

from hpsearch.data.predictions import read_predictions
from tests.conftest import CommandLine
from tests.e2e.conftest import Runner, alive, trials

pytestmark = pytest.mark.skipif(
    importlib.util.find_spec("torch") is None, reason="needs the training side: pip install 'hpsearch[train]'"
)
BRIEF = ("num_train_epochs=0.3", "evaluations=3", "eval_stride=1", "eval_samples=8")
SHORT = [word for setting in BRIEF for word in ("--set", setting)]


def test_a_search_survives_a_kill_and_its_best_trial_is_repeated_exactly(
    tmp_path: Path, start: Callable[..., Runner], command_line: CommandLine
) -> None:
    words = ("run", "--study", "digits-ocr", "--n-trials", "2", *SHORT, "--set", "save_steps=2")
    runner = start(*words)
    runner.wait_for("trial 1 step 1")
    while not trials(tmp_path, "digits-ocr")[1].intermediate_values:  # it is told before it is stored
        time.sleep(0.01)
    runner.send(signal.SIGKILL)
    runner.end()

    done = command_line("resume")
    assert done.returncode == 0, done.stdout + done.stderr
    assert alive(tmp_path) == []
    first, lost, again = trials(tmp_path, "digits-ocr")
    assert [trial.state for trial in (first, lost, again)] == [
        TrialState.COMPLETE,
        TrialState.FAIL,
        TrialState.COMPLETE,
    ]
    assert again.params == lost.params
    assert lost.intermediate_values[1] == again.intermediate_values[1]
    assert list(again.intermediate_values) == [1, 2, 3]

    folder = tmp_path / "studies/digits-ocr"
    log = (folder / "trial_1/attempt-2/log.txt").read_text()
    assert f"goes on from {folder}/trial_1/checkpoints/checkpoint-" in log
    assert not list(folder.glob("trial_1/**/checkpoint-*"))
    _check_files(folder)
    assert '<img src="data:image/jpeg;base64,' in (folder / "report/pages.html").read_text(encoding="utf-8")
    best = json.loads((folder / "digits-ocr_best_params.json").read_text())
    repeated = command_line("train", "--config", f"{folder}/digits-ocr_best_config.json", "--output-dir", "again")
    assert repeated.returncode == 0, repeated.stderr
    metrics = json.loads((tmp_path / "again/train_results.json").read_text())["metrics"]
    for name in ("eval_cer", "eval_wer", "eval_loss", "holdout_cer"):
        assert metrics[name] == best["metrics"][name], name
    held_out = best["evidence"]["heldout"]
    assert set(held_out) == {"base", "default", "best"}
    assert held_out["best"]["value"] == best["metrics"]["holdout_cer"] and held_out["best"]["trial"] == best["trial"]
    assert all(score["low"] <= score["value"] <= score["high"] for score in held_out.values())
    assert json.loads(command_line("status", "--json").stdout)["studies"][0]["heldout"] == held_out["best"]
    assert f"held out {best['metrics']['holdout_cer']:.4g} (95 %: " in command_line("status").stdout
    trial = folder / f"trial_{best['trial']}"
    for name, one in {"adapter/adapter_model.safetensors": folder / "best", "predictions.jsonl": trial}.items():
        assert (tmp_path / "again" / name).read_bytes() == (one / Path(name).name).read_bytes(), name
    assert "Warning" not in (trial / "log.txt").read_text()


def test_the_time_limit_counts_what_prepares(tmp_path: Path, command_line: CommandLine) -> None:
    done = command_line("run", "--study", "digits-ocr", "--timeout", "0.3")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "time limit reached while preparing" in done.stdout
    assert trials(tmp_path, "digits-ocr") == []


def _check_files(folder: Path) -> None:
    prepared = json.loads((folder / "prepared/prepared.json").read_text())
    assert 0 < prepared["base"]["eval_cer"] <= 1.5
    trial = folder / "trial_0"
    results = json.loads((trial / "trial_0_results.json").read_text())
    assert results["cause"] == "ok"
    assert {"versions", "settings", "seed", "metrics"} <= set(results)
    for name in ("config.json", "metrics.jsonl", "log.txt", "predictions.jsonl"):
        assert (trial / name).stat().st_size > 0, name
    rows = [json.loads(line) for line in (trial / "predictions.jsonl").read_text().splitlines()]
    assert {"reference", "prediction", "cer", "characters", "words", "repeats"} <= set(rows[0])
    assert len(read_predictions(folder / "base_predictions.jsonl")) == len(rows)
    assert (folder / "best/adapter_config.json").exists()
    page, report = ((folder / "report" / name).read_text() for name in ("index.html", "report.json"))
    assert "Base, default and best" in page and "hours of trials by use" in page and "GPU-hours" not in page
    spent = json.loads(report)
    assert {"loading", "training", "judging", "interrupted"} == spent["hours_by_use"].keys()
    durations = sum(row["duration_s"] for row in spent["rows"])
    assert sum(spent["hours_by_use"].values()) * 3600 == pytest.approx(durations, rel=0.02)
