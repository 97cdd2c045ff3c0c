"""Whether a study's history is whole, whatever happened to its runners: the one function that all faults ask."""

from __future__ import annotations

import json
import sqlite3
from collections import Counter
from contextlib import closing
from pathlib import Path
from typing import Any

import optuna
from optuna.trial import FrozenTrial, TrialState

from hpsearch.execution.job import Outcome
from hpsearch.study.storage.open import StorageUrl
from tests.e2e.conftest import alive
from tests.faults.programs.truth import STEPS, told

DIED_ONCE = 1  # the configuration whose first attempt dies by itself


def violations(folder: Path, url: str, study: str, target: int, kills: int) -> list[str]:
    """What is wrong with a study of truth.py whose last run is over, after so many kills; empty where nothing is."""
    storage: Any = StorageUrl(url).open()
    try:
        trials = optuna.load_study(study_name=study, storage=storage).get_trials()
    finally:
        storage.engine.dispose()
    root = folder / "studies" / study
    return [
        *_of_states(trials, target),
        *_of_truth(trials, _truth(folder), kills),
        *_of_folders(trials, root),
        *_of_best(trials, root),
        *_of_database(url),
        *(f"a process is left: {process.cmdline()}" for process in alive(folder)),
    ]


def configurations(folder: Path) -> list[tuple[float, int]]:
    """x and seed of each configuration by its number, as its trials were started with."""
    found = {line["root"]: (line["x"], line["seed"]) for line in _truth(folder)}
    order = list(dict.fromkeys(line["root"] for line in _truth(folder)))
    return [found[root] for root in order]


def _truth(folder: Path) -> list[dict[str, Any]]:
    path = folder / "truth.jsonl"
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def _of_states(trials: list[FrozenTrial], target: int) -> list[str]:
    found = []
    if [trial.number for trial in trials] != list(range(len(trials))):
        found.append(f"numbers have gaps: {[trial.number for trial in trials]}")
    for state in (TrialState.RUNNING, TrialState.WAITING):
        found += [f"trial {trial.number} is {state.name}" for trial in trials if trial.state is state]
    finished = sum(trial.state in (TrialState.COMPLETE, TrialState.PRUNED) for trial in trials)
    if finished != target:
        found.append(f"{finished} trials are finished, not {target}")
    untold = [trial.number for trial in trials if "hps:outcome" not in trial.user_attrs]
    return found + [f"trial {number} has no cause" for number in untold]


def _of_truth(trials: list[FrozenTrial], truth: list[dict[str, Any]], kills: int) -> list[str]:
    started = {line["number"]: line for line in truth if line["what"] == "start"}
    reported = {line["number"] for line in truth if line["what"] == "result"}  # the program had written its final line
    found = []
    for trial in trials:
        line = started.get(trial.number)
        if trial.state is TrialState.COMPLETE and (line is None or trial.value != line["x"]):
            found.append(f"trial {trial.number} is complete with {trial.value}, but was {line}")
        if line is None:
            continue
        own_cause = trial.user_attrs["hps:outcome"]
        values = [told(line["root"], line["x"], step) for step in range(1, STEPS + 1)]
        sent = dict(enumerate(values, 1))
        if own_cause == "diverged":
            sent[2] = float("nan")
        if trial.number in reported and own_cause not in ("ok", "diverged"):
            found.append(f"trial {trial.number} had reported its result, but is {trial.state.name} ({own_cause})")
        if trial.state is TrialState.COMPLETE and len(trial.intermediate_values) < STEPS:
            found.append(
                f"trial {trial.number} is complete, but has {len(trial.intermediate_values)} of {STEPS} reports"
            )
        if any(repr(sent.get(step)) != repr(value) for step, value in trial.intermediate_values.items()):
            found.append(f"trial {trial.number} has the reports {trial.intermediate_values}, but sent {sent}")
        if (trial.params["x"], trial.user_attrs["hps:seed"]) != (line["x"], line["seed"]):
            found.append(f"trial {trial.number} is stored with {trial.params}, but ran with {line}")
    attempts = Counter(line["root"] for line in started.values())
    found += [
        f"configuration {root} was tried {count} times after {kills} kills"
        for root, count in attempts.items()
        if count > 1 + kills + (root == DIED_ONCE)
    ]
    done = Counter(_root(trial) for trial in trials if trial.state in (TrialState.COMPLETE, TrialState.PRUNED))
    return found + [f"configuration {root} is finished {count} times" for root, count in done.items() if count > 1]


def _of_folders(trials: list[FrozenTrial], root: Path) -> list[str]:
    """A result that a trial's supervisor left on the disk is the study's, and every told trial has its results file."""
    found = []
    for trial in trials:
        folder = root / trial.user_attrs.get("hps:folder", "nowhere")
        if not (folder / "outcome.json").exists():
            continue
        outcome = Outcome.from_json((folder / "outcome.json").read_text())
        if outcome.cause.value != trial.user_attrs["hps:outcome"]:
            found.append(f"trial {trial.number} ended with {outcome.cause}, told {trial.user_attrs['hps:outcome']}")
        if (outcome.cause.value == "ok") is not (trial.state is TrialState.COMPLETE):
            found.append(f"trial {trial.number} ended with {outcome.cause}, but is {trial.state.name}")
    return found + [f"half a file is left: {path}" for path in root.rglob(".*.json.*.tmp")]


def _of_best(trials: list[FrozenTrial], root: Path) -> list[str]:
    complete = [trial for trial in trials if trial.state is TrialState.COMPLETE]
    if not complete:
        return []
    best, *_ = ranked = sorted(complete, key=lambda trial: (trial.value, trial.number))
    # best/ takes only adapters that are complete.
    usable = next((trial for trial in ranked if "hps:half_adapter" not in trial.user_attrs), best)
    told = json.loads((root / f"{root.name}_best_params.json").read_text())
    shown = json.loads((root / "best" / "best_params.json").read_text())
    weights = (root / "best" / "weights").read_text()
    if (told["trial"], shown["trial"], weights) != (best.number, usable.number, repr(usable.value)):
        return [f"trial {best.number} is the best, but {told['trial']} and {shown['trial']} are shown, with {weights}"]
    return []


def _of_database(url: str) -> list[str]:
    path = StorageUrl(url).sqlite_path
    if path is None:
        return []
    with closing(sqlite3.connect(path)) as connection:
        answer = connection.execute("PRAGMA integrity_check").fetchall()
    return [] if answer == [("ok",)] else [f"the database is damaged: {answer}"]


def _root(trial: FrozenTrial) -> int:
    return int(trial.user_attrs.get("hps:root", trial.number))
