"""The files a search leaves: each trial's results, the best parameters and configuration, best/, the adapters kept."""

from __future__ import annotations

import heapq
import json
import platform
import shutil
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from optuna.trial import FrozenTrial, TrialState

from hpsearch.crash_points import reached
from hpsearch.execution.files import make_folder, write_json
from hpsearch.execution.job import Job, Outcome, encode_values
from hpsearch.study import attributes as attrs
from hpsearch.study.folders import StudyFolders, publish_folder
from hpsearch.study.jobs import closed
from hpsearch.study.ledger import Ledger
from hpsearch.study.records import attempt_of, is_finite, metrics_of, root_of
from hpsearch.study.sampling.planner import trial_seed

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
        "versions": versions_of_trial(folder),
    }
    write_json(folder / f"trial_{job.root}_results.json", results)


def write_best(ledger: Ledger, folders: StudyFolders, prepared: Mapping[str, Any]) -> FrozenTrial | None:
    """Write best/, best_config and best_params for the best trial so far, each in one step, where they are not there.

    Returns:
        The best trial, or None while there is none.
    """
    best = ledger.tally.best
    if best is None or all(_shows(path, best) for path in (folders.best_params, folders.best / BEST_PARAMS)):
        return best
    _write_best_folder(ledger, folders, best, prepared)
    return write_best_files(ledger, folders, prepared)


def write_best_files(ledger: Ledger, folders: StudyFolders, prepared: Mapping[str, Any]) -> FrozenTrial | None:
    """Write best_params and best_config for the best trial so far, each in one step; None while there is none."""
    best = ledger.tally.best
    if best is not None:
        write_json(folders.best_config, best_config(ledger, best))
        write_json(folders.best_params, _best_params(ledger, best, prepared))
    return best


def best_config(ledger: Ledger, trial: FrozenTrial) -> dict[str, Any]:
    """A trial's configuration as flat keys that ``hpsearch train`` repeats exactly."""
    seed = trial_seed(ledger.definition, ledger.tally.configurations(root_of(trial)))
    config = ledger.definition.best_config(trial.params, seed)
    return config if ledger.definition.command else closed(config, prepared_info(ledger).get("resolved", {}))


def versions(trained: Mapping[str, str] | None = None) -> dict[str, str]:
    """Versions of what decides a result: ``trained``, those of the Python that trained (which may be another than this
    one), where they are known; else what is installed here."""
    if trained:
        return {**_installed("hpsearch", "optuna"), **trained}
    here = {"python": platform.python_version()}
    return {**here, **_installed("hpsearch", "optuna", "torch", "transformers", "trl", "peft")}


def versions_of_trial(folder: Path) -> dict[str, str]:
    """Versions that the training program wrote into a trial's folder; of a program of the user's, those here."""
    try:
        return versions(json.loads((folder / "versions.json").read_text(encoding="utf-8")))
    except (OSError, ValueError):
        return versions()


@cache
def _installed(*names: str) -> Mapping[str, str]:
    found = {}
    for name in names:
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
        "versions": versions(prepared.get("versions")),
        "time": datetime.now(UTC).isoformat(timespec="seconds"),
    }


def _write_best_folder(ledger: Ledger, folders: StudyFolders, best: FrozenTrial, prepared: Mapping[str, Any]) -> None:
    """Show the best trial's adapter in best/, if its program left one, with its configuration and parameters."""
    source = folders.attempt(root_of(best), attempt_of(best)) / "adapter"
    staged = folders.root / ".best.staged"
    shutil.rmtree(staged, ignore_errors=True)
    if source.is_dir():
        shutil.copytree(source, staged)
        staged.chmod(0o700)
    else:
        make_folder(staged)
    write_json(staged / "config.json", best_config(ledger, best))
    write_json(staged / BEST_PARAMS, _best_params(ledger, best, prepared))
    reached("best-staged")
    publish_folder(staged, folders.best)
    reached("best-shown")


def prepared_info(ledger: Ledger) -> dict[str, Any]:
    """What the prepare job found, as stored with the study; empty where none ran."""
    info: dict[str, Any] = ledger.study.user_attrs.get(attrs.PREPARED, {})
    return info


# Which trials' adapters and checkpoints stay on the disk while a search goes on.


class AdapterRetention:
    """Keeps the adapters of the best ``keep_adapters`` trials. The folders of all trials are looked at once in a run,
    for what a dead runner left; then those of the trials that ended, and of those that others took the place of."""

    def __init__(self, ledger: Ledger, folders: StudyFolders) -> None:
        self._ledger, self._folders = ledger, folders
        self._kept: Sequence[FrozenTrial] | None = None

    def after(self, number: int) -> None:
        """Delete what is not kept now that a trial has ended: adapters, and checkpoints unless another attempt is to go
        on from them."""
        if self._kept is None:
            done = [trial for trial in self._ledger.trials() if trial.state.is_finished()]
        else:
            done = [*self._kept, self._ledger.trial(number)]
        self._kept = self._best(done)
        kept = {trial.number for trial in self._kept}
        open_roots = {root_of(trial) for trial in self._ledger.tally.open}
        for trial in done:
            if trial.number not in kept:
                self._drop(trial, checkpoints=root_of(trial) not in open_roots)
            elif attempt_of(trial) > 1:  # what its earlier attempts went on from
                shutil.rmtree(self._folders.checkpoints(root_of(trial)), ignore_errors=True)

    def _best(self, done: Sequence[FrozenTrial]) -> list[FrozenTrial]:
        definition = self._ledger.definition
        sign = -1.0 if definition.objective.direction == "maximize" else 1.0
        complete = [trial for trial in done if trial.state == TrialState.COMPLETE and is_finite(trial.value)]
        ranked = ((sign * float(trial.value or 0.0), trial.number, trial) for trial in complete)
        return [trial for *_, trial in heapq.nsmallest(definition.keep_adapters, ranked)]

    def _drop(self, trial: FrozenTrial, *, checkpoints: bool) -> None:
        folder = self._folders.attempt(root_of(trial), attempt_of(trial))
        shutil.rmtree(folder / "adapter", ignore_errors=True)
        if checkpoints:
            shutil.rmtree(self._folders.checkpoints(root_of(trial)), ignore_errors=True)
