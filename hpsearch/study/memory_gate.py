"""The memory gate: refuses configurations that are sure to run out of device memory, by the study's own trials.

Two proofs count, and nothing that is merely likely: a configuration that was never tried is lost to the search.

- It needs at least as much as a trial that did run out: no setting that adds to the memory is smaller, and the others
  that bear on it are equal.
- By the needs of other trials, no formula of memory lets it fit (memory_bound.py). That counts once it also rules out
  a trial that really ran out.

A fine-tune that runs out of memory makes its passes smaller before it gives up (training/fit/train.py). So what
counts is the memory of the smallest passes, which the effective batch and recomputed activations do not change.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import takewhile
from typing import Any

from optuna.trial import FrozenTrial, TrialState

from hpsearch.config.conditions import active
from hpsearch.config.definition import StudyDefinition
from hpsearch.execution.gpu import Gpu
from hpsearch.execution.outcome import Cause
from hpsearch.study import attributes as attrs
from hpsearch.study.memory_bound import rules_out
from hpsearch.study.preparation import PreparedInfo
from hpsearch.study.records import cause_of, metrics_of

# Settings of the built-in training of which a greater value, or "true", never takes less memory.
ADDING = frozenset(
    {
        "lora_r",
        "use_dora",
        "finetune_vision_layers",
        "finetune_language_layers",
        "finetune_merger_layers",
        "finetune_attention_modules",
        "finetune_mlp_modules",
        "longest_edge",
        "max_pixels",
        "pan_and_scan",
        "max_seq_length",
        "per_device_train_batch_size",
        "eval_batch_size",
    }
)
# Those that take memory once they are above 0, however far.
SWITCHED = frozenset({"lora_dropout", "label_smoothing_factor"})
# Those that change nothing in the memory of the smallest passes. Any other setting must be equal for a comparison.
WITHOUT = frozenset(
    {
        "lora_alpha",
        "lora_alpha_ratio",
        "use_rslora",
        "learning_rate",
        "num_train_epochs",
        "max_steps",
        "effective_batch_size",
        "gradient_accumulation_steps",
        "gradient_checkpointing",
        "warmup_ratio",
        "warmup_steps",
        "weight_decay",
        "lr_scheduler_type",
        "max_grad_norm",
        "seed",
    }
)
# Limits of a picture's size: beyond the largest picture there is, they add nothing.
LIMITS = frozenset({"longest_edge", "max_pixels"})

# Metrics, in bytes: the least that a trial needs, reported where its passes were the smallest; and the memory of its
# device that it could have had when that ran out.
NEEDED, AVAILABLE = "needed_memory_bytes", "device_memory_bytes"
# Of a device's memory a process never has all: its CUDA context takes 300 to 600 MB, and the driver keeps some too.
# What is missing beyond this was another's, and may be free the next time.
OWN_BYTES = 1.5 * 1024**3
# After this many refusals in a row the next one is tried all the same: a search must come to its end.
MOST_IN_A_ROW = 50


@dataclass(frozen=True)
class Device:
    """The device of a run's trials: the ``kind`` of GPU and software, equal for equal needs; its bytes of memory."""

    kind: str
    memory_bytes: int


def device_of(gpu: Gpu | None, prepared: PreparedInfo) -> Device | None:
    """Return the device of a run's trials; with the built-in training, its backend and torch are part of the kind."""
    if gpu is None or gpu.total <= 0:
        return None
    software = [name for name in (prepared.backend, prepared.versions.get("torch")) if name]
    return Device(", ".join([gpu.name, f"{gpu.total} bytes", *software]), gpu.total)


@dataclass(frozen=True)
class Need:
    """What decides a configuration's memory: settings that add to it, as numbers by name, and all ``others``."""

    adding: Mapping[str, float]
    others: Mapping[str, Any]

    @staticmethod
    def of(settings: Mapping[str, Any]) -> Need | None:
        """Return the need of settings of the built-in training; None where none of them is known to add to memory."""
        adding: dict[str, float] = {}
        for name, value in settings.items():
            if name in SWITCHED and value is not None:
                adding[name] = float(value > 0)
            elif name in ADDING and value is not None:  # an edge counts as an area, as max_pixels does
                adding[name] = float(value) ** 2 if name == "longest_edge" else float(value)
        others = {name: value for name, value in settings.items() if name not in {*adding, *WITHOUT}}
        return Need(adding, others) if adding else None

    def covers(self, other: Need) -> bool:
        """Return True if it is certainly no less than ``other``."""
        return self.others == other.others and all(self.adding[name] >= size for name, size in other.adding.items())


@dataclass(frozen=True)
class Gate:
    """Checks configurations before they are launched; without a known ``device`` it lets all pass."""

    definition: StudyDefinition
    device: Device | None = None

    def refusal(self, trial: FrozenTrial, trials: Sequence[FrozenTrial]) -> str:
        """Say why a configuration is sure to run out of memory; empty where it is not. ``trials`` are the study's."""
        if self.device is None or self._must_try(trial, trials):
            return ""
        asked = self._need(trial)
        if asked is None:
            return ""
        here = [other for other in trials if other.user_attrs.get(attrs.DEVICE) == self.device.kind]
        known = [(other, need) for other in here if (need := self._need(other))]
        fitted = [
            (other, need)
            for other, need in known
            if other.state is TrialState.COMPLETE or cause_of(other) is Cause.PRUNED
        ]
        short = [
            (other, need)
            for other, need in known
            if _ran_out_alone(other, self.device) and not any(fits.covers(need) for _, fits in fitted)
        ]
        for other, need in short:
            if asked.covers(need):
                as_much = f"at least as much device memory as trial {other.number}, which ran out of it"
                return f"not tried: it needs {as_much}"
        return _refusal_by_formula(asked, fitted, [need for _, need in short], self.device.memory_bytes)

    def _need(self, trial: FrozenTrial) -> Need | None:
        """Return what decides a trial's memory; None where nothing that adds to it is known."""
        space, settings = self.definition.search_space, trial.params
        if not set(space) <= set(settings) and set(active(space, settings)) <= set(settings):
            settings = self.definition.searched_settings(settings)  # with those that are inactive in it
        if self.definition.command is None:
            return Need.of(settings)
        names = self.definition.memory_grows_with
        if not names or not set(names) <= set(settings):
            return None
        return Need({name: float(settings[name]) for name in names}, {})

    def _must_try(self, trial: FrozenTrial, trials: Sequence[FrozenTrial]) -> bool:
        """Return True after too many refusals in a row. A grid's points come to an end by themselves."""
        before = [other for other in reversed(trials) if other.number < trial.number]
        in_a_row = sum(1 for _ in takewhile(lambda other: attrs.NOT_TRIED in other.user_attrs, before))
        return self.definition.search_mode != "grid" and in_a_row >= MOST_IN_A_ROW


def _ran_out_alone(trial: FrozenTrial, device: Device) -> bool:
    """Return True if a trial ran out of memory for its own need alone: before its first report, so that its length has
    no part in it, and with the device to itself."""
    if cause_of(trial) is not Cause.CUDA_OOM or any(map(math.isfinite, trial.intermediate_values.values())):
        return False
    return metrics_of(trial).get(AVAILABLE, math.inf) >= device.memory_bytes - OWN_BYTES


def _refusal_by_formula(
    asked: Need, fitted: Sequence[tuple[FrozenTrial, Need]], short: Sequence[Need], limit: int
) -> str:
    """Say that no formula lets a configuration fit into ``limit`` bytes; empty where one does, or none is trusted."""
    measured = [(need, metrics_of(trial).get(NEEDED, 0.0)) for trial, need in fitted if need.others == asked.others]
    measured = [(need, count) for need, count in measured if count > 0]
    if not measured:
        return ""
    # Beyond the greatest limit of a picture's size that was seen to matter, no picture may be larger.
    for name in LIMITS & set(measured[0][0].adding):
        if asked.adding[name] > max(need.adding[name] for need, _ in measured):
            return ""
    sizes, taken = [list(need.adding.values()) for need, _ in measured], [count for _, count in measured]

    def is_ruled_out(need: Need) -> bool:
        return rules_out(sizes, taken, list(need.adding.values()), limit)

    tried = [need for need in short if need.others == asked.others]
    if not is_ruled_out(asked) or not any(map(is_ruled_out, tried)):
        return ""
    return f"not tried: by what {len(taken)} trials took, it needs more than the {limit / 1e9:.3g} GB of the device"
