"""Evaluations of a loaded model between training steps, and the time that they take."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass

from hpsearch.data.prepared_rows import PreparedRow, RowFile
from hpsearch.data.progress import ProgressReporter
from hpsearch.execution.outcome import Cause
from hpsearch.settings import TrainSettings
from hpsearch.training.backends import Backend, Loaded
from hpsearch.training.evaluate.batches import EvaluationBatches
from hpsearch.training.evaluate.scores import RowScore, Scores, evaluate_batches
from hpsearch.training.machine.faults import Fault
from hpsearch.training.machine.ranks import of_all, rank, ranks


@dataclass
class Evaluator:
    """Evaluates a loaded model, and puts it back to training. ``seconds`` is the total time of its evaluations."""

    backend: Backend
    loaded: Loaded
    settings: TrainSettings
    progress: ProgressReporter
    shows_fraction: bool = False  # an evaluation is all that is under way
    seconds: float = 0.0

    def batches(self, rows: Sequence[PreparedRow]) -> EvaluationBatches:
        """Put this rank's share of the rows into batches."""
        if ranks() > 1:
            rows = rows.every(ranks(), rank()) if isinstance(rows, RowFile) else rows[rank() :: ranks()]
        return EvaluationBatches(self.loaded.processor, rows, self.settings)

    def evaluate(self, batches: EvaluationBatches) -> Scores:
        """Score the model on the rows of all ranks. It is ready to be trained further afterwards.

        Raises:
            Fault: the loss is not finite.
        """
        began = time.monotonic()
        self.backend.to_inference(self.loaded)
        scores = Scores(of_all(evaluate_batches(self.loaded, batches, self._show).rows))
        self.backend.to_training(self.loaded)
        self.seconds += time.monotonic() - began
        require_finite("the loss on the evaluation rows", scores.loss)
        return scores

    def _show(self, row: RowScore, done: float) -> None:
        fraction = {"fraction": done} if self.shows_fraction else {}
        self.progress.show(reference=row.reference, prediction=row.prediction, **fraction)


def require_finite(what: str, value: float) -> None:
    """Check that a figure is finite.

    Raises:
        Fault: it is not; its cause is "diverged".
    """
    if not math.isfinite(value):
        raise Fault(Cause.DIVERGED, f"{what} is {value}")
