"""Training to the end: begun anew with smaller passes where memory runs out, or gone on with from a checkpoint."""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from hpsearch.settings import TrainSettings
from hpsearch.training.backends import Training
from hpsearch.training.evaluate.evaluator import Evaluator
from hpsearch.training.fit.best import BestWeights, copy_trained, put_back
from hpsearch.training.fit.callbacks import AlreadyFinished, TrainingState, TrialCallback
from hpsearch.training.fit.checkpoints import BEST_FILE, read_state, reading
from hpsearch.training.fit.tracking import Tracking
from hpsearch.training.machine.device import forget_peak, free_memory, set_seeds
from hpsearch.training.machine.faults import is_out_of_memory
from hpsearch.training.machine.ranks import is_first, ranks, wait_for_all
from hpsearch.training.models.chat import Chat
from hpsearch.training.prepared import PreparedData, PreparedRow, open_rows, training_rows
from hpsearch.training.schedule import Batching, batching_of


@dataclass(frozen=True)
class TrainingResult:
    """How a training ended: whether it was ``pruned``, its speed, its last step and the step whose weights the model
    has, the batching it could afford and how often it was begun anew for that (``backoffs``). ``needed_bytes`` are what
    the smallest passes take of a GPU; 0 where larger ones were made, or without one."""

    pruned: bool
    speed: dict[str, float]
    steps: int
    best_step: int
    batching: Batching
    backoffs: int
    needed_bytes: int = 0

    def figures(self) -> dict[str, float]:
        """What is reported of it."""
        figures = {
            "steps": self.steps,
            "best_step": self.best_step,
            "micro_batch_size": self.batching.micro,
            "activations_recomputed": float(self.batching.checkpointing),
            "oom_backoffs": self.backoffs,
        }
        return figures | ({"needed_memory_bytes": self.needed_bytes} if self.needed_bytes else {})


def train(
    judge: Evaluator,
    folder: Path,
    checkpoints: Path,
    eval_rows: Sequence[PreparedRow],
    tracker: Tracking,
    mine: Mapping[str, str],
    checkpoint: Path | None = None,
) -> TrainingResult:
    """Train the adapted model of ``judge`` on the prepared ``folder``'s rows, from ``checkpoint`` on or from the start.

    ``mine`` is the fine-tune's fingerprint, which its checkpoints keep. Where memory runs out it starts anew, from the
    same weights and seed, with half the rows in a pass and twice the passes, at last with recomputed activations:
    the effective batch, which is what a search is about, stays.

    Raises:
        Exception: what training raised; where memory ran out, the last time that happened.
    """
    course, batching = TrainingState(BestWeights(judge.settings)), batching_of(judge.settings, ranks())
    if checkpoint is None:
        _clear(checkpoints)
    else:
        made_with = _take_up(course, judge.settings, checkpoint)
        batching = made_with if made_with.ranks == ranks() else batching
        print(f"goes on from {checkpoint}")
    fresh = copy_trained(judge.loaded.model)
    backoffs = 0
    while True:
        attempt = _Attempt(judge, folder, checkpoints, eval_rows, tracker, mine, course, batching)
        trained, error = attempt.run(checkpoint)
        if trained is not None:
            return replace(trained, backoffs=backoffs)
        smaller = batching.smaller()
        if smaller is None:
            raise error from None
        print(f"out of memory with {batching}: begins anew with {smaller}")
        batching, checkpoint, backoffs = smaller, None, backoffs + 1
        course.losses.clear()
        judge.progress.phase("begin anew for want of memory", fraction=0.0)
        _begin_anew(judge, fresh)
        _clear(checkpoints)


def _clear(checkpoints: Path) -> None:
    if is_first():
        shutil.rmtree(checkpoints, ignore_errors=True)
    wait_for_all()


def _take_up(course: TrainingState, settings: TrainSettings, checkpoint: Path) -> Batching:
    """Bring the course to where a checkpoint stands; the batching it was made with."""
    from safetensors.torch import load_file

    state = read_state(checkpoint)
    best = checkpoint / BEST_FILE
    course.best.resume(state["best"], load_file(best) if best.is_file() else {})
    course.evaluated, course.losses = int(state["evaluated"]), list(state["losses"])
    return Batching(**state["batching"])


def _begin_anew(judge: Evaluator, fresh: Mapping[str, Any]) -> None:
    judge.loaded.model.zero_grad(set_to_none=True)
    free_memory()
    put_back(judge.loaded.model, dict(fresh))
    forget_peak(judge.loaded.device)
    set_seeds(judge.settings.seed)


@dataclass(frozen=True)
class _Attempt:
    """One attempt at the whole training, with one batching."""

    judge: Evaluator
    folder: Path
    checkpoints: Path
    eval_rows: Sequence[PreparedRow]
    tracker: Tracking
    mine: Mapping[str, str]
    course: TrainingState
    batching: Batching

    def run(self, checkpoint: Path | None) -> tuple[TrainingResult | None, BaseException]:
        """How it ended, or the error with which memory ran out."""
        try:
            return self._train(checkpoint), RuntimeError()
        except Exception as error:
            if ranks() > 1 or not is_out_of_memory(error):  # the others do not know, and wait for this one
                raise
            error.__traceback__ = None  # its frames hold the tensors that there was no room for
            return None, error

    def _train(self, checkpoint: Path | None) -> TrainingResult:
        judge, settings = self.judge, self.judge.settings
        kept = {"fingerprint": dict(self.mine), "batching": vars(self.batching)}
        callback = TrialCallback(judge, self.eval_rows, self.course, self.tracker, kept)
        rows = training_rows(
            open_rows(self.folder, "train").table, Chat(judge.loaded.processor, settings.instruction or "")
        )
        heaviest = PreparedData.read(self.folder).figures.get("heaviest", ())
        training = Training(rows, settings, self.batching, self.checkpoints, [callback], heaviest)
        trainer = judge.backend.trainer(judge.loaded, training)
        with suppress(AlreadyFinished), reading(checkpoint):
            trainer.train(resume_from_checkpoint=str(checkpoint) if checkpoint else None)
        steps = int(trainer.state.global_step)
        restored = not callback.pruned and self.course.best.restore(judge.loaded.model, steps)
        best_step = self.course.best.step if restored else steps
        speed = callback.speed.figures(judge.seconds)
        smallest = judge.loaded.device == "cuda" and self.batching.smaller() is None
        needed = callback.peak_bytes if smallest else 0
        return TrainingResult(callback.pruned, speed, steps, best_step or steps, self.batching, 0, needed)
