"""Judging the model between training steps, with an eye on the time that takes."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass

from hpsearch.data.progress import ProgressReporter
from hpsearch.execution.outcome import Cause
from hpsearch.settings import TrainSettings
from hpsearch.training.backends import Backend, Loaded
from hpsearch.training.evaluate.batches import EvaluationBatches
from hpsearch.training.evaluate.scores import RowScore, Scores, examine
from hpsearch.training.machine.faults import Fault
from hpsearch.training.machine.ranks import of_all, rank, ranks
from hpsearch.training.prepared import PreparedRow, RowFile


@dataclass
class Evaluator:
    """Evaluates the model between training steps, and keeps the time that takes."""

    backend: Backend
    loaded: Loaded
    settings: TrainSettings
    progress: ProgressReporter
    shows_fraction: bool = False  # whether an evaluation is the whole of what goes on
    seconds: float = 0.0

    def examination(self, rows: Sequence[PreparedRow]) -> EvaluationBatches:
        """Make rows ready to be judged on: this rank's share of them."""
        if ranks() > 1:
            rows = rows.dealt(rank(), ranks()) if isinstance(rows, RowFile) else rows[rank() :: ranks()]
        return EvaluationBatches(self.loaded.processor, rows, self.settings)

    def judge(self, examination: EvaluationBatches) -> Scores:
        """The model's scores, on the rows of all ranks; it is ready to be trained further afterwards.

        Raises:
            Fault: the loss is not finite.
        """
        began = time.monotonic()
        self.backend.to_inference(self.loaded)
        scores = Scores(of_all(examine(self.loaded, examination, self._seen).judged))
        self.backend.to_training(self.loaded)
        self.seconds += time.monotonic() - began
        require_finite("the loss on the evaluation rows", scores.loss)
        return scores

    def _seen(self, judged: RowScore, done: float) -> None:
        fraction = {"fraction": done} if self.shows_fraction else {}
        self.progress.show(reference=judged.reference, prediction=judged.prediction, **fraction)


def require_finite(what: str, value: float) -> None:
    """Raise a "diverged" fault where a figure is not finite."""
    if not math.isfinite(value):
        raise Fault(Cause.DIVERGED, f"{what} is {value}")
