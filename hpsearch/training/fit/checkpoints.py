"""Checkpoints to go on from: finding one, and refusing one that belongs to another fine-tune."""

from __future__ import annotations

import json
import math
import re
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

from hpsearch.errors import UsageError
from hpsearch.execution.files import sync, write_text
from hpsearch.settings import WITHOUT_EFFECT, TrainSettings
from hpsearch.training.models.base import require_safetensors
from hpsearch.training.prepared import PreparedData

# Between two checkpoints that nobody asked for, in seconds: writing one takes some, and what a break costs is bounded.
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

# Measured anew in each folder where the settings leave them open; they matter where an evaluation decides what is kept.
_MEASURED = frozenset(("eval_stride", "eval_samples"))


class Rhythm:
    """When a fine-tune that was asked for no checkpoints saves one, by the clock."""

    def __init__(self, settings: TrainSettings, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._pause_s = PAUSE_S if settings.save_steps is None else math.inf
        self._last = clock()

    def due(self) -> bool:
        """Whether it is time; if so, the next pause begins."""
        if self._clock() - self._last < self._pause_s:
            return False
        self._last = self._clock()
        return True


def fingerprint(settings: TrainSettings, prepared: PreparedData) -> dict[str, str]:
    """What a checkpoint hangs on, by name: data, base model, and a digest of each setting's value."""
    decides = settings.load_best_model_at_end or settings.early_stopping_patience > 0
    free = _FREE if decides else _FREE | _MEASURED
    values = {name: value for name, value in settings.model_dump().items() if name not in free}
    return {"data": prepared.fingerprint, "base model": prepared.model_fingerprint} | {
        name: json.dumps(value, ensure_ascii=False) for name, value in values.items()
    }


def find_checkpoint(setting: str | None, folder: Path, mine: Mapping[str, str]) -> Path | None:
    """The checkpoint to go on from; None for a new beginning. ``folder`` holds those of this fine-tune.

    Raises:
        UsageError: there is none where one was named, or it is of another fine-tune.
    """
    if setting is None:
        return None
    if setting == LATEST:
        found = newest(folder)
        if found is None:
            return None
    else:
        found = Path(setting).expanduser()
        if not (found / "trainer_state.json").is_file():
            raise UsageError(
                f"resume_from_checkpoint must name a checkpoint's folder or be {LATEST!r}, but {found} is not one",
                f"name a folder like {folder / 'checkpoint-200'}",
            )
    _refuse_others(found, mine)
    require_safetensors(found)
    return found


def own_checkpoint(folder: Path, mine: Mapping[str, str]) -> Path | None:
    """What an attempt at a trial goes on from: the newest checkpoint of an earlier attempt. None for a new beginning:
    there is none, or the study's data, model or settings are not what they were."""
    found = newest(folder)
    try:
        if found is not None:
            _refuse_others(found, mine)
            require_safetensors(found)
    except UsageError as error:
        print(f"begins anew: {error}")
        return None
    return found


@contextmanager
def reading(checkpoint: Path | None) -> Iterator[None]:
    """Say it plainly where torch finds something in a checkpoint that is neither numbers nor plain values.

    Raises:
        UsageError: it did; nothing of that was run.
    """
    try:
        yield
    except UnpicklingError as error:
        raise UsageError(
            f"a checkpoint holds numbers and plain values alone, but in {checkpoint} is something else, which was not "
            f"run: {str(error).strip().splitlines()[-1]:.200}",
            "do not trust it: name another one, or begin anew",
        ) from error


def newest(folder: Path) -> Path | None:
    """The checkpoint of the most steps that was written to its end."""
    steps = {
        int(match[1]): path
        for path in folder.glob("checkpoint-*")
        if (match := re.fullmatch(r"checkpoint-(\d+)", path.name))
    }
    whole = [step for step, path in steps.items() if (path / STATE_FILE).is_file()]
    return steps[max(whole)] if whole else None


def read_state(checkpoint: Path) -> dict[str, Any]:
    """What hpsearch keeps in a checkpoint beside the trainer's own files.

    Raises:
        UsageError: it was not written by hpsearch, or not to its end.
    """
    try:
        state: dict[str, Any] = json.loads((checkpoint / STATE_FILE).read_text(encoding="utf-8"))
        _ = state["fingerprint"], state["best"]
    except (OSError, ValueError, KeyError) as error:
        raise UsageError(
            f"a checkpoint to go on from must have been written by hpsearch to its end, but {checkpoint} was not",
            "name an older one, or begin anew",
        ) from error
    return state


def write_state(checkpoint: Path, state: Mapping[str, Any]) -> None:
    """Write it, last of all and with the rest on the disk: a checkpoint without it counts as broken off."""
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
            "give the same settings, or begin anew in another --output-dir",
        )
