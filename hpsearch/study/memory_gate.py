"""Configurations that are sure to run out of device memory, told from what the study's own trials took of it.

Two proofs count, and nothing that is merely likely: a configuration that was never tried is lost to the search.

- It needs at least as much as a trial that did run out: no setting that adds to the memory is smaller, and the others
  that bear on it are equal.
- By what other trials took, no formula of memory lets it fit (formula.py). That is believed once it also tells a trial
  which really ran out.

A fine-tune that runs out of memory makes its passes smaller before it gives up (training/fit/train.py). So what
counts is the memory of the smallest passes, which the effective batch and recomputed activations do not change.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
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

# Metrics, in bytes: what a trial cannot do without, reported where its passes were the smallest; and what it could have
# had of its device when that ran out.
NEEDED, AVAILABLE = "needed_memory_bytes", "device_memory_bytes"
# Of a device's memory a process never has all: its CUDA context takes 300 to 600 MB, and the driver keeps some too.
# What is missing beyond this was another's, and may be free the next time.
OWN_BYTES = 1.5 * 1024**3
# So many refused in a row, and the next one is tried all the same: a search must come to its end.
MOST_IN_A_ROW = 50


@dataclass(frozen=True)
class Device:
    """What all trials of a run compute on: the ``kind`` of GPU and of software, equal for equal needs, and its memory
    in bytes."""

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

    def covers(self, other: Need) -> bool:
        """Whether it is certainly no less than ``other``."""
        return self.others == other.others and all(self.adding[name] >= size for name, size in other.adding.items())


@dataclass(frozen=True)
class Gate:
    """Looks at configurations before they are launched; on no ``device`` that is known it lets all pass."""

    definition: StudyDefinition
    device: Device | None = None

    def refusal(self, trial: FrozenTrial, trials: Sequence[FrozenTrial]) -> str:
        """Why a configuration is sure to run out of memory, in a sentence; empty where it is not. ``trials`` are all
        of the study's."""
        if self.device is None or self._refused_enough(trial, trials):
            return ""
        asked = self._need(trial)
        if asked is None:
            return ""
        known = [(other, need) for other in trials if (need := self._need(other)) and self._is_here(other)]
        fitted = [(other, need) for other, need in known if _has_fitted(other)]
        short = [(other, need) for other, need in known if self._ran_out(other, need, fitted)]
        return _as_another(asked, short) or self._by_formula(asked, fitted, short)

    def _need(self, trial: FrozenTrial) -> Need | None:
        """What decides a trial's memory; None where nothing that adds to it is known."""
        settings = self._settings(trial)
        if self.definition.command is None:
            return _need(settings)
        names = self.definition.memory_grows_with
        if not names or not set(names) <= set(settings):
            return None
        return Need({name: float(settings[name]) for name in names}, {})

    def _settings(self, trial: FrozenTrial) -> Mapping[str, Any]:
        """A trial's searched settings, those included that are inactive in it; none before it was asked for."""
        space = self.definition.search_space
        if set(space) <= set(trial.params) or not set(active(space, trial.params)) <= set(trial.params):
            return trial.params
        return self.definition.searched_settings(trial.params)

    def _refused_enough(self, trial: FrozenTrial, trials: Sequence[FrozenTrial]) -> bool:
        """Whether one must be tried again. A grid's points come to an end by themselves."""
        before = [other for other in reversed(trials) if other.number < trial.number]
        in_a_row = sum(1 for _ in takewhile(lambda other: attrs.NOT_TRIED in other.user_attrs, before))
        return self.definition.search_mode != "grid" and in_a_row >= MOST_IN_A_ROW

    def _is_here(self, trial: FrozenTrial) -> bool:
        """Whether a trial was run on such a device."""
        return self.device is not None and trial.user_attrs.get(attrs.DEVICE) == self.device.kind

    def _ran_out(self, trial: FrozenTrial, need: Need, fitted: Sequence[tuple[FrozenTrial, Need]]) -> bool:
        """Whether a trial ran out of memory for its own need alone: before its first report, so that its length has no
        part in it; with the device to itself; and while no other did with as much or more."""
        if cause_of(trial) is not Cause.CUDA_OOM or any(map(math.isfinite, trial.intermediate_values.values())):
            return False
        had = metrics_of(trial).get(AVAILABLE, math.inf)
        alone = self.device is not None and had >= self.device.memory_bytes - OWN_BYTES
        return alone and not any(other.covers(need) for _, other in fitted)

    def _by_formula(
        self, asked: Need, fitted: Sequence[tuple[FrozenTrial, Need]], short: Sequence[tuple[FrozenTrial, Need]]
    ) -> str:
        taken = list(_measured(asked, fitted))
        if self.device is None or not taken or any(asked.adding[name] > most for name, most in _limits(taken)):
            return ""
        tried = [need for _, need in short if need.others == asked.others]
        limit = self.device.memory_bytes
        if not _told(taken, asked, limit) or not any(_told(taken, need, limit) for need in tried):
            return ""
        return f"not tried: by what {len(taken)} trials took, it needs more than the {limit / 1e9:.3g} GB of the device"


def _need(params: Mapping[str, Any]) -> Need | None:
    adding = {n: _size(n, value) for n, value in params.items() if n in ADDING | SWITCHED and value is not None}
    others = {name: value for name, value in params.items() if name not in {*adding, *WITHOUT}}
    return Need(adding, others) if adding else None


def _size(name: str, value: Any) -> float:
    """A setting as a number that memory grows with: an edge as an area, as max_pixels is."""
    if name in SWITCHED:
        return float(value > 0)
    return float(value) ** 2 if name == "longest_edge" else float(value)


def _has_fitted(trial: FrozenTrial) -> bool:
    """Whether a trial came so far that its memory sufficed."""
    return trial.state is TrialState.COMPLETE or cause_of(trial) is Cause.PRUNED


def _as_another(asked: Need, short: Sequence[tuple[FrozenTrial, Need]]) -> str:
    for trial, need in short:
        if asked.covers(need):
            return f"not tried: it needs at least as much device memory as trial {trial.number}, which ran out of it"
    return ""


def _measured(asked: Need, fitted: Sequence[tuple[FrozenTrial, Need]]) -> Iterator[tuple[Need, float]]:
    """Trials to compare a configuration with, and the bytes that each could not do without."""
    for trial, need in fitted:
        bytes_needed = metrics_of(trial).get(NEEDED, 0.0)
        if bytes_needed > 0 and need.others == asked.others:
            yield need, bytes_needed


def _limits(taken: Sequence[tuple[Need, float]]) -> Iterator[tuple[str, float]]:
    """The greatest limit of each kind that was seen to matter: beyond it, no picture may be larger."""
    for name in LIMITS & set(taken[0][0].adding):
        yield name, max(need.adding[name] for need, _ in taken)


def _told(taken: Sequence[tuple[Need, float]], asked: Need, limit: float) -> bool:
    sizes = [list(need.adding.values()) for need, _ in taken]
    return rules_out(sizes, [count for _, count in taken], list(asked.adding.values()), limit)
