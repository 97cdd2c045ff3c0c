"""`hpsearch init`: a study drafted from data and a model, which is sound and runs as it was written."""

from __future__ import annotations

import importlib.util
import json
import shutil
import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from hpsearch.assets import asset_path
from tests.conftest import CommandLine
from tests.e2e.conftest import Runner, alive, trials

pytestmark = pytest.mark.skipif(
    importlib.util.find_spec("torch") is None, reason="needs the training side: pip install 'hpsearch[train]'"
)
MODEL = ("--model", "asset:digits/qwen3_vl")


@pytest.fixture
def rows(tmp_path: Path) -> Path:
    """Digits as a user's own folder of rows."""
    return Path(shutil.copytree(asset_path("asset:digits/data"), tmp_path / "my digits"))


def test_what_it_writes_is_valid_and_runs_as_written(rows: Path, tmp_path: Path, command_line: CommandLine) -> None:
    made = command_line("init", "--data", "my digits", *MODEL, "--set", "holdout_split=holdout")
    assert made.returncode == 0, made.stderr
    study, space = tmp_path / "studies/my-digits.json", tmp_path / "search_spaces/my-digits.json"
    assert f"written: {study.relative_to(tmp_path)}" in made.stdout
    assert "next: hpsearch validate --study my-digits, then hpsearch run --study my-digits" in made.stdout

    written, ranges = json.loads(study.read_text()), json.loads(space.read_text())
    assert (written["input_data"], written["model_name"]) == ("../my digits", "asset:digits/qwen3_vl")
    assert written["holdout_split"] == "holdout" and "pruner" not in written
    for name, parameter in ranges.items():
        assert parameter["why"] and name in made.stdout
    assert "800 training rows" in ranges["num_train_epochs"]["why"]
    assert ranges["finetune_merger_layers"]["when"] == {"finetune_vision_layers": True}
    assert "max_seq_length: the longest row has" in written["description"]

    files = command_line("validate", "studies/my-digits.json", "search_spaces/my-digits.json")
    assert files.stdout == "2 files: 0 errors, 0 warnings\n"
    _shorten(rows, 64)
    ran = command_line("run", "--study", "my-digits", "--n-trials", "1", "--timeout", "600")
    assert ran.returncode == 0, ran.stdout + ran.stderr
    (trial,) = trials(tmp_path, "my-digits")
    assert trial.params["finetune_vision_layers"] is False and "finetune_merger_layers" not in trial.params
    best = json.loads((tmp_path / "studies/my-digits/my-digits_best_config.json").read_text())
    assert best["finetune_merger_layers"] is False
    assert Path(best["input_data"]) == rows


def _shorten(rows: Path, count: int) -> None:
    """Keep the first rows of each split, so that a trial as it was drafted takes seconds."""
    import pyarrow.parquet as pq

    for path in rows.glob("*.parquet"):
        pq.write_table(pq.read_table(path).slice(0, count), path)


def test_it_replaces_nothing_without_force(rows: Path, tmp_path: Path, command_line: CommandLine) -> None:
    (tmp_path / "search_spaces").mkdir()
    mine = tmp_path / "search_spaces/tens.json"
    mine.write_text("{}")
    words = ("init", "--data", "my digits", *MODEL, "--study", "tens")
    refused = command_line(*words)
    assert refused.returncode == 2
    assert "init writes new files, but search_spaces/tens.json is there already; name another study" in refused.stderr
    assert mine.read_text() == "{}" and not (tmp_path / "studies").exists()
    forced = command_line(*words, "--force", "--set", "lora_r=4", "--set", "max_steps=60")
    assert forced.returncode == 0, forced.stderr
    ranges = json.loads(mine.read_text())
    assert "learning_rate" in ranges and not {"lora_r", "num_train_epochs"} & set(ranges)
    assert json.loads((tmp_path / "studies/tens.json").read_text())["lora_r"] == 4


def test_ctrl_c_leaves_nothing_and_says_so(rows: Path, tmp_path: Path, start: Callable[..., Runner]) -> None:
    before = sorted(tmp_path.iterdir())
    drafting = start("init", "--data", rows.name, *MODEL)
    drafting.wait_for("survey: load the libraries")
    drafting.send(signal.SIGINT)
    code, output = drafting.end()
    assert (code, "stopped: nothing was written" in output) == (130, True), output
    assert sorted(tmp_path.iterdir()) == before
    assert alive(tmp_path) == []


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--data", "nothing.json", *MODEL), "nothing.json does not exist"),
        (("--data", "my digits", "--model", "./nothing"), "nothing"),
        (("--data", "my digits", *MODEL, "--study", "../x"), "a study's name is"),
        (("--data", "my digits", *MODEL, "--set", "search_space.lora_r.low=8"), "--set"),
        (("--data", "my digits", *MODEL, "--set", "n_trials=5"), 'but not "n_trials"'),
        (("--data", "my digits", *MODEL, "--set", "lora_r=0"), '"lora_r" must be >= 1'),
        (("--data", "my digits", *MODEL, "--set", "text_column=words"), "text_column"),
    ],
)
def test_what_cannot_be_used_is_refused_and_nothing_is_written(
    rows: Path, tmp_path: Path, command_line: CommandLine, words: tuple[str, ...], said: str
) -> None:
    before = sorted(tmp_path.iterdir())
    refused = command_line("init", *words)
    assert refused.returncode == 2, refused.stdout + refused.stderr
    assert said in refused.stderr
    assert sorted(tmp_path.iterdir()) == before
