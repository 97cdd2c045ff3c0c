"""`hpsearch merge` as it is typed: what is done is not done again, and nothing is sent that is not asked for."""

from __future__ import annotations

import json
import shutil
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

pytest.importorskip("torch")

from hpsearch.execution.model_export import SUMMARY, Gguf, GgufFile, MergedModel
from tests.conftest import CommandLine
from tests.e2e.conftest import Runner
from tests.training.hub import TOKEN, Takes, hub_that_takes

BASE = "asset:digits/qwen3_vl"


@pytest.fixture(scope="module")
def adapter(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An adapter of the demo's base with random weights."""
    from hpsearch.assets import asset_path
    from tests.training.adapters import random_adapter

    return random_adapter(asset_path(BASE), "qwen3_vl", tmp_path_factory.mktemp("lora") / "adapter")


@pytest.fixture
def takes() -> Iterator[tuple[Takes, dict[str, str]]]:
    """A hub, and the variables by which a command finds it."""
    takes = Takes()
    with hub_that_takes(takes) as address:
        yield takes, {"HF_ENDPOINT": address, "HF_TOKEN": TOKEN, "HF_HUB_DISABLE_XET": "1"}


def test_a_merged_model_is_sent_without_merging_again(
    adapter: Path, takes: tuple[Takes, dict[str, str]], tmp_path: Path, command_line: CommandLine
) -> None:
    hub, environment = takes
    lora, target = str(shutil.copytree(adapter, tmp_path / "lora")), tmp_path / "merged"
    words = ("merge", "--lora-dir", lora, "--output-dir", "merged", "--precision", "fp32")
    push = ("--push-to-hub", "me/ocr")

    done = command_line(*words, *push, **{**environment, "HF_TOKEN": "hf_old"})
    assert done.returncode == 2 and "refuses the one of HF_TOKEN" in done.stderr
    assert not target.exists(), "the token is asked about before anything is merged"
    hub.said.clear()

    done = command_line(*words, **environment)
    assert done.returncode == 0, done.stderr
    assert "on the Hub" not in done.stdout and not hub.said, "nothing is sent that is not asked for"
    written = (target / SUMMARY).stat().st_mtime_ns

    hub.faults = {"commit": [400]}
    done = command_line("merge", "--output-dir", "merged", *push, **environment)
    assert done.returncode == 2
    assert "merged is merged, but was not sent: the Hub failed with status 400" in done.stderr

    for again in (("merge", "--output-dir", "merged", *push), (*words, *push)):
        done = command_line(*again, **environment)
        assert done.returncode == 0, done.stderr
        assert "is merged already, and left as it is" in done.stdout
        assert "/me/ocr (private), " in done.stdout and "serve: vllm serve merged" in done.stdout
    assert (target / SUMMARY).stat().st_mtime_ns == written
    there = hub.repositories["me/ocr"]
    assert len(there.commits) == 1
    assert there.files["model.safetensors"] == (target / "model.safetensors").read_bytes()
    for name, content in there.files.items():
        assert str(tmp_path).encode() not in content and TOKEN.encode() not in content, name
    assert TOKEN not in done.stdout + done.stderr

    config = json.loads((Path(lora) / "adapter_config.json").read_text())
    (Path(lora) / "adapter_config.json").write_text(json.dumps(config | {"lora_alpha": 1}))
    done = command_line(*words, *push, **environment)
    assert done.returncode == 2 and "or replace the merged model with --force" in done.stderr, "of another adapter"


def test_ctrl_c_leaves_nothing_and_the_same_command_merges(
    adapter: Path, tmp_path: Path, command_line: CommandLine, start: Callable[..., Runner]
) -> None:
    words = ("merge", "--lora-dir", str(adapter), "--output-dir", "merged")
    merging = start(*words)
    merging.wait_for("merge: ")
    while not (tmp_path / "merged/.merging").exists():
        assert merging.process.poll() is None, merging.end()
        time.sleep(0.002)
    merging.send(signal.SIGINT)
    code, said = merging.end()
    assert code == 130 and "stopped: nothing was written" in said
    assert not (tmp_path / "merged").exists()
    assert command_line(*words).returncode == 0


def test_what_would_do_nothing_is_refused(adapter: Path, tmp_path: Path, command_line: CommandLine) -> None:
    words = ("merge", "--lora-dir", str(adapter), "--output-dir", "merged")
    assert command_line(*words).returncode == 0
    for more, message in (
        (
            ("merge", "--output-dir", "merged", "--precision", "fp32"),
            "merged already, in bf16, but --precision is fp32",
        ),
        ((*words, "--precision", "fp32"), "merged already, in bf16, but --precision is fp32"),
        ((*words, "--check", "gone.png"), "--check compares during a merge"),
        (("merge", "--output-dir", "merged", "--force"), "--force merges again, which needs an adapter"),
        ((*words, "--llama-cpp", "here"), "--llama-cpp goes with --save-gguf, which is not given"),
        ((*words, "--public"), "--private/--public goes with --push-to-hub, which is not given"),
    ):
        done = command_line(*more)
        assert done.returncode == 2 and message in done.stderr, done.stderr
    assert "merged already, and left as it is" in command_line(*words, "--precision", "bf16").stdout


def test_the_hub_is_not_asked_for_what_cannot_be_merged(
    adapter: Path, takes: tuple[Takes, dict[str, str]], tmp_path: Path, command_line: CommandLine
) -> None:
    hub, environment = takes
    (tmp_path / "full").mkdir()
    (tmp_path / "full/mine").touch()
    (tmp_path / "tuned").mkdir()
    (tmp_path / "tuned/adapter").symlink_to(adapter)
    for lora, target, message in (
        ("nowhere", "merged", "an adapter's folder has adapter_config.json, but"),
        ("tuned", "merged", "name tuned/adapter"),
        (str(adapter), "full", "holds mine"),
    ):
        done = command_line(
            "merge", "--lora-dir", lora, "--output-dir", target, "--push-to-hub", "me/ocr", **environment
        )
        assert done.returncode == 2 and message in done.stderr.replace(str(tmp_path) + "/", ""), done.stderr
    assert not hub.said and not hub.repositories


def test_a_folder_that_is_no_merge_needs_an_adapter(tmp_path: Path, command_line: CommandLine) -> None:
    done = command_line("merge", "--output-dir", "merged", "--push-to-hub", "me/ocr")
    assert done.returncode == 2
    assert "without --lora-dir, --output-dir must be the folder of a finished merge" in done.stderr
    (tmp_path / "merged").mkdir()
    (tmp_path / "merged" / SUMMARY).write_text('{"files": ["model.safetensors"], "readings": []}')
    assert command_line("merge", "--output-dir", "merged").returncode == 2


def test_what_is_to_be_done_is_looked_at_before_anything_is_merged(
    adapter: Path, tmp_path: Path, command_line: CommandLine
) -> None:
    words = ("merge", "--lora-dir", str(adapter), "--output-dir", "merged", "--save-gguf", "q8_0")
    done = command_line(*words)
    assert done.returncode == 2 and "its folder is not named; get llama.cpp" in done.stderr
    assert "name its folder with --llama-cpp or LLAMA_CPP" in done.stderr
    assert "LLAMA_CPP" in done.stderr and "/no/such has none" in command_line(*words, LLAMA_CPP="/no/such").stderr
    assert not (tmp_path / "merged").exists()


def test_gguf_files_that_are_there_are_not_written_again(tmp_path: Path, command_line: CommandLine) -> None:
    folder = tmp_path / "merged"
    folder.mkdir()
    files = [GgufFile(name, 5, "gemma3", ("Q8_0",), 3, 2, 2, 0.004) for name in ("model-q8_0.gguf", "mmproj-f16.gguf")]
    names = tuple(file.name for file in files)
    made = MergedModel(
        "base", "gemma3", "bf16", 0.1, 5, 64, (), names, "digest", gguf=(Gguf("q8_0", *files, options=("-ub", "1024")),)
    )
    (folder / SUMMARY).write_text(made.to_json())
    for name in names:
        (folder / name).touch()
    done = command_line("merge", "--output-dir", "merged", "--save-gguf", "q8_0")
    assert done.returncode == 0, done.stderr
    assert "2 of 2 matrices compared with the merged model's: 0.40% off" in done.stdout
    serve = "llama-server -m merged/model-q8_0.gguf --mmproj merged/mmproj-f16.gguf -c 64 -ub 1024 --jinja --port 8080"
    assert f"serve: {serve}" in done.stdout
    assert command_line("merge", "--output-dir", "merged", "--save-gguf", "f16").returncode == 2, "of another format"
