"""The benchmark of a study's base model on this machine, in the prepare job: its untuned scores, how fast it learns and
is evaluated here, and so how many rows a trial can be evaluated on."""

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

from hpsearch.data.prepared_rows import PreparedRow
from hpsearch.data.progress import ProgressReporter
from hpsearch.execution.job import BASE_PREDICTIONS_FILE
from hpsearch.settings import TrainSettings
from hpsearch.training.backends import BACKENDS, Training
from hpsearch.training.evaluate.evaluator import Evaluator
from hpsearch.training.evaluate.scores import Scores, write_predictions
from hpsearch.training.machine.device import choose_device, free_memory, set_seeds, set_threads
from hpsearch.training.machine.faults import is_out_of_memory
from hpsearch.training.models.base import BaseCheckpoint
from hpsearch.training.models.chat import Chat
from hpsearch.training.prepared import open_rows, row_subset, training_rows
from hpsearch.training.schedule import FINAL_SETS, Batching, afford, batching_of, pace_of, share_warning, steps_of

PROBE_STEPS = 4  # of which the first, with everything that is done once, does not count
SAMPLES = 3  # rows whose untuned answers are kept to be shown beside those of the trained model
SPARE = 1.5  # times the longest answer: what a generated one may take before it is cut


@dataclass(frozen=True)
class BenchmarkRequest:
    """``settings`` are the default configuration's, ``figures`` the preflight's, ``rows`` the number of rows by split.
    ``known`` are values that the study resolved when it began; they are kept."""

    backend: str
    base: BaseCheckpoint
    settings: TrainSettings
    folder: Path
    figures: Mapping[str, Any]
    rows: Mapping[str, int]
    known: Mapping[str, Any]


@dataclass(frozen=True)
class BenchmarkResult:
    """``base`` are the untuned scores, ``resolved`` the values of settings that were left open, ``judging`` a sentence
    on the rows of evaluations."""

    base: dict[str, float]
    samples: list[dict[str, Any]]
    resolved: dict[str, Any]
    judging: str
    warnings: list[str]
    device: str
    precision: str


def run_benchmark(request: BenchmarkRequest, progress: ProgressReporter) -> BenchmarkResult:
    """Load the base and measure it. What it reads of each row goes into a file in the folder.

    Raises:
        Fault: it does not give finite numbers.
    """
    answer = ceil(SPARE * request.figures["tokens"]["longest_answer"])
    defaults = {"instruction": request.base.prompt, "max_new_tokens": answer}
    texts = {name: value for name, value in defaults.items() if getattr(request.settings, name) is None}
    settings = request.settings.model_copy(update={**texts, **request.known})
    model = LoadedBase(request.backend, request.base, settings, request.figures["heaviest"], progress)
    sizes, warnings = _evaluation_sizes(request, settings, model)
    sets = {name: row_subset(request.folder, split, sizes["final_samples"]) for name, split in FINAL_SETS.items()}
    scores = {} if settings.skip_pre_eval else model.score(sets)
    if scores:
        write_predictions(request.folder / BASE_PREDICTIONS_FILE, scores)
    samples = scores["eval"].rows[:SAMPLES] if "eval" in scores else ()
    stride = sizes["eval_stride"]
    evaluations = "every evaluation" if stride == 1 else f"evaluations {stride} apart"
    judging = f"{sizes['eval_samples']} rows at {evaluations}, at most {sizes['final_samples']} of each set at the end"
    return BenchmarkResult(
        base={name: value for key, score in scores.items() for name, value in score.metrics(key).items()},
        samples=[{"id": row.row, "reference": row.reference, "prediction": row.prediction} for row in samples],
        resolved={**texts, **sizes, **request.known},
        judging=judging,
        warnings=warnings,
        device=model.loaded.device,
        precision=model.loaded.precision,
    )


def _evaluation_sizes(
    request: BenchmarkRequest, settings: TrainSettings, model: LoadedBase
) -> tuple[dict[str, int], list[str]]:
    """Choose the number of rows of evaluations, with warnings. Nothing is timed where the settings name all."""
    given = {name: getattr(settings, name) for name in ("eval_stride", "eval_samples", "final_samples")}
    if all(given.values()):
        return given, []
    step_s = model.seconds_per_step(request.folder)
    rows = row_subset(request.folder, "validation", settings.eval_batch_size)
    pace = pace_of(step_s or 0.0, settings.eval_batch_size, model.seconds_per_batch(rows))
    chosen = afford(settings, pace, steps_of(settings, request.rows["train"]), request.rows)
    sizes = {"eval_stride": chosen.stride, "eval_samples": chosen.rows, "final_samples": chosen.final}
    if step_s is None:
        return sizes, ["memory ran out with the longest rows even in the smallest pass: most trials will fail so"]
    return sizes, share_warning(chosen)


class LoadedBase:
    """The base model in memory, to be scored and timed."""

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
        self._evaluator = Evaluator(self._backend, self.loaded, settings, progress, shows_fraction=True)

    def score(self, sets: Mapping[str, Sequence[PreparedRow]]) -> dict[str, Scores]:
        """Score the untuned model on each set."""
        scores = {}
        adapted = hasattr(self.loaded.model, "disable_adapter")
        with self.loaded.model.disable_adapter() if adapted else nullcontext():
            for name, rows in sets.items():
                self._progress.phase("judge the base", fraction=0.0)
                scores[name] = self._evaluator.evaluate(self._evaluator.batches(rows))
        return scores

    def seconds_per_batch(self, rows: Sequence[PreparedRow]) -> dict[int, float]:
        """Time the evaluation of a full batch and of a quarter of one. Returns seconds by rows. To be called after
        ``seconds_per_step``, as an adapted model is slower."""
        self._progress.phase("measure judging")
        full = min(self._settings.eval_batch_size, len(rows))
        return {size: self._seconds_to_evaluate(rows[:size]) for size in sorted({max(full // 4, 1), full})}

    def _seconds_to_evaluate(self, rows: Sequence[PreparedRow]) -> float:
        """Return the faster of two runs, so that warm-up is not counted."""
        batches = self._evaluator.batches(rows)
        ends = [self._evaluator.seconds]
        for _ in range(2):
            self._evaluator.evaluate(batches)
            ends.append(self._evaluator.seconds)
        return min(ends[1] - ends[0], ends[2] - ends[1])

    def seconds_per_step(self, folder: Path) -> float | None:
        """Time an optimiser step, in seconds over a few; None where memory ran out even for the smallest batch. The
        model has an adapter from then on."""
        self._progress.phase("measure a step")
        set_seeds(self._settings.seed)
        self._backend.adapt(self.loaded, self._base.family, self._settings)
        batching: Batching | None = batching_of(self._settings)
        while batching is not None:
            clock = _StepClock()
            try:
                self._take_steps(folder, batching, clock)
                return clock.seconds()
            except Exception as error:
                if not is_out_of_memory(error):
                    raise
            free_memory()  # only here, where the error's frames no longer hold tensors
            batching = batching.smaller()
        return None

    def _take_steps(self, folder: Path, batching: Batching, clock: _StepClock) -> None:
        settings = self._settings.model_copy(update={"max_steps": PROBE_STEPS, "save_steps": 0})
        chat = Chat(self.loaded.processor, settings.instruction or "")
        rows = training_rows(open_rows(folder, "train").table, chat)
        with TemporaryDirectory(prefix="probe-", dir=folder) as probe:
            training = Training(rows, settings, batching, Path(probe), [clock], self._heaviest)
            self._backend.trainer(self.loaded, training).train()


class _StepClock(TrainerCallback):  # type: ignore[misc]  # transformers has no types
    """Records when steps end."""

    def __init__(self) -> None:
        self._ends: list[float] = []

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Record the time."""
        self._ends.append(time.monotonic())

    def seconds(self) -> float:
        """Return the mean time from one step's end to the next's."""
        return (self._ends[-1] - self._ends[0]) / max(len(self._ends) - 1, 1)
