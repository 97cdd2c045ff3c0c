"""The demo by the real command line: tiny models, handwriting, fine-tunes, all real, shortened by settings alone."""

from __future__ import annotations

import importlib.util
import json
import signal
from collections.abc import Callable
from pathlib import Path

import pytest
from optuna.trial import TrialState

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
    words = ("run", "--study", "digits-ocr", "--n-trials", "2", *SHORT)
    runner = start(*words)
    runner.wait_for("trial 1 step 1")
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

    folder = tmp_path / "studies/digits-ocr"
    _check_files(folder)
    best = json.loads((folder / "digits-ocr_best_params.json").read_text())
    repeated = command_line("train", "--config", f"{folder}/digits-ocr_best_config.json", "--output-dir", "again")
    assert repeated.returncode == 0, repeated.stderr
    metrics = json.loads((tmp_path / "again/train_results.json").read_text())["metrics"]
    for name in ("eval_cer", "eval_wer", "eval_loss", "holdout_cer"):
        assert metrics[name] == best["metrics"][name], name


def test_the_gemma_demo_runs_the_same_way(tmp_path: Path, command_line: CommandLine) -> None:
    few = ("--set", "val_split=validation[:10]")
    done = command_line("run", "--study", "digits-ocr-gemma", "--n-trials", "1", *SHORT, *few)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "warning: validation has only 10 rows" in done.stdout
    assert "; backend hf (unsloth cannot work here: torch sees no CUDA GPU) on " in done.stdout
    (trial,) = trials(tmp_path, "digits-ocr-gemma")
    assert trial.user_attrs["hps:default"] is True
    assert set(trial.intermediate_values) == {1, 2, 3}
    assert {"eval_cer", "eval_loss", "holdout_cer", "peak_memory_bytes"} <= set(trial.user_attrs["hps:metrics"])


def test_the_time_limit_counts_what_prepares(tmp_path: Path, command_line: CommandLine) -> None:
    done = command_line("run", "--study", "digits-ocr", "--timeout", "0.3")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "time limit reached while preparing" in done.stdout
    assert trials(tmp_path, "digits-ocr") == []


def test_what_the_device_cannot_do_is_refused_before_the_first_trial(tmp_path: Path, command_line: CommandLine) -> None:
    refused = command_line("run", "--study", "digits-ocr", "--set", "max_seq_length=8")
    assert refused.returncode == 2
    assert "max_seq_length" in refused.stderr
    assert trials(tmp_path, "digits-ocr") == []
    mended = command_line("run", "--study", "digits-ocr", "--set", "load_in_4bit=true", CUDA_VISIBLE_DEVICES="")
    assert mended.returncode == 2
    assert "load_in_4bit" in mended.stderr


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
    assert {"reference", "prediction", "cer"} <= set(rows[0])
    assert (folder / "best/adapter_config.json").exists()
    assert "Base, default and best" in (folder / "report/index.html").read_text()
