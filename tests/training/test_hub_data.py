"""Data from the Hub: fetched once by the prepare job, from a hub on this machine; trials need no network."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from hpsearch.training.prepared import PreparedData, open_rows
from tests.training.conftest import WORDS, Door
from tests.training.data_sets import SPLIT_WORDS, SUBSETS, repository
from tests.training.hub import COMMIT, TOKEN, Requests, hub_of

DO = """
import sys
from hpsearch.training.__main__ import main
code = main()
print(code, "torch" in sys.modules)
"""

READ = """
import json, os, sys
from pathlib import Path
from hpsearch.errors import UsageError
from hpsearch.data.progress import ProgressReporter
from hpsearch.data.sources import find_source
from hpsearch.settings import TrainSettings
try:
    rows = find_source(TrainSettings(**json.loads(sys.argv[1]))).read(Path("scratch"), ProgressReporter("test"))
    texts = {split: [row.text for row in samples if row.read()] for split, samples in rows.splits.items()}
    print(json.dumps({"revision": rows.revision, "texts": texts}))
except UsageError as error:
    print(json.dumps({"refused": str(error)}))
"""


class Study:
    """Jobs over a dataset of the Hub, each in a process of its own, as the Hub's address is read at import."""

    def __init__(self, door: Door, address: str, requests: Requests) -> None:
        self.door = door
        self.requests = requests
        self.environment = {
            **os.environ,
            "HF_ENDPOINT": address,
            "HF_HOME": str(door.folder / "cache"),
            "PYTHONPATH": str(Path(__file__).parents[2]),
        }
        for name in ("HF_TOKEN", "HF_HUB_OFFLINE"):
            self.environment.pop(name, None)

    def settings(self, name: str, **changes: Any) -> dict[str, Any]:
        """Settings with the splits that the dataset has."""
        splits = {"train_split": None, "val_split": None, "holdout_split": "test"}
        return self.door.settings(input_data=name, **(splits | changes))

    def read(self, name: str, *, env: dict[str, str] | None = None, **changes: Any) -> dict[str, Any]:
        """Return the rows that are read, or the reason of the refusal."""
        self.requests.clear()
        done = subprocess.run(
            [sys.executable, "-c", READ, json.dumps({"input_data": name, **changes})], cwd=self.door.folder,
            env=self.environment | (env or {}), capture_output=True, text=True, timeout=120, check=True,
        )  # fmt: skip
        said: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
        return said

    def do(self, kind: str, settings: dict[str, Any], **environment: str) -> tuple[int, bool, str]:
        """Do a job; its exit code, whether it needed torch, and what it said."""
        job = self.door.job(kind, settings)
        Path(job.output_dir).mkdir(exist_ok=True)
        path = Path(job.output_dir) / "job.json"
        path.write_text(job.to_json())
        self.requests.clear()
        done = subprocess.run(
            [sys.executable, "-c", DO], env=self.environment | environment | {"HPSEARCH_JOB": str(path)},
            capture_output=True, text=True, timeout=120, check=False,
        )  # fmt: skip
        code, torch = done.stdout.split()[-2:] if done.stdout else ("1", "False")
        return int(code), torch == "True", done.stderr


@pytest.fixture
def study(door: Door, tmp_path: Path) -> Iterator[Study]:
    repository(tmp_path / "repository")
    with hub_of(tmp_path / "repository") as (address, requests):
        yield Study(door, address, requests)


def test_it_is_fetched_once(study: Study) -> None:
    settings = study.settings("hub:tiny/open")
    code, _, said = study.do("prepare", settings)
    assert code == 0, said
    folder = study.door.folder / "prepare"
    assert {split: [row.text for row in open_rows(folder, split)] for split in WORDS} == WORDS
    assert PreparedData.read(folder).data_revision == COMMIT
    assert any("train-00000-of-00001.parquet" in path for path, _ in study.requests)
    assert study.do("prepare", settings)[:2] == (0, False)
    assert study.requests == []


def test_it_is_read_from_the_cache_without_the_hub(study: Study) -> None:
    found = study.read("hub:tiny/open")
    assert found == {"revision": COMMIT, "texts": SPLIT_WORDS}
    assert study.read("hub:tiny/open", env={"HF_HUB_OFFLINE": "1"}) == found
    assert study.requests == []


def test_a_folder_of_that_name_does_not_stand_in_for_it(study: Study) -> None:
    repository(study.door.folder / "tiny" / "open", {"train": ["local"]})
    assert study.read("hub:tiny/open")["texts"] == SPLIT_WORDS


@pytest.mark.parametrize("card", [True, False])
def test_the_token_comes_from_the_environment(study: Study, card: bool) -> None:
    if not card:  # then only the rows are kept back
        (study.door.folder / "repository" / "README.md").unlink()
    assert study.read("hub:tiny/gated")["refused"] == (
        "the dataset tiny/gated is gated, and no token in the environment gives access to it; "
        "accept its terms on https://huggingface.co/datasets/tiny/gated, then set HF_TOKEN"
    )
    assert study.read("hub:tiny/gated", env={"HF_TOKEN": TOKEN})["texts"] == SPLIT_WORDS


def test_what_is_not_there_is_refused(study: Study) -> None:
    code, torch, said = study.do("prepare", study.settings("hub:tiny/missing"))
    assert (code, torch) == (2, False)
    assert (
        "but 'tiny/missing' is not on the Hub or is private; correct the name (a path is written ./tiny/missing)"
        in said
    )
    said = study.read("hub:tiny/open", dataset_revision="no-such")["refused"]
    assert said == "the dataset tiny/open has no revision 'no-such'; correct dataset_revision"
    said = study.read("hub:tiny/open", text_column="words")["refused"]
    assert "'words', and the split train of tiny/open has image, text" in said
    nowhere = {"HF_ENDPOINT": "http://127.0.0.1:9", "HF_HOME": str(study.door.folder / "empty")}
    assert "the dataset tiny/open could not be downloaded" in study.read("hub:tiny/open", env=nowhere)["refused"]


def test_a_subset_is_fetched_by_name_and_nothing_else(study: Study) -> None:
    (study.door.folder / "repository" / "README.md").write_text(SUBSETS)
    said = study.read("hub:tiny/open")["refused"]
    assert "are few, many, but is not given; set dataset_subset, as to few" in said
    many = study.read("hub:tiny/open", dataset_subset="many")["texts"]
    assert many == {"train": WORDS["train"], "validation": WORDS["validation"]}
    assert not any("test-00000" in path for path, _ in study.requests)
    said = study.read("hub:tiny/open", dataset_subset="few", env={"HF_HUB_OFFLINE": "1"})["refused"]
    assert "Couldn't find cache for tiny/open for config 'few'" in said
