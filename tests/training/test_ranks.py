"""A fine-tune by several processes gives what one gives: real ranks, started by torchrun, on a CPU."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from hpsearch.errors import UsageError
from hpsearch.execution.executors.local import LocalExecutor
from hpsearch.execution.job import Finished, Job, Outcome, Report
from hpsearch.execution.outcome import Cause
from hpsearch.execution.trainer_python import Trainer
from hpsearch.settings import TrainSettings
from hpsearch.training.schedule import Batching, batching_of
from tests.training.conftest import Door, at

ROOT = Path(__file__).parents[2]
EVEN = {"per_device_train_batch_size": 2, "gradient_accumulation_steps": 2, "lora_dropout": 0.0, "save_steps": 2}


def by_two(job: Job, prune_at: int | None = None) -> tuple[list[Report], Outcome]:
    """Run a trial by two ranks: what it reported, and how it ended."""
    variables = {"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), "HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1"}
    executor, reports = LocalExecutor(), []
    executor.launch(replace(job, command=Trainer().command_of(2), environment=variables, metric="eval_cer"))
    try:
        while True:
            for event in executor.events(300.0):
                if isinstance(event, Report):
                    reports.append(event)
                    executor.answer(job.id, event.step, event.step == prune_at)
                if isinstance(event, Finished):
                    return reports, event.outcome
    finally:
        executor.close()


def test_two_ranks_learn_and_judge_as_one_does(prepared: dict[str, Door]) -> None:
    door = at(prepared["qwen3_vl"])
    settings = door.settings(**EVEN)
    assert door.run(door.job("trial", settings, "ranks-one")) == 0, door.lines
    alone, final = door.reports(), door.final()
    reports, outcome = by_two(door.job("trial", settings, "ranks-two"))
    assert outcome.cause is Cause.OK, outcome
    assert [report.step for report in reports] == [line["step"] for line in alone] == [1, 2]
    for report, line in zip(reports, alone, strict=True):
        for name in ("loss", "eval_loss", "eval_cer"):
            assert report.metrics[name] == pytest.approx(line[name], rel=1e-3), name
    for name in ("eval_cer", "eval_loss", "holdout_cer", "steps"):
        assert outcome.metrics[name] == pytest.approx(final[name], rel=1e-3), name
    judged = {name: _judged(door.folder / f"ranks-{name}") for name in ("one", "two")}
    assert judged["one"].keys() == judged["two"].keys(), "each row once"
    log = (door.folder / "ranks-two" / "log.txt").read_text()
    assert log.count("LoRA on ") == 1, "one rank prints"
    assert (door.folder / "ranks-two" / "adapter" / "adapter_model.safetensors").is_file()


def test_all_ranks_stop_where_a_trial_is_pruned(prepared: dict[str, Door]) -> None:
    door = at(prepared["qwen3_vl"])
    reports, outcome = by_two(door.job("trial", door.settings(**EVEN), "ranks-pruned"), prune_at=1)
    assert ([report.step for report in reports], outcome.cause) == ([1], Cause.PRUNED)
    assert not (door.folder / "ranks-pruned" / "adapter").exists()


def test_a_batch_that_cannot_be_dealt_out_is_refused(prepared: dict[str, Door]) -> None:
    door = at(prepared["qwen3_vl"])
    _, outcome = by_two(door.job("trial", door.settings(effective_batch_size=3), "ranks-odd"))
    assert outcome.cause is Cause.INVALID
    assert "3 rows cannot be divided among 2" in outcome.message


def test_the_effective_batch_is_the_same_on_any_number_of_gpus() -> None:
    settings = TrainSettings(per_device_train_batch_size=4, gradient_accumulation_steps=6)
    for ranks, micro, passes in ((1, 4, 6), (2, 4, 3), (3, 4, 2), (4, 3, 2), (8, 3, 1), (24, 1, 1)):
        found = batching_of(settings, ranks)
        assert (found, found.effective) == (Batching(micro, passes, False, ranks), 24)
    smaller = batching_of(settings, 2).smaller()
    assert (smaller, smaller and smaller.effective) == (Batching(2, 6, False, 2), 24)
    with pytest.raises(UsageError, match="24 rows cannot be divided among 5"):
        batching_of(settings, 5)


def _judged(folder: Path) -> dict[str, Any]:
    lines = [json.loads(line) for line in (folder / "predictions.jsonl").read_text().splitlines()]
    assert len({line["id"] for line in lines}) == len(lines)
    return {line["id"]: line["prediction"] for line in lines}
