"""What can be known of a study's trials before any weight is loaded, and every reason not to begin."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hpsearch.data.progress import ProgressReporter
from hpsearch.errors import UsageError
from hpsearch.execution.files import require_space
from hpsearch.settings import TrainSettings
from hpsearch.training.assign_rows import Data
from hpsearch.training.machine.device import Machine, precision_on
from hpsearch.training.models.base import BaseCheckpoint, bytes_to_download
from hpsearch.training.preflight.lengths import Lengths, Measure, Shape, refuse_too_long, refuse_unreadable, usual
from hpsearch.training.preflight.memory import Footprint, Outline, footprint, gigabytes, outline_of
from hpsearch.training.preflight.settings import check_settings, without_key
from hpsearch.training.prepared import SPLITS
from hpsearch.training.schedule import batching_of, planned, steps_of

# The standard error of a mean is the rows' spread / sqrt(rows): with fewer rows more than a fifth of the spread.
FEW_ROWS = 20


@dataclass(frozen=True)
class Preflight:
    """``lines`` are facts for people as (what, text); ``figures`` for programs: tokens by name, LoRA by tower,
    ``steps`` of the shortest and longest trial, the fewest ``evaluations`` (the number of the last), bytes.
    ``warnings`` are what may be meant otherwise."""

    lines: Sequence[tuple[str, str]]
    figures: Mapping[str, Any]
    warnings: Sequence[str]


def fly(
    base: BaseCheckpoint,
    data: Data,
    candidates: Sequence[TrainSettings],
    machine: Machine,
    folder: Path,
    progress: ProgressReporter,
) -> Preflight:
    """Look at every candidate configuration; the first is the default one.

    Raises:
        UsageError: a rule is broken; the message has the rule, the values and the remedy.
    """
    for candidate in candidates:
        check_settings(candidate, base.family, machine)
    progress.phase("measure lengths", fraction=0.0)
    shapes = [Shape(row.sample.id, row.sample.text, row.size) for split in SPLITS for row in data.rows[split]]
    measure = Measure(base, shapes, lambda done: progress.show(fraction=done))
    progress.phase("check the model")
    outline = outline_of(base)
    views = [_View(candidate, base, measure.lengths(candidate), outline, machine) for candidate in candidates]
    warnings = [text for view in views for text in view.checked()]
    # What trials write is checked by the searching side, which decides how much of it is kept.
    to_download, cache = bytes_to_download(candidates[0].model_name, candidates[0].model_revision)
    if to_download:
        remedy = "free some space, or set HF_HOME to a folder on a larger disk"
        require_space(cache, to_download, "the model's files", remedy)
    rows = {split: len(data.rows[split]) for split in SPLITS}
    first = views[0]
    return Preflight(
        lines=[*_row_lines(rows, data), *first.lines(rows["train"]), *_range_lines(views, rows["train"])],
        figures={
            **first.figures(data.bytes),
            **_steps(views, rows["train"]),
            "heaviest": first.lengths.heaviest(rows["train"]),
        },
        warnings=list(
            dict.fromkeys(
                [
                    *_differences(base, candidates[0]),
                    *without_key(candidates[0].report_to, os.environ),
                    *warnings,
                    *_few(rows),
                    *_short(views, rows),
                ]
            )
        ),
    )


@dataclass(frozen=True)
class _View:
    """One candidate configuration and what follows from it."""

    settings: TrainSettings
    base: BaseCheckpoint
    lengths: Lengths
    outline: Outline
    machine: Machine

    def checked(self) -> list[str]:
        """Its warnings. Raises UsageError where it cannot be honoured."""
        self.adapted()
        refuse_too_long(self.lengths, self.settings.max_seq_length)
        warnings = refuse_unreadable(self.lengths, self.settings)
        least, there = self.footprint().least, self.machine.memory_bytes
        if there and least > there:
            raise UsageError(
                f"model, LoRA and the logits of one row must fit in the device's {gigabytes(there)}, "
                f"but take {gigabytes(least)}",
                "use load_in_4bit, a smaller model or an 8-bit optimiser, or leave the longest answers out",
            )
        limit, longest = self.settings.max_new_tokens, max(self.lengths.answers)
        if self.settings.compute_cer_wer and limit is not None and limit < longest:
            warnings.append(
                f"max_new_tokens is {limit}, but the longest answer has {longest} tokens: "
                "what is generated for the longest rows will be cut, and counted as errors"
            )
        return warnings

    def adapted(self) -> dict[str, dict[str, int]]:
        return self.outline.adapted(self.settings, self.base.family)

    def footprint(self) -> Footprint:
        precision = precision_on(self.settings.precision, self.machine)
        trainable = sum(tower["trainable"] for tower in self.adapted().values())
        return footprint(self.settings, self.outline, self.lengths, trainable, precision)

    def figures(self, rows: int) -> dict[str, Any]:
        """What is kept of it; ``rows`` are the bytes of all rows."""
        taken = self.footprint()
        towers = {
            tower: found | {"parameters": self.outline.parameters[tower]} for tower, found in self.adapted().items()
        }
        return {
            "tokens": self.lengths.figures(),
            "lora": towers,
            "parameters": sum(self.outline.parameters.values()),
            "effective_batch": taken.batching.effective,
            "bytes": {
                "rows": rows,
                "weights": taken.weights,
                "trained": taken.trained,
                "logits": taken.logits,
                "adapter": taken.adapter,
            },
        }

    def lines(self, train_rows: int) -> Iterator[tuple[str, str]]:
        """What is told of it."""
        taken, there = self.footprint(), self.machine.memory_bytes
        known = f"profile {self.base.profile.name}" if self.base.profile else f"family {self.base.family.name}"
        yield (
            "model",
            f"{self.settings.model_name} ({known}), {_count(sum(self.outline.parameters.values()))} parameters",
        )
        yield "tokens", usual(self.lengths.figures()) + f" (max_seq_length {self.settings.max_seq_length})"
        yield "pictures", _pictures(self.lengths)
        for tower, found in self.adapted().items():
            share = found["trainable"] / self.outline.parameters[tower]
            yield (
                f"LoRA {tower}",
                f"{found['modules']} modules, {_count(found['trainable'])} trained ({share:.2%} of the tower)",
            )
        yield "batch", str(taken.batching)
        yield "steps", f"{steps_of(self.settings, train_rows)} steps a trial"
        yield (
            "memory",
            f"at least {gigabytes(taken.usual)}: weights {gigabytes(taken.weights)}, LoRA and optimiser "
            f"{gigabytes(taken.trained)}, logits {gigabytes(taken.logits)}; activations come on top"
            + (f"; the device has {gigabytes(there)}" if there else ""),
        )


def _row_lines(rows: Mapping[str, int], data: Data) -> Iterator[tuple[str, str]]:
    yield "rows", ", ".join(f"{count} {split}" for split, count in rows.items())


def _range_lines(views: Sequence[_View], train_rows: int) -> Iterator[tuple[str, str]]:
    steps = _steps(views, train_rows)["steps"]
    if steps[0] != steps[1]:
        yield "trials", f"{steps[0]} to {steps[1]} steps over the search space"


def _steps(views: Sequence[_View], train_rows: int) -> dict[str, Any]:
    steps = [steps_of(view.settings, train_rows) for view in views]
    last = [max(planned(count, view.settings), default=0) for count, view in zip(steps, views, strict=True)]
    return {"steps": [min(steps), max(steps)], "evaluations": min(last)}


def _pictures(lengths: Lengths) -> str:
    """The largest pictures and what becomes of them."""
    most = max(range(len(lengths.pictures)), key=lambda at: lengths.pictures[at])
    width, height = lengths.shapes[most].size
    return f"up to {lengths.pictures[most]} visual tokens (of {width}x{height} pixels)"


def _few(rows: Mapping[str, int]) -> Iterator[str]:
    for split in ("validation", "holdout"):
        if rows[split] < FEW_ROWS:
            yield f"{split} has only {rows[split]} rows: differences between trials will mostly be chance"


def _short(views: Sequence[_View], rows: Mapping[str, int]) -> Iterator[str]:
    for view in views:
        effective, steps = batching_of(view.settings).effective, steps_of(view.settings, rows["train"])
        made = planned(steps, view.settings)
        if effective > rows["train"]:
            yield f"the effective batch is {effective}, but train has only {rows['train']} rows: use a smaller one"
        elif not made:
            yield f"eval_steps={view.settings.eval_steps}, but a trial of {steps} steps ends before: no evaluation"
        elif len(set(made.values())) < len(made):
            yield f"a trial has only {steps} steps for its {len(made)} evaluations: some of them will be the same"
        if (view.settings.warmup_steps or 0) >= steps:
            warmup = view.settings.warmup_steps
            yield f"warmup_steps is {warmup}, but a trial has {steps} steps: its learning rate only rises"
        if view.settings.max_steps is not None and effective * steps < rows["train"]:
            yield f"max_steps is {steps}: of {rows['train']} rows a trial sees {effective * steps}"


def _differences(base: BaseCheckpoint, settings: TrainSettings) -> Iterator[str]:
    if settings.skip_verification:
        return
    found = base.differences()
    if found:
        name = base.profile.name if base.profile else base.family.name
        yield f"the model is not as {name} should be: {'; '.join(map(str, found))} (skip_verification hides this)"


def _count(number: int) -> str:
    for size, unit in ((1e9, " billion"), (1e6, " million"), (1e3, " thousand")):
        if number >= size:
            return f"{number / size:.3g}{unit}"
    return str(number)
