"""Training to the end, from the start or from a checkpoint; retried with smaller passes where memory runs out."""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from contextlib import nullcontext, suppress
from dataclasses import dataclass, replace
from pathlib import Path

from hpsearch.data.prepared_rows import PreparedRow
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
from hpsearch.training.prepared import PreparedData, open_rows, training_rows
from hpsearch.training.schedule import Batching, batching_of


@dataclass(frozen=True)
class TrainingResult:
    """The result of a training: whether it was ``pruned``, its speed, its last step and the step whose weights the
    model has, the batching that fitted, and the number of retries for it (``backoffs``). ``needed_bytes`` is what the
    smallest passes take of a GPU; 0 where larger ones fitted, or without one."""

    pruned: bool
    speed: dict[str, float]
    steps: int
    best_step: int
    batching: Batching
    backoffs: int
    needed_bytes: int = 0

    def figures(self) -> dict[str, float]:
        """Return the figures that are reported of it."""
        figures = {
            "steps": self.steps,
            "best_step": self.best_step,
            "micro_batch_size": self.batching.micro,
            "activations_recomputed": float(self.batching.checkpointing),
            "oom_backoffs": self.backoffs,
        }
        return figures | ({"needed_memory_bytes": self.needed_bytes} if self.needed_bytes else {})


def train(
    evaluator: Evaluator,
    folder: Path,
    checkpoints: Path,
    eval_rows: Sequence[PreparedRow],
    tracker: Tracking,
    mine: Mapping[str, str],
    checkpoint: Path | None = None,
) -> TrainingResult:
    """Train the adapted model of ``evaluator`` on the rows of the prepared ``folder``, from ``checkpoint`` or from the
    start.

    ``mine`` is the fine-tune's fingerprint, which its checkpoints keep. Where memory runs out it starts again, from the
    same weights and seed, with half the rows in a pass and twice the passes, at last with recomputed activations:
    the effective batch, which is what a search is about, stays.

    Raises:
        Exception: what training raised; where memory ran out, the last time that happened.
    """
    progress, batching = TrainingState(BestWeights(evaluator.settings)), batching_of(evaluator.settings, ranks())
    if checkpoint is None:
        _remove(checkpoints)
    else:
        made_with = _resume(progress, checkpoint)
        batching = made_with if made_with.ranks == ranks() else batching
        print(f"goes on from {checkpoint}")
    model = evaluator.loaded.model
    fresh = copy_trained(model)
    backoffs = 0
    while True:
        attempt = _Attempt(evaluator, folder, checkpoints, eval_rows, tracker, mine, progress, batching)
        trained, error = attempt.run(checkpoint)
        if trained is not None:
            return replace(trained, backoffs=backoffs)
        smaller = batching.smaller()
        if smaller is None:
            raise error from None
        print(f"out of memory with {batching}: starts again with {smaller}")
        batching, checkpoint, backoffs = smaller, None, backoffs + 1
        progress.losses.clear()
        evaluator.progress.phase("start again for want of memory", fraction=0.0)
        model.zero_grad(set_to_none=True)
        free_memory()
        put_back(model, fresh)
        forget_peak(evaluator.loaded.device)
        set_seeds(evaluator.settings.seed)
        _remove(checkpoints)


def _remove(checkpoints: Path) -> None:
    if is_first():
        shutil.rmtree(checkpoints, ignore_errors=True)
    wait_for_all()


def _resume(progress: TrainingState, checkpoint: Path) -> Batching:
    """Set the progress to a checkpoint's. Returns the batching that it was made with."""
    from safetensors.torch import load_file

    state = read_state(checkpoint)
    best = checkpoint / BEST_FILE
    progress.best.resume(state["best"], load_file(best) if best.is_file() else {})
    progress.evaluated, progress.losses = int(state["evaluated"]), list(state["losses"])
    return Batching(**state["batching"])


@dataclass(frozen=True)
class _Attempt:
    """One attempt at the whole training, with one batching."""

    evaluator: Evaluator
    folder: Path
    checkpoints: Path
    eval_rows: Sequence[PreparedRow]
    tracker: Tracking
    mine: Mapping[str, str]
    progress: TrainingState
    batching: Batching

    def run(self, checkpoint: Path | None) -> tuple[TrainingResult | None, BaseException]:
        """Train. Returns the result, or None and the error with which memory ran out."""
        try:
            return self._train(checkpoint), RuntimeError()
        except Exception as error:
            if ranks() > 1 or not is_out_of_memory(error):  # the others do not know, and wait for this one
                raise
            error.__traceback__ = None  # its frames hold the tensors that there was no room for
            return None, error

    def _train(self, checkpoint: Path | None) -> TrainingResult:
        evaluator, loaded = self.evaluator, self.evaluator.loaded
        identity = {"fingerprint": dict(self.mine), "batching": vars(self.batching)}
        callback = TrialCallback(evaluator, self.eval_rows, self.progress, self.tracker, identity)
        chat = Chat(loaded.processor, evaluator.settings.instruction or "")
        rows = training_rows(open_rows(self.folder, "train").table, chat)
        heaviest = PreparedData.read(self.folder).figures.get("heaviest", ())
        training = Training(rows, evaluator.settings, self.batching, self.checkpoints, [callback], heaviest)
        trainer = evaluator.backend.trainer(loaded, training)
        stoppable = ranks() == 1 and evaluator.settings.save_steps != 0  # several processes would have to agree
        listening = callback.stop.listening() if stoppable else nullcontext()
        with suppress(AlreadyFinished), reading(checkpoint), listening:
            trainer.train(resume_from_checkpoint=str(checkpoint) if checkpoint else None)
        steps = int(trainer.state.global_step)
        restored = not callback.pruned and self.progress.best.restore(loaded.model, steps)
        best_step = self.progress.best.step if restored else steps
        speed = callback.speed.figures(evaluator.seconds)
        smallest = loaded.device == "cuda" and self.batching.smaller() is None
        needed = callback.peak_bytes if smallest else 0
        return TrainingResult(callback.pruned, speed, steps, best_step or steps, self.batching, 0, needed)
