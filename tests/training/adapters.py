"""Adapters with random weights, as ones that were trained a little or a lot."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import torch

from hpsearch.settings import TrainSettings
from hpsearch.training.backends.hf import HfBackend
from hpsearch.training.models.families import FAMILIES


def random_adapter(base: Path, family: str, folder: Path, size: float = 0.3, **changes: Any) -> Path:
    """Save an adapter of a base into a folder; ``size`` is that of its weights' spread, 0: it changes nothing."""
    settings = TrainSettings(model_name=str(base), lora_r=4, lora_alpha=4, **changes)
    backend, state = HfBackend(), torch.random.get_rng_state()
    with warnings.catch_warnings(action="ignore"):  # the libraries' about themselves
        loaded = backend.load(FAMILIES[family], base, settings)
        backend.adapt(loaded, FAMILIES[family], settings)
    torch.manual_seed(0)
    for name, parameter in loaded.model.named_parameters():
        if "lora_B" in name:
            parameter.data.normal_(0.0, size) if size else parameter.data.zero_()
    torch.random.set_rng_state(state)
    backend.save(loaded, folder, str(base))
    return folder
