"""Sending a fine-tune's curves to TensorBoard or Weights & Biases; runs are grouped by study and named by trial."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Protocol

from hpsearch.execution.job import Job


class Tracker(Protocol):
    """Takes the points of one fine-tune's curves."""

    def log(self, step: int, values: Mapping[str, float]) -> None:
        """Add a point to each curve named."""

    def close(self) -> None:
        """Write the points that are not written yet."""


class TensorBoard:
    """Event files in ``tensorboard/<trial>`` of the study's folder: point ``tensorboard --logdir`` at the folder."""

    def __init__(self, job: Job) -> None:
        from torch.utils.tensorboard import SummaryWriter

        home = Path(job.prepared_dir).parent if job.prepared_dir else Path(job.output_dir)
        self._writer = SummaryWriter(str(home / "tensorboard" / job.id))

    def log(self, step: int, values: Mapping[str, float]) -> None:
        """Add a point to each curve named."""
        for name, value in values.items():
            self._writer.add_scalar(name, value, step)

    def close(self) -> None:
        """Write the points that are not written yet."""
        self._writer.close()


class WeightsAndBiases:
    """A run in the group of the study; project, key and mode come from wandb's own variables (WANDB_PROJECT ...)."""

    def __init__(self, job: Job) -> None:
        import wandb

        self._run = wandb.init(group=job.study, name=job.id, config=dict(job.settings), dir=job.output_dir)

    def log(self, step: int, values: Mapping[str, float]) -> None:
        """Add a point to each curve named."""
        self._run.log(dict(values), step=step)

    def close(self) -> None:
        """Wait for the service that writes: it is killed with the trial's other processes."""
        import wandb

        self._run.finish()
        wandb.teardown()


TRACKERS: dict[str, Callable[[Job], Tracker]] = {"tensorboard": TensorBoard, "wandb": WeightsAndBiases}


class Tracking:
    """The tracker that ``report_to`` names. Where it fails, the log says so once and the fine-tune goes on without it:
    hpsearch's own records have the curves too, and a service that cannot be reached must not cost a night."""

    def __init__(self, report_to: str, job: Job) -> None:
        self._name = report_to
        make = TRACKERS.get(report_to)
        self._tracker = None if make is None else self._guarded(lambda: make(job))

    def log(self, step: int, values: Mapping[str, float]) -> None:
        """Add a point to each curve named."""
        if (tracker := self._tracker) is not None:
            self._guarded(lambda: tracker.log(step, values))

    def close(self) -> None:
        """Write the points that are not written yet."""
        if (tracker := self._tracker) is not None:
            self._guarded(tracker.close)

    def _guarded(self, act: Callable[[], Any]) -> Any:
        """Return the result of ``act``; None where it fails, and then nothing more is sent."""
        try:
            return act()
        except Exception as error:  # noqa: BLE001  # whatever its library raises
            print(f"report_to {self._name} failed, and nothing more is sent: {type(error).__name__}: {error}")
            self._tracker = None
            return None
