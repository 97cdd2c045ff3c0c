"""Checkpoints: when to save one, finding the one to resume, and refusing one that belongs to another fine-tune."""

from __future__ import annotations

import json
import math
import os
import re
import signal
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from pickle import UnpicklingError
from types import FrameType
from typing import Any

from hpsearch.errors import UsageError
from hpsearch.execution.files import sync, write_text
from hpsearch.settings import WITHOUT_EFFECT, TrainSettings
from hpsearch.training.models.base import require_safetensors
from hpsearch.training.prepared import PreparedData

# Seconds between two checkpoints that nobody asked for: writing one takes time, and what an interruption costs is
# bounded.
PAUSE_S = 600.0
STATE_FILE = "hpsearch.json"
BEST_FILE = "hpsearch_best.safetensors"
LATEST = "latest"

# Settings that leave the weights of a step as they are. The others decide them, or what is kept of them.
_FREE = frozenset(
    (
        "model_name", "model_revision", "input_data", "image_root",  # counted by what they hold
        "resume_from_checkpoint", "skip_pre_eval", "skip_verification", "final_samples", *WITHOUT_EFFECT,
    )
)  # fmt: skip

# Measured again in each folder where the settings leave them open. They matter where an evaluation decides what is
# kept.
_MEASURED = frozenset(("eval_stride", "eval_samples"))


class CheckpointTimer:
    """Says when to save a checkpoint, by the clock, where the settings do not say it by steps."""

    def __init__(self, settings: TrainSettings, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._pause_s = PAUSE_S if settings.save_steps is None else math.inf
        self._last = clock()

    def due(self) -> bool:
        """Return True if it is time for one; then the next pause begins."""
        if self._clock() - self._last < self._pause_s:
            return False
        self._last = self._clock()
        return True


class SavedStop:
    """Lets a training that is asked to end (SIGTERM) finish its step, save a checkpoint and end then. During an
    evaluation (``at_once``) it ends at once, as it does outside ``listening``."""

    def __init__(self) -> None:
        self.requested = False
        self.at_once = False

    @contextmanager
    def listening(self) -> Iterator[None]:
        """Catch SIGTERM, in the main thread."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        former = signal.signal(signal.SIGTERM, self._catch)
        try:
            yield
        finally:
            signal.signal(signal.SIGTERM, former)
            if self.requested:  # no further step came, so nothing was saved
                os.kill(os.getpid(), signal.SIGTERM)

    def saved(self, step: int) -> None:
        """End the process if it was asked to, now that a checkpoint of ``step`` is complete."""
        if self.requested:
            print(f"asked to stop: saved a checkpoint at step {step}", flush=True)
            self._end()

    def _catch(self, number: int, frame: FrameType | None) -> None:
        self.requested = True
        if self.at_once:
            self._end()

    def _end(self) -> None:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        os.kill(os.getpid(), signal.SIGTERM)


def fingerprint(settings: TrainSettings, prepared: PreparedData) -> dict[str, str]:
    """Return what a checkpoint depends on, by name: data, base model, and each setting's value."""
    decides = settings.load_best_model_at_end or settings.early_stopping_patience > 0
    free = _FREE if decides else _FREE | _MEASURED
    values = {name: value for name, value in settings.model_dump().items() if name not in free}
    return {"data": prepared.fingerprint, "base model": prepared.model_fingerprint} | {
        name: json.dumps(value, ensure_ascii=False) for name, value in values.items()
    }


def find_checkpoint(setting: str | None, folder: Path, mine: Mapping[str, str]) -> Path | None:
    """Find the checkpoint to resume; None to begin from scratch. ``folder`` holds those of this fine-tune.

    Raises:
        UsageError: there is none where one was named, or it is of another fine-tune.
    """
    if setting is None:
        return None
    if setting == LATEST:
        checkpoint = newest(folder)
        if checkpoint is None:
            return None
    else:
        checkpoint = Path(setting).expanduser()
        if not (checkpoint / "trainer_state.json").is_file():
            raise UsageError(
                f"resume_from_checkpoint must name a checkpoint's folder or be {LATEST!r}, but {checkpoint} is not one",
                f"name a folder like {folder / 'checkpoint-200'}",
            )
    _refuse_others(checkpoint, mine)
    require_safetensors(checkpoint)
    return checkpoint


def own_checkpoint(folder: Path, mine: Mapping[str, str]) -> Path | None:
    """Find the newest checkpoint of an earlier attempt at a trial. None to begin from scratch: there is none, or the
    study's data, model or settings are not what they were."""
    checkpoint = newest(folder)
    try:
        if checkpoint is not None:
            _refuse_others(checkpoint, mine)
            require_safetensors(checkpoint)
    except UsageError as error:
        print(f"begins from scratch: {error}")
        return None
    return checkpoint


@contextmanager
def reading(checkpoint: Path | None) -> Iterator[None]:
    """Refuse a checkpoint in which torch, while it reads, finds something that is neither numbers nor plain values.

    Raises:
        UsageError: it found some; nothing of it was run.
    """
    try:
        yield
    except UnpicklingError as error:
        raise UsageError(
            f"a checkpoint holds numbers and plain values alone, but in {checkpoint} is something else, which was not "
            f"run: {str(error).strip().splitlines()[-1]:.200}",
            "do not trust it: name another one, or begin from scratch",
        ) from error


def newest(folder: Path) -> Path | None:
    """Find the checkpoint with the most steps that is complete."""
    steps = {
        int(match[1]): path
        for path in folder.glob("checkpoint-*")
        if (match := re.fullmatch(r"checkpoint-(\d+)", path.name))
    }
    whole = [step for step, path in steps.items() if (path / STATE_FILE).is_file()]
    return steps[max(whole)] if whole else None


def read_state(checkpoint: Path) -> dict[str, Any]:
    """Read what hpsearch keeps in a checkpoint beside the trainer's own files.

    Raises:
        UsageError: it was not written by hpsearch, or is not complete.
    """
    try:
        state: dict[str, Any] = json.loads((checkpoint / STATE_FILE).read_text(encoding="utf-8"))
        _ = state["fingerprint"], state["best"]
    except (OSError, ValueError, KeyError) as error:
        raise UsageError(
            f"a checkpoint to go on from must have been written by hpsearch to its end, but {checkpoint} was not",
            "name an older one, or begin from scratch",
        ) from error
    return state


def write_state(checkpoint: Path, state: Mapping[str, Any]) -> None:
    """Write what ``read_state`` reads, last and with the rest on the disk: without it a checkpoint is incomplete."""
    for path in checkpoint.rglob("*"):
        sync(str(path))
    write_text(checkpoint / STATE_FILE, json.dumps(state, indent=1, ensure_ascii=False))


def _refuse_others(checkpoint: Path, mine: Mapping[str, str]) -> None:
    theirs = read_state(checkpoint)["fingerprint"]
    other = [name for name in {**mine, **theirs} if mine.get(name) != theirs.get(name)]
    if other:
        named = "; ".join(
            f"{name} was {theirs.get(name, 'not set')}, now {mine.get(name, 'not set')}" for name in other[:5]
        )
        raise UsageError(
            f"a fine-tune goes on from a checkpoint of its own, but {checkpoint} is of another: {named:.600}",
            "give the same settings, or begin in another --output-dir",
        )
