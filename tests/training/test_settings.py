"""No setting is silently ignored: for each one, where it shows."""

from __future__ import annotations

import contextlib
import io
import json
import math
import re
from collections.abc import Callable, Sequence
from inspect import getsource, signature
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers.training_args import OptimizerNames

from hpsearch.data.progress import ProgressReporter
from hpsearch.data.sources import find_source
from hpsearch.errors import UsageError
from hpsearch.settings import FIXED_BY_PREPARE, TrainSettings, setting_names
from hpsearch.training.arguments import lora_options, training_options, warmup
from hpsearch.training.assign_rows import gather
from hpsearch.training.backends import BACKENDS, Training
from hpsearch.training.backends.choose import Obstacle, choose_backend
from hpsearch.training.backends.hf import four_bits
from hpsearch.training.evaluate.scores import evaluate
from hpsearch.training.fit.best import BestWeights
from hpsearch.training.fit.tracking import TRACKERS
from hpsearch.training.machine import Machine
from hpsearch.training.machine.device import set_threads
from hpsearch.training.models.base import find_model, known_base
from hpsearch.training.models.chat import Chat
from hpsearch.training.models.families import FAMILIES, find_family
from hpsearch.training.models.profiles import PROFILES, find_profile
from hpsearch.training.preflight.lengths import Lengths, Measure, Shape, refuse_too_long
from hpsearch.training.preflight.memory import outline_of
from hpsearch.training.preflight.settings import candidate_settings, check_settings
from hpsearch.training.prepared import PreparedData, training_rows
from hpsearch.training.schedule import Batching, EvaluationSchedule, Pace, afford, batching_of
from hpsearch.training.trial import evaluation_subset, final_rows, load_adapted
from tests.training.conftest import Door, at, picture
from tests.training.data_sets import SUBSETS, repository

QWEN = FAMILIES["qwen3_vl"]
DRAWN: dict[str, Any] = {"train_split": None, "val_split": None, "holdout_split": None}  # rows by themselves
CPU = Machine(device="cpu", bf16=True, bitsandbytes=True)


class Bench:
    """Looks at what settings become."""

    def __init__(self, door: Door, folder: Path) -> None:
        self.door = door
        self._folder = folder

    def settings(self, **changes: Any) -> TrainSettings:
        return TrainSettings(**self.door.settings(**changes))

    def lora(self, **changes: Any) -> Any:
        """peft's configuration."""
        from peft import LoraConfig

        return LoraConfig(**lora_options(self.settings(**changes), QWEN))

    def trainer(self, **changes: Any) -> Any:
        """The trainer over an adapted model, before its first step."""
        from hpsearch.training.prepared import open_rows

        settings, prepared = self.settings(**changes), self.door.folder / "prepare"
        backend = BACKENDS["hf"]()
        loaded = load_adapted(backend, PreparedData.read(prepared), settings)
        rows = training_rows(open_rows(prepared, "train").table, Chat(loaded.processor, settings.instruction))
        return backend.trainer(loaded, Training(rows, settings, batching_of(settings), self._folder))

    def scaling(self, **changes: Any) -> float:
        """What the product of the LoRA matrices is multiplied by."""
        model = self.trainer(**changes).model
        scalings = [getattr(module, "scaling", None) for module in model.modules()]
        (found,) = {scaling["default"] for scaling in scalings if isinstance(scaling, dict)}
        return float(found)

    def picture_tokens(self, size: tuple[int, int], family: str = "qwen3_vl", **changes: Any) -> int:
        """How many tokens a picture of this size adds to a row."""
        base = known_base(self.door.bases[family], family, None)
        lengths = Measure(base, [Shape("row", "x", size)], lambda _: None).lengths(self.settings(**changes))
        return lengths.pictures[0]

    def adapted(self, **changes: Any) -> list[str]:
        """Full names of the adapted modules, in both towers."""
        model = self.trainer(finetune_vision_layers=True, **changes).model
        return list(model.base_model.targeted_module_names)

    def checkpoints(self, name: str, **changes: Any) -> list[str]:
        """The checkpoints that a fine-tune of four steps leaves."""
        job = self.door.job("train", self.door.settings(**changes), name)
        assert self.door.run(job) == 0, self.door.lines
        return sorted(path.name for path in (Path(job.output_dir) / "checkpoints").iterdir())

    def rows(self, **changes: Any) -> dict[str, int]:
        """How many rows each side gets."""
        settings = self.settings(**changes)
        data = gather(find_source(settings), settings, QWEN, self._folder, ProgressReporter("test"))
        return {split: len(rows) for split, rows in data.rows.items()}

    def rates(self, **changes: Any) -> list[float]:
        """The learning rate of each of ten steps, as a fraction of the peak."""
        trainer = self.trainer(max_steps=10, learning_rate=1.0, **changes)
        trainer.create_optimizer_and_scheduler(10)
        rates = []
        for _ in range(10):
            rates.append(round(trainer.lr_scheduler.get_last_lr()[0], 3))
            trainer.optimizer.step()
            trainer.lr_scheduler.step()
        return rates


@pytest.fixture
def bench(prepared: dict[str, Door], tmp_path: Path) -> Bench:
    """A bench over the prepared tiny Qwen3-VL."""
    return Bench(at(prepared["qwen3_vl"]), tmp_path)


def refused(settings: TrainSettings, machine: Machine = CPU) -> str:
    """The rule that refuses the settings."""
    with pytest.raises(UsageError) as refusal:
        check_settings(settings, QWEN, machine)
    return refusal.value.what


def printed(door: Door, job: Any) -> list[str]:
    """The lines that a job prints."""
    with contextlib.redirect_stdout(io.TextIOWrapper(io.BytesIO(), encoding="utf-8")) as out:
        assert door.run(job) == 0, door.lines
        out.flush()
        return out.buffer.getvalue().decode().splitlines()


SHOWN: dict[str, Callable[..., None]] = {}


def shows(name: str) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Register where a setting shows. A look takes a bench, and an empty folder where it wants one."""

    def keep(look: Callable[..., None]) -> Callable[..., None]:
        SHOWN[name] = look
        return look

    return keep


def test_every_setting_has_its_place_here() -> None:
    assert set(SHOWN) == setting_names()


@pytest.mark.parametrize("name", sorted(setting_names()))
def test_a_setting_shows(bench: Bench, tmp_path: Path, name: str) -> None:
    look = SHOWN[name]
    assert re.search(r"\b(assert|pytest\.raises)\b", getsource(look)), f"the look at {name} checks nothing"
    look(bench, tmp_path) if len(signature(look).parameters) > 1 else look(bench)


@shows("model_name")
def _(bench: Bench) -> None:
    assert find_model(str(bench.door.bases["gemma3"]), None, ProgressReporter("test")) == bench.door.bases["gemma3"]
    assert "model_name" in FIXED_BY_PREPARE


@shows("model_revision")
def _(bench: Bench) -> None:
    with pytest.raises(UsageError, match="model_revision names a revision of a Hub model"):
        find_model(str(bench.door.bases["gemma3"]), "v1", ProgressReporter("test"))


@shows("family")
def _(bench: Bench) -> None:
    with pytest.raises(UsageError, match="family 'gemma3' must fit the model"):
        find_family("gemma3", bench.door.bases["qwen3_vl"])


@shows("backend")
def _(bench: Bench) -> None:
    assert choose_backend("hf")[0] == "hf"
    assert choose_backend("auto", obstacle=lambda: Obstacle("no GPU", ""))[0] == "hf"
    with pytest.raises(UsageError, match="backend unsloth cannot work here: no GPU; buy one"):
        choose_backend("unsloth", obstacle=lambda: Obstacle("no GPU", "buy one"))
    assert set(BACKENDS) == set(TrainSettings.model_json_schema()["properties"]["backend"]["enum"]) - {"auto"}


@shows("load_in_4bit")
def _(bench: Bench) -> None:
    assert "load_in_4bit needs a CUDA GPU" in refused(bench.settings(load_in_4bit=True))
    bare = Machine("cuda", bf16=True, bitsandbytes=False)
    assert "bitsandbytes, which is not installed" in refused(bench.settings(load_in_4bit=True), bare)
    check_settings(bench.settings(load_in_4bit=True), QWEN, Machine("cuda", bf16=True, bitsandbytes=True))


@shows("precision")
def _(bench: Bench) -> None:
    fp32, bf16 = bench.trainer(precision="fp32"), bench.trainer(precision="bf16")
    assert (fp32.args.bf16, bf16.args.bf16) == (False, True)
    assert fp32.model.base_model.model.lm_head.weight.dtype is torch.float32
    assert bf16.model.base_model.model.lm_head.weight.dtype is torch.bfloat16
    assert {value.dtype for value in bf16.model.parameters() if value.requires_grad} == {torch.float32}
    assert "needs a device that computes in it" in refused(
        bench.settings(precision="bf16"), Machine("cuda", bf16=False, bitsandbytes=True)
    )


@shows("profile")
def _(bench: Bench) -> None:
    assert find_profile("auto", "datalab-to/chandra", QWEN) is find_profile("chandra", "my-model", QWEN)
    assert find_profile("none", "datalab-to/chandra", QWEN) is None
    with pytest.raises(UsageError, match="must be of the model's family, qwen3_vl, but 'gemma-3-4b' is of gemma3"):
        find_profile("gemma-3-4b", "my-model", QWEN)
    assert set(PROFILES) == set(TrainSettings.model_json_schema()["properties"]["profile"]["enum"]) - {"auto", "none"}


@shows("skip_verification")
def _(bench: Bench) -> None:
    changes = {"profile": "chandra", "max_seq_length": 100}
    for skips in (False, True):
        folder = f"verify-{skips}"
        settings = bench.door.settings(**changes, skip_verification=skips)
        assert bench.door.run(bench.door.job("preflight", settings, folder)) == 0
        found = json.loads((bench.door.folder / folder / "preflight.json").read_text())
        assert skips is not any("patch_size is 8, expected 16" in text for text in found["warnings"])


@shows("bnb_4bit_quant_type")
def _(bench: Bench) -> None:
    assert four_bits(QWEN, bench.settings(bnb_4bit_quant_type="fp4"), "bf16").bnb_4bit_quant_type == "fp4"


@shows("bnb_4bit_use_double_quant")
def _(bench: Bench) -> None:
    for wanted in (True, False):
        config = four_bits(QWEN, bench.settings(bnb_4bit_use_double_quant=wanted), "bf16")
        assert config.bnb_4bit_use_double_quant is wanted


@shows("longest_edge")
def _(bench: Bench) -> None:
    assert bench.picture_tokens((160, 160), longest_edge=80) == 25
    assert bench.picture_tokens((160, 160), longest_edge=160) == 100


@shows("max_pixels")
def _(bench: Bench) -> None:
    assert bench.picture_tokens((160, 160), max_pixels=80 * 80) == 25
    with pytest.raises(UsageError, match="max_pixels needs a family that takes pictures of any size, but gemma3"):
        check_settings(bench.settings(max_pixels=10_000), FAMILIES["gemma3"], CPU)


@shows("pan_and_scan")
def _(bench: Bench) -> None:
    assert bench.picture_tokens((1200, 400), "gemma3", pan_and_scan=True) > 4 * 25
    assert bench.picture_tokens((1200, 400), "gemma3") < 2 * 25
    assert "pan_and_scan needs a family whose processor shows crops" in refused(bench.settings(pan_and_scan=True))


@shows("lora_alpha_ratio")
def _(bench: Bench) -> None:
    assert [bench.lora(lora_r=r, lora_alpha_ratio=2.0).lora_alpha for r in (4, 8)] == [8, 16]


@shows("finetune_merger_layers")
def _(bench: Bench) -> None:
    names = bench.adapted(finetune_merger_layers=True)
    assert sum(".merger." in name or ".deepstack_merger_list." in name for name in names) == 4
    outline = outline_of(known_base(bench.door.bases["gemma3"], "gemma3", None))
    with pytest.raises(UsageError, match="between the towers, but gemma3 has none"):
        outline.adapted(bench.settings(finetune_merger_layers=True), FAMILIES["gemma3"])


@shows("finetune_attention_modules")
def _(bench: Bench) -> None:
    leaves = {name.rpartition(".")[2] for name in bench.adapted(finetune_mlp_modules=False)}
    assert leaves == {"q_proj", "k_proj", "v_proj", "o_proj", "qkv", "proj"}


@shows("finetune_mlp_modules")
def _(bench: Bench) -> None:
    leaves = {name.rpartition(".")[2] for name in bench.adapted(finetune_attention_modules=False)}
    assert leaves == {"gate_proj", "up_proj", "down_proj", "linear_fc1", "linear_fc2"}


@shows("effective_batch_size")
def _(bench: Bench) -> None:
    for effective, most, expected in ((12, 5, (4, 3)), (7, 4, (1, 7)), (8, 16, (8, 1))):
        settings = bench.settings(effective_batch_size=effective, per_device_train_batch_size=most)
        assert batching_of(settings) == Batching(*expected)


@shows("label_smoothing_factor")
def _(bench: Bench) -> None:
    def first_loss(factor: float) -> float:
        trainer = bench.trainer(label_smoothing_factor=factor, max_steps=1, learning_rate=1e-9)
        trainer.train()
        return float(trainer.state.log_history[0]["loss"])

    # The smoothed loss mixes in the mean of all classes' losses, far above the right one's only where that is learned.
    assert first_loss(0.5) != pytest.approx(first_loss(0.0), rel=1e-3)
    assert first_loss(1e-7) == pytest.approx(first_loss(0.0), rel=1e-4), "labels stand a token beside their logits"


@shows("compute_cer_wer")
def _(bench: Bench) -> None:
    scores, _ = judge(bench, compute_cer_wer=False)
    assert scores.metrics("eval").keys() == {"eval_loss"}
    assert scores.loss == pytest.approx(judge(bench)[0].loss)


@shows("skip_pre_eval")
def _(bench: Bench) -> None:
    job = bench.door.job("prepare", bench.door.settings(skip_pre_eval=True), "unmeasured")
    assert bench.door.run(job) == 0
    assert PreparedData.read(Path(job.output_dir)).base == {}


def stops_after(values: list[float], **changes: Any) -> int:
    """The number of evaluations with these values that are made, of all of them at most."""
    best = BestWeights(TrainSettings(**changes))
    for number, value in enumerate(values, start=1):
        best.take(number, {"eval_cer": value, "eval_loss": -value}, torch.nn.Linear(1, 1))
        if best.waited_enough:
            return number
    return len(values)


@shows("early_stopping_patience")
def _(bench: Bench) -> None:
    assert stops_after([0.5, 0.4, 0.4, 0.6, 0.3], early_stopping_patience=2) == 4
    assert stops_after([0.5, 0.4, 0.4, 0.6, 0.3]) == 5


@shows("early_stopping_threshold")
def _(bench: Bench) -> None:
    assert stops_after([0.5, 0.45, 0.41], early_stopping_patience=2, early_stopping_threshold=0.1) == 3


@shows("metric_for_best_model")
def _(bench: Bench) -> None:
    falling = [0.5, 0.4, 0.3]
    assert stops_after(falling, early_stopping_patience=1, metric_for_best_model="eval_loss") == 2


@shows("load_best_model_at_end")
def _(bench: Bench) -> None:
    for keeps in (True, False):
        model = torch.nn.Linear(1, 1)
        best = BestWeights(TrainSettings(load_best_model_at_end=keeps))
        best.take(1, {"eval_cer": 0.1}, model)
        before = model.weight.item()
        model.weight.data += 1
        best.take(2, {"eval_cer": 0.2}, model)
        assert best.restore(model, 2) is keeps
        assert model.weight.item() == pytest.approx(before if keeps else before + 1)


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


@shows("input_data")
def _(bench: Bench) -> None:
    assert bench.rows() == {"train": 12, "validation": 5, "holdout": 3}


@shows("dataset_subset")
def _(bench: Bench, tmp_path: Path) -> None:
    source = repository(tmp_path / "data", card=SUBSETS)
    assert bench.rows(**DRAWN, input_data=str(source), dataset_subset="many")["train"] == 12


@shows("dataset_revision")
def _(bench: Bench) -> None:
    settings = bench.settings(input_data="hub:owner/name", dataset_revision="v2")
    assert find_source(settings).revision == "v2"
    with pytest.raises(UsageError, match="dataset_revision goes with a dataset on the Hub"):
        bench.rows(dataset_revision="v2")


def named_otherwise(folder: Path, **columns: Sequence[Any]) -> Path:
    """A JSON file of twenty pictures beside it, with columns besides or instead of image and text."""
    for number in range(20):
        (folder / f"{number}.png").write_bytes(picture(f"w{number}"))
    table: dict[str, Any] = {"image": [f"{n}.png" for n in range(20)], "text": [f"w{n}" for n in range(20)], **columns}
    rows = [dict(zip(table, values, strict=True)) for values in zip(*table.values(), strict=True)]
    path = folder / "rows.json"
    path.write_text(json.dumps(rows), encoding="utf-8")
    return path


@shows("image_column")
def _(bench: Bench, tmp_path: Path) -> None:
    path = named_otherwise(tmp_path, image=[5] * 20, scan=[f"{number}.png" for number in range(20)])
    assert sum(bench.rows(**DRAWN, input_data=str(path), image_column="scan").values()) == 20


@shows("text_column")
def _(bench: Bench, tmp_path: Path) -> None:
    path = named_otherwise(tmp_path, text=[5] * 20, words=["a"] * 20)
    assert sum(bench.rows(**DRAWN, input_data=str(path), text_column="words").values()) == 20


@shows("document_column")
def _(bench: Bench, tmp_path: Path) -> None:
    path = named_otherwise(tmp_path, book=[number // 5 for number in range(20)])
    rows = bench.rows(**DRAWN, input_data=str(path), document_column="book", val_ratio=0.5, holdout_fraction=0.5)
    assert rows == {"train": 10, "validation": 5, "holdout": 5}


@shows("image_root")
def _(bench: Bench, tmp_path: Path) -> None:
    path = named_otherwise(tmp_path)
    (tmp_path / "elsewhere").mkdir()
    moved = path.rename(tmp_path / "elsewhere" / "rows.json")
    assert sum(bench.rows(**DRAWN, input_data=str(moved), image_root=str(tmp_path)).values()) == 20


@shows("train_split")
def _(bench: Bench) -> None:
    assert bench.rows(train_split="train[:25%]")["train"] == 3


@shows("val_split")
def _(bench: Bench) -> None:
    assert bench.rows(val_split="validation[1:]")["validation"] == 4


@shows("val_ratio")
def _(bench: Bench, tmp_path: Path) -> None:
    path = named_otherwise(tmp_path)
    for ratio, judged in ((0.2, 4), (0.5, 10)):
        rows = bench.rows(**DRAWN, input_data=str(path), val_ratio=ratio)
        assert rows["validation"] + rows["holdout"] == judged


@shows("holdout_split")
def _(bench: Bench) -> None:
    assert bench.rows(holdout_split="holdout[:1]")["holdout"] == 1


@shows("holdout_fraction")
def _(bench: Bench) -> None:
    for fraction, held in ((0.2, 1), (0.6, 3)):
        assert bench.rows(holdout_split=None, holdout_fraction=fraction)["holdout"] == held


@shows("instruction")
def _(bench: Bench) -> None:
    processor = bench.trainer(instruction="What is it?").processing_class
    assert "What is it?" in Chat(processor, "What is it?").question


@shows("max_seq_length")
def _(bench: Bench) -> None:
    rows = Lengths([Shape("a", "x", (1, 1)), Shape("b", "y", (1, 1))], [40, 45], [30, 35], [5, 6])
    refuse_too_long(rows, 51)
    with pytest.raises(
        UsageError, match=r"max_seq_length=50 tokens, but 1 of 2 do not: b \(51\); of the longest, 35 are"
    ):
        refuse_too_long(rows, 50)
    assert bench.trainer(max_seq_length=90).args.max_length is None


@shows("lora_r")
def _(bench: Bench) -> None:
    assert bench.lora(lora_r=3).r == 3


@shows("lora_alpha")
def _(bench: Bench) -> None:
    assert bench.scaling(lora_r=4, lora_alpha=10) == 2.5


@shows("lora_dropout")
def _(bench: Bench) -> None:
    assert bench.lora(lora_dropout=0.25).lora_dropout == 0.25


@shows("use_rslora")
def _(bench: Bench) -> None:
    assert bench.scaling(lora_r=4, lora_alpha=10, use_rslora=True) == pytest.approx(10 / math.sqrt(4))


@shows("use_dora")
def _(bench: Bench) -> None:
    trainer = bench.trainer(use_dora=True, max_steps=1)
    trainer.train()
    assert any(
        "lora_magnitude_vector" in name for name, value in trainer.model.named_parameters() if value.requires_grad
    )


def towers(trainer: Any) -> set[str]:
    names = [name for name, value in trainer.model.named_parameters() if value.requires_grad]
    return {tower for tower in ("language_model", "visual") if any(tower in name for name in names)}


@shows("finetune_vision_layers")
def _(bench: Bench) -> None:
    assert towers(bench.trainer(finetune_vision_layers=True)) == {"language_model", "visual"}


@shows("finetune_language_layers")
def _(bench: Bench) -> None:
    assert towers(bench.trainer(finetune_language_layers=False, finetune_vision_layers=True)) == {"visual"}
    outline = outline_of(known_base(bench.door.bases["qwen3_vl"], "qwen3_vl", None))
    with pytest.raises(UsageError, match="something must be adapted"):
        outline.adapted(bench.settings(finetune_language_layers=False), QWEN)


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


@shows("evaluations")
def _(bench: Bench) -> None:
    schedule = EvaluationSchedule(10, bench.settings(evaluations=4))
    assert [schedule.due(step) for step in range(1, 11)] == [[], [], [1], [], [2], [], [], [3], [], [4]]


@shows("eval_samples")
def _(bench: Bench) -> None:
    assert len(evaluation_subset(bench.door.folder / "prepare", bench.settings(eval_samples=2))) == 2
    pace = Pace(step_s=1.0, batch_s=0.0, row_s=0.1, batch_size=8)
    open_ones = bench.settings(eval_samples=None, final_samples=None, evaluations=10)
    assert afford(open_ones, pace, 200, {"validation": 50, "holdout": 50}).rows == 19


@shows("eval_stride")
def _(bench: Bench) -> None:
    schedule = EvaluationSchedule(10, bench.settings(evaluations=5, eval_stride=2))
    assert [schedule.due(step) for step in range(1, 11)] == [[], [], [], [2], [], [], [], [4], [], [5]]


@shows("eval_steps")
def _(bench: Bench) -> None:
    schedule = EvaluationSchedule(10, bench.settings(eval_steps=4))
    assert [schedule.due(step) for step in range(1, 11)] == [[], [], [], [1], [], [], [], [2], [], []]


@shows("final_samples")
def _(bench: Bench) -> None:
    assert len(final_rows(bench.door.folder / "prepare", "holdout", bench.settings(final_samples=2))) == 2


def judge(bench: Bench, **changes: Any) -> tuple[Any, list[float]]:
    """Scores on the validation rows, and the fraction that was done after each batch."""
    from hpsearch.training.backends import Loaded
    from hpsearch.training.prepared import open_rows

    settings = bench.settings(**changes)
    trainer = bench.trainer(**changes)
    loaded = Loaded(trainer.model.eval(), trainer.processing_class, "cpu", "fp32")
    done: list[float] = []
    scores = evaluate(
        loaded, open_rows(bench.door.folder / "prepare", "validation"), settings, lambda _, to: done.append(to)
    )
    return scores, done


@shows("eval_batch_size")
def _(bench: Bench) -> None:
    assert judge(bench, eval_batch_size=2)[1] == [0.4, 0.8, 1.0]


@shows("max_new_tokens")
def _(bench: Bench) -> None:
    longest = {
        limit: max(len(one.prediction) for one in judge(bench, max_new_tokens=limit)[0].rows) for limit in (1, 3)
    }
    assert longest[1] <= 1
    assert longest[3] <= 3


@shows("text_normalization")
def _(bench: Bench) -> None:
    from hpsearch.data.metrics import NORMALIZATIONS, character_edits

    assert set(NORMALIZATIONS) == set(TrainSettings.model_json_schema()["properties"]["text_normalization"]["enum"])
    scores, _ = judge(bench, text_normalization="whitespace")
    for one in scores.rows:
        assert one.characters == character_edits(one.reference, one.prediction, "whitespace")


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


def test_each_variation_is_looked_at() -> None:
    settings = {"lora_r": 8, "learning_rate": 1e-4, "use_dora": False}
    seen = list(candidate_settings(settings, [{"lora_r": 4}, {"lora_r": 16}, {"use_dora": True}]))
    assert [(one.lora_r, one.use_dora) for one in seen] == [(8, False), (4, False), (16, False), (8, True)]
