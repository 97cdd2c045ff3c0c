"""Sending a fine-tune's curves to TensorBoard or Weights & Biases; runs are grouped by study and named by trial."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Protocol

from hpsearch.trials.job import Job


class Tracker(Protocol):
    """Takes the points of one fine-tune's curves."""

    def log(self, step: int, values: Mapping[str, float]) -> None:
        """Add a point to each curve named."""

    def close(self) -> None:
        """Write what is left to write."""


class NoTracker:
    """Keeps nothing: hpsearch's own records have the curves too."""

    def log(self, step: int, values: Mapping[str, float]) -> None:
        """See ``Tracker``."""

    def close(self) -> None:
        """See ``Tracker``."""


class TensorBoard:
    """Event files in ``tensorboard/<trial>`` of the study's folder: point ``tensorboard --logdir`` at the folder."""

    def __init__(self, job: Job) -> None:
        from torch.utils.tensorboard import SummaryWriter

        home = Path(job.prepared_dir).parent if job.prepared_dir else Path(job.output_dir)
        self._writer = SummaryWriter(str(home / "tensorboard" / job.id))

    def log(self, step: int, values: Mapping[str, float]) -> None:
        """See ``Tracker``."""
        for name, value in values.items():
            self._writer.add_scalar(name, value, step)

    def close(self) -> None:
        """See ``Tracker``."""
        self._writer.close()


class WeightsAndBiases:
    """A run in the group of the study; project, key and mode come from wandb's own variables (WANDB_PROJECT ...)."""

    def __init__(self, job: Job) -> None:
        import wandb

        self._run = wandb.init(group=job.study, name=job.id, config=dict(job.settings), dir=job.output_dir)

    def log(self, step: int, values: Mapping[str, float]) -> None:
        """See ``Tracker``."""
        self._run.log(dict(values), step=step)

    def close(self) -> None:
        """See ``Tracker``."""
        self._run.finish()


_TRACKERS: dict[str, Callable[[Job], Tracker]] = {"tensorboard": TensorBoard, "wandb": WeightsAndBiases}


def tracker_of(setting: str, job: Job) -> Tracker:
    """The tracker that report_to names."""
    make: Any = _TRACKERS.get(setting)
    tracker: Tracker = NoTracker() if make is None else make(job)
    return tracker
