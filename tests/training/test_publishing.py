"""A merged model is sent to a hub that speaks the Hub's protocol: whole, once, and only to where a token may write."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from hpsearch.execution.job import Job
from hpsearch.execution.model_export import PUBLISHED, SUMMARY, MergedModel
from hpsearch.execution.names import JOB_VARIABLE
from tests.training.hub import COMMIT, TOKEN, Repository, Takes, hub_that_takes

ROOT = Path(__file__).parents[2]
WAYS = {"chunks": {}, "whole files": {"HF_HUB_DISABLE_XET": "1"}}  # by which large files are sent


@dataclass
class Sender:
    """Runs publish jobs for a folder in processes of their own: the Hub's address is read when its library is
    imported."""

    folder: Path
    takes: Takes
    environment: dict[str, str]
    found: dict[str, Any] = field(default_factory=dict)

    def send(
        self, repo: str = "me/ocr", *, private: bool = True, only_ask: bool = False, killed: bool = False,
        **environment: str,
    ) -> str:  # fmt: skip
        """Send the folder; Returns "" and sets ``found`` to the result, or returns the error. ``killed``:
        once the hub holds a request."""
        output = self.folder.parent / "job"
        output.mkdir(exist_ok=True)
        (output / PUBLISHED).unlink(missing_ok=True)
        settings = {"folder": str(self.folder), "repo": repo, "private": private, "only_ask": only_ask}
        job = Job(id="p", kind="publish", study="p", command=("x",), output_dir=str(output), settings=settings)
        (output / "job.json").write_text(job.to_json())
        told = {**self.environment, JOB_VARIABLE: str(output / "job.json"), **environment}
        with subprocess.Popen(
            [sys.executable, "-m", "hpsearch.training"],
            env=told,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        ) as process:
            if killed:
                assert self.takes.held.wait(60)
                process.kill()
                self.takes.freed.set()
            _, said = process.communicate(timeout=120)
        if process.returncode == 0:
            self.found = json.loads((output / PUBLISHED).read_text())
            return ""
        assert process.returncode == (-9 if killed else 2), said
        return said

    @property
    def there(self) -> Repository:
        return self.takes.repositories["me/ocr"]


@pytest.fixture
def sender(tmp_path: Path) -> Iterator[Sender]:
    """A merged model of two small files and two large ones beside files that are not of it, and a hub."""
    folder = tmp_path / "merged"
    folder.mkdir()
    contents = {"README.md": b"---\ntags:\n- ocr\n---\n# x\n", "config.json": b"{}",
                "model-1.safetensors": os.urandom(40_000), "model-2.safetensors": os.urandom(50_000)}  # fmt: skip
    for name, content in contents.items():
        (folder / name).write_bytes(content)
    summary = MergedModel("base", "gemma3", "bf16", 0.0, 0, 0, (), files=tuple(contents))
    (folder / SUMMARY).write_text(summary.to_json())
    (folder / "mine.txt").write_text("of nobody else")
    takes = Takes()
    with hub_that_takes(takes) as address:
        kept = {name: value for name, value in os.environ.items() if not name.startswith("HF_")}
        home = {"HF_HOME": str(tmp_path / "home"), "HF_ENDPOINT": address, "HF_TOKEN": TOKEN, "PYTHONPATH": str(ROOT)}
        yield Sender(folder, takes, kept | home)


def digest(path: Path) -> str:
    return sha256(path.read_bytes()).hexdigest()


@pytest.mark.parametrize("way", WAYS)
def test_the_models_files_are_sent_once(sender: Sender, way: str) -> None:
    assert sender.send(**WAYS[way]) == ""
    names = ["README.md", "config.json", "model-1.safetensors", "model-2.safetensors"]
    assert sorted(sender.there.files) == names, "neither merge.json, which has paths, nor what is not the model's"
    assert sender.there.private
    for name in names[2:]:
        assert sender.there.digests[name] == digest(sender.folder / name)
        if way == "whole files":
            assert sender.there.files[name] == (sender.folder / name).read_bytes()
    assert sender.there.files["README.md"] == (sender.folder / "README.md").read_bytes()
    assert sender.found["url"].endswith("/me/ocr") and sender.found["commit"] == COMMIT
    assert (sender.found["files"], sender.found["private"]) == (4, True)
    assert sender.found["bytes"] > 90_000 and sender.takes.sent >= 90_000
    sender.takes.sent = 0
    assert sender.send(**WAYS[way]) == ""
    assert (sender.takes.sent, len(sender.there.commits)) == (0, 1), "nothing changed, so nothing is sent or committed"


def test_weights_of_an_earlier_model_do_not_stay_beside(sender: Sender) -> None:
    assert sender.send() == ""
    there = sender.takes.repositories["me/ocr"].files
    strange = ("model-f16.gguf", "model-00001-of-00002.safetensors", "model.safetensors.index.json", "notes.md")
    for name in strange:
        there[name] = b"earlier"
        sender.takes.repositories["me/ocr"].digests[name] = "earlier"
    (sender.folder / "config.json").write_text('{"other": true}')
    assert sender.send() == ""
    assert set(strange) & set(sender.takes.repositories["me/ocr"].files) == {"notes.md"}


def test_asking_sends_no_file(sender: Sender) -> None:
    assert sender.send(only_ask=True) == ""
    assert sender.there.private and not sender.there.files
    assert not any("preupload" in said or "commit" in said for said in sender.takes.said)


def test_who_may_see_it_is_asked_for(sender: Sender) -> None:
    assert sender.send(private=False, only_ask=True) == ""
    assert not sender.there.private
    assert "private repository unless --public is given, but me/ocr is public" in sender.send()
    assert not sender.there.files
    assert sender.send(private=False) == "" and sender.found["private"] is False


@pytest.mark.parametrize("repo", ["ocr", "me/a/b", "me/..", "me/a b", "/ocr", "me/", ""])
def test_a_name_that_is_none_is_refused(sender: Sender, repo: str) -> None:
    assert "--push-to-hub takes OWNER/NAME" in sender.send(repo)
    assert not sender.takes.said


def test_a_token_that_may_not_write_is_refused(sender: Sender) -> None:
    assert "there is none in HF_TOKEN, nor a login" in sender.send(HF_TOKEN="")
    assert not any("whoami" in said for said in sender.takes.said)
    assert "refuses the one of HF_TOKEN" in sender.send(HF_TOKEN="hf_old")
    assert "may write to team/ocr, but the Hub refuses" in sender.send("team/ocr")
    sender.takes.repositories["team/ocr"] = Repository(private=True)
    assert "may write to team/ocr, but the Hub refuses" in sender.send("team/ocr")
    assert "hf_" not in sender.send("team/ocr").replace("HF_TOKEN", "")
    login = Path(sender.environment["HF_HOME"]) / "token"
    login.parent.mkdir(exist_ok=True)
    login.write_text(TOKEN)
    assert sender.send(HF_TOKEN="", only_ask=True) == "", "the Hub's own login"


@pytest.mark.parametrize(
    ("faults", "why"),
    [
        ({"commit": [403]}, "may write to me/ocr, but the Hub refuses"),
        ({"/lfs/": [403]}, "may write to me/ocr, but the Hub refuses"),
        ({"whoami": [500]}, "the Hub failed with status 500"),
        ({"commit": [400]}, "the Hub failed with status 400"),
    ],
)
def test_a_hub_that_refuses_is_explained(sender: Sender, faults: dict[str, list[int]], why: str) -> None:
    sender.takes.faults = faults
    assert why in sender.send(**WAYS["whole files"])
    sender.takes.faults = {}
    assert sender.send(**WAYS["whole files"]) == "", "the same command goes on"
    assert len(sender.there.files) == 4


@pytest.mark.parametrize("faults", [{"commit": [500]}, {"commit": [409], "PUT /lfs/": [500]}, {"commit": [0]}])
def test_a_hub_that_fails_for_a_moment_is_asked_again(sender: Sender, faults: dict[str, list[int]]) -> None:
    sender.takes.faults = faults
    assert sender.send(**WAYS["whole files"]) == ""
    assert sender.there.files["model-2.safetensors"] == (sender.folder / "model-2.safetensors").read_bytes()
    assert not any(faults.values())


@pytest.mark.parametrize("how", ["killed", "refused"])
def test_after_a_break_only_the_rest_is_sent(sender: Sender, how: str) -> None:
    second = digest(sender.folder / "model-2.safetensors")
    sender.takes.faults = {f"PUT /lfs/{second}": [1] if how == "killed" else [403] * 9}
    said = sender.send(killed=how == "killed", HF_HUB_DISABLE_XET="1")
    assert how == "killed" or "may write to me/ocr, but the Hub refuses" in said
    sender.takes.faults = {}
    first = sender.takes.sent
    assert first in (0, 40_000) and not sender.there.files
    assert sender.send(**WAYS["whole files"]) == ""
    assert sender.takes.sent == 90_000, "no file is sent twice"


def test_a_hub_out_of_reach_is_said(sender: Sender) -> None:
    assert "the Hub cannot be reached at http://127.0.0.1:9" in sender.send(HF_ENDPOINT="http://127.0.0.1:9")
    assert "HF_HUB_OFFLINE is set" in sender.send(HF_HUB_OFFLINE="1")


def test_what_arrived_otherwise_is_noticed(sender: Sender) -> None:
    sender.takes.loses = "config.json"
    assert "but in me/ocr these differ: config.json" in sender.send()
