"""What the prepare job finds out with the loaded base: its scores, and how fast it learns and is judged here."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from transformers import TrainerCallback

from hpsearch.data.progress import Progress
from hpsearch.settings import TrainSettings
from hpsearch.training.backends import BACKENDS, Training
from hpsearch.training.batches import Batching, batching_of
from hpsearch.training.evaluate.evaluator import Judge
from hpsearch.training.evaluate.scores import Scores
from hpsearch.training.machine.device import choose_device, free_memory, set_seeds, set_threads
from hpsearch.training.machine.faults import is_out_of_memory
from hpsearch.training.models.base import BaseModel
from hpsearch.training.models.chat import Chat
from hpsearch.training.prepared import open_rows
from hpsearch.training.prepared_rows import Row, training_rows

PROBE_STEPS = 4  # of which the first, with everything that is done once, does not count


class Inspection:
    """One loaded model on this machine."""

    def __init__(
        self, backend: str, base: BaseModel, settings: TrainSettings, heaviest: Sequence[int], progress: Progress
    ) -> None:
        progress.phase("load")
        set_threads(settings.cpu_threads, choose_device())
        self._backend = BACKENDS[backend]()
        self._base, self._settings, self._heaviest, self._progress = base, settings, heaviest, progress
        self.loaded = self._backend.load(base.family, base.folder, settings)
        self._judge = Judge(self._backend, self.loaded, settings, progress, shows_fraction=True)

    def score(self, sets: Mapping[str, Sequence[Row]]) -> dict[str, Scores]:
        """The untuned model's scores on each set."""
        scores = {}
        adapted = hasattr(self.loaded.model, "disable_adapter")
        with self.loaded.model.disable_adapter() if adapted else nullcontext():
            for name, rows in sets.items():
                self._progress.phase("judge the base", fraction=0.0)
                scores[name] = self._judge.judge(self._judge.examination(rows))
        return scores

    def seconds_per_batch(self, rows: Sequence[Row]) -> dict[int, float]:
        """How long judging a batch takes, by its size: measured on a full one and on a quarter of that. To be asked for
        after ``seconds_per_step``, as an adapted model is slower."""
        self._progress.phase("measure judging")
        full = min(self._settings.eval_batch_size, len(rows))
        return {size: self._timed(rows[:size]) for size in sorted({max(full // 4, 1), full})}

    def _timed(self, rows: Sequence[Row]) -> float:
        """The faster of two times: the first pays for what is done once."""
        examination = self._judge.examination(rows)
        before = self._judge.seconds
        self._judge.judge(examination)
        between = self._judge.seconds
        self._judge.judge(examination)
        return min(between - before, self._judge.seconds - between)

    def seconds_per_step(self, folder: Path) -> float | None:
        """How long an optimiser step takes, measured on a few; None where memory ran out even for the smallest. The
        model has an adapter from then on."""
        self._progress.phase("measure a step")
        set_seeds(self._settings.seed)
        self._backend.adapt(self.loaded, self._base.family, self._settings)
        batching = batching_of(self._settings)
        while True:
            clock = _Clock()
            try:
                self._steps(folder, batching, clock)
                return clock.seconds()
            except Exception as error:
                if not is_out_of_memory(error):
                    raise
            free_memory()
            smaller = batching.smaller()
            if smaller is None:
                return None
            batching = smaller

    def _steps(self, folder: Path, batching: Batching, clock: _Clock) -> None:
        few = self._settings.model_copy(update={"max_steps": PROBE_STEPS, "save_steps": 0})
        chat = Chat(self.loaded.processor, few.instruction or "")
        rows = training_rows(open_rows(folder, "train").table, chat)
        with TemporaryDirectory(prefix="probe-", dir=folder) as probe:
            self._backend.trainer(
                self.loaded, Training(rows, few, batching, Path(probe), [clock], self._heaviest)
            ).train()


class _Clock(TrainerCallback):  # type: ignore[misc]  # transformers has no types
    """Notes when steps end."""

    def __init__(self) -> None:
        self._ends: list[float] = []

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Note the time."""
        self._ends.append(time.monotonic())

    def seconds(self) -> float:
        """Mean time from one step's end to the next's."""
        return (self._ends[-1] - self._ends[0]) / max(len(self._ends) - 1, 1)
