"""One fine-tune by the user's command: broken off and gone on with bit by bit, in both version sets, and read with."""

from __future__ import annotations

import importlib.util
import json
import shutil
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
# Gemma 3 with the newest versions is in tests/training/test_attempts.py.
KINDS = [
    pytest.param("digits-ocr", [], id="qwen3_vl-newest"),
    pytest.param("digits-ocr", CAPS, id="qwen3_vl-caps", marks=needs_second),
    pytest.param("digits-ocr-gemma", CAPS, id="gemma3-caps", marks=needs_second),
]
WORDS = [
    *("--max_steps", "40", "--save_steps", "8", "--evaluations", "4", "--eval_samples", "8", "--final_samples", "16"),
    *("--lora_dropout", "0.1", "--per_device_train_batch_size", "4", "--skip_pre_eval"),
]


@pytest.mark.parametrize(("study", "trainer"), KINDS)
def test_a_fine_tune_that_is_broken_off_goes_on_bit_by_bit(
    tmp_path: Path, start: Callable[..., Runner], command_line: CommandLine, study: str, trainer: list[str]
) -> None:
    words = ["train", "--study", study, *WORDS, *trainer, "--output_dir", "tuned"]
    done = command_line(*words)
    assert done.returncode == 0, done.stdout + done.stderr
    names = ("adapter/adapter_model.safetensors", "predictions.jsonl")
    whole = {name: (tmp_path / "tuned" / name).read_bytes() for name in names}
    shutil.rmtree(tmp_path / "tuned/checkpoints")

    runner = start(*words)
    checkpoint = tmp_path / "tuned/checkpoints/checkpoint-8/hpsearch.json"
    while not checkpoint.exists():
        assert runner.process.poll() is None, runner.end()
        time.sleep(0.02)
    runner.send(signal.SIGINT)
    assert runner.end()[0] == 130
    assert not (tmp_path / "tuned/adapter").exists()
    assert alive(tmp_path) == []

    again = command_line(*words, "--resume_from_checkpoint", "latest")
    assert again.returncode == 0, again.stdout + again.stderr
    assert "goes on from " in (tmp_path / "tuned/log.txt").read_text()
    assert {name: (tmp_path / "tuned" / name).read_bytes() for name in names} == whole


def test_what_was_trained_reads_as_it_was_judged_and_a_refusal_loses_nothing_of_it(
    tmp_path: Path, command_line: CommandLine
) -> None:
    words = ["train", "--study", "digits-ocr", *WORDS, "--output_dir", "tuned"]
    done = command_line(*words, "--verbose")
    assert done.returncode == 0, done.stderr
    assert "step 10 of 40: loss" in done.stdout, "--verbose prints the log"
    assert "eval_cer: " in done.stdout
    predictions = [json.loads(line) for line in (tmp_path / "tuned/predictions.jsonl").read_text().splitlines()]
    row = next(row for row in predictions if row["split"] == "holdout")
    _write_picture(tmp_path, row["id"])
    read = command_line("ocr", "line.png", "--model", "tuned/adapter")
    assert (read.returncode, read.stdout.strip()) == (0, row["prediction"].strip())

    names = ("adapter/adapter_model.safetensors", "predictions.jsonl", "train_results.json", "config.json")
    kept = {name: (tmp_path / "tuned" / name).read_bytes() for name in names}
    refused = command_line(*words, "--resume_from_checkpoint", "latest", "--lora_r", "4")
    assert refused.returncode == 2
    assert "lora_r was 8, now 4" in refused.stderr
    assert {name: (tmp_path / "tuned" / name).read_bytes() for name in names} == kept


def _write_picture(folder: Path, row: str) -> None:
    """The picture of a row of the shipped data, such as holdout.parquet#7."""
    import pyarrow.parquet as pq

    from hpsearch.assets import asset_path

    name, _, number = row.partition("#")
    picture = pq.read_table(asset_path("digits/data") / name).column("image")[int(number)].as_py()
    (folder / "line.png").write_bytes(picture["bytes"] if isinstance(picture, dict) else picture)
