"""The files a search leaves: the results of each trial, the best parameters and configuration, best/, kept adapters."""

from __future__ import annotations

import json
import platform
import shutil
from collections.abc import Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any

from optuna.trial import FrozenTrial

from hpsearch.crash_points import reached
from hpsearch.execution.files import make_folder, write_json
from hpsearch.execution.job import Job, Outcome, encode_values
from hpsearch.execution.names import METRICS_FILE
from hpsearch.execution.outcome import Cause
from hpsearch.execution.versions import versions_of
from hpsearch.study import attributes as attrs
from hpsearch.study.confirmed import Confirmed
from hpsearch.study.evidence import read_evidence
from hpsearch.study.folders import StudyFolders, publish_folder
from hpsearch.study.jobs import with_resolved
from hpsearch.study.ledger import Ledger
from hpsearch.study.preparation import PreparedInfo
from hpsearch.study.records import attempt_of, best_first, metrics_of, root_of
from hpsearch.study.sampling.planner import trial_seed
from hpsearch.study.second_copy import write_trial

# In best/: which trial it shows.
BEST_PARAMS = "best_params.json"

# Something of another kind stands where a file of results belongs. That ends no search: all is in the storage.
IN_THE_WAY = (IsADirectoryError, NotADirectoryError, FileExistsError, PermissionError)

_versions_here = cache(versions_of)  # looked up for each trial, and the same for all


def write_trial_results(folder: Path, job: Job, outcome: Outcome, trial: FrozenTrial) -> None:
    """Write trial_N_results.json and trial.json of an ended trial into ``folder``, the attempt's."""
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
    write_trial(folder, trial)


def has_half_adapter(folder: Path, outcome: Outcome) -> bool:
    """Return True if a trial with a result may have half an adapter: its program did not exit 0, and was writing there
    after its last report, or a file is empty, as a power cut leaves what was not flushed yet."""
    if outcome.cause is not Cause.OK or outcome.exit_code == 0:
        return False
    adapter = folder / "adapter"
    with suppress(OSError):
        reported = (folder / METRICS_FILE).stat().st_mtime_ns
        files = list(adapter.rglob("*"))
        is_late = any(path.stat().st_mtime_ns > reported for path in (adapter, *files))
        return is_late or any(path.is_file() and not path.stat().st_size for path in files)
    return False


def write_best(ledger: Ledger, folders: StudyFolders, prepared: PreparedInfo) -> FrozenTrial | None:
    """Write best/, best_config and best_params for the best trial so far, unless they show it already. Where its
    adapter is not complete, best/ is the best trial's whose adapter is.

    Each is replaced in one step. Returns the best trial, or None while there is none.
    """
    best = ledger.counts.best
    if best is None:
        return None
    confirmed = Confirmed.of(ledger.study)
    if confirmed is not None:
        if not all(confirmed.is_shown(_written(path)) for path in (folders.best_params, folders.best / BEST_PARAMS)):
            params = _confirmed_params(ledger, best, folders, prepared, confirmed)
            _publish_best(folders, confirmed.adapter(folders), confirmed.values["config"], params)
            write_best_files(ledger, folders, prepared)
        return best
    shown = best
    if attrs.HALF_ADAPTER in best.user_attrs:
        ranked = best_first(ledger.trials(), ledger.definition.objective.direction)
        shown = next((trial for trial in ranked if attrs.HALF_ADAPTER not in trial.user_attrs), best)
    if _shows(folders.best_params, best) and _shows(folders.best / BEST_PARAMS, shown):
        return best
    adapter = folders.attempt(root_of(shown), attempt_of(shown)) / "adapter"
    whole = None if attrs.HALF_ADAPTER in shown.user_attrs else adapter
    _publish_best(folders, whole, best_config(ledger, shown), _best_params(ledger, shown, folders, prepared))
    return write_best_files(ledger, folders, prepared)


def _publish_best(
    folders: StudyFolders, adapter: Path | None, config: Mapping[str, Any], params: Mapping[str, Any]
) -> None:
    """Replace best/ in one step; a program of the user's may leave no adapter."""
    staged = folders.root / ".best.staged"
    shutil.rmtree(staged, ignore_errors=True)
    if adapter is not None and adapter.is_dir():
        shutil.copytree(adapter, staged)
        staged.chmod(0o700)
    else:
        make_folder(staged)
    write_json(staged / "config.json", config)
    write_json(staged / BEST_PARAMS, params)
    reached("best-staged")
    publish_folder(staged, folders.best)
    reached("best-shown")


def write_best_files(
    ledger: Ledger, folders: StudyFolders, prepared: PreparedInfo, read_from: StudyFolders | None = None
) -> FrozenTrial | None:
    """Write best_params and best_config for the best trial so far, or the confirmed configuration, each in one step;
    None while there is none. ``read_from`` are the study's own folders, if it writes elsewhere."""
    best, confirmed = ledger.counts.best, Confirmed.of(ledger.study)
    if best is not None and confirmed is not None:
        write_json(folders.best_config, confirmed.values["config"])
        write_json(folders.best_params, _confirmed_params(ledger, best, read_from or folders, prepared, confirmed))
    elif best is not None:
        write_json(folders.best_config, best_config(ledger, best))
        write_json(folders.best_params, _best_params(ledger, best, read_from or folders, prepared))
    return best


def best_config(ledger: Ledger, trial: FrozenTrial) -> dict[str, Any]:
    """Return a trial's configuration as flat keys that ``hpsearch train`` repeats exactly."""
    derived = trial_seed(ledger.definition, ledger.counts.configurations(root_of(trial)))
    seed = int(trial.user_attrs.get(attrs.SEED, derived))
    config = ledger.definition.best_config(trial.params, seed)
    return config if ledger.definition.command else with_resolved(config, PreparedInfo.stored(ledger.study).resolved)


def _best_params(ledger: Ledger, best: FrozenTrial, folders: StudyFolders, prepared: PreparedInfo) -> dict[str, Any]:
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
        "data_fingerprint": prepared.fingerprint,
        "model_fingerprint": prepared.model_fingerprint,
        "versions": versions(prepared.versions),
        "time": datetime.now(UTC).isoformat(timespec="seconds"),
        "confirmed": False,
        "evidence": _evidence(ledger, folders, prepared),
    }


def _confirmed_params(
    ledger: Ledger, best: FrozenTrial, folders: StudyFolders, prepared: PreparedInfo, confirmed: Confirmed
) -> dict[str, Any]:
    """Return the parameters of the configuration that was confirmed. The value is its mean over fresh seeds."""
    values = confirmed.values
    kept = {name: value for name, value in values.items() if name not in ("config", "candidates")}
    return _best_params(ledger, best, folders, prepared) | {
        "trial": confirmed.trial,
        "value": values["validation"]["mean"],
        "params": values["winner"]["params"],
        "metrics": values["adapter"]["metrics"],
        "seed": values["adapter"]["seed"],
        "confirmed": True,
        "confirmation": kept,
    }


def _evidence(ledger: Ledger, folders: StudyFolders, prepared: PreparedInfo) -> dict[str, Any] | None:
    """Return what the scores of base, default and best trial were worth when the files were written."""
    definition, flat = ledger.definition, ledger.definition.flat()
    evidence = read_evidence(
        ledger.trials(),
        definition.objective.metric,
        definition.objective.direction,
        prepared.base,
        folders.root,
        normalization=str(flat.get("text_normalization", "nfc")),
    )
    return evidence.to_json() if evidence else None


def _shows(path: Path, best: FrozenTrial) -> bool:
    """Return True if a file of best parameters is this trial's."""
    written = _written(path)
    return written.get("trial") == best.number and not written.get("confirmed")


def _written(path: Path) -> dict[str, Any]:
    """Read a file of best parameters; nothing where it is missing or damaged."""
    try:
        written = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return written if isinstance(written, dict) else {}


def versions(trained: Mapping[str, str] | None = None) -> dict[str, str]:
    """Return the versions that decide a result: ``trained``, of the Python that trained (which may be another than this
    one), where they are known; else those installed here."""
    if trained:
        return {**_versions_here(("hpsearch", "optuna")), **trained}
    here = {"python": platform.python_version()}
    return {**here, **_versions_here(("hpsearch", "optuna", "torch", "transformers", "trl", "peft"))}


def versions_of_trial(folder: Path) -> dict[str, str]:
    """Return the versions that the training program wrote into a trial's folder; those here if it wrote none."""
    try:
        return versions(json.loads((folder / "versions.json").read_text(encoding="utf-8")))
    except (OSError, ValueError):
        return versions()


class AdapterRetention:
    """Keeps the adapters of the best ``keep_adapters`` trials.

    The folders of all trials are read once in a run, for what a dead runner left; then those of the trials that ended
    or lost their place among the best.
    """

    def __init__(self, ledger: Ledger, folders: StudyFolders) -> None:
        self._ledger, self._folders = ledger, folders
        self._kept: Sequence[FrozenTrial] | None = None

    def after(self, number: int) -> None:
        """Delete what is not kept after a trial ended: adapters, and checkpoints unless a retry goes on from them."""
        definition = self._ledger.definition
        if self._kept is None:
            ended = [trial for trial in self._ledger.trials() if trial.state.is_finished()]
        else:
            ended = [*self._kept, self._ledger.trial(number)]
        ranked = best_first(ended, definition.objective.direction)
        whole = [trial for trial in ranked if attrs.HALF_ADAPTER not in trial.user_attrs]
        self._kept = whole[: definition.keep_adapters]
        kept = {trial.number for trial in self._kept}
        open_roots = {root_of(trial) for trial in self._ledger.counts.open}
        for trial in ended:
            root, attempt = root_of(trial), attempt_of(trial)
            if trial.number in kept:
                is_done = attempt > 1  # its earlier attempts left the checkpoints, for it to go on from
            else:
                is_done = root not in open_roots
                shutil.rmtree(self._folders.attempt(root, attempt) / "adapter", ignore_errors=True)
            if is_done:
                shutil.rmtree(self._folders.checkpoints(root), ignore_errors=True)
