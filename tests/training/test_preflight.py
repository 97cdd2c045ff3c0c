"""Mistakes that cost nights, each planted in a study of one's own pages and named before anything is trained."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from PIL import Image, ImageDraw

from hpsearch.config.advice import advice
from hpsearch.config.load import load_definition
from hpsearch.errors import UsageError
from tests.training.conftest import NO_SEARCH, Door

pytest.importorskip("optuna", reason=NO_SEARCH)

from hpsearch.commands.validate import dear
from hpsearch.study.folders import require_room
from hpsearch.study.pruning import warmup_warnings

LINES = 24


def write_pages(folder: Path) -> Path:
    """A JSON file of lines of text with their pictures, as users have it; pages.json."""
    rows = []
    for number in range(LINES):
        text = f"line {number} of a page, and as long as the lines of a printed page are"
        drawn = Image.new("L", (320, 64), 255)
        ImageDraw.Draw(drawn).text((4, 20), text, fill=0)
        drawn.save(folder / f"line{number}.png")
        rows.append({"image_path": f"line{number}.png", "ocr_text": text})
    path = folder / "pages.json"
    path.write_text(json.dumps(rows), encoding="utf-8")
    return path


def repeat(folder: Path) -> None:
    """The first page stands among the last ones again."""
    path = folder / "pages.json"
    rows = json.loads(path.read_text())
    path.write_text(json.dumps([*rows, rows[0]]))


def lose(folder: Path) -> None:
    """A tenth of the pictures and more are gone."""
    for number in range(5):
        (folder / f"line{number}.png").unlink()


def rename(folder: Path) -> None:
    """Columns are called otherwise."""
    path = folder / "pages.json"
    path.write_text(path.read_text().replace("image_path", "file").replace("ocr_text", "label"))


def nothing(folder: Path) -> None:
    """The data are sound."""


QWEN, GEMMA = "asset:digits/qwen3_vl", "asset:digits/gemma3"

# What is planted: a change of the data, settings, the exit code, and what is said.
MISTAKES: dict[str, tuple[Any, dict[str, Any], int, str]] = {
    "a pixel area read as an edge": (
        nothing,
        {"max_pixels": 784},
        2,
        "of 320x64 pixels becomes 3 visual tokens for",
    ),
    "a length below the picture's tokens": (nothing, {"max_seq_length": 100}, 2, "are its picture's and"),
    "a test split to stop by": (
        nothing,
        {"val_split": "test"},
        2,
        "neither learned from nor searched on",
    ),
    "LoRA where there is nothing to adapt": (
        nothing,
        {"model_name": GEMMA, "finetune_merger_layers": True},
        2,
        "linear layers between the towers, but gemma3 has none",
    ),
    "LoRA where there is nothing to adapt, under a condition": (
        nothing,
        {
            "model_name": GEMMA,
            "search_space": {
                "finetune_vision_layers": {"type": "categorical", "choices": [False, True]},
                "finetune_merger_layers": {
                    "type": "categorical",
                    "choices": [False, True],
                    "when": {"finetune_vision_layers": True},
                },
            },
        },
        2,
        "linear layers between the towers, but gemma3 has none",
    ),
    "half precision that overflows": (
        nothing,
        {"model_name": GEMMA, "precision": "fp16"},
        2,
        "precision fp16",
    ),
    "four bits without a GPU": (nothing, {"load_in_4bit": True}, 2, "load_in_4bit needs a CUDA GPU"),
    "a resolution for a fixed square": (
        nothing,
        {"model_name": GEMMA, "longest_edge": 2048},
        2,
        "longest_edge needs a family that takes pictures of any size",
    ),
    "a page on two sides": (
        repeat,
        {"train_split": "train[:80%]", "val_split": "train[80%:]"},
        0,
        "rows left out of train: their picture is also in",
    ),
    "pictures that are not there": (lose, {}, 2, "at most 10% of the rows may be unusable, but 5 of 24 are"),
    "columns of other names": (rename, {}, 2, "has only file, label"),
    "a pruner that can never stop a trial": (nothing, {"eval_steps": 12}, 0, "pruner can never stop a trial"),
    "an effective batch of more rows than there are": (
        nothing,
        {"effective_batch_size": 64, "per_device_train_batch_size": 8},
        0,
        "the effective batch is 64, but train has only",
    ),
    "a warm-up that never ends": (
        nothing,
        {"warmup_steps": 50},
        0,
        "a trial has 40 steps: its learning rate only rises",
    ),
    "rows that are never seen": (
        nothing,
        {"max_steps": 2, "gradient_accumulation_steps": 1, "eval_steps": 1, "pruner": "none"},
        0,
        "rows a trial sees 2",
    ),
    "a grid of weeks": (
        nothing,
        {
            "max_steps": 10**6,
            "search_mode": "grid",
            "search_space": {"lora_r": {"type": "categorical", "choices": [4, 8]}},
            "pruner": "none",
        },
        0,
        "2 trials of 1,000,000 steps: 23 days at a step a second",
    ),
    "answers that are cut": (nothing, {"max_new_tokens": 5}, 0, "the text generated for the longest rows will be cut"),
    "a disk too small for what is kept": (nothing, {"keep_adapters": 10**9}, 2, "must fit on the disk"),
}


LOSS = {"metric": "eval_loss", "direction": "minimize"}


def write_definition(folder: Path, **keys: Any) -> Path:
    definition = {
        "model_name": QWEN,
        "input_data": "pages.json",
        "instruction": "Read.",
        "max_seq_length": 300,
        "pruner": {"type": "median", "n_warmup_steps": 4},
        "max_steps": 40,
        "search_space": {"learning_rate": {"type": "loguniform", "low": 1e-4, "high": 1e-2}},
        **keys,
    }
    path = folder / "mine.json"
    path.write_text(json.dumps(definition))
    return path


def check(folder: Path, **keys: Any) -> subprocess.CompletedProcess[str]:
    """Check a study by the user's command."""
    write_definition(folder, **keys)
    return subprocess.run(
        [sys.executable, "-m", "hpsearch", "validate", "--study", "mine", "--config", "mine.json"],
        cwd=folder, capture_output=True, text=True, check=False, timeout=120,
    )  # fmt: skip


def checked(door: Door, **keys: Any) -> tuple[int, list[str]]:
    """Exit code and what the command would say, from the same steps in this process: definition, advice, job, disk."""
    try:
        definition = load_definition("mine", config=write_definition(door.folder, **keys))
        job = door.job("preflight", definition.trial_settings({}, 0), variations=definition.variations())
        code = door.run(job)
        if code != 0:
            return code, list(door.said("message"))
        found = json.loads((door.folder / "preflight/preflight.json").read_text())
        figures = found["figures"]
        require_room(definition, figures["bytes"]["adapter"], door.folder)
        short = warmup_warnings(definition, figures["evaluations"])
        target = definition.target() or definition.grid_size()
        return 0, [*advice(definition), *found["warnings"], *short, *dear(target, figures)]
    except UsageError as error:
        return error.exit_code, [str(error)]


def test_a_sound_study_is_told_what_its_trials_would_be(tmp_path: Path) -> None:
    write_pages(tmp_path)
    done = check(tmp_path)
    assert done.returncode == 0, done.stderr
    for fact in (
        "rows           22 train, 1 validation, 1 holdout",
        "tokens",
        "up to 51 visual tokens (of 320x64 pixels)",
        "LoRA language  14 modules",
        "1 rows x 4 passes = effective batch 4",
        "40 steps a trial",
        "at least",
        "mine: ready to run",
    ):
        assert fact in done.stdout
    assert sorted(path.suffix for path in tmp_path.iterdir() if path.suffix != ".png") == [".json", ".json"]


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_planted_mistake_is_named(door: Door, mistake: str) -> None:
    plant, keys, code, said = MISTAKES[mistake]
    write_pages(door.folder)
    plant(door.folder)
    found, lines = checked(door, **keys)
    assert found == code, lines
    assert any(said in line for line in lines), lines


@pytest.mark.parametrize("mistake", ["a page on two sides", "a length below the picture's tokens"])
def test_the_command_names_it_on_a_line_of_its_own(tmp_path: Path, mistake: str) -> None:
    plant, keys, code, said = MISTAKES[mistake]
    write_pages(tmp_path)
    plant(tmp_path)
    done = check(tmp_path, **keys)
    assert done.returncode == code, done.stdout + done.stderr
    (line,) = [line for line in (done.stdout + done.stderr).splitlines() if said in line]
    assert line.startswith("warning: " if code == 0 else "hpsearch: error[2]: ")


def test_run_refuses_the_same_before_it_makes_a_trial(tmp_path: Path) -> None:
    write_pages(tmp_path)
    write_definition(tmp_path, max_pixels=784)
    done = subprocess.run(
        [sys.executable, "-m", "hpsearch", "run", "--study", "mine", "--config", "mine.json"],
        cwd=tmp_path, capture_output=True, text=True, check=False, timeout=120,
    )  # fmt: skip
    assert done.returncode == 2
    assert "becomes 3 visual tokens" in done.stderr
    assert not list(tmp_path.glob("studies/mine/trial_*"))


def test_nothing_named_is_said_so(tmp_path: Path) -> None:
    for words, said in (
        ((), "name definitions or search spaces (FILES), or a study with --study"),
        (("x.json", "--study", "mine"), "are checked one at a time"),
        (("--study", "mine"), "input_data is not given"),
    ):
        done = subprocess.run(
            [sys.executable, "-m", "hpsearch", "validate", *words],
            cwd=tmp_path, capture_output=True, text=True, check=False, timeout=60,
        )  # fmt: skip
        assert done.returncode == 2
        assert said in done.stderr


def test_evaluations_are_counted_as_the_pruner_counts_them(door: Door) -> None:
    """Twenty evaluations on three steps are numbered to 20: the pruner may stop at the fifth, in the first step."""
    write_pages(door.folder)
    few = "\n".join(checked(door, max_steps=3)[1])
    assert "a trial has only 3 steps for its 20 evaluations: some of them will be the same" in few
    assert "can never stop a trial" not in few
    fewer = {"eval_stride": 10, "compute_cer_wer": False, "max_new_tokens": 1, "objective": LOSS}
    code, lines = checked(door, max_steps=3, **fewer)
    wide = "\n".join(lines)
    assert code == 0
    assert "some of them will be the same" not in wide
    assert "what is generated" not in wide
