"""The one recipe: load, adapt, train with evaluations on the way, judge, save. Every backend and family takes it."""

from __future__ import annotations

import json
from pathlib import Path

from hpsearch import sdk
from hpsearch.assets import PREFIX
from hpsearch.errors import UsageError
from hpsearch.ocr.splits import pick
from hpsearch.training.backends import BACKENDS, Backend, Loaded
from hpsearch.training.callbacks import Judge, TrialCallback, figures
from hpsearch.training.chat import Chat
from hpsearch.training.devices import choose_device, peak_memory_bytes, set_seeds, set_threads
from hpsearch.training.evaluation import Scores
from hpsearch.training.families import FAMILIES
from hpsearch.training.prepared import Prepared, open_rows
from hpsearch.training.progress import Progress
from hpsearch.training.rows import Row, training_rows
from hpsearch.training.versions import library_versions
from hpsearch.trials.job import Job
from hpsearch.trials.settings import TrainSettings

# Final sets by the prefix of their metrics.
FINAL_SETS = {"eval": "validation", "holdout": "holdout"}


def run_trial(job: Job) -> None:
    """Run a trial, or a fine-tune outside a search: the same thing. Reports its evaluations and its final metrics.

    Raises:
        UsageError: the settings cannot be honoured here.
        Fault: the training diverged.
    """
    settings = TrainSettings.model_validate(job.settings)
    progress = Progress("load")
    folder, output = _prepared_dir(job), Path(job.output_dir)
    prepared = Prepared.read(folder)
    prepared.check(settings)
    _write_json(output / "config.json", settings.model_dump())
    _write_json(output / "versions.json", library_versions())
    set_threads(settings.cpu_threads, choose_device())
    backend = BACKENDS[prepared.backend]()
    judge = Judge(backend, load_adapted(backend, prepared, settings), settings, progress)
    _introduce(job, prepared, judge.loaded)
    callback = _train(judge, folder, output)
    if callback.pruned:
        print("pruned: no final evaluation, nothing saved")
    else:
        _finish(judge, callback, folder, output, settings, prepared)


def load_adapted(backend: Backend, prepared: Prepared, settings: TrainSettings) -> Loaded:
    """The base model with fresh LoRA matrices, which depend on the settings alone, not on what loading drew."""
    family = FAMILIES[prepared.family]
    loaded = backend.load(family, Path(prepared.model_path), settings)
    set_seeds(settings.seed)
    backend.adapt(loaded, family, settings)
    return loaded


def _introduce(job: Job, prepared: Prepared, loaded: Loaded) -> None:
    """Open the trial's log with what it runs on and what it trains."""
    libraries = ", ".join(f"{name} {version}" for name, version in library_versions().items())
    adapted = len(loaded.model.base_model.targeted_module_names)
    trained, of = loaded.model.get_nb_trainable_parameters()
    rows = ", ".join(f"{count} {split}" for split, count in prepared.rows.items())
    print(f"{job.id}: {job.settings['model_name']} as {prepared.family}, seed {job.seed}")
    print(f"{prepared.backend} on {loaded.device} in {loaded.precision} with {libraries}")
    print(f"LoRA on {adapted} modules: {trained:,} of {of:,} parameters are trained ({trained / of:.2%})")
    print(f"rows: {rows}")


def evaluation_subset(folder: Path, settings: TrainSettings) -> list[Row]:
    """The validation rows of the evaluations on the way: few, and the same in every trial of a study."""
    rows = open_rows(folder, "validation")
    return [rows[index] for index in pick(rows.ids(), settings.eval_samples)]


def _prepared_dir(job: Job) -> Path:
    if job.prepared_dir is None:
        raise UsageError(f"a {job.kind} job must name its prepared_dir, but {job.id} does not", "name it in the job")
    return Path(job.prepared_dir)


def _train(judge: Judge, folder: Path, output: Path) -> TrialCallback:
    settings = judge.settings
    callback = TrialCallback(judge, evaluation_subset(folder, settings))
    rows = training_rows(open_rows(folder, "train").table, Chat(judge.loaded.processor, settings.instruction))
    trainer = judge.backend.trainer(judge.loaded, rows, settings, output, [callback])
    trainer.train()
    return callback


def _finish(
    judge: Judge, callback: TrialCallback, folder: Path, output: Path, settings: TrainSettings, prepared: Prepared
) -> None:
    """Judge the trained model on the whole validation and holdout sets, save it, and report."""
    speed = callback.speed.figures(judge.seconds)
    judge.progress.phase("final evaluation", fraction=1.0)
    scores = {prefix: judge.judge(judge.examination(open_rows(folder, split))) for prefix, split in FINAL_SETS.items()}
    write_predictions(output / "predictions.jsonl", scores)
    judge.progress.phase("save")
    judge.backend.save(judge.loaded, output / "adapter", _base_name(settings, prepared))
    metrics = {name: value for prefix, score in scores.items() for name, value in score.metrics(prefix).items()}
    peak = peak_memory_bytes(judge.loaded.device)
    print(f"final: {figures(metrics)}; adapter in {output / 'adapter'}")
    sdk.finish(**metrics, **speed, eval_seconds=judge.seconds, peak_memory_bytes=peak)


def _base_name(settings: TrainSettings, prepared: Prepared) -> str:
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
                    "cer": one.characters.rate,
                }
                target.write(json.dumps(line, ensure_ascii=False) + "\n")


def _write_json(path: Path, values: object) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(values, indent=1, sort_keys=True, ensure_ascii=False) + "\n", encoding="utf-8")
