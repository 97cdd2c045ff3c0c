"""The one recipe of a fine-tune: load, adapt, train with evaluations, evaluate the result, save. Every backend and
family follows it."""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from hpsearch import sdk
from hpsearch.assets import PREFIX
from hpsearch.data.prepared_rows import PreparedRow
from hpsearch.data.progress import ProgressReporter
from hpsearch.errors import UsageError
from hpsearch.execution.adapter_card import AdapterCard
from hpsearch.execution.job import CHECKPOINTS, PREDICTIONS_FILE, RESULT_FILES, Job
from hpsearch.settings import TrainSettings
from hpsearch.training.backends import BACKENDS, Backend, Loaded
from hpsearch.training.evaluate.evaluator import Evaluator
from hpsearch.training.evaluate.scores import RowScore, write_predictions
from hpsearch.training.fit.callbacks import figures
from hpsearch.training.fit.checkpoints import find_checkpoint, fingerprint, own_checkpoint
from hpsearch.training.fit.tracking import Tracking
from hpsearch.training.fit.train import TrainingResult, train
from hpsearch.training.machine.device import choose_device, free_memory, peak_memory_bytes, set_seeds, set_threads
from hpsearch.training.machine.libraries import library_versions
from hpsearch.training.machine.ranks import is_first, join_ranks, ranks
from hpsearch.training.models.families import FAMILIES
from hpsearch.training.prepared import PreparedData, row_subset
from hpsearch.training.schedule import FINAL_SETS


def run_trial(job: Job) -> None:
    """Run a trial, or a fine-tune outside a search: the same thing. Reports its evaluations and its final metrics.

    Raises:
        UsageError: the settings cannot be honoured here, or the checkpoint to resume from is of another fine-tune.
        Fault: the training diverged, or memory ran out whatever was given up for it.
    """
    progress = ProgressReporter("load")
    if job.prepared_dir is None:
        raise UsageError(f"a {job.kind} job must name its prepared_dir, but {job.id} does not", "name it in the job")
    folder, output = Path(job.prepared_dir), Path(job.output_dir)
    prepared = PreparedData.read(folder)
    settings = prepared.resolved_in(TrainSettings.model_validate(job.settings))
    prepared.check(settings)
    set_threads(settings.cpu_threads, choose_device())
    backend = BACKENDS[prepared.backend]()
    if ranks() > 1 and prepared.backend != "hf":
        raise UsageError(
            f"the backend {prepared.backend} trains on one GPU, but this trial has {ranks()}",
            'leave --gpus-per-trial out, or begin a study with "backend": "hf"',
        )
    join_ranks()
    mine = fingerprint(settings, prepared)
    checkpoints = Path(job.checkpoint_dir or output / CHECKPOINTS)
    checkpoint = find_checkpoint(settings.resume_from_checkpoint, checkpoints, mine)
    if job.attempt > 1:
        checkpoint = checkpoint or own_checkpoint(checkpoints, mine)
    if is_first():
        shutil.rmtree(output / "adapter", ignore_errors=True)  # what an earlier fine-tune in this folder left
        for name in RESULT_FILES:
            (output / name).unlink(missing_ok=True)
        _write_json(output / "config.json", settings.model_dump())
        _write_json(output / "versions.json", library_versions())
    report_to = settings.report_to if is_first() else "none"
    with closing(Tracking(report_to, job)) as tracker:  # the points before a failure are wanted most
        evaluator = Evaluator(backend, load_adapted(backend, prepared, settings), settings, progress)
        _print_head(job, prepared, evaluator.loaded)
        rows = evaluation_subset(folder, settings)
        trained = train(evaluator, folder, checkpoints, rows, tracker, mine, checkpoint)
        if trained.pruned:
            print("pruned: no final evaluation, nothing saved")
        else:
            _Trial(job, folder, output, settings, prepared, evaluator, tracker).finish(trained)
    if is_first():
        asked_for = job.kind != "trial" and bool(settings.save_steps)
        if not asked_for or (checkpoints.is_dir() and not any(checkpoints.iterdir())):
            shutil.rmtree(checkpoints, ignore_errors=True)


def load_adapted(backend: Backend, prepared: PreparedData, settings: TrainSettings) -> Loaded:
    """Load the base model with fresh LoRA matrices, which depend on the settings alone, not on what loading drew."""
    family = FAMILIES[prepared.family]
    loaded = backend.load(family, Path(prepared.model_path), settings)
    set_seeds(settings.seed)
    backend.adapt(loaded, family, settings)
    return loaded


def _print_head(job: Job, prepared: PreparedData, loaded: Loaded) -> None:
    """Begin the trial's log with what it runs on and what it trains."""
    libraries = ", ".join(f"{name} {version}" for name, version in library_versions().items())
    adapted = len(loaded.model.base_model.targeted_module_names)
    trained, of = loaded.model.get_nb_trainable_parameters()
    rows = ", ".join(f"{count} {split}" for split, count in prepared.rows.items())
    print(f"{job.id}: {job.settings['model_name']} as {prepared.family}, seed {job.seed}")
    print(f"{prepared.backend} on {loaded.device} in {loaded.precision} with {libraries}")
    print(f"LoRA on {adapted} modules: {trained:,} of {of:,} parameters are trained ({trained / of:.2%})")
    print(f"rows: {rows}")


def evaluation_subset(folder: Path, settings: TrainSettings) -> Sequence[PreparedRow]:
    """Return the validation rows of the evaluations during training: few, and the same in every trial of a study."""
    return row_subset(folder, "validation", settings.eval_samples)


def final_rows(folder: Path, split: str, settings: TrainSettings) -> Sequence[PreparedRow]:
    """Return the rows of a split that the trained model is evaluated on."""
    return row_subset(folder, split, settings.final_samples)


@dataclass(frozen=True)
class _Trial:
    """A fine-tune whose training is over."""

    job: Job
    folder: Path
    output: Path
    settings: TrainSettings
    prepared: PreparedData
    evaluator: Evaluator
    tracker: Tracking

    def finish(self, trained: TrainingResult) -> None:
        """Save the trained model, evaluate it on the validation and holdout sets, and report."""
        evaluator, progress = self.evaluator, self.evaluator.progress
        progress.phase("save", fraction=1.0)
        adapter = self.output / "adapter"  # saved first: an evaluation may fail, and hours would be lost with it
        if is_first():
            card = self._card()
            evaluator.backend.save(evaluator.loaded, adapter, card.base)
            card.write(adapter)
        free_memory()  # what the optimiser held
        progress.phase("final evaluation", fraction=1.0)
        scores = {}
        for prefix, split in FINAL_SETS.items():
            rows = final_rows(self.folder, split, self.settings)
            scores[prefix] = evaluator.evaluate(evaluator.batches(rows))
        progress.phase("report")
        if is_first():
            write_predictions(self.output / PREDICTIONS_FILE, scores)
        metrics = {name: value for prefix, score in scores.items() for name, value in score.metrics(prefix).items()}
        peak = peak_memory_bytes(evaluator.loaded.device)
        print(f"final: {figures(metrics)}; adapter in {adapter}")
        _print_sample(self.prepared, scores["eval"].rows)
        self.tracker.log(trained.steps, {f"final_{name}": value for name, value in metrics.items()})
        measured = {"eval_seconds": evaluator.seconds, "peak_memory_bytes": peak}
        sdk.finish(**metrics, **trained.speed, **trained.figures(), **measured)

    def _card(self) -> AdapterCard:
        model = self.settings.model_name
        local = model.startswith(PREFIX) or Path(model).expanduser().is_dir()
        others = {
            "study": self.job.study,
            "trial": self.job.number,
            "family": self.prepared.family,
            "profile": self.prepared.profile,
        }
        base = self.prepared.model_path if local else model
        return AdapterCard(base, self.settings.model_dump(), library_versions(), others)


def _print_sample(prepared: PreparedData, rows: Sequence[RowScore]) -> None:
    """Print to the log what the untuned base read of a page, and what is read of it now."""
    after = {row.row: row.prediction for row in rows if row.prediction is not None}
    for sample in prepared.samples:
        if sample["id"] in after:
            print(f"sample {sample['id']}: {sample['reference']!r}")
            print(f"  before: {sample['prediction']!r}")
            print(f"  after:  {after[sample['id']]!r}")
            return


def _write_json(path: Path, values: object) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(values, indent=1, sort_keys=True, ensure_ascii=False) + "\n", encoding="utf-8")
