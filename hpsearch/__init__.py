"""hpsearch: hyperparameter search for LoRA fine-tunes of OCR vision-language models.

``hpsearch.run(study="gemma-ocr", n_trials=20)`` does in a notebook what ``hpsearch run`` does in a terminal;
``hpsearch.resume()`` what ``hpsearch resume`` does; ``load_model``, ``run_ocr`` and ``verify_config`` read pictures
with a tuned model. A training program of your own imports ``hpsearch.sdk``.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from hpsearch.study.run import RunSummary
    from hpsearch.training.predict import load_model, run_ocr, verify_config

__all__ = ["load_model", "resume", "run", "run_ocr", "verify_config"]

_FOR_READING = ("load_model", "run_ocr", "verify_config")  # these import torch, so only when they are asked for


def __getattr__(name: str) -> Any:
    """Find what reads pictures when it is first used."""
    if name in _FOR_READING:
        from importlib import import_module

        return getattr(import_module("hpsearch.training.predict"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def run(
    study: str | None = None,
    *,
    n_trials: int | None = None,
    add_trials: int | None = None,
    config: str | Path | None = None,
    search_space: str | Path | Mapping[str, Any] | None = None,
    storage: str | None = None,
    base_output_dir: str | Path = "studies",
    timeout: float | None = None,
    gpu_hours: float | None = None,
    trainer_python: str | Path | None = None,
    gpus: str | None = None,
    slots: int | None = None,
    gpus_per_trial: int | None = None,
    cold: bool = False,
    warm_start_from: str | None = None,
    warm_start_storage: str | None = None,
    resume: bool = False,
    verbose: bool = True,
    **settings: Any,
) -> RunSummary:
    """Run a study, or go on with it; the same as the command of this name.

    ``settings`` are keys of a definition (``search_mode="random"``, ``learning_rate=1e-4``, ``seed=7``), over the
    definition's file. ``search_space`` is a file, or an object of ranges. ``timeout`` is in seconds,
    ``gpu_hours`` what the study's trials may spend over its life (``math.inf``: no limit any more). ``trainer_python``
    is the Python that trains; it, ``gpus`` ("0,1"), ``slots``, ``gpus_per_trial``, ``cold``, ``warm_start_from`` and
    ``warm_start_storage`` are as the options of these names.
    ``verbose`` prints a line for what happens, and at the end the table of the best trials.

    Returns:
        How it ended; ``best_params``, ``best_value``, ``best_config`` and ``exit_code`` among others.

    Raises:
        HpsearchError: the run could not start (see hpsearch.errors).
    """
    from hpsearch.study.options import RunOptions
    from hpsearch.study.run import run_study

    options = RunOptions(
        study=study,
        config=Path(config) if config is not None else None,
        search_space=Path(search_space) if isinstance(search_space, (str, Path)) else None,
        options={**settings, "search_space": search_space} if isinstance(search_space, Mapping) else settings,
        storage=storage,
        base_output_dir=Path(base_output_dir),
        n_trials=n_trials,
        add_trials=add_trials,
        timeout_s=timeout,
        gpu_hours=gpu_hours,
        trainer_python=None if trainer_python is None else str(trainer_python),
        gpus=gpus,
        slots=slots,
        gpus_per_trial=gpus_per_trial,
        cold=cold,
        warm_start_from=warm_start_from,
        warm_start_storage=warm_start_storage,
        must_exist=resume,
    )
    return _ended(run_study(options, _printing_view() if verbose else _no_view()), verbose)


def resume(
    study: str | None = None,
    *,
    n_trials: int | None = None,
    add_trials: int | None = None,
    storage: str | None = None,
    base_output_dir: str | Path = "studies",
    timeout: float | None = None,
    gpu_hours: float | None = None,
    trainer_python: str | Path | None = None,
    gpus: str | None = None,
    slots: int | None = None,
    gpus_per_trial: int | None = None,
    cold: bool = False,
    verbose: bool = True,
) -> RunSummary:
    """Go on with a study after any interruption; without a name, with the only unfinished one.

    Returns:
        How it ended, as ``run`` does.

    Raises:
        HpsearchError: it could not go on (see hpsearch.errors).
    """
    from hpsearch.study.options import RunOptions
    from hpsearch.study.run import resume_study

    options = RunOptions(
        study=study,
        storage=storage,
        base_output_dir=Path(base_output_dir),
        n_trials=n_trials,
        add_trials=add_trials,
        timeout_s=timeout,
        gpu_hours=gpu_hours,
        trainer_python=None if trainer_python is None else str(trainer_python),
        gpus=gpus,
        slots=slots,
        gpus_per_trial=gpus_per_trial,
        cold=cold,
    )
    return _ended(resume_study(options, _printing_view() if verbose else _no_view()), verbose)


def _printing_view() -> Any:
    from hpsearch.cli.live import Board, Lines

    return Lines(Board()).take


def _ended(summary: RunSummary, verbose: bool) -> RunSummary:
    """Write the report and, as the command does, print what was found."""
    from hpsearch.cli.analyze import show_report

    show_report(summary, quiet=not verbose)
    if verbose:
        print(f"{summary.study}: {summary.text}", flush=True)
    return summary


def _no_view() -> Any:
    from hpsearch.study.events import silent

    return silent
