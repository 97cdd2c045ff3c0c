"""The one recipe: load, adapt, train with evaluations on the way, judge, save. Every backend and family takes it."""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hpsearch import sdk
from hpsearch.assets import PREFIX
from hpsearch.data.progress import ProgressReporter
from hpsearch.errors import UsageError
from hpsearch.execution.job import ADAPTER_CARD, CHECKPOINTS, RESULT_FILES, Job
from hpsearch.settings import TrainSettings
from hpsearch.training.backends import BACKENDS, Backend, Loaded
from hpsearch.training.evaluate.evaluator import Evaluator
from hpsearch.training.evaluate.scores import RowScore, Scores
from hpsearch.training.fit.callbacks import figures
from hpsearch.training.fit.checkpoints import find_checkpoint, fingerprint, own_checkpoint
from hpsearch.training.fit.tracking import Tracking
from hpsearch.training.fit.train import TrainingResult, train
from hpsearch.training.machine.device import choose_device, free_memory, peak_memory_bytes, set_seeds, set_threads
from hpsearch.training.machine.libraries import library_versions
from hpsearch.training.machine.ranks import is_first, join_ranks, ranks
from hpsearch.training.models.families import FAMILIES
from hpsearch.training.prepared import PreparedData, PreparedRow, drawn
from hpsearch.training.schedule import FINAL_SETS


def run_trial(job: Job) -> None:
    """Run a trial, or a fine-tune outside a search: the same thing. Reports its evaluations and its final metrics.

    Raises:
        UsageError: the settings cannot be honoured here, or the checkpoint to go on from is of another fine-tune.
        Fault: the training diverged, or memory ran out whatever was given up for it.
    """
    progress = ProgressReporter("load")
    folder, output = _prepared_dir(job), Path(job.output_dir)
    prepared = PreparedData.read(folder)
    settings = prepared.resolved_in(TrainSettings.model_validate(job.settings))
    prepared.check(settings)
    set_threads(settings.cpu_threads, choose_device())
    backend = BACKENDS[prepared.backend]()
    _require_one_gpu_of(prepared.backend)
    join_ranks()
    mine = fingerprint(settings, prepared)
    checkpoints = Path(job.checkpoint_dir or output / CHECKPOINTS)
    checkpoint = find_checkpoint(settings.resume_from_checkpoint, checkpoints, mine)
    if job.attempt > 1:
        checkpoint = checkpoint or own_checkpoint(checkpoints, mine)
    if is_first():
        _clear(output)
        _write_json(output / "config.json", settings.model_dump())
        _write_json(output / "versions.json", library_versions())
    report_to = settings.report_to if is_first() else "none"
    with closing(Tracking(report_to, job)) as tracker:  # the points before a failure are wanted most
        judge = Evaluator(backend, load_adapted(backend, prepared, settings), settings, progress)
        _introduce(job, prepared, judge.loaded)
        trial = _Trial(job, folder, output, settings, prepared, judge, tracker)
        trained = train(judge, folder, checkpoints, evaluation_subset(folder, settings), tracker, mine, checkpoint)
        if trained.pruned:
            print("pruned: no final evaluation, nothing saved")
        else:
            trial.finish(trained)
    if is_first():
        _tidy(checkpoints, asked_for=job.kind != "trial" and bool(settings.save_steps))


def _require_one_gpu_of(backend: str) -> None:
    if ranks() > 1 and backend != "hf":
        raise UsageError(
            f"the backend {backend} trains on one GPU, but this trial has {ranks()}",
            'leave --gpus-per-trial out, or begin a study with "backend": "hf"',
        )


def _clear(output: Path) -> None:
    """Take away what an earlier fine-tune in this folder left, so that nothing of it stands beside this one's."""
    shutil.rmtree(output / "adapter", ignore_errors=True)
    for name in RESULT_FILES:
        (output / name).unlink(missing_ok=True)


def _tidy(checkpoints: Path, *, asked_for: bool) -> None:
    """Take the checkpoints of a fine-tune that is over away, unless they were asked for, and the folder if empty."""
    if not asked_for or (checkpoints.is_dir() and not any(checkpoints.iterdir())):
        shutil.rmtree(checkpoints, ignore_errors=True)


def load_adapted(backend: Backend, prepared: PreparedData, settings: TrainSettings) -> Loaded:
    """The base model with fresh LoRA matrices, which depend on the settings alone, not on what loading drew."""
    family = FAMILIES[prepared.family]
    loaded = backend.load(family, Path(prepared.model_path), settings)
    set_seeds(settings.seed)
    backend.adapt(loaded, family, settings)
    return loaded


def _introduce(job: Job, prepared: PreparedData, loaded: Loaded) -> None:
    """Open the trial's log with what it runs on and what it trains."""
    libraries = ", ".join(f"{name} {version}" for name, version in library_versions().items())
    adapted = len(loaded.model.base_model.targeted_module_names)
    trained, of = loaded.model.get_nb_trainable_parameters()
    rows = ", ".join(f"{count} {split}" for split, count in prepared.rows.items())
    print(f"{job.id}: {job.settings['model_name']} as {prepared.family}, seed {job.seed}")
    print(f"{prepared.backend} on {loaded.device} in {loaded.precision} with {libraries}")
    print(f"LoRA on {adapted} modules: {trained:,} of {of:,} parameters are trained ({trained / of:.2%})")
    print(f"rows: {rows}")


def evaluation_subset(folder: Path, settings: TrainSettings) -> Sequence[PreparedRow]:
    """The validation rows of the evaluations on the way: few, and the same in every trial of a study."""
    return drawn(folder, "validation", settings.eval_samples)


def final_rows(folder: Path, split: str, settings: TrainSettings) -> Sequence[PreparedRow]:
    """The rows of a split that the trained model is judged on."""
    return drawn(folder, split, settings.final_samples)


def _prepared_dir(job: Job) -> Path:
    if job.prepared_dir is None:
        raise UsageError(f"a {job.kind} job must name its prepared_dir, but {job.id} does not", "name it in the job")
    return Path(job.prepared_dir)


@dataclass(frozen=True)
class _Trial:
    """A fine-tune whose training is over."""

    job: Job
    folder: Path
    output: Path
    settings: TrainSettings
    prepared: PreparedData
    judge: Evaluator
    tracker: Tracking

    def finish(self, trained: TrainingResult) -> None:
        """Save the trained model, judge it on the validation and holdout sets, and report."""
        speed = trained.speed
        self.judge.progress.phase("save", fraction=1.0)
        adapter = self.output / "adapter"  # first of all: judging may fail, and hours would be lost with it
        if is_first():
            self.judge.backend.save(self.judge.loaded, adapter, _base_name(self.settings, self.prepared))
            _write_json(adapter / ADAPTER_CARD, _card(self.job, self.settings, self.prepared))
        free_memory()  # what the optimiser held
        self.judge.progress.phase("final evaluation", fraction=1.0)
        scores = {prefix: self._judge(split) for prefix, split in FINAL_SETS.items()}
        self.judge.progress.phase("report")
        if is_first():
            write_predictions(self.output / "predictions.jsonl", scores)
        metrics = {name: value for prefix, score in scores.items() for name, value in score.metrics(prefix).items()}
        peak = peak_memory_bytes(self.judge.loaded.device)
        print(f"final: {figures(metrics)}; adapter in {adapter}")
        _show_sample(self.prepared, scores["eval"].judged)
        self.tracker.log(trained.steps, {f"final_{name}": value for name, value in metrics.items()})
        sdk.finish(**metrics, **speed, **trained.figures(), eval_seconds=self.judge.seconds, peak_memory_bytes=peak)

    def _judge(self, split: str) -> Scores:
        return self.judge.judge(self.judge.examination(final_rows(self.folder, split, self.settings)))


def _show_sample(prepared: PreparedData, judged: tuple[RowScore, ...]) -> None:
    """Show in the log what the untuned base read of a page, and what is read of it now."""
    after = {one.row: one.prediction for one in judged if one.prediction is not None}
    for sample in prepared.samples:
        if sample["id"] in after:
            print(f"sample {sample['id']}: {sample['reference']!r}")
            print(f"  before: {sample['prediction']!r}")
            print(f"  after:  {after[sample['id']]!r}")
            return


def _card(job: Job, settings: TrainSettings, prepared: PreparedData) -> dict[str, Any]:
    """What whoever loads the adapter must know beside it: how pictures were sized, and what the model was asked."""
    return {
        "study": job.study,
        "trial": job.number,
        "family": prepared.family,
        "profile": prepared.profile,
        "base": _base_name(settings, prepared),
        "settings": settings.model_dump(),
        "versions": library_versions(),
    }


def _base_name(settings: TrainSettings, prepared: PreparedData) -> str:
    """Where whoever loads the adapter finds its base: the Hub id, or else the folder."""
    local = settings.model_name.startswith(PREFIX) or Path(settings.model_name).expanduser().is_dir()
    return prepared.model_path if local else settings.model_name


def write_predictions(path: Path, scores: dict[str, Scores]) -> None:
    """One JSON line for each row that was judged: its split and id, what it reads, what the model read, and its CER."""
    with path.open("w", encoding="utf-8") as target:
        for prefix, score in scores.items():
            for one in score.judged:
                line = {
                    "split": FINAL_SETS[prefix],
                    "id": one.row,
                    "reference": one.reference,
                    "prediction": one.prediction,
                    "cer": None if one.prediction is None else one.characters.rate,
                }
                target.write(json.dumps(line, ensure_ascii=False) + "\n")


def _write_json(path: Path, values: object) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(values, indent=1, sort_keys=True, ensure_ascii=False) + "\n", encoding="utf-8")
