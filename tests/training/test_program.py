"""The program behind the door as real processes, under the executor that runs it in a search."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from hpsearch.execution.executors.local import LocalExecutor
from hpsearch.execution.gpu_slots import without_gpus
from hpsearch.execution.job import Finished, Job, Outcome, Progress, Report
from hpsearch.execution.outcome import Cause
from tests.training.conftest import Door, at

# The program, and then which libraries it imported that a CPU has no use for.
LISTS_IDLE = """
import sys
from hpsearch.training.__main__ import main
code = main()
import torch
idle = [] if torch.cuda.is_available() else ["bitsandbytes", "wandb", "scipy", "sklearn"]
print("imported for nothing:", [name for name in idle if name in sys.modules])
sys.exit(code)
"""


class Runner:
    """Runs a job under the local executor, telling it to stop after a step if so wished."""

    def __init__(self) -> None:
        self.executor = LocalExecutor(without_gpus(1))
        self.reports: list[tuple[int, dict[str, float]]] = []
        self.phases: list[str] = []

    def run(self, job: Job, prune_at: int | None = None) -> Outcome:
        environment = {"PATH": os.environ["PATH"], "PYTHONPATH": str(Path(__file__).parents[2]), "OMP_NUM_THREADS": "1"}
        self.reports, self.phases = [], []
        self.executor.launch(replace(job, environment=environment))
        while True:
            for event in self.executor.events(60.0):
                if isinstance(event, Finished):
                    return event.outcome
                if isinstance(event, Report):
                    self.reports.append((event.step, event.metrics))
                    self.executor.answer(job.id, event.step, event.step == prune_at)
                if isinstance(event, Progress):
                    self.phases.append(event.values["phase"])


@pytest.fixture
def runner() -> Iterator[Runner]:
    """A runner with one slot."""
    runner = Runner()
    yield runner
    runner.executor.close()


def test_a_pruned_trial_ends_well(runner: Runner, prepared: dict[str, Door]) -> None:
    door = at(prepared["qwen3_vl"])
    job = door.job("trial", door.settings(), "told-to-stop")
    outcome = runner.run(replace(job, command=(sys.executable, "-c", LISTS_IDLE)), prune_at=1)
    assert outcome.exit_code == 0
    assert outcome.cause is Cause.PRUNED
    assert [step for step, _ in runner.reports] == [1]
    assert outcome.log_tail.splitlines()[-1] == "imported for nothing: []"


def test_a_refusal_is_exit_code_2_with_its_reason(runner: Runner, door: Door) -> None:
    outcome = runner.run(door.job("prepare", door.settings(input_data="/nowhere")))
    assert (outcome.cause, outcome.exit_code) == (Cause.INVALID, 2)
    assert "/nowhere does not exist; correct its path" in outcome.message


def test_without_a_job_the_program_says_what_it_is() -> None:
    environment = {key: value for key, value in os.environ.items() if not key.startswith("HPSEARCH")}
    done = subprocess.run(
        [sys.executable, "-m", "hpsearch.training"],
        env=environment, cwd=Path(__file__).parents[2], capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip
    assert done.returncode == 2
    assert "is started by hpsearch" in done.stderr


def test_prepared_json_is_what_the_door_promises(prepared: dict[str, Door]) -> None:
    found = json.loads((prepared["gemma3"].folder / "prepare" / "prepared.json").read_text(encoding="utf-8"))
    promised = {
        "fingerprint",
        "model_fingerprint",
        "model_path",
        "family",
        "backend",
        "rows",
        "base",
        "figures",
        "lines",
        "resolved",
        "versions",
    }
    assert promised | {"device", "warnings"} <= found.keys()
    assert Path(found["model_path"]).is_dir()
