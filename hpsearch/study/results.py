"""The files a search leaves: each trial's results, the best parameters and configuration, best/, the adapters kept."""

from __future__ import annotations

import json
import platform
import shutil
from collections.abc import Mapping
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from optuna.trial import FrozenTrial, TrialState

from hpsearch.study import attributes as attrs
from hpsearch.study.folders import StudyFolders, publish_folder, write_json
from hpsearch.study.jobs import closed
from hpsearch.study.ledger import Ledger
from hpsearch.study.records import attempt_of, best_trial, is_finite, metrics_of, root_of
from hpsearch.study.sampling import trial_seed
from hpsearch.trials.job import Job, Outcome, encode_values

# What in a trial's folder is kept for the best few trials only, because it is large.
HEAVY = ("adapter", "checkpoints")
# In best/: which trial it shows.
BEST_PARAMS = "best_params.json"


def write_trial_results(folder: Path, job: Job, outcome: Outcome, trial: FrozenTrial) -> None:
    """Write trial_N_results.json into ``folder``, the attempt's, for a trial that was told."""
    value = trial.value
    results = {
        "study": job.study,
        "trial": job.number,
        "root": job.root,
        "attempt": job.attempt,
        "state": trial.state.name,
        "cause": outcome.cause.value,
        "message": outcome.message,
        "refused_reports": outcome.refusals,
        "objective": job.metric,
        "value": encode_values({"value": value})["value"] if value is not None else None,
        "params": dict(trial.params),
        "settings": job.settings,
        "seed": job.seed,
        "metrics": encode_values(outcome.metrics),
        "duration_s": round(outcome.duration_s, 3),
        "exit_code": outcome.exit_code,
        "signal": outcome.signal,
        "versions": versions(),
    }
    write_json(folder / f"trial_{job.root}_results.json", results)


def write_best(ledger: Ledger, folders: StudyFolders, prepared: Mapping[str, Any]) -> FrozenTrial | None:
    """Write best/, best_config and best_params for the best trial so far, each in one step, where they are not there.

    Returns:
        The best trial, or None while there is none.
    """
    best = best_trial(ledger.trials(), ledger.definition.objective.direction)
    if best is None or all(_shows(path, best) for path in (folders.best_params, folders.best / BEST_PARAMS)):
        return best
    _write_best_folder(ledger, folders, best, prepared)
    return write_best_files(ledger, folders, prepared)


def write_best_files(ledger: Ledger, folders: StudyFolders, prepared: Mapping[str, Any]) -> FrozenTrial | None:
    """Write best_params and best_config for the best trial so far, each in one step; None while there is none."""
    best = best_trial(ledger.trials(), ledger.definition.objective.direction)
    if best is not None:
        write_json(folders.best_config, best_config(ledger, best))
        write_json(folders.best_params, _best_params(ledger, best, prepared))
    return best


def best_config(ledger: Ledger, trial: FrozenTrial) -> dict[str, Any]:
    """A trial's configuration as flat keys that ``hpsearch train`` repeats exactly."""
    config = ledger.definition.best_config(trial.params, trial_seed(ledger.definition, root_of(trial)))
    return config if ledger.definition.command else closed(config, prepared_info(ledger).get("resolved", {}))


def keep_best_adapters(ledger: Ledger, folders: StudyFolders) -> None:
    """Delete adapters and checkpoints of finished trials that are not among the best ``keep_adapters``."""
    sign = -1.0 if ledger.definition.objective.direction == "maximize" else 1.0
    done = [trial for trial in ledger.trials() if trial.state.is_finished()]
    ranked = sorted(
        (trial for trial in done if trial.state == TrialState.COMPLETE and is_finite(trial.value)),
        key=lambda trial: (sign * float(trial.value or 0.0), trial.number),
    )
    kept = {trial.number for trial in ranked[: ledger.definition.keep_adapters]}
    for trial in done:
        if trial.number not in kept:
            _drop_heavy(folders.attempt(root_of(trial), attempt_of(trial)))


def versions() -> dict[str, str]:
    """Versions of what decides a result, as far as installed."""
    found = {"python": platform.python_version()}
    for name in ("hpsearch", "optuna", "torch", "transformers", "trl", "peft"):
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def _shows(path: Path, best: FrozenTrial) -> bool:
    """Whether a file of best parameters is this trial's."""
    try:
        written = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    return isinstance(written, dict) and written.get("trial") == best.number


def _best_params(ledger: Ledger, best: FrozenTrial, prepared: Mapping[str, Any]) -> dict[str, Any]:
    objective = ledger.definition.objective
    return {
        "study": ledger.study.study_name,
        "trial": best.number,
        "metric": objective.metric,
        "direction": objective.direction,
        "value": best.value,
        "params": best.params,
        "metrics": encode_values(metrics_of(best)),
        "seed": best_config(ledger, best)["seed"],
        "data_fingerprint": prepared.get("fingerprint"),
        "model_fingerprint": prepared.get("model_fingerprint"),
        "versions": versions(),
        "time": datetime.now(UTC).isoformat(timespec="seconds"),
    }


def _write_best_folder(ledger: Ledger, folders: StudyFolders, best: FrozenTrial, prepared: Mapping[str, Any]) -> None:
    """Show the best trial's adapter in best/, if its program left one, with its configuration and parameters."""
    source = folders.attempt(root_of(best), attempt_of(best)) / "adapter"
    staged = folders.root / ".best.staged"
    shutil.rmtree(staged, ignore_errors=True)
    if source.is_dir():
        shutil.copytree(source, staged)
    else:
        staged.mkdir()
    write_json(staged / "config.json", best_config(ledger, best))
    write_json(staged / BEST_PARAMS, _best_params(ledger, best, prepared))
    publish_folder(staged, folders.best)


def _drop_heavy(folder: Path) -> None:
    for name in HEAVY:
        shutil.rmtree(folder / name, ignore_errors=True)


def prepared_info(ledger: Ledger) -> dict[str, Any]:
    """What the prepare job found, as stored with the study; empty where none ran."""
    info: dict[str, Any] = ledger.study.user_attrs.get(attrs.PREPARED, {})
    return info
