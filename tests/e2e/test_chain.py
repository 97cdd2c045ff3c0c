"""From scans to a served model by the commands a user types: each takes what the one before has left."""

from __future__ import annotations

import importlib.util
import json
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from hpsearch.commands.origin import origin_of
from tests.conftest import CommandLine
from tests.made_pages import write_digits

MISSING = [name for name in ("torch", "fastapi", "uvicorn", "openai") if importlib.util.find_spec(name) is None]
pytestmark = [
    pytest.mark.timeout(600),
    pytest.mark.skipif(bool(MISSING), reason=f"needs `transformers serve`: pip install {' '.join(MISSING)}"),
]
# As `transformers serve` is started, by this interpreter.
SERVE = "import sys; from transformers.cli.transformers import main; sys.argv[0] = 'transformers'; main()"
STUDY: dict[str, Any] = {
    "model_name": "asset:digits/gemma3",
    "input_data": "letters/hf_dataset_chandra",
    "instruction": "Read.",
    "search_space": {"learning_rate": {"type": "loguniform", "low": 0.001, "high": 0.01}},
    "pruner": "none",
    "n_trials": 2,
    "max_steps": 30,
    "evaluations": 2,
    "per_device_train_batch_size": 16,
    "max_seq_length": 64,
}


@contextmanager
def served(model: Path, log: Path) -> Iterator[str]:
    """The address of a real `transformers serve` with a model."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    words = (sys.executable, "-c", SERVE, "serve", str(model), "--host", "127.0.0.1", "--port", port, "--device", "cpu")
    with log.open("w") as output, subprocess.Popen(words, stdout=output, stderr=output) as server:
        try:
            while server.poll() is None:
                try:
                    httpx.get(f"http://127.0.0.1:{port}/v1/models", timeout=60)
                    break
                except httpx.TransportError:
                    time.sleep(0.1)
            assert server.poll() is None, log.read_text()
            yield f"http://127.0.0.1:{port}"
        finally:
            server.kill()


@pytest.fixture
def scans(tmp_path: Path) -> None:
    """Forty pages of six numbers each, in a folder of the user's."""
    write_digits(tmp_path / "scans", pages=40, lines=6)
    (tmp_path / "study.json").write_text(json.dumps(STUDY))


def test_from_scans_to_a_served_model(scans: None, tmp_path: Path, command_line: CommandLine) -> None:
    def done(*words: str) -> str:
        found = command_line(*words)
        assert found.returncode == 0, found.stdout + found.stderr
        return found.stdout

    converted = done("data", "convert", "--input-dir", "scans", "--output-dir", "letters", "--val-ratio", "0.25")
    assert "train: 180 rows of 30 pages\nvalidation: 60 rows of 10 pages" in converted

    done("run", "--study", "chain", "--config", "study.json")
    best = json.loads((tmp_path / "studies/chain/chain_best_params.json").read_text())
    trained = done("train", "--config", "studies/chain/chain_best_config.json", "--output-dir", "best")
    assert f"{best['value']:.4g}" in trained, "the best trial again, to the last digit"

    checked = next((tmp_path / "letters/crops/validation").rglob("*.png"))
    merged = done(
        *("merge", "--lora-dir", "best/adapter", "--output-dir", "merged", "--precision", "fp32"),
        *("--check", str(checked)),
    )
    assert "0.0% of the way from the adapter to the base" in merged
    assert "serve: vllm serve merged --served-model-name merged --max-model-len 64" in merged

    card = (tmp_path / "merged/README.md").read_text()
    assert "| CER, holdout | " in card and "180 train" in card and str(tmp_path) not in card
    origin = origin_of(tmp_path / "studies/chain/best")
    assert (origin.study, sum(origin.trials.values()), list(origin.tried)) == ("chain", 2, ["learning_rate"])
    assert origin.metrics["eval_cer"] == best["value"] and origin.untuned["holdout_cer"] > 0

    rows = tmp_path / "letters/metadata/validation.jsonl"
    with served(tmp_path / "merged", tmp_path / "serve.log") as url:
        asked = ("--data-file", str(rows), "--model-name", str(tmp_path / "merged"))
        said = done("evaluate", "--url", url, *asked, "--top-k", "20")
    assert "rows: 20 answered, 0 failed, 0 open" in said
    evaluation = json.loads((tmp_path / "evaluation.json").read_text())
    pictures = [each["image_path"] for each in evaluation["samples"]]
    read = done("ocr", *pictures, "--model", "merged", "--json", "--batch-size", "20")
    texts = [json.loads(line)["ocr_text"] for line in read.splitlines()]
    assert texts == [each["prediction"].strip() for each in evaluation["samples"]], "served as it was trained"

    done("score", "--input", "evaluation.json", "--output", "scores.json", "--normalization", "whitespace")
    scores = json.loads((tmp_path / "scores.json").read_text())
    assert scores["overall_cer"] == pytest.approx(evaluation["overall_cer"])
    assert scores["total_samples"] == 20 and (tmp_path / "scores.html").read_text().count("<img ") > 0
