"""Callbacks of the training loop: progress, divergence, evaluations, pruning, checkpoints."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from transformers import TrainerCallback

from hpsearch import sdk
from hpsearch.data.prepared_rows import PreparedRow
from hpsearch.training.evaluate.evaluator import Evaluator, require_finite
from hpsearch.training.fit.best import BestWeights
from hpsearch.training.fit.checkpoints import BEST_FILE, CheckpointTimer, SavedStop, write_state
from hpsearch.training.fit.tracking import Tracking
from hpsearch.training.machine.device import memory_bytes, peak_memory_bytes
from hpsearch.training.machine.ranks import is_first
from hpsearch.training.schedule import EvaluationSchedule


@dataclass
class Speed:
    """Steps and tokens for each second of training, evaluations not counted."""

    began: float = field(default_factory=time.monotonic)
    steps: int = 0
    tokens: float = 0.0
    evaluated_before_s: float = 0.0

    def figures(self, evaluation_s: float) -> dict[str, float]:
        """Return ``train_seconds``, ``it_per_s`` and ``tokens_per_s`` up to now; ``evaluation_s`` is the total time of
        evaluations."""
        seconds = max(time.monotonic() - self.began - (evaluation_s - self.evaluated_before_s), 1e-9)
        return {"train_seconds": seconds, "it_per_s": self.steps / seconds, "tokens_per_s": self.tokens / seconds}


@dataclass
class TrainingState:
    """The state of a fine-tune over all its attempts, whether they begin again for want of memory or resume a
    checkpoint: the last step that was evaluated (``evaluated``), the training losses since, the best evaluation."""

    best: BestWeights
    evaluated: int = 0
    losses: list[float] = field(default_factory=list)

    def state(self) -> dict[str, Any]:
        """Return what a checkpoint keeps of it."""
        return {"evaluated": self.evaluated, "losses": self.losses, "best": self.best.state()[0]}


class AlreadyFinished(Exception):
    """A checkpoint is of the last step of a training: it has the weights, and nothing is left to do."""


class TrialCallback(TrainerCallback):  # type: ignore[misc]  # transformers has no types
    """Watches one fine-tune. The trainer logs every step, so ``on_log`` is called once a step, with its loss.
    ``identity`` is what every checkpoint says of the fine-tune it belongs to."""

    def __init__(
        self,
        evaluator: Evaluator,
        rows: Sequence[PreparedRow],
        progress: TrainingState,
        tracker: Tracking,
        identity: Mapping[str, Any],
    ) -> None:
        self.pruned = False
        self.peak_bytes = 0  # of the passes before the first evaluation, that of the longest rows among them
        self.speed = Speed()
        self._evaluator, self._progress, self._tracker, self._identity = evaluator, progress, tracker, identity
        self._batches = evaluator.batches(rows)
        self._schedule = EvaluationSchedule(1, evaluator.settings)
        self._timer = CheckpointTimer(evaluator.settings)
        self.stop = SavedStop()

    def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Plan the evaluations, now that the number of steps is known.

        Raises:
            AlreadyFinished: nothing is left; the trainer would take one more step.
        """
        if state.global_step >= state.max_steps or self._progress.best.waited_enough:
            raise AlreadyFinished
        self._schedule = EvaluationSchedule(state.max_steps, self._evaluator.settings, self._progress.evaluated)
        self.speed = Speed(evaluated_before_s=self._evaluator.seconds)
        self._evaluator.progress.phase("train", fraction=0.0)

    def on_substep_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Show that a step of many forward passes is under way."""
        self._show_step(state)

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Save where the training is asked to end. The checkpoint before is kept: this one may not be completed."""
        if self.stop.requested:
            args.save_total_limit, control.should_save = None, True

    def on_log(self, args: Any, state: Any, control: Any, logs: dict[str, Any] | None = None, **kwargs: Any) -> None:
        """Record a step: check its loss, show it, and evaluate where an evaluation is due."""
        logs = logs or {}
        if "loss" not in logs:  # the trainer's summary at the end
            return
        loss = float(logs["loss"])
        require_finite(f"the training loss at step {state.global_step}", loss)
        if state.global_step > self._progress.evaluated:  # else its loss was reported by an earlier attempt
            self._progress.losses.append(loss)
        self.speed.steps += 1
        self.peak_bytes = self.peak_bytes or peak_memory_bytes(self._evaluator.loaded.device)
        self.speed.tokens = float(logs.get("num_tokens", 0.0))
        self._show_loss(state, loss, logs)
        due = self._schedule.due(state.global_step)
        if due:
            self._evaluate(due, state, logs)
            stop = self.pruned or self._progress.best.waited_enough
            control.should_training_stop = control.should_training_stop or stop
            goes_on = not stop and state.global_step < state.max_steps
            control.should_save = control.should_save or (goes_on and self._timer.due())

    def on_save(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Add to the trainer's checkpoint what the trainer does not know of."""
        if not is_first():
            return
        from safetensors.torch import save_file

        checkpoint = Path(args.output_dir) / f"checkpoint-{state.global_step}"
        for card in (checkpoint / "README.md", checkpoint.parent / "README.md"):  # empty model cards of the libraries
            card.unlink(missing_ok=True)
        weights = self._progress.best.state()[1]
        if weights:
            save_file(weights, checkpoint / BEST_FILE)
        write_state(checkpoint, {**self._identity, **self._progress.state()})
        self.stop.saved(state.global_step)

    def _show_loss(self, state: Any, loss: float, logs: Mapping[str, Any]) -> None:
        speed = self.speed.figures(self._evaluator.seconds)
        memory = memory_bytes(self._evaluator.loaded.device)
        self._show_step(
            state, loss=loss, it_per_s=speed["it_per_s"], tokens_per_s=speed["tokens_per_s"], memory_bytes=memory
        )
        if state.global_step % self._evaluator.settings.logging_steps == 0:
            points = {
                "loss": loss,
                "learning_rate": float(logs.get("learning_rate", 0.0)),
                "it_per_s": speed["it_per_s"],
            }
            print(f"step {state.global_step} of {state.max_steps}: {figures(points)}")
            self._tracker.log(state.global_step, points)

    def _show_step(self, state: Any, **values: float) -> None:
        step, steps = state.global_step, state.max_steps
        self._evaluator.progress.show(fraction=step / steps, step=step, steps=steps, **values)

    def _evaluate(self, due: Sequence[int], state: Any, logs: dict[str, Any]) -> None:
        """Evaluate once and report the result under each evaluation that is due, until the answer is to prune."""
        progress = self._progress
        self.stop.at_once = not self.stop.requested
        scores = self._evaluator.evaluate(self._batches).metrics("eval")
        self.stop.at_once = False
        metrics = {
            **scores,
            "loss": math.fsum(progress.losses) / len(progress.losses),
            "learning_rate": float(logs.get("learning_rate", 0.0)),
            "epoch": float(state.epoch or 0.0),
        }
        progress.losses.clear()
        progress.evaluated = state.global_step
        progress.best.take(state.global_step, scores, self._evaluator.loaded.model)
        self._tracker.log(state.global_step, scores)
        for number in due:
            print(f"evaluation {number} at step {state.global_step} of {state.max_steps}: {figures(metrics)}")
            sdk.report(number, **metrics)
            if sdk.should_prune():
                self.pruned = True
                return


def figures(metrics: Mapping[str, float]) -> str:
    """Format metrics for a line of the log."""
    return ", ".join(f"{name} {value:.4g}" for name, value in metrics.items())
