"""What a study needs to know of its loaded base: how it scores untuned, and how many rows a trial can be judged on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import ceil
from pathlib import Path
from typing import Any

from hpsearch.data.progress import Progress
from hpsearch.settings import TrainSettings
from hpsearch.training.evaluate.benchmark import Inspection
from hpsearch.training.evaluate.scores import Scores
from hpsearch.training.models.base import BaseModel
from hpsearch.training.prepared import drawn
from hpsearch.training.schedule import steps_of
from hpsearch.training.step_budget import FINAL_SETS, afford, pace_of, share_warning

SAMPLES = 3  # rows whose untuned answers are kept to be shown beside those of the trained model
SPARE = 1.5  # times the longest answer: what a generated one may take before it is cut


@dataclass(frozen=True)
class Task:
    """What is to be measured: ``settings`` are the default configuration's, ``figures`` the preflight's, ``rows`` how
    many each split has. ``known`` is what settings left open came to when the study began; it stands."""

    backend: str
    base: BaseModel
    settings: TrainSettings
    folder: Path
    figures: Mapping[str, Any]
    rows: Mapping[str, int]
    known: Mapping[str, Any]


@dataclass(frozen=True)
class Measured:
    """``base`` are the untuned scores, ``resolved`` what settings leave open comes to, ``judging`` a sentence on it."""

    base: dict[str, float]
    samples: list[dict[str, Any]]
    resolved: dict[str, Any]
    judging: str
    warnings: list[str]
    device: str
    precision: str


def measure(task: Task, progress: Progress) -> Measured:
    """Load the base and measure.

    Raises:
        Fault: it does not give finite numbers.
    """
    texts = _texts(task)
    settings = task.settings.model_copy(update={**texts, **task.known})
    inspection = Inspection(task.backend, task.base, settings, task.figures["heaviest"], progress)
    sizes, warnings = _sizes(task, settings, inspection)
    sets = {name: drawn(task.folder, split, sizes["final_samples"]) for name, split in FINAL_SETS.items()}
    scores = {} if settings.skip_pre_eval else inspection.score(sets)
    return Measured(
        base={name: value for key, score in scores.items() for name, value in score.metrics(key).items()},
        samples=_samples(scores),
        resolved={**texts, **sizes, **task.known},
        judging=_judging(sizes),
        warnings=warnings,
        device=inspection.loaded.device,
        precision=inspection.loaded.precision,
    )


def _judging(sizes: Mapping[str, int]) -> str:
    made = "every evaluation" if sizes["eval_stride"] == 1 else f"evaluations {sizes['eval_stride']} apart"
    return f"{sizes['eval_samples']} rows at {made}, at most {sizes['final_samples']} of each set at the end"


def _texts(task: Task) -> dict[str, Any]:
    """What is asked and how long an answer may be, where the settings leave it open."""
    answer = ceil(SPARE * task.figures["tokens"]["longest_answer"])
    resolved = {"instruction": task.base.prompt, "max_new_tokens": answer}
    return {name: value for name, value in resolved.items() if getattr(task.settings, name) is None}


def _sizes(task: Task, settings: TrainSettings, inspection: Inspection) -> tuple[dict[str, int], list[str]]:
    """How many rows are judged on, and what to say of it. Nothing is timed where the settings say all."""
    given = {name: getattr(settings, name) for name in ("eval_stride", "eval_samples", "final_samples")}
    if all(given.values()):
        return given, []
    step_s = inspection.seconds_per_step(task.folder)
    rows = drawn(task.folder, "validation", settings.eval_batch_size)
    pace = pace_of(step_s or 0.0, settings.eval_batch_size, inspection.seconds_per_batch(rows))
    chosen = afford(settings, pace, steps_of(settings, task.rows["train"]), task.rows)
    sizes = {"eval_stride": chosen.stride, "eval_samples": chosen.rows, "final_samples": chosen.final}
    if step_s is None:
        return sizes, ["memory ran out with the longest rows even in the smallest pass: most trials will fail so"]
    return sizes, share_warning(chosen)


def _samples(scores: Mapping[str, Scores]) -> list[dict[str, Any]]:
    judged = scores["eval"].judged[:SAMPLES] if "eval" in scores else ()
    return [{"id": one.row, "reference": one.reference, "prediction": one.prediction} for one in judged]
