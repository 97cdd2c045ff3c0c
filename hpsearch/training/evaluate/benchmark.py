"""What the prepare job finds out with the loaded base: its scores, and how fast it learns and is judged here."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from math import ceil
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from transformers import TrainerCallback

from hpsearch.data.progress import ProgressReporter
from hpsearch.settings import TrainSettings
from hpsearch.training.backends import BACKENDS, Training
from hpsearch.training.evaluate.evaluator import Evaluator
from hpsearch.training.evaluate.scores import Scores
from hpsearch.training.machine.device import choose_device, free_memory, set_seeds, set_threads
from hpsearch.training.machine.faults import is_out_of_memory
from hpsearch.training.models.base import BaseCheckpoint
from hpsearch.training.models.chat import Chat
from hpsearch.training.prepared import PreparedRow, drawn, open_rows, training_rows
from hpsearch.training.schedule import FINAL_SETS, Batching, afford, batching_of, pace_of, share_warning, steps_of

PROBE_STEPS = 4  # of which the first, with everything that is done once, does not count


class Inspection:
    """One loaded model on this machine."""

    def __init__(
        self,
        backend: str,
        base: BaseCheckpoint,
        settings: TrainSettings,
        heaviest: Sequence[int],
        progress: ProgressReporter,
    ) -> None:
        progress.phase("load")
        set_threads(settings.cpu_threads, choose_device())
        self._backend = BACKENDS[backend]()
        self._base, self._settings, self._heaviest, self._progress = base, settings, heaviest, progress
        self.loaded = self._backend.load(base.family, base.folder, settings)
        self._judge = Evaluator(self._backend, self.loaded, settings, progress, shows_fraction=True)

    def score(self, sets: Mapping[str, Sequence[PreparedRow]]) -> dict[str, Scores]:
        """The untuned model's scores on each set."""
        scores = {}
        adapted = hasattr(self.loaded.model, "disable_adapter")
        with self.loaded.model.disable_adapter() if adapted else nullcontext():
            for name, rows in sets.items():
                self._progress.phase("judge the base", fraction=0.0)
                scores[name] = self._judge.judge(self._judge.examination(rows))
        return scores

    def seconds_per_batch(self, rows: Sequence[PreparedRow]) -> dict[int, float]:
        """How long judging a batch takes, by its size: measured on a full one and on a quarter of that. To be asked for
        after ``seconds_per_step``, as an adapted model is slower."""
        self._progress.phase("measure judging")
        full = min(self._settings.eval_batch_size, len(rows))
        return {size: self._timed(rows[:size]) for size in sorted({max(full // 4, 1), full})}

    def _timed(self, rows: Sequence[PreparedRow]) -> float:
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


# What a study needs to know of its loaded base: how it scores untuned, and how many rows a trial can be judged on.

SAMPLES = 3  # rows whose untuned answers are kept to be shown beside those of the trained model
SPARE = 1.5  # times the longest answer: what a generated one may take before it is cut


@dataclass(frozen=True)
class Task:
    """What is to be measured: ``settings`` are the default configuration's, ``figures`` the preflight's, ``rows`` how
    many each split has. ``known`` is what settings left open came to when the study began; it stands."""

    backend: str
    base: BaseCheckpoint
    settings: TrainSettings
    folder: Path
    figures: Mapping[str, Any]
    rows: Mapping[str, int]
    known: Mapping[str, Any]


@dataclass(frozen=True)
class BenchmarkResult:
    """``base`` are the untuned scores, ``resolved`` what settings leave open comes to, ``judging`` a sentence on it."""

    base: dict[str, float]
    samples: list[dict[str, Any]]
    resolved: dict[str, Any]
    judging: str
    warnings: list[str]
    device: str
    precision: str


def measure(task: Task, progress: ProgressReporter) -> BenchmarkResult:
    """Load the base and measure.

    Raises:
        Fault: it does not give finite numbers.
    """
    texts = _texts(task)
    settings = task.settings.model_copy(update={**texts, **task.known})
    inspection = Inspection(task.backend, task.base, settings, task.figures["heaviest"], progress)
    sizes, warnings = _sizes(task, settings, inspection)
    sets = {name: drawn(task.folder, split, sizes["final_samples"]) for name, split in FINAL_SETS.items()}
    scores = {} if settings.skip_pre_eval else inspection.score(sets)
    return BenchmarkResult(
        base={name: value for key, score in scores.items() for name, value in score.metrics(key).items()},
        samples=_samples(scores),
        resolved={**texts, **sizes, **task.known},
        judging=_judging(sizes),
        warnings=warnings,
        device=inspection.loaded.device,
        precision=inspection.loaded.precision,
    )


def _judging(sizes: Mapping[str, int]) -> str:
    made = "every evaluation" if sizes["eval_stride"] == 1 else f"evaluations {sizes['eval_stride']} apart"
    return f"{sizes['eval_samples']} rows at {made}, at most {sizes['final_samples']} of each set at the end"


def _texts(task: Task) -> dict[str, Any]:
    """What is asked and how long an answer may be, where the settings leave it open."""
    answer = ceil(SPARE * task.figures["tokens"]["longest_answer"])
    resolved = {"instruction": task.base.prompt, "max_new_tokens": answer}
    return {name: value for name, value in resolved.items() if getattr(task.settings, name) is None}


def _sizes(task: Task, settings: TrainSettings, inspection: Inspection) -> tuple[dict[str, int], list[str]]:
    """How many rows are judged on, and what to say of it. Nothing is timed where the settings say all."""
    given = {name: getattr(settings, name) for name in ("eval_stride", "eval_samples", "final_samples")}
    if all(given.values()):
        return given, []
    step_s = inspection.seconds_per_step(task.folder)
    rows = drawn(task.folder, "validation", settings.eval_batch_size)
    pace = pace_of(step_s or 0.0, settings.eval_batch_size, inspection.seconds_per_batch(rows))
    chosen = afford(settings, pace, steps_of(settings, task.rows["train"]), task.rows)
    sizes = {"eval_stride": chosen.stride, "eval_samples": chosen.rows, "final_samples": chosen.final}
    if step_s is None:
        return sizes, ["memory ran out with the longest rows even in the smallest pass: most trials will fail so"]
    return sizes, share_warning(chosen)


def _samples(scores: Mapping[str, Scores]) -> list[dict[str, Any]]:
    judged = scores["eval"].judged[:SAMPLES] if "eval" in scores else ()
    return [{"id": one.row, "reference": one.reference, "prediction": one.prediction} for one in judged]
