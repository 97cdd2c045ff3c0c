"""Settings of the optimiser, its steps, logs and checkpoints."""

from __future__ import annotations

import pytest
import torch
from transformers.training_args import OptimizerNames

from hpsearch.settings import TrainSettings
from hpsearch.training.arguments import training_options, warmup
from hpsearch.training.fit.tracking import TRACKERS
from hpsearch.training.machine.device import set_threads
from hpsearch.training.schedule import Batching, batching_of
from tests.training.settings.bench import Bench, printed, shows
from tests.training.settings.sizes import refused


@shows("learning_rate")
def _(bench: Bench) -> None:
    assert bench.trainer(learning_rate=0.125).args.learning_rate == 0.125


@shows("num_train_epochs")
def _(bench: Bench) -> None:
    trainer = bench.trainer(max_steps=None, num_train_epochs=1.5)  # 12 rows by 4: 3 steps an epoch
    trainer.train()
    assert trainer.state.global_step == 5


@shows("max_steps")
def _(bench: Bench) -> None:
    trainer = bench.trainer(max_steps=2, num_train_epochs=50)
    trainer.train()
    assert trainer.state.global_step == 2


@shows("per_device_train_batch_size")
def _(bench: Bench) -> None:
    batch = next(iter(bench.trainer(per_device_train_batch_size=5).get_train_dataloader()))
    assert batch["input_ids"].shape[0] == 5


@shows("gradient_accumulation_steps")
def _(bench: Bench) -> None:
    trainer = bench.trainer(max_steps=None, num_train_epochs=1, gradient_accumulation_steps=3)
    trainer.train()
    assert trainer.state.global_step == 1


@shows("effective_batch_size")
def _(bench: Bench) -> None:
    for effective, most, expected in ((12, 5, (4, 3)), (7, 4, (1, 7)), (8, 16, (8, 1))):
        settings = bench.settings(effective_batch_size=effective, per_device_train_batch_size=most)
        assert batching_of(settings) == Batching(*expected)


@shows("warmup_ratio")
def _(bench: Bench) -> None:
    assert bench.rates(warmup_ratio=0.2, lr_scheduler_type="constant") == [0.0, 0.5] + [1.0] * 8
    assert bench.rates(warmup_ratio=1.0, lr_scheduler_type="constant")[-1] == 0.9
    assert bench.rates(warmup_ratio=0.0, lr_scheduler_type="constant") == [1.0] * 10


@shows("warmup_steps")
def _(bench: Bench) -> None:
    assert bench.rates(warmup_steps=4, warmup_ratio=0.5, lr_scheduler_type="constant") == [0, 0.25, 0.5, 0.75] + [1] * 6
    assert warmup(bench.settings(warmup_steps=0, warmup_ratio=0.5)) == 0


@shows("weight_decay")
def _(bench: Bench) -> None:
    trainer = bench.trainer(weight_decay=0.25)
    assert max(group["weight_decay"] for group in trainer.create_optimizer().param_groups) == 0.25


@shows("lr_scheduler_type")
def _(bench: Bench) -> None:
    at_six = {
        name: bench.rates(lr_scheduler_type=name, warmup_ratio=0.0)[5]
        for name in TrainSettings.model_json_schema()["properties"]["lr_scheduler_type"]["enum"]
    }
    assert at_six == {"cosine": 0.5, "linear": 0.5, "constant": 1.0, "constant_with_warmup": 1.0}
    assert bench.rates(lr_scheduler_type="cosine", warmup_ratio=0.0)[2] == 0.905
    assert bench.rates(lr_scheduler_type="linear", warmup_ratio=0.0)[2] == 0.8


@shows("optim")
def _(bench: Bench) -> None:
    assert isinstance(bench.trainer().create_optimizer(), torch.optim.AdamW)
    assert "optim adamw_8bit needs a CUDA GPU" in refused(bench.settings(optim="adamw_8bit"))
    gpu = training_options(bench.settings(optim="adamw_8bit"), Batching(1, 1), "cuda", "bf16")
    assert gpu["optim"] == "adamw_bnb_8bit"
    assert type(bench.trainer(optim="sgd").create_optimizer()).__name__ == "SGD"
    assert type(bench.trainer(optim="adafactor").create_optimizer()).__name__ == "Adafactor"
    known = {value.value for value in OptimizerNames}
    for name in TrainSettings.model_json_schema()["properties"]["optim"]["enum"]:
        assert training_options(bench.settings(optim=name), Batching(1, 1), "cpu", "fp32")["optim"] in known


@shows("max_grad_norm")
def _(bench: Bench) -> None:
    assert bench.trainer(max_grad_norm=0.5).args.max_grad_norm == 0.5


@shows("gradient_checkpointing")
def _(bench: Bench) -> None:
    for wanted in (True, False):
        trainer = bench.trainer(gradient_checkpointing=wanted, max_steps=1)
        trainer.train()
        switched = {
            module.gradient_checkpointing
            for module in trainer.model.modules()
            if hasattr(module, "gradient_checkpointing")
        }
        assert wanted in switched
        assert wanted or switched == {False}


@shows("label_smoothing_factor")
def _(bench: Bench) -> None:
    def first_loss(factor: float) -> float:
        trainer = bench.trainer(label_smoothing_factor=factor, max_steps=1, learning_rate=1e-9)
        trainer.train()
        return float(trainer.state.log_history[0]["loss"])

    # The smoothed loss mixes in the mean of all classes' losses, far above the right one's only where that is learned.
    assert first_loss(0.5) != pytest.approx(first_loss(0.0), rel=1e-3)
    assert first_loss(1e-7) == pytest.approx(first_loss(0.0), rel=1e-4), "labels stand a token beside their logits"


@shows("seed")
def _(bench: Bench) -> None:
    def drawn(seed: int) -> tuple[list[float], list[int]]:
        trainer = bench.trainer(seed=seed)
        matrix = next(value for name, value in trainer.model.named_parameters() if "lora_A" in name)
        batch = next(iter(trainer.get_train_dataloader()))
        return matrix[0].tolist(), batch["labels"].flatten().tolist()

    one, same, other = drawn(1), drawn(1), drawn(2)
    assert one == same
    assert one[0] != other[0]
    assert one[1] != other[1]


@shows("logging_steps")
def _(bench: Bench) -> None:
    job = bench.door.job("trial", bench.door.settings(logging_steps=2), "logging")
    log = printed(bench.door, job)
    assert [line.split(":")[0] for line in log if line.startswith("step ")] == ["step 2 of 4", "step 4 of 4"]


@shows("report_to")
def _(bench: Bench) -> None:
    assert set(TRACKERS) == set(TrainSettings.model_json_schema()["properties"]["report_to"]["enum"]) - {"none"}


@shows("save_steps")
def _(bench: Bench) -> None:
    assert bench.checkpoints("save", save_steps=2) == ["checkpoint-2", "checkpoint-4"]


@shows("save_total_limit")
def _(bench: Bench) -> None:
    assert bench.checkpoints("limit", save_steps=1, save_total_limit=2) == ["checkpoint-3", "checkpoint-4"]


@shows("resume_from_checkpoint")
def _(bench: Bench) -> None:
    job = bench.door.job("trial", bench.door.settings(resume_from_checkpoint="/nowhere"), "nowhere")
    assert bench.door.run(job) == 2
    assert "must name a checkpoint's folder or be 'latest', but /nowhere" in bench.door.said("message")[0]


@shows("cpu_threads")
def _(bench: Bench) -> None:
    before = torch.get_num_threads()
    set_threads(2, "cpu")
    two = torch.get_num_threads()
    set_threads(0, "cpu")
    one = torch.get_num_threads()
    torch.set_num_threads(before)
    assert (two, one) == (2, 1)


@shows("dataloader_num_workers")
def _(bench: Bench) -> None:
    for workers in (0, 2):
        assert bench.trainer(dataloader_num_workers=workers).get_train_dataloader().num_workers == workers
