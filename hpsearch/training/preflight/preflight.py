"""The preflight: what can be known of a study's trials before any weight is loaded, and every reason not to begin."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hpsearch.data.progress import ProgressReporter
from hpsearch.errors import UsageError
from hpsearch.execution.files import require_space
from hpsearch.execution.units import bytes_text
from hpsearch.settings import TrainSettings
from hpsearch.training.assign_rows import Data
from hpsearch.training.machine import Machine, precision_on
from hpsearch.training.models.base import BaseCheckpoint, bytes_to_download
from hpsearch.training.preflight.lengths import Lengths, Measure, refuse_too_long, refuse_unreadable, usual
from hpsearch.training.preflight.memory import Footprint, Outline, footprint, outline_of
from hpsearch.training.preflight.settings import check_settings, without_key
from hpsearch.training.prepared import SPLITS
from hpsearch.training.schedule import batching_of, evaluation_plan, steps_of

# The standard error of a mean is the rows' spread / sqrt(rows): with fewer rows more than a fifth of the spread.
FEW_ROWS = 20


@dataclass(frozen=True)
class Preflight:
    """``lines`` are facts for people as (topic, text); ``figures`` for programs: tokens by name, LoRA by tower,
    ``steps`` of the shortest and longest trial, the fewest ``evaluations`` (the number of the last), bytes.
    ``warnings`` are settings that probably were not meant so."""

    lines: Sequence[tuple[str, str]]
    figures: Mapping[str, Any]
    warnings: Sequence[str]


def check_candidates(
    base: BaseCheckpoint,
    data: Data,
    candidates: Sequence[TrainSettings],
    machine: Machine,
    folder: Path,
    progress: ProgressReporter,
) -> Preflight:
    """Check every candidate configuration; the first is the default one.

    Raises:
        UsageError: a rule is broken; the message has the rule, the values and the remedy.
    """
    for settings in candidates:
        check_settings(settings, base.family, machine)
    measure = Measure.of_rows(base, (row for split in SPLITS for row in data.rows[split]), progress)
    progress.phase("check the model")
    outline = outline_of(base)
    checked = [_Candidate(settings, base, measure.lengths(settings), outline, machine) for settings in candidates]
    warnings = [text for candidate in checked for text in candidate.check()]
    # The space for adapters and checkpoints is checked by the searching side, which decides how many are kept.
    to_download, cache = bytes_to_download(candidates[0].model_name, candidates[0].model_revision)
    if to_download:
        remedy = "free some space, or set HF_HOME to a folder on a larger disk"
        require_space(cache, to_download, "the model's files", remedy)
    rows = {split: len(data.rows[split]) for split in SPLITS}
    default, steps = checked[0], _steps(checked, rows["train"])
    warnings = [
        *_differences(base, candidates[0]),
        *without_key(candidates[0].report_to, os.environ),
        *warnings,
        *_few_rows(rows),
        *_odd_schedules(checked, rows["train"]),
    ]
    lines = [("rows", ", ".join(f"{count} {split}" for split, count in rows.items())), *default.lines(rows["train"])]
    shortest, longest = steps["steps"]
    if shortest != longest:
        lines.append(("trials", f"{shortest} to {longest} steps over the search space"))
    heaviest = default.lengths.heaviest(rows["train"])
    return Preflight(
        lines=lines,
        figures={**default.figures(data.bytes), **steps, "heaviest": heaviest},
        warnings=list(dict.fromkeys(warnings)),
    )


@dataclass(frozen=True)
class _Candidate:
    """One candidate configuration, with its figures."""

    settings: TrainSettings
    base: BaseCheckpoint
    lengths: Lengths
    outline: Outline
    machine: Machine

    def check(self) -> list[str]:
        """Return its warnings.

        Raises:
            UsageError: it cannot be honoured.
        """
        self.adapted()
        refuse_too_long(self.lengths, self.settings.max_seq_length)
        warnings = refuse_unreadable(self.lengths, self.settings)
        least, available = self.footprint().least, self.machine.memory_bytes
        if available and least > available:
            raise UsageError(
                f"model, LoRA and the logits of one row must fit in the device's {bytes_text(available)}, "
                f"but take {bytes_text(least)}",
                "use load_in_4bit, a smaller model or an 8-bit optimiser, or leave the longest answers out",
            )
        limit, longest = self.settings.max_new_tokens, max(self.lengths.answers)
        if self.settings.compute_cer_wer and limit is not None and limit < longest:
            warnings.append(
                f"max_new_tokens is {limit}, but the longest answer has {longest} tokens: "
                "the text generated for the longest rows will be cut, and counted as errors"
            )
        return warnings

    def adapted(self) -> dict[str, dict[str, int]]:
        return self.outline.adapted(self.settings, self.base.family)

    def footprint(self) -> Footprint:
        precision = precision_on(self.settings.precision, self.machine)
        trainable = sum(tower["trainable"] for tower in self.adapted().values())
        return footprint(self.settings, self.outline, self.lengths, trainable, precision)

    def figures(self, row_bytes: int) -> dict[str, Any]:
        """Return the figures that are kept of it; ``row_bytes`` is the size of all rows."""
        taken = self.footprint()
        towers = {
            tower: counts | {"parameters": self.outline.parameters[tower]} for tower, counts in self.adapted().items()
        }
        return {
            "tokens": self.lengths.figures(),
            "lora": towers,
            "parameters": sum(self.outline.parameters.values()),
            "effective_batch": taken.batching.effective,
            "bytes": {
                "rows": row_bytes,
                "weights": taken.weights,
                "trained": taken.trained,
                "logits": taken.logits,
                "adapter": taken.adapter,
            },
        }

    def lines(self, train_rows: int) -> Iterator[tuple[str, str]]:
        """Yield the facts that are shown of it."""
        settings, lengths = self.settings, self.lengths
        taken, available = self.footprint(), self.machine.memory_bytes
        known = f"profile {self.base.profile.name}" if self.base.profile else f"family {self.base.family.name}"
        yield "model", f"{settings.model_name} ({known}), {_count(sum(self.outline.parameters.values()))} parameters"
        yield "tokens", usual(lengths.figures()) + f" (max_seq_length {settings.max_seq_length})"
        largest = max(range(len(lengths.pictures)), key=lambda number: lengths.pictures[number])
        width, height = lengths.shapes[largest].size
        yield "pictures", f"up to {lengths.pictures[largest]} visual tokens (of {width}x{height} pixels)"
        for tower, counts in self.adapted().items():
            share = counts["trainable"] / self.outline.parameters[tower]
            trained = f"{_count(counts['trainable'])} trained ({share:.2%} of the tower)"
            yield f"LoRA {tower}", f"{counts['modules']} modules, {trained}"
        yield "batch", str(taken.batching)
        yield "steps", f"{steps_of(settings, train_rows)} steps a trial"
        yield (
            "memory",
            f"at least {bytes_text(taken.usual)}: weights {bytes_text(taken.weights)}, LoRA and optimiser "
            f"{bytes_text(taken.trained)}, logits {bytes_text(taken.logits)}; activations come on top"
            + (f"; the device has {bytes_text(available)}" if available else ""),
        )


def _steps(candidates: Sequence[_Candidate], train_rows: int) -> dict[str, Any]:
    steps = [steps_of(candidate.settings, train_rows) for candidate in candidates]
    plans = [evaluation_plan(count, candidate.settings) for count, candidate in zip(steps, candidates, strict=True)]
    return {"steps": [min(steps), max(steps)], "evaluations": min(max(plan, default=0) for plan in plans)}


def _few_rows(rows: Mapping[str, int]) -> Iterator[str]:
    for split in ("validation", "holdout"):
        if rows[split] < FEW_ROWS:
            yield f"{split} has only {rows[split]} rows: differences between trials will mostly be chance"


def _odd_schedules(candidates: Sequence[_Candidate], train_rows: int) -> Iterator[str]:
    """Warn of steps, evaluations and warm-ups that do not fit each other or the rows."""
    for settings in (candidate.settings for candidate in candidates):
        effective, steps = batching_of(settings).effective, steps_of(settings, train_rows)
        plan = evaluation_plan(steps, settings)
        if effective > train_rows:
            yield f"the effective batch is {effective}, but train has only {train_rows} rows: use a smaller one"
        elif not plan:
            yield f"eval_steps={settings.eval_steps}, but a trial of {steps} steps ends before: no evaluation"
        elif len(set(plan.values())) < len(plan):
            yield f"a trial has only {steps} steps for its {len(plan)} evaluations: some of them will be the same"
        warmup = settings.warmup_steps or 0
        if warmup >= steps:
            yield f"warmup_steps is {warmup}, but a trial has {steps} steps: its learning rate only rises"
        if settings.max_steps is not None and effective * steps < train_rows:
            yield f"max_steps is {steps}: of {train_rows} rows a trial sees {effective * steps}"


def _differences(base: BaseCheckpoint, settings: TrainSettings) -> Iterator[str]:
    if settings.skip_verification:
        return
    differences = base.differences()
    if differences:
        name = base.profile.name if base.profile else base.family.name
        yield f"the model is not as {name} should be: {'; '.join(map(str, differences))} (skip_verification hides this)"


def _count(number: int) -> str:
    for size, unit in ((1e9, " billion"), (1e6, " million"), (1e3, " thousand")):
        if number >= size:
            return f"{number / size:.3g}{unit}"
    return str(number)
