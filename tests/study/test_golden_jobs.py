"""The job that crosses the door for each shipped study, and the best configuration that comes of it."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest

from hpsearch.config.load import load_definition
from hpsearch.study.folders import study_folders
from hpsearch.study.jobs import JobMaker
from hpsearch.study.ledger import Ledger
from hpsearch.study.open import open_study
from hpsearch.study.results import best_config
from hpsearch.study.sampling.planner import Planner, queue_default, trial_seed
from hpsearch.study.storage.open import StorageUrl
from tests.conftest import Golden

STUDIES = ("gemma-ocr", "chandra-ocr", "digits-ocr", "digits-ocr-gemma")


def as_text(value: Any, tmp_path: Path) -> str:
    """JSON in which nothing depends on the machine."""
    text = json.dumps(value, indent=1, sort_keys=True, ensure_ascii=False)
    return text.replace(str(tmp_path), "FOLDER").replace(sys.executable, "PYTHON") + "\n"


@pytest.mark.parametrize("study", STUDIES)
def test_the_job_of_each_study(tmp_path: Path, golden: Golden, study: str) -> None:
    definition = load_definition(study, options={"input_data": f"{tmp_path}/pages.json"})
    environ = {"PATH": "/bin", "HF_TOKEN": "canary"}
    maker = JobMaker(definition, study_folders(tmp_path, study), environ, backend="hf")
    job = asdict(maker.trial(0, 0, 1, definition.default_params(), trial_seed(definition, 0)))
    job["environment"] = sorted(name for name in job["environment"] if not name.endswith("_NUM_THREADS"))
    assert "canary" not in json.dumps(job)
    golden.check(f"jobs/{study}.json", as_text(job, tmp_path))


def test_the_best_configuration(tmp_path: Path, golden: Golden) -> None:
    definition = load_definition("digits-ocr")
    storage = StorageUrl(f"sqlite:///{tmp_path / 'x.db'}").open(create=True)
    ledger: Ledger = open_study(storage, "digits-ocr", definition)
    queue_default(ledger.study, definition)
    trial = Planner(ledger.study, definition).next_trial()
    assert trial is not None
    golden.check("best_config.json", as_text(best_config(ledger, ledger.trial(trial.number)), tmp_path))
