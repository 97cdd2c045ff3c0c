"""What the sections work with: a plan, models made ready by the prepare job, and trials."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from gpu.jobs import Bench, Failed, Timeline, required
from gpu.shapes import write_pages

ANSWER_TOKENS = 256
DISK_BYTES = {"gemma3-12b": 25 * 10**9, "qwen3_vl-8b": 18 * 10**9}
LARGE_BATCH = 64  # without gradient checkpointing, more than any GPU of today holds


@dataclass(frozen=True)
class Plan:
    """What is run: the backends with why each is left out ("" where it is not), and how much of each section."""

    backends: Mapping[str, str]
    four_bits: bool
    quick: bool
    cpu: bool
    kills: int = 20


@dataclass(frozen=True)
class Load:
    """How much work a model is given. Lengths in tokens, pages in pixels."""

    page: int
    answer: int
    generated: int
    rows: Mapping[str, int]
    settings: Mapping[str, Any] = field(default_factory=dict)
    uneven: bool = False  # answers of other lengths too


TINY = Load(64, 16, 8, {"train": 16, "validation": 8, "holdout": 4}, {"per_device_train_batch_size": 4}, uneven=True)
FULL = Load(
    1024,
    ANSWER_TOKENS,
    64,
    {"train": LARGE_BATCH, "validation": 8, "holdout": 8},
    {
        "gradient_checkpointing": True,
        "max_steps": 6,
        "evaluations": 1,
        "eval_samples": 8,
        "eval_stride": 1,  # with the next two nothing is left to be measured in prepare
        "final_samples": 8,
    },
)
NARROW = replace(FULL, page=256, answer=32, generated=8, rows={"train": 8, "validation": 4, "holdout": 4})


@dataclass(frozen=True)
class Ready:
    """A model on disk and a study's rows, made ready by the prepare job for one backend."""

    name: str
    settings: Mapping[str, Any]
    prepared: Path

    def with_settings(self, **changes: Any) -> Ready:
        """The same with other settings of the trial."""
        return replace(self, settings={**self.settings, **changes})


def build(bench: Bench, shape: str) -> tuple[Path, float]:
    """The folder of a shape's model, and how long writing it took (0.0: it was there)."""
    folder = bench.folder / "models" / shape
    if folder.is_dir():
        return folder, 0.0
    free, need = shutil.disk_usage(bench.folder).free, DISK_BYTES.get(shape, 0)
    if free < need:
        raise Failed(f"{bench.folder} has {free / 1e9:.0f} GB free, {need / 1e9:.0f} are needed: see --work-dir")
    timeline = required(bench.run(bench.program(f"write-{shape}", "gpu.shapes", shape, str(folder))))
    return folder, timeline.ended - timeline.launched


def make_ready(bench: Bench, shape: str, backend: str, load: Load, **settings: Any) -> Ready:
    """Write the rows and run the prepare job; once for each shape and backend."""
    name = f"{shape}-{backend}"
    wanted = {
        "model_name": str(build(bench, shape)[0]),
        "backend": backend,
        "input_data": str(
            write_pages(bench.folder / f"pages-{load.page}", load.rows, load.page, load.answer, load.uneven)
        ),
        "train_split": "train",
        "val_split": "validation",
        "holdout_split": "holdout",
        "instruction": "Read.",
        "lora_r": 16,
        "max_new_tokens": load.generated,
        "gradient_accumulation_steps": 1,
        **load.settings,
        **settings,
    }
    ready = Ready(name, wanted, bench.folder / f"prepared-{name}")
    if not (ready.prepared / "prepared.json").is_file():
        required(bench.run(bench.job("prepare", f"prepare-{name}", wanted, ready.prepared)))
    return ready


def trial(bench: Bench, ready: Ready, name: str, **kwargs: Any) -> Timeline:
    """Run one trial."""
    return bench.run(bench.job("trial", f"{name}-{ready.name}", ready.settings, ready.prepared), **kwargs)
