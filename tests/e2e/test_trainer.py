"""Training by another Python, with other versions of the libraries, through the user's commands.

`make test` makes that environment by `hpsearch setup-trainer`, from the lock that ships; nothing is installed here.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import CommandLine
from tests.e2e.conftest import trials

ROOT = Path(__file__).parents[2]
SECOND = Path(os.environ.get("HPSEARCH_TEST_TRAINER", ROOT / ".venv-caps/bin/python"))
LOCK = ROOT / "hpsearch/assets/trainers/unsloth.txt"

needs_second = pytest.mark.skipif(
    not SECOND.is_file(),
    reason=f"needs the second environment, whose Python would be {SECOND}: `make test` makes it, and so does "
    "`hpsearch setup-trainer --name unsloth --cpu --dir .venv-caps`",
)
SHORT = ["--set", "max_steps=3", "--set", "evaluations=2", "--set", "eval_samples=8", "--set", "eval_stride=1"]
# What the versions do differently.
DIFFERENT = ["--set", "label_smoothing_factor=0.1"]
FEW = ["--set", "val_split=validation[:16]", "--set", "train_split=train[:64]"]


def locked(*names: str) -> dict[str, str]:
    lines = dict(line.split("==") for line in LOCK.read_text().splitlines() if "==" in line and line[0] != "#")
    return {name: lines[name] for name in names}


@needs_second
def test_a_search_runs_in_the_versions_that_unsloth_takes(tmp_path: Path, command_line: CommandLine) -> None:
    study = "digits-ocr-gemma"
    words = ("run", "--study", study, "--n-trials", "1", "--trainer-python", str(SECOND), *SHORT, *FEW, *DIFFERENT)
    done = command_line(*words)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "backend hf (unsloth cannot work here: " in done.stdout
    assert "warning: validation has only 16 rows" in done.stdout
    (trial,) = trials(tmp_path, study)
    assert trial.user_attrs["hps:default"] is True
    assert set(trial.intermediate_values) == {1, 2}
    assert {"eval_cer", "eval_loss", "holdout_cer", "peak_memory_bytes"} <= set(trial.user_attrs["hps:metrics"])
    folder = tmp_path / "studies" / study
    results = json.loads((folder / "trial_0/trial_0_results.json").read_text())
    expected = locked("transformers", "trl", "datasets", "unsloth")
    assert expected.items() <= results["versions"].items()
    assert {"optuna", "hpsearch"} <= results["versions"].keys()
    best = json.loads((folder / f"{study}_best_params.json").read_text())
    assert best["versions"]["trl"] == locked("trl")["trl"]
    _goes_on_elsewhere(command_line, study, folder)


def _goes_on_elsewhere(command_line: CommandLine, study: str, folder: Path) -> None:
    """A resumed study keeps its trainer, and may be given another, which is said."""
    done = command_line("resume", "--study", study, "--add-trials", "1", "--trainer-python", sys.executable)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "warning: trials from here on run with other versions than those before" in done.stdout
    assert f"trl {locked('trl')['trl']} -> " in done.stdout
    assert json.loads((folder / "trial_1/versions.json").read_text())["trl"] != locked("trl")["trl"]


@needs_second
def test_unsloth_is_what_the_backend_was_written_for() -> None:
    """Everything under tests/training/caps, which needs unsloth installed."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("PYTEST_", "HPSEARCH_"))}
    words = [str(SECOND), "-m", "pytest", "-q", "-p", "no:cacheprovider", "tests/training/caps"]
    done = subprocess.run(words, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=280, check=False)
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-2000:]
    assert " passed" in done.stdout


@needs_second
def test_the_second_environment_is_the_locks() -> None:
    done = subprocess.run(
        [str(SECOND), "-m", "pip", "list", "--format", "freeze"], capture_output=True, text=True, check=True
    )
    installed = dict(line.split("==") for line in done.stdout.replace("_", "-").lower().splitlines() if "==" in line)
    pins = [line.split("==") for line in LOCK.read_text().splitlines() if "==" in line and line[0] != "#"]
    assert {name: installed.get(name, "").partition("+")[0] for name, _ in pins} == dict(pins)


def test_an_interrupted_set_up_is_made_again(tmp_path: Path, command_line: CommandLine) -> None:
    """Its Python stands still in the middle of making the environment, or makes none."""
    stuck = tmp_path / "stuck"
    stuck.write_text('#!/bin/sh\n[ "$1" = -c ] && exit 0\nmkdir -p "$3/bin"; echo stands; exec sleep 600\n')
    stuck.chmod(0o755)
    words = ["setup-trainer", "--name", "newest", "--dir", "env", "--cpu", "--python"]
    with subprocess.Popen(
        [sys.executable, "-m", "hpsearch", *words, str(stuck)],
        cwd=tmp_path, stdout=subprocess.PIPE, text=True, start_new_session=True,
    ) as process:  # fmt: skip
        assert process.stdout is not None
        while "stands" not in process.stdout.readline():
            assert process.poll() is None
        os.killpg(process.pid, signal.SIGINT)
        process.communicate(timeout=60)
    assert process.returncode == 130
    assert (tmp_path / "env/bin").is_dir()
    stuck.write_text('#!/bin/sh\n[ "$1" = -c ]\n')
    again = command_line(*words, str(stuck))
    assert f"{tmp_path}/env is unfinished or of another lock file: it is made again" in again.stdout
    assert (again.returncode, "could not install an environment" in again.stderr) == (4, True)
    assert not (tmp_path / "env/bin").exists()
    refused = command_line(*words, "no-such-python")
    assert (refused.returncode, "'no-such-python' cannot be run" in refused.stderr) == (2, True)


def test_a_python_that_cannot_train_is_refused_before_anything(tmp_path: Path, command_line: CommandLine) -> None:
    bare = tmp_path / "bare"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(bare)], check=True)
    refused = command_line("run", "--study", "digits-ocr", "--trainer-python", "bare")
    assert refused.returncode == 2
    assert f"{bare}/bin/python lacks torch, transformers, trl" in refused.stderr
    assert "`hpsearch setup-trainer`" in refused.stderr
    train = command_line("train", "--input-data", "asset:digits/data", "--output-dir", "o", "--trainer-python", "none")
    assert (train.returncode, (tmp_path / "o").exists()) == (2, False)
    refused = command_line("run", "--study", "digits-ocr", HPSEARCH_TRAINER_PYTHON=str(tmp_path / "gone"))
    assert (refused.returncode, "is no program" in refused.stderr) == (2, True)
    assert not (tmp_path / "studies").exists()
