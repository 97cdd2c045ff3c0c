"""The survey job: measures of data, model and machine, for drafting a study. No weight is loaded, and nothing is
refused that a setting could fix."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from statistics import median
from typing import Any

from hpsearch import sdk
from hpsearch.data.progress import ProgressReporter
from hpsearch.data.sources import find_source
from hpsearch.errors import UsageError
from hpsearch.execution.job import SURVEY_FILE, Job
from hpsearch.execution.survey_result import Survey, TowerSize
from hpsearch.settings import TrainSettings
from hpsearch.training.assign_rows import Data, gather
from hpsearch.training.machine import Machine, precision_on
from hpsearch.training.machine.libraries import importing
from hpsearch.training.models.base import BaseCheckpoint, find_base
from hpsearch.training.preflight.lengths import Measure, largest_edge, sizings
from hpsearch.training.preflight.memory import Outline, outline_of, weights_bytes
from hpsearch.training.prepared import SPLITS

PARTS = ("language", "vision", "merger")


def survey(job: Job) -> None:
    """Measure the job's data and model, and write the result to survey.json.

    Raises:
        UsageError: the data or the model cannot be used at all.
    """
    progress, folder = ProgressReporter("check"), Path(job.output_dir)
    folder.mkdir(parents=True, exist_ok=True)
    settings = TrainSettings.model_validate(job.settings)
    base = find_base(settings, progress, weights=False)
    data = gather(find_source(settings), settings, base.family, folder, progress)
    progress.phase("load the libraries")
    with importing():
        from hpsearch.training.machine.device import gpu_name, this_machine
    result = _measure(base, data, settings, this_machine(), gpu_name(), progress)
    (folder / SURVEY_FILE).write_text(result.to_json(), encoding="utf-8")
    sdk.finish(rows=sum(result.rows.values()))


def _measure(
    base: BaseCheckpoint, data: Data, settings: TrainSettings, machine: Machine, gpu: str, progress: ProgressReporter
) -> Survey:
    measure = Measure.of_rows(base, (row for split in SPLITS for row in data.rows[split]), progress)
    lengths = measure.lengths(settings)
    progress.phase("check the model")
    outline = outline_of(base)
    precision = precision_on("auto", machine)
    four_bit = settings.model_copy(update={"load_in_4bit": True})
    return Survey(
        family=base.family.name,
        rows={split: len(data.rows[split]) for split in SPLITS},
        edge=largest_edge(measure),
        sizings=tuple(sizings(base, measure, settings)),
        answer=round(median(lengths.answers)),
        longest_answer=max(lengths.answers),
        towers=dict(_towers(base, outline, settings)),
        patches=_patches(base.config()),
        parameters=sum(outline.parameters.values()),
        vocabulary=outline.vocabulary,
        weights=weights_bytes(settings.model_copy(update={"load_in_4bit": False}), outline, precision),
        weights_4bit=weights_bytes(four_bit, outline, precision),
        device=machine.device,
        memory=machine.memory_bytes,
        gpu=gpu,
        bitsandbytes=machine.bitsandbytes,
        warnings=data.warnings,
    )


def _towers(base: BaseCheckpoint, outline: Outline, settings: TrainSettings) -> Iterator[tuple[str, TowerSize]]:
    """Yield the model's parts by name; one in which nothing matches has 0 trainable parameters."""
    config = base.config()
    for name in PARTS:
        only = {f"finetune_{part}_layers": part == name for part in PARTS} | {"lora_r": 1, "use_dora": False}
        try:
            (adapted,) = outline.adapted(settings.model_copy(update=only), base.family).values()
        except UsageError:
            adapted = {"trainable": 0}
        part: dict[str, Any] = config.get("vision_config" if name == "vision" else "text_config") or {}
        layers = int(part.get("num_hidden_layers") or part.get("depth") or 0)
        yield name, TowerSize(layers, int(part.get("hidden_size") or 0), adapted["trainable"])


def _patches(config: Any) -> int:
    """Return the positions in the vision tower for each token that the language model sees of a picture."""
    vision = config.get("vision_config") or {}
    if "spatial_merge_size" in vision:
        return int(vision["spatial_merge_size"]) ** 2
    if "pooling_kernel_size" in vision:
        return int(vision["pooling_kernel_size"]) ** 2
    tokens = int(config.get("mm_tokens_per_image") or 1)
    return max(1, (int(vision.get("image_size", 1)) // int(vision.get("patch_size", 1))) ** 2 // tokens)
