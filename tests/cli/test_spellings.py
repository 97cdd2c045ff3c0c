"""Other names for options of `hpsearch train`."""

from __future__ import annotations

from pathlib import Path

import click
import pytest

from hpsearch.cli import app
from hpsearch.cli.train import SPELLINGS, spelled
from hpsearch.config.load import load_settings
from hpsearch.errors import UsageError
from hpsearch.settings import setting_names
from tests.conftest import CommandLine


def given(*words: str) -> dict[str, object]:
    """Return the settings that `hpsearch train` reads from these words."""
    train = app.get_command(click.Context(app), "train")
    assert train is not None
    arguments = train.make_context("train", [*words, "--output-dir", "out"]).params
    known = {*setting_names(), *(spelling.parameter for spelling in SPELLINGS)}
    return spelled({name: value for name, value in arguments.items() if name in known})


def test_each_spelling_names_a_setting_and_is_no_setting_itself() -> None:
    assert {spelling.setting for spelling in SPELLINGS} <= setting_names()
    options = {spelling.option.removeprefix("--").replace("-", "_") for spelling in SPELLINGS}
    assert not options & setting_names()


def test_data_by_other_names(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "org" / "local").mkdir(parents=True)
    assert given() == {}
    assert given("--dataset_dir", "org/pages") == {"input_data": str(tmp_path / "org/pages")}
    assert given("--dataset_name", "org/pages") == {"input_data": "hub:org/pages"}
    assert given("--dataset-name=hub:org/pages") == {"input_data": "hub:org/pages"}
    assert given("--dataset_name", "org/local") == {"input_data": "org/local"}
    assert given("--dataset_split", "train[:10]", "--lora_r=4") == {"train_split": "train[:10]", "lora_r": 4}
    words = ("--dataset_subset", "few", "--image_column", "scan", "--text_column", "words", "--val_ratio", "0.2")
    assert given(*words) == {"dataset_subset": "few", "image_column": "scan", "text_column": "words", "val_ratio": 0.2}


def test_model_and_training_by_other_names() -> None:
    assert given("--model_id", "a/b", "--num_epochs", "3") == {"model_name": "a/b", "num_train_epochs": 3.0}
    assert given("--ocr_instruction", "Read.") == {"instruction": "Read."}
    assert given("--no_4bit", "--no_cer_wer") == {"load_in_4bit": False, "compute_cer_wer": False}
    assert given("--finetune_vision") == {"finetune_vision_layers": True}
    assert given("--no_finetune_vision") == {"finetune_vision_layers": False}
    with pytest.raises(UsageError, match="--finetune-vision and --no-finetune-vision both give"):
        given("--finetune_vision", "--no_finetune_vision")


def test_a_fine_tune_starts_from_a_studys_default_configuration(command_line: CommandLine) -> None:
    missing = command_line("train", "--study", "chandra-oc", "--output_dir", "out")
    assert missing.returncode == 2
    assert 'no definition is named "chandra-oc"; did you mean "chandra-ocr"?' in missing.stderr
    asks = command_line("train", "--study", "chandra-ocr", "--output_dir", "out")
    assert (asks.returncode, "input_data is not given" in asks.stderr) == (2, True)


def test_what_is_given_wins_over_the_studys_default() -> None:
    settings = load_settings(None, {"max_steps": 500, "lora_r": 64}, study="chandra-ocr").settings
    assert settings.items() >= {"max_steps": 500, "lora_r": 64, "learning_rate": 2e-4, "warmup_steps": 50}.items()
    assert "num_train_epochs" not in settings


@pytest.mark.parametrize("first", ["--dataset-dir", "--input-data"])
def test_two_spellings_at_once_are_refused(first: str) -> None:
    with pytest.raises(UsageError, match=f"but {first} and --dataset-name both give input_data; leave one of them out"):
        given(first, "a", "--dataset-name", "b/c")


def test_the_command_refuses_before_anything_is_written(command_line: CommandLine, tmp_path: Path) -> None:
    both = command_line("train", "--dataset_dir", "a", "--dataset_name", "b/c", "--output_dir", "out")
    assert both.returncode == 2
    assert "--dataset-dir and --dataset-name both give input_data" in both.stderr
    test = command_line("train", "--dataset_dir", "a", "--dataset_split", "test", "--output_dir", "out")
    assert test.returncode == 2
    assert "a test split is neither learned from nor searched on" in test.stderr
    assert not list(tmp_path.iterdir())
    typo = command_line("train", "--dataset_dir", "pgaes", "--model-name", "asset:digits/qwen3_vl", "--output-dir", "o")
    assert typo.returncode == 2
    assert f"rows must be in a file or folder, but {tmp_path}/pgaes does not exist" in typo.stderr
