"""One fine-tune by the user's commands, in both version sets: broken off, gone on with bit by bit, and read with."""

from __future__ import annotations

import importlib.util
import json
import signal
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.conftest import CommandLine
from tests.e2e.conftest import Runner, alive
from tests.e2e.test_trainer import SECOND, needs_second

pytestmark = pytest.mark.skipif(
    importlib.util.find_spec("torch") is None, reason="needs the training side: pip install 'hpsearch[train]'"
)
CAPS = ["--trainer-python", str(SECOND)]
# The other two: tests/training/test_attempts.py goes on bit by bit with gemma3, test_trainer.py searches with qwen3_vl
# in the second set.
KINDS = [
    pytest.param("digits-ocr", [], id="qwen3_vl-newest"),
    pytest.param("digits-ocr-gemma", CAPS, id="gemma3-caps", marks=needs_second),
]
WORDS = [
    *("--max_steps", "24", "--save_steps", "8", "--evaluations", "2", "--eval_samples", "8", "--final_samples", "16"),
    *("--lora_dropout", "0.1", "--per_device_train_batch_size", "4", "--skip_pre_eval", "--output_dir", "tuned"),
]


@pytest.mark.parametrize(("study", "trainer"), KINDS)
def test_a_fine_tune_goes_on_bit_by_bit_and_reads_as_it_was_evaluated(
    tmp_path: Path, command_line: CommandLine, study: str, trainer: list[str]
) -> None:
    words = ["train", "--study", study, *WORDS, *trainer]
    undisturbed = command_line(*words, "--verbose")
    assert undisturbed.returncode == 0, undisturbed.stdout + undisturbed.stderr
    assert "step 10 of 24: loss" in undisturbed.stdout, "--verbose prints the log"
    assert "eval_cer: " in undisturbed.stdout
    results = _results(tmp_path)

    row = _held_out(tmp_path)
    read = command_line("ocr", "line.png", "--model", "tuned/adapter", *trainer)
    assert (read.returncode, read.stdout.strip()) == (0, row["prediction"].strip()), read.stderr

    again = command_line(*words, "--resume_from_checkpoint", "tuned/checkpoints/checkpoint-8")
    assert again.returncode == 0, again.stdout + again.stderr
    assert "tuned/checkpoints/checkpoint-8" in _goes_on_from(tmp_path)
    assert _results(tmp_path) == results


def test_a_fine_tune_that_is_stopped_saves_its_step_and_goes_on_from_there(
    tmp_path: Path, start: Callable[..., Runner], command_line: CommandLine
) -> None:
    words = ["train", "--study", "digits-ocr", *WORDS, "--save_steps", "10000", "--max_steps", "40"]
    _break_off(tmp_path, start(*words))
    other = command_line(*words, "--lora_r", "2")
    assert other.returncode == 2 and "lora_r was" in other.stderr and "another --output-dir" in other.stderr
    again = command_line(*words)
    assert again.returncode == 0, again.stdout + again.stderr
    assert "goes on with the unfinished fine-tune" in again.stdout + again.stderr
    assert "/tuned/checkpoints/checkpoint-" in _goes_on_from(tmp_path)
    assert (tmp_path / "tuned/adapter/adapter_model.safetensors").is_file()


def _goes_on_from(folder: Path) -> str:
    """What the log says of it."""
    lines = (folder / "tuned/log.txt").read_text().splitlines()
    (line,) = [line for line in lines if line.startswith("goes on from ")]
    return line


def _break_off(folder: Path, runner: Runner) -> None:
    """Send a fine-tune at its tenth step a scheduler's warning."""
    log = folder / "tuned/log.txt"
    while not log.exists() or "step 10 of 40: loss" not in log.read_text():
        assert runner.process.poll() is None, runner.end()
        time.sleep(0.02)
    runner.send(signal.SIGUSR1)
    code, said = runner.end()
    assert code == 138 and "the same command continues from the last checkpoint" in said
    assert "asked to stop: saved a checkpoint at step " in log.read_text()
    assert not (folder / "tuned/adapter").exists()
    assert alive(folder) == []


def _results(folder: Path) -> dict[str, bytes]:
    names = ("adapter/adapter_model.safetensors", "predictions.jsonl")
    return {name: (folder / "tuned" / name).read_bytes() for name in names}


def _held_out(folder: Path) -> dict[str, str]:
    """What was read of a held-out row; its picture is written to line.png."""
    import pyarrow.parquet as pq

    from hpsearch.assets import asset_path

    lines = (folder / "tuned/predictions.jsonl").read_text().splitlines()
    row: dict[str, str] = next(row for row in map(json.loads, lines) if row["split"] == "holdout")
    name, _, number = row["id"].partition("#")
    picture = pq.read_table(asset_path("digits/data") / name).column("image")[int(number)].as_py()
    (folder / "line.png").write_bytes(picture["bytes"] if isinstance(picture, dict) else picture)
    return row
