"""What happens inside the training loop: progress, the guard against divergence, evaluations and their answers."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from transformers import TrainerCallback

from hpsearch import sdk
from hpsearch.training.backends import Backend, Loaded
from hpsearch.training.devices import memory_bytes
from hpsearch.training.evaluation import Judged, Scores, examine
from hpsearch.training.examination import Examination
from hpsearch.training.faults import Fault
from hpsearch.training.progress import Progress
from hpsearch.training.rows import Row
from hpsearch.training.schedule import EvaluationSchedule
from hpsearch.trials.causes import Cause
from hpsearch.trials.settings import TrainSettings


@dataclass
class Judge:
    """Evaluates the model between training steps, and keeps the time that takes."""

    backend: Backend
    loaded: Loaded
    settings: TrainSettings
    progress: Progress
    shows_fraction: bool = False  # whether an evaluation is the whole of what goes on
    seconds: float = 0.0

    def examination(self, rows: Sequence[Row]) -> Examination:
        """Make rows ready to be judged on."""
        return Examination(self.loaded.processor, rows, self.settings)

    def judge(self, examination: Examination) -> Scores:
        """The model's scores; it is ready to be trained further afterwards.

        Raises:
            Fault: the loss is not finite.
        """
        began = time.monotonic()
        self.backend.to_inference(self.loaded)
        scores = examine(self.loaded, examination, self._seen)
        self.backend.to_training(self.loaded)
        self.seconds += time.monotonic() - began
        require_finite("the loss on the evaluation rows", scores.loss)
        return scores

    def _seen(self, judged: Judged, done: float) -> None:
        fraction = {"fraction": done} if self.shows_fraction else {}
        self.progress.show(reference=judged.reference, prediction=judged.prediction, **fraction)


@dataclass
class Speed:
    """Steps and tokens for each second of training, evaluations not counted."""

    began: float = field(default_factory=time.monotonic)
    steps: int = 0
    tokens: float = 0.0

    def figures(self, judging_s: float) -> dict[str, float]:
        """``train_seconds``, ``it_per_s`` and ``tokens_per_s`` up to now."""
        seconds = max(time.monotonic() - self.began - judging_s, 1e-9)
        return {"train_seconds": seconds, "it_per_s": self.steps / seconds, "tokens_per_s": self.tokens / seconds}


class TrialCallback(TrainerCallback):  # type: ignore[misc]  # transformers has no types
    """Watches one fine-tune. The trainer logs every step, so ``on_log`` comes once a step, with its loss."""

    def __init__(self, judge: Judge, rows: Sequence[Row]) -> None:
        self.pruned = False
        self.speed = Speed()
        self._judge = judge
        self._examination = judge.examination(rows)
        self._losses: list[float] = []
        self._schedule = EvaluationSchedule(1, 1)

    def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Plan the evaluations, now that the number of steps is known."""
        self._schedule = EvaluationSchedule(state.max_steps, self._judge.settings.evaluations)
        self.speed = Speed()
        self._judge.progress.phase("train", fraction=0.0)

    def on_substep_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Show that a step of many forward passes is under way."""
        self._show_step(state)

    def on_log(self, args: Any, state: Any, control: Any, logs: dict[str, Any] | None = None, **kwargs: Any) -> None:
        """Take in one step: guard, show, and evaluate where an evaluation is due."""
        logs = logs or {}
        if "loss" not in logs:  # the trainer's summary at the end
            return
        loss = float(logs["loss"])
        require_finite(f"the training loss at step {state.global_step}", loss)
        self._losses.append(loss)
        self.speed.steps, self.speed.tokens = state.global_step, float(logs.get("num_tokens", 0.0))
        self._show(state, loss)
        due = self._schedule.due(state.global_step)
        if due:
            self._evaluate(due, state, logs)
            control.should_training_stop = control.should_training_stop or self.pruned

    def _show(self, state: Any, loss: float) -> None:
        speed = self.speed.figures(self._judge.seconds)
        self._show_step(
            state,
            loss=loss,
            it_per_s=speed["it_per_s"],
            tokens_per_s=speed["tokens_per_s"],
            memory_bytes=memory_bytes(self._judge.loaded.device),
        )

    def _show_step(self, state: Any, **values: float) -> None:
        done, steps = state.global_step, state.max_steps
        self._judge.progress.show(fraction=done / steps, step=done, steps=steps, **values)

    def _evaluate(self, due: Sequence[int], state: Any, logs: dict[str, Any]) -> None:
        """Evaluate once and report the result under each evaluation that is due, until one is told to stop."""
        scores = self._judge.judge(self._examination)
        metrics = {
            **scores.metrics("eval"),
            "loss": math.fsum(self._losses) / len(self._losses),
            "learning_rate": float(logs.get("learning_rate", 0.0)),
            "epoch": float(state.epoch or 0.0),
        }
        self._losses.clear()
        for number in due:
            print(f"evaluation {number} at step {state.global_step} of {state.max_steps}: {figures(metrics)}")
            sdk.report(number, **metrics)
            if sdk.should_prune():
                self.pruned = True
                return


def figures(metrics: Mapping[str, float]) -> str:
    """Metrics in a line of the log."""
    return ", ".join(f"{name} {value:.4g}" for name, value in metrics.items())


def require_finite(what: str, value: float) -> None:
    """Raise a "diverged" fault where a figure is not finite."""
    if not math.isfinite(value):
        raise Fault(Cause.DIVERGED, f"{what} is {value}")
