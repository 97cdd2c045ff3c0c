"""Fetching a base model by its Hub id, from a hub on this machine."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from hpsearch.execution.names import JOB_VARIABLE
from hpsearch.settings import TrainSettings
from hpsearch.training.prepared import PreparedData
from tests.training.conftest import Door, at
from tests.training.hub import COMMIT, TOKEN, hub_of

FETCH = """
import json, sys
from hpsearch.errors import UsageError
from hpsearch.training.machine.faults import Fault
from hpsearch.training.models.base import find_model, model_fingerprint
from hpsearch.data.progress import ProgressReporter
try:
    folder = find_model(sys.argv[1], sys.argv[2] or None, ProgressReporter("test"))
    print(json.dumps({"folder": str(folder), "fingerprint": model_fingerprint(folder)}))
except (UsageError, Fault) as error:
    print(json.dumps({"refused": type(error).__name__, "why": str(error)}))
"""


class Fetcher:
    """Fetches models in a process of its own, as the Hub's address is read when its library is imported."""

    def __init__(self, address: str, cache: Path) -> None:
        self.environment = {
            **os.environ,
            "HF_ENDPOINT": address,
            "HF_HOME": str(cache),
            "PYTHONPATH": str(Path(__file__).parents[2]),
        }
        self.environment.pop("HF_TOKEN", None)
        self.environment.pop("HF_HUB_OFFLINE", None)

    def fetch(self, name: str, revision: str = "", **environment: str) -> dict[str, str]:
        done = subprocess.run(
            [sys.executable, "-c", FETCH, name, revision],
            env=self.environment | environment, capture_output=True, text=True, check=True, timeout=120,
        )  # fmt: skip
        said: dict[str, str] = json.loads(done.stdout.splitlines()[-1])
        return said


@pytest.fixture
def served(tiny_bases: dict[str, Path], tmp_path: Path) -> Iterator[tuple[Fetcher, list[tuple[str, str | None]]]]:
    """A fetcher, and the requests that the hub gets."""
    with hub_of(tiny_bases["gemma3"]) as (address, requests):
        yield Fetcher(address, tmp_path / "cache"), requests


def test_a_model_is_fetched_once_and_read_without_the_hub_afterwards(
    served: tuple[Fetcher, list[tuple[str, str | None]]], tiny_bases: dict[str, Path]
) -> None:
    fetcher, requests = served
    found = fetcher.fetch("tiny/open")
    folder = Path(found["folder"])
    assert COMMIT in found["folder"]
    for path in tiny_bases["gemma3"].iterdir():
        assert (folder / path.name).read_bytes() == path.read_bytes()
    requests.clear()
    assert fetcher.fetch("tiny/open", HF_HUB_OFFLINE="1") == found
    assert requests == []


def test_all_trials_of_a_study_get_the_same_commit(
    served: tuple[Fetcher, list[tuple[str, str | None]]], prepared: dict[str, Door]
) -> None:
    fetcher, requests = served
    door = at(prepared["gemma3"])
    settings = door.settings("gemma3", model_name="tiny/open", skip_pre_eval=True)
    job = door.job("prepare", settings, "first")
    Path(job.output_dir).mkdir()
    for resolved in ({}, {"model_revision": COMMIT}):
        requests.clear()
        path = Path(job.output_dir) / "job.json"
        path.write_text(replace(job, resolved=resolved).to_json())
        (path.parent / "prepared.json").unlink(missing_ok=True)
        environment = fetcher.environment | {JOB_VARIABLE: str(path)}
        subprocess.run([sys.executable, "-m", "hpsearch.training"], env=environment, check=True, timeout=120)
        found = PreparedData.read(path.parent)
        assert found.resolved["model_revision"] == COMMIT
        assert any("/revision/main" in address for address, _ in requests) == (not resolved)
        found.check(found.resolved_in(TrainSettings(**settings)))


def test_the_token_comes_from_the_environment(served: tuple[Fetcher, list[tuple[str, str | None]]]) -> None:
    fetcher, requests = served
    refused = fetcher.fetch("tiny/gated")
    assert refused["refused"] == "UsageError"
    assert "is gated" in refused["why"]
    assert "then set HF_TOKEN" in refused["why"]
    assert "folder" in fetcher.fetch("tiny/gated", HF_TOKEN=TOKEN)
    assert ("/api/models/tiny/gated/revision/main", f"Bearer {TOKEN}") in requests


@pytest.mark.parametrize(
    ("name", "revision", "kind", "why"),
    [
        (
            "tiny/missing",
            "",
            "UsageError",
            "'tiny/missing' is not on the Hub or is private; correct the name (a path is written ./tiny/missing), "
            "or set",
        ),
        ("tiny/open", "no-such", "UsageError", "the model tiny/open has no revision 'no-such'; correct model_revision"),
        ("not an id", "", "UsageError", "must be a Hub id, a folder or asset:NAME, but 'not an id' is none of them"),
    ],
)
def test_a_model_that_is_not_there_is_refused(
    served: tuple[Fetcher, list[tuple[str, str | None]]], name: str, revision: str, kind: str, why: str
) -> None:
    refused = served[0].fetch(name, revision)
    assert refused["refused"] == kind
    assert why in refused["why"]


def test_a_hub_out_of_reach_is_refused_with_a_remedy(tmp_path: Path) -> None:
    refused = Fetcher("http://127.0.0.1:9", tmp_path).fetch("tiny/open")
    assert refused["refused"] == "UsageError"
    assert "the model tiny/open could not be downloaded" in refused["why"]
    assert "try again with the network" in refused["why"]
