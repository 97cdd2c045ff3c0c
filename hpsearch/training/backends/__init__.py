"""The port through which models are loaded, adapted and trained, and its implementations by name.

A backend supplies these steps and nothing else; their order, the evaluations and the reports are the recipe's, once for
all backends.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from hpsearch.settings import TrainSettings
from hpsearch.training.models.families import Family
from hpsearch.training.schedule import Batching


@dataclass
class Loaded:
    """A model and its processor, in memory on ``device`` ("cpu" or "cuda"), computing in ``precision``."""

    model: Any
    processor: Any
    device: str
    precision: str


@dataclass(frozen=True)
class Training:
    """The input of a trainer: prompt/completion ``rows``, and the ``folder`` for checkpoints. A pass of the
    ``heaviest``, positions of the longest rows with the longest first, is tried before the first step."""

    rows: Any
    settings: TrainSettings
    batching: Batching
    folder: Path
    callbacks: Sequence[Any] = ()
    heaviest: Sequence[int] = ()


class Backend(Protocol):
    """The steps of a fine-tune that depend on the libraries used."""

    name: str

    def load(self, family: Family, folder: Path, settings: TrainSettings) -> Loaded:
        """Read the base model and its processor."""

    def adapt(self, loaded: Loaded, family: Family, settings: TrainSettings) -> None:
        """Wrap the model with the LoRA matrices that the settings ask for."""

    def trainer(self, loaded: Loaded, training: Training) -> Any:
        """Make a transformers Trainer."""

    def to_inference(self, loaded: Loaded) -> None:
        """Make the model ready to generate."""

    def to_training(self, loaded: Loaded) -> None:
        """Make the model ready to be trained further."""

    def save(self, loaded: Loaded, folder: Path, base: str) -> None:
        """Write the adapter, with ``base`` as the name of its base model, and the processor."""


def _hf() -> Backend:
    from hpsearch.training.backends.hf import HfBackend

    return HfBackend()


def _unsloth() -> Backend:
    from hpsearch.training.backends.unsloth import UnslothBackend

    return UnslothBackend()


BACKENDS: dict[str, Callable[[], Backend]] = {"hf": _hf, "unsloth": _unsloth}
