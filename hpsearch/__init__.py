"""hpsearch: hyperparameter search for LoRA fine-tunes of OCR vision-language models.

``hpsearch.run(study="gemma-ocr", n_trials=20)`` does in a notebook what ``hpsearch run`` does in a terminal;
``hpsearch.resume()`` what ``hpsearch resume`` does, ``hpsearch.confirm(study="gemma-ocr")`` what ``hpsearch confirm``
does; ``load_model``, ``run_ocr`` and ``verify_config`` read pictures
with a tuned model. A training program of your own imports ``hpsearch.sdk``.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from hpsearch.study.confirm import ConfirmSummary
    from hpsearch.study.options import RunOptions
    from hpsearch.study.run import RunSummary
    from hpsearch.training.predict import load_model, run_ocr, verify_config

__all__ = ["confirm", "load_model", "resume", "run", "run_ocr", "verify_config"]

_OF_CONFIRM = ("top", "seeds", "indifference", "prefer")
_FOR_READING = ("load_model", "run_ocr", "verify_config")  # these import torch, so only when they are first used


def __getattr__(name: str) -> Any:
    """Import a function that reads pictures when it is first used."""
    if name in _FOR_READING:
        from importlib import import_module

        return getattr(import_module("hpsearch.training.predict"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    """List the functions that are imported when they are first used, too."""
    return sorted({*globals(), *__all__})


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
    new: bool = False,
    verbose: bool = True,
    **settings: Any,
) -> RunSummary:
    """Run a study, or go on with it; the same as the command of this name.

    ``settings`` are keys of a definition (``search_mode="random"``, ``learning_rate=1e-4``, ``seed=7``), over the
    definition's file. ``search_space`` is a file, or an object of ranges. ``timeout`` is in seconds,
    ``gpu_hours`` the budget of all the study's trials over its life (``math.inf``: no limit any more).
    ``trainer_python`` is the Python that trains; it, ``gpus`` ("0,1"), ``slots``, ``gpus_per_trial``, ``cold``,
    ``warm_start_from``, ``warm_start_storage`` and ``new`` are as the options of these names.
    ``verbose`` prints a line for each event, and at the end the table of the best trials.

    Returns:
        How it ended; ``best_params``, ``best_value``, ``best_config`` and ``exit_code`` among others.

    Raises:
        HpsearchError: the run could not start (see hpsearch.errors).
    """
    options = _options(locals())
    from hpsearch.report.refresh import refreshed
    from hpsearch.study.run import run_study

    with refreshed(options.url, options.base_output_dir, _view(verbose)) as view:
        summary = run_study(options, view)
    return _show(summary, verbose)


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
    """Go on with a study after any interruption; without a name, with the only unfinished one. The arguments are those
    of ``run``.

    Returns:
        How it ended, as ``run`` does.

    Raises:
        HpsearchError: it could not go on (see hpsearch.errors).
    """
    options = _options(locals())
    from hpsearch.report.refresh import refreshed
    from hpsearch.study.run import resume_study

    with refreshed(options.url, options.base_output_dir, _view(verbose)) as view:
        summary = resume_study(options, view)
    return _show(summary, verbose)


def confirm(
    study: str,
    *,
    top: int | None = None,
    seeds: int | None = None,
    indifference: float | None = None,
    prefer: str | None = None,
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
    **values: Any,
) -> ConfirmSummary:
    """Run the best configurations of a study again with fresh seeds, as the command of this name does; ``values`` are
    those of its ``--set`` (``lora_r=64``).

    Returns:
        How it ended; ``confirmed.values`` is the result, as it is stored with the study.

    Raises:
        HpsearchError: it could not go on (see hpsearch.errors).
    """
    given = {name: value for name, value in locals().items() if name not in ("values", *_OF_CONFIRM)}
    options = replace(_options(given), sets=tuple(f"{name}={json.dumps(value)}" for name, value in values.items()))
    from hpsearch.report.refresh import refreshed
    from hpsearch.study.confirm import ConfirmOptions, confirm_study

    own = ConfirmOptions(options, top, seeds, indifference, prefer)
    with refreshed(options.url, options.base_output_dir, _view(verbose)) as view:
        summary = confirm_study(own, view)
    if verbose:
        print("\n".join(summary.lines), flush=True)
    return summary


def _options(arguments: Mapping[str, Any]) -> RunOptions:
    """Make the options of the arguments of ``run`` or ``resume``."""
    from hpsearch.study.options import RunOptions

    names = {"timeout": "timeout_s", "resume": "must_exist"}  # all others are the fields' own
    fields = {names.get(name, name): value for name, value in arguments.items() if name not in ("settings", "verbose")}
    settings = arguments.get("settings", {})
    if isinstance(fields.get("search_space"), Mapping):
        settings = {**settings, "search_space": fields.pop("search_space")}
    for name in ("config", "search_space", "base_output_dir"):
        if fields.get(name) is not None:
            fields[name] = Path(fields[name])
    if fields["trainer_python"] is not None:
        fields["trainer_python"] = str(fields["trainer_python"])
    return RunOptions(**fields, options=settings)


def _view(verbose: bool) -> Any:
    if verbose:
        from hpsearch.cli.board import Board
        from hpsearch.cli.live import Lines

        return Lines(Board()).take
    from hpsearch.study.events import silent

    return silent


def _show(summary: RunSummary, verbose: bool) -> RunSummary:
    """Write the report and, as the command does, print the result."""
    from hpsearch.cli.analyze import show_report

    show_report(summary, quiet=not verbose)
    if verbose:
        print(f"{summary.study}: {summary.text}", flush=True)
        if summary.next_step:
            print(summary.next_step, flush=True)
    return summary
