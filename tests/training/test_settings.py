"""No setting is silently ignored: for each one, where it shows."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from hpsearch.errors import UsageError
from hpsearch.training.arguments import lora_options, training_options, warmup
from hpsearch.training.backends import BACKENDS
from hpsearch.training.backends.choice import Obstacle, choose_backend
from hpsearch.training.chat import Chat
from hpsearch.training.checks import Machine, candidates, check_length, check_settings
from hpsearch.training.data import gather
from hpsearch.training.devices import set_threads
from hpsearch.training.evaluation import evaluate
from hpsearch.training.families import FAMILIES, find_family
from hpsearch.training.models import find_model
from hpsearch.training.progress import Progress
from hpsearch.training.recipe import evaluation_subset, load_adapted
from hpsearch.training.rows import training_rows
from hpsearch.training.schedule import EvaluationSchedule
from hpsearch.trials.settings import FIXED_BY_PREPARE, TrainSettings, setting_names
from tests.training.conftest import Door, at

QWEN = FAMILIES["qwen3_vl"]
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
        from hpsearch.training.prepared import Prepared, open_rows

        settings, prepared = self.settings(**changes), self.door.folder / "prepare"
        backend = BACKENDS["hf"]()
        loaded = load_adapted(backend, Prepared.read(prepared), settings)
        rows = training_rows(open_rows(prepared, "train").table, Chat(loaded.processor, settings.instruction))
        return backend.trainer(loaded, rows, settings, self._folder, [])

    def scaling(self, **changes: Any) -> float:
        """What the product of the LoRA matrices is multiplied by."""
        model = self.trainer(**changes).model
        scalings = [getattr(module, "scaling", None) for module in model.modules()]
        (found,) = {scaling["default"] for scaling in scalings if isinstance(scaling, dict)}
        return float(found)

    def rows(self, **changes: Any) -> dict[str, int]:
        """How many rows each side gets."""
        data = gather(self.door.words, self.settings(**changes), Progress("test"))
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


SHOWN: dict[str, Callable[[Bench], None]] = {}


def shows(name: str) -> Callable[[Callable[[Bench], None]], Callable[[Bench], None]]:
    """Register where a setting shows."""

    def keep(look: Callable[[Bench], None]) -> Callable[[Bench], None]:
        SHOWN[name] = look
        return look

    return keep


def test_every_setting_has_its_place_here() -> None:
    assert set(SHOWN) == setting_names()


@pytest.mark.parametrize("name", sorted(setting_names()))
def test_a_setting_shows(bench: Bench, name: str) -> None:
    SHOWN[name](bench)


@shows("model_name")
def _(bench: Bench) -> None:
    assert find_model(str(bench.door.bases["gemma3"]), None, Progress("test")) == bench.door.bases["gemma3"]
    assert "model_name" in FIXED_BY_PREPARE


@shows("model_revision")
def _(bench: Bench) -> None:
    with pytest.raises(UsageError, match="model_revision names a revision of a Hub model"):
        find_model(str(bench.door.bases["gemma3"]), "v1", Progress("test"))


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


@shows("input_data")
def _(bench: Bench) -> None:
    assert bench.rows() == {"train": 12, "validation": 5, "holdout": 3}


@shows("train_split")
def _(bench: Bench) -> None:
    assert bench.rows(train_split="train[:25%]")["train"] == 3


@shows("val_split")
def _(bench: Bench) -> None:
    assert bench.rows(val_split="validation[1:]")["validation"] == 4


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
    check_length(bench.settings(max_seq_length=50), 50)
    with pytest.raises(UsageError, match="the longest has 51 tokens and max_seq_length is 50; raise max_seq_length"):
        check_length(bench.settings(max_seq_length=50), 51)
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
    assert "something must be adapted" in refused(bench.settings(finetune_language_layers=False))


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
    assert training_options(bench.settings(optim="adamw_8bit"), "cuda", "bf16")["optim"] == "adamw_bnb_8bit"


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
    schedule = EvaluationSchedule(10, 4)
    assert [schedule.due(step) for step in range(1, 11)] == [[], [], [1], [], [2], [], [], [3], [], [4]]


@shows("eval_samples")
def _(bench: Bench) -> None:
    assert len(evaluation_subset(bench.door.folder / "prepare", bench.settings(eval_samples=2))) == 2


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
        limit: max(len(one.prediction) for one in judge(bench, max_new_tokens=limit)[0].judged) for limit in (1, 3)
    }
    assert longest[1] <= 1
    assert longest[3] <= 3


@shows("text_normalization")
def _(bench: Bench) -> None:
    from hpsearch.ocr.metrics import NORMALIZATIONS, character_edits

    assert set(NORMALIZATIONS) == set(TrainSettings.model_json_schema()["properties"]["text_normalization"]["enum"])
    scores, _ = judge(bench, text_normalization="whitespace")
    for one in scores.judged:
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


def test_each_searched_value_is_looked_at() -> None:
    settings = {"lora_r": 8, "learning_rate": 1e-4}
    seen = list(candidates(settings, {"lora_r": [4, 16], "use_dora": [False, True]}))
    assert [(one.lora_r, one.use_dora) for one in seen] == [(4, False), (16, False), (4, True)]
