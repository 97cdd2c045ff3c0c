"""A resumed training gives what an undisturbed one gives; so does one that starts again with smaller passes."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from hpsearch.execution.job import Job
from hpsearch.settings import TrainSettings
from hpsearch.training.backends import BACKENDS, Loaded, Training
from hpsearch.training.backends.hf import HfBackend
from hpsearch.training.fit.checkpoints import CheckpointTimer
from hpsearch.training.fit.train import Batching, TrainingResult
from hpsearch.training.prepared import PreparedData
from tests.training.conftest import Door, at

MEASURED = {"train_seconds", "eval_seconds", "it_per_s", "tokens_per_s", "peak_memory_bytes"}
SIX = {"max_steps": 6, "evaluations": 3, "lora_dropout": 0.1}


def adapter(door: Door, name: str) -> dict[str, torch.Tensor]:
    weights: dict[str, torch.Tensor] = load_file(door.folder / name / "adapter" / "adapter_model.safetensors")
    return weights


def same_weights(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> bool:
    return one.keys() == other.keys() and all(torch.equal(value, other[name]) for name, value in one.items())


def figures(door: Door) -> dict[str, Any]:
    return {name: value for name, value in door.final().items() if name not in MEASURED}


def train(door: Door, family: str, name: str, **changes: Any) -> int:
    return door.run(door.job("train", door.settings(family, **{**SIX, **changes}), name))


@pytest.fixture
def whole(prepared: dict[str, Door], typical_family: str) -> Iterator[tuple[Door, dict[str, Any]]]:
    """A door after an undisturbed training in its folder "whole", and what that reported."""
    door = at(prepared[typical_family])
    assert train(door, typical_family, "whole") == 0, door.lines
    yield door, figures(door)


def test_a_broken_off_training_goes_on_bit_by_bit(whole: tuple[Door, dict[str, Any]], typical_family: str) -> None:
    door, undisturbed = whole
    losses = [line["loss"] for line in door.reports()]
    door.prune_at = 2  # ends it at step 4
    assert train(door, typical_family, "parts", save_steps=2) == 0
    assert not (door.folder / "parts" / "adapter").exists()
    door.prune_at = None
    assert train(door, typical_family, "parts", save_steps=2, resume_from_checkpoint="latest") == 0
    assert [(line["step"], line["loss"]) for line in door.reports()] == [(3, losses[2])]
    assert figures(door) == undisturbed
    assert same_weights(adapter(door, "parts"), adapter(door, "whole"))
    older = door.folder / "parts" / "checkpoints" / "checkpoint-2"
    assert train(door, typical_family, "again", resume_from_checkpoint=str(older)) == 0
    assert [line["step"] for line in door.reports()] == [2, 3]
    assert same_weights(adapter(door, "again"), adapter(door, "whole"))


def test_a_later_attempt_resumes_by_itself_or_begins_from_scratch_where_it_may_not(
    whole: tuple[Door, dict[str, Any]], typical_family: str
) -> None:
    door, undisturbed = whole

    def job(kind: str, name: str, attempt: int = 1, **changes: Any) -> Job:
        settings = door.settings(typical_family, **{**SIX, **changes})
        return door.job(kind, settings, name, attempt=attempt, checkpoint_dir=str(door.folder / "shared"))

    door.prune_at = 2
    first = job("train", "attempt-1", save_steps=2)
    assert door.run(first) == 0
    door.prune_at = None
    assert door.run(job("trial", "attempt-2", 2, lora_r=4)) == 0
    assert [line["step"] for line in door.reports()] == [1, 2, 3], "other settings: it began from scratch"
    assert not (door.folder / "shared").exists(), "and took its own away when it was done"
    door.prune_at = 2
    assert door.run(first) == 0
    door.prune_at = None
    assert door.run(job("trial", "attempt-3", 3)) == 0
    assert [line["step"] for line in door.reports()] == [3]
    assert figures(door) == undisturbed
    assert same_weights(adapter(door, "attempt-3"), adapter(door, "whole"))


def test_without_being_asked_it_saves_every_ten_minutes() -> None:
    now = [0.0]

    def due(rhythm: CheckpointTimer) -> list[float]:
        found = []
        for minutes in range(1, 31):
            now[0] = 60.0 * minutes
            found += [minutes] if rhythm.due() else []
        return found

    for save_steps, minutes in ((None, [10, 20, 30]), (0, []), (5, [])):
        now[0] = 0.0
        assert due(CheckpointTimer(TrainSettings(save_steps=save_steps), lambda: now[0])) == minutes


@pytest.mark.parametrize(
    "changes",
    [
        {"max_steps": 5, "save_steps": 5},  # in the middle of an epoch
        {"learning_rate": 1e-9, "early_stopping_patience": 1, "early_stopping_threshold": 0.1, "save_steps": 4},
    ],
)
def test_a_training_that_was_over_takes_no_further_step(prepared: dict[str, Door], changes: dict[str, Any]) -> None:
    door = at(prepared["qwen3_vl"])
    assert train(door, "qwen3_vl", "over", **changes) == 0
    first, weights = figures(door), adapter(door, "over")
    assert train(door, "qwen3_vl", "over", resume_from_checkpoint="latest", **changes) == 0
    assert door.reports() == []
    assert figures(door) == first
    assert same_weights(adapter(door, "over"), weights)


def test_how_often_it_is_judged_is_free_unless_that_decides_what_is_kept(prepared: dict[str, Door]) -> None:
    door = at(prepared["qwen3_vl"])
    other = {"resume_from_checkpoint": "latest", "eval_samples": 2, "eval_stride": 2}
    assert train(door, "qwen3_vl", "judged", save_steps=4) == 0
    assert train(door, "qwen3_vl", "judged", save_steps=4, **other) == 0
    assert train(door, "qwen3_vl", "judged", save_steps=4, load_best_model_at_end=True) == 0
    assert train(door, "qwen3_vl", "judged", save_steps=4, load_best_model_at_end=True, **other) == 2
    assert "eval_stride was 1, now 2; eval_samples was 3, now 2" in door.said("message")[0]


def test_latest_without_a_checkpoint_begins_at_the_start(prepared: dict[str, Door]) -> None:
    door = at(prepared["qwen3_vl"])
    assert train(door, "qwen3_vl", "none-yet", resume_from_checkpoint="latest") == 0
    assert [line["step"] for line in door.reports()] == [1, 2, 3]


@pytest.mark.parametrize("changes", [{"lora_r": 4}, {"max_steps": 8}, {"seed": 1}])
def test_a_checkpoint_of_another_fine_tune_is_refused(prepared: dict[str, Door], changes: dict[str, Any]) -> None:
    door = at(prepared["qwen3_vl"])
    assert train(door, "qwen3_vl", "mine", save_steps=3) == 0
    mine = door.folder / "mine"
    names = ("adapter/adapter_model.safetensors", "predictions.jsonl", "config.json")
    kept = {name: (mine / name).read_bytes() for name in names}
    assert train(door, "qwen3_vl", "mine", save_steps=3, resume_from_checkpoint="latest", **changes) == 2
    (name,) = changes
    assert "goes on from a checkpoint of its own" in door.said("message")[0]
    assert f"{name} was " in door.said("message")[0]
    assert (mine / "checkpoints" / "checkpoint-6").is_dir(), "a refusal lost the checkpoint"
    assert {name: (mine / name).read_bytes() for name in names} == kept


def test_a_checkpoint_that_was_broken_off_itself_is_passed_over(prepared: dict[str, Door]) -> None:
    door = at(prepared["qwen3_vl"])
    assert train(door, "qwen3_vl", "torn", save_steps=2) == 0
    (door.folder / "torn" / "checkpoints" / "checkpoint-6" / "hpsearch.json").unlink()
    assert train(door, "qwen3_vl", "torn", save_steps=2, resume_from_checkpoint="latest") == 0
    assert [line["step"] for line in door.reports()] == [3]


def test_a_new_training_clears_what_an_earlier_one_left_and_a_trial_leaves_none(prepared: dict[str, Door]) -> None:
    door = at(prepared["qwen3_vl"])
    assert train(door, "qwen3_vl", "twice", save_steps=2) == 0
    assert train(door, "qwen3_vl", "twice", save_steps=4) == 0
    kept = sorted(path.name for path in (door.folder / "twice" / "checkpoints").iterdir())
    assert kept == ["checkpoint-4", "checkpoint-6"]
    assert door.run(door.job("trial", door.settings(save_steps=2), "trial-of-its-own")) == 0
    assert not (door.folder / "trial-of-its-own" / "checkpoints").exists()


def test_the_best_evaluations_weights_are_judged_and_saved_also_after_a_break(prepared: dict[str, Door]) -> None:
    door = at(prepared["qwen3_vl"])
    first = {"load_best_model_at_end": True, "early_stopping_threshold": 100.0}  # nothing after it is an improvement
    assert train(door, "qwen3_vl", "best", save_steps=2, **first) == 0
    assert (door.final()["best_step"], door.final()["steps"]) == (2, 6)
    undisturbed = figures(door)
    checkpoint = door.folder / "best" / "checkpoints" / "checkpoint-4"
    assert train(door, "qwen3_vl", "best-on", resume_from_checkpoint=str(checkpoint), **first) == 0
    assert figures(door) == undisturbed
    assert same_weights(adapter(door, "best-on"), adapter(door, "best"))
    assert train(door, "qwen3_vl", "short", max_steps=6, evaluations=3) == 0
    assert not same_weights(adapter(door, "short"), adapter(door, "best"))


def test_patience_ends_a_training_that_gets_no_better(prepared: dict[str, Door]) -> None:
    door = at(prepared["qwen3_vl"])
    changes = {"learning_rate": 1e-9, "early_stopping_patience": 1, "early_stopping_threshold": 0.1}
    assert train(door, "qwen3_vl", "patient", **changes) == 0
    assert [line["step"] for line in door.reports()] == [1, 2]
    assert (door.final()["steps"], door.final()["best_step"]) == (4, 2)


class Scarce(HfBackend):
    """The reference backend on a device with room for passes of ``most`` rows: the allocator's own error beyond it."""

    name = "scarce"
    most = 1
    needs_checkpointing = False

    def trainer(self, loaded: Loaded, training: Training) -> Any:
        """A trainer whose steps run out of memory where a pass has too many rows."""
        trainer = super().trainer(loaded, training)
        step = trainer.training_step

        def training_step(model: Any, inputs: Any, *args: Any) -> Any:
            crowded = inputs["input_ids"].shape[0] > self.most
            if trainer.state.global_step >= 3 and (
                crowded or self.needs_checkpointing > training.batching.checkpointing
            ):
                torch.empty(2**50)
            return step(model, inputs, *args)

        trainer.training_step = training_step
        return trainer


@pytest.fixture
def scarce(prepared: dict[str, Door], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Door]:
    """A door on a device with little memory."""
    door = at(prepared["gemma3"])
    folder = tmp_path / "prepare"
    folder.mkdir()
    for path in (door.folder / "prepare").glob("*.arrow"):
        (folder / path.name).write_bytes(path.read_bytes())
    found = json.loads((door.folder / "prepare" / "prepared.json").read_text())
    (folder / "prepared.json").write_text(json.dumps(found | {"backend": "scarce"}))
    monkeypatch.setitem(BACKENDS, "scarce", Scarce)
    door.folder = tmp_path
    yield door


def test_out_of_memory_halves_the_pass_and_keeps_the_effective_batch(
    scarce: Door, monkeypatch: pytest.MonkeyPatch
) -> None:
    batch = {"effective_batch_size": 4, "per_device_train_batch_size": 4, "save_steps": 2}
    assert train(scarce, "gemma3", "backed-off", **batch) == 0, scarce.lines
    told, backed_off = scarce.reports(), figures(scarce)
    assert [line["step"] for line in told] == [1, 2, 3], "an evaluation was reported twice, or not at all"
    assert (backed_off["micro_batch_size"], backed_off["oom_backoffs"]) == (1, 2)
    kept = json.loads((scarce.folder / "backed-off" / "checkpoints" / "checkpoint-6" / "hpsearch.json").read_text())
    assert kept["batching"] == {"micro": 1, "accumulation": 4, "checkpointing": False, "ranks": 1}
    monkeypatch.setattr(Scarce, "most", 4)
    assert train(scarce, "gemma3", "direct", **(batch | {"per_device_train_batch_size": 1})) == 0
    direct = figures(scarce)
    losses = [pytest.approx(line["loss"], rel=1e-3) for line in scarce.reports()]
    assert [line["loss"] for line in told] == losses, "losses of the failed attempt were counted"
    assert {**backed_off, "oom_backoffs": 0} == direct
    assert same_weights(adapter(scarce, "backed-off"), adapter(scarce, "direct"))


def test_memory_runs_out_for_the_longest_rows_before_the_first_step(
    prepared: dict[str, Door], monkeypatch: pytest.MonkeyPatch, typical_family: str
) -> None:
    door = at(prepared[typical_family])
    batch = {"effective_batch_size": 4, "per_device_train_batch_size": 4}
    found = PreparedData.read(door.folder / "prepare").figures
    steps: list[tuple[int, tuple[int, ...]]] = []
    trainer = HfBackend.trainer

    def untried(backend: Any, loaded: Loaded, training: Training) -> Any:
        return trainer(backend, loaded, replace(training, heaviest=()))

    monkeypatch.setattr(HfBackend, "trainer", untried)
    assert train(door, typical_family, "untried", **batch) == 0
    without = figures(door)

    def watched(backend: Any, loaded: Loaded, training: Training) -> Any:
        made = trainer(backend, loaded, training)
        step = made.training_step

        def training_step(model: Any, inputs: Any, *args: Any) -> Any:
            steps.append((made.state.global_step, tuple(inputs["input_ids"].shape)))
            if len(steps) == 1:
                torch.empty(2**50)
            return step(model, inputs, *args)

        made.training_step = training_step
        return made

    monkeypatch.setattr(HfBackend, "trainer", watched)
    assert train(door, typical_family, "probed", **batch) == 0
    assert steps[0] == (0, (4, found["tokens"]["longest"]))
    assert (figures(door)["oom_backoffs"], figures(door)["micro_batch_size"]) == (1, 2)
    monkeypatch.setattr(HfBackend, "trainer", trainer)
    assert train(door, typical_family, "tried", **batch) == 0
    assert figures(door) == without
    assert same_weights(adapter(door, "tried"), adapter(door, "untried")), "the pass that was tried left something"


def test_recomputed_activations_come_last_and_then_it_is_out_of_memory(
    scarce: Door, monkeypatch: pytest.MonkeyPatch
) -> None:
    batch = {"effective_batch_size": 2, "per_device_train_batch_size": 2}
    monkeypatch.setattr(Scarce, "needs_checkpointing", True)
    assert train(scarce, "gemma3", "recomputed", **batch) == 0, scarce.lines
    assert figures(scarce)["activations_recomputed"] == 1
    monkeypatch.setattr(Scarce, "most", 0)
    assert train(scarce, "gemma3", "full", **batch) == 1
    assert scarce.said("fault") == ["cuda_oom"]


def test_out_of_memory_while_evaluating_halves_the_batches(
    prepared: dict[str, Door], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from hpsearch.training.evaluate import scores as evaluation

    score = evaluation._score_batch

    def crowded(loaded: Any, batch: Any, settings: Any) -> Any:
        if len(batch.rows) > 2:
            torch.empty(2**50)
        return score(loaded, batch, settings)

    door = at(prepared["qwen3_vl"])
    assert train(door, "qwen3_vl", "roomy", eval_batch_size=5) == 0
    expected = figures(door)
    monkeypatch.setattr(evaluation, "_score_batch", crowded)
    assert train(door, "qwen3_vl", "narrow", eval_batch_size=5) == 0
    found = figures(door)
    assert "out of memory while evaluating: 2 rows at once from here on" in capsys.readouterr().out
    assert found == {name: pytest.approx(value, rel=1e-4) for name, value in expected.items()}


def test_what_the_smallest_passes_take_is_reported_where_it_is_known() -> None:
    trained = TrainingResult(False, {}, 1, 1, Batching(1, 4, True), 0, needed_bytes=5)
    assert trained.figures()["needed_memory_bytes"] == 5
    assert "needed_memory_bytes" not in replace(trained, needed_bytes=0).figures()


def test_the_batching_that_is_tried_next() -> None:
    tried, batching = [], Batching(6, 2)
    while batching is not None:
        tried.append((batching.micro, batching.accumulation, batching.checkpointing))
        assert batching.effective == 12
        batching = batching.smaller()
    assert tried == [(6, 2, False), (3, 4, False), (1, 12, False), (1, 12, True)]
