"""Studies of any size for measurements: a short search that was really run, copied over and over in its storage.

The runner, the pruner and the storage are the real ones, only the trials are played (a formula in place of a training).
What is copied is all that a run leaves: parameters, reports, attributes, retries, and each trial's folder.
"""

from __future__ import annotations

import json
import math
import random
import shutil
import uuid
from collections.abc import Generator, Mapping
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, MetaData, Table, create_engine, insert, select

from hpsearch.config.definition import StudyDefinition
from hpsearch.execution.executors.fake import FakeExecutor, Play
from hpsearch.execution.job import Job
from hpsearch.execution.signals import Interruption
from hpsearch.study import attributes as attrs
from hpsearch.study.events import View, silent
from hpsearch.study.folders import StudyFolders, study_folders
from hpsearch.study.jobs import JobMaker
from hpsearch.study.loop import Runner
from hpsearch.study.open import open_study
from hpsearch.study.records import finished
from hpsearch.study.storage.changes import MARK
from hpsearch.study.storage.lease import lease_for
from hpsearch.study.storage.open import StorageUrl
from hpsearch.study.storage.session import SPOOL_FILE, StudyLocation, writing

STEPS, SEED_TRIALS = 16, 40
TRIAL_S = 600.0  # from one copied trial's start to the next one's
BEST_RATE = 2e-4
# A program that reports once and then waits to be ended: what a study of these is resumed with.
PROGRAM = (
    "import os, time\n"
    "channel = os.open(os.environ['HPSEARCH_REPORT'], os.O_WRONLY)\n"
    'os.write(channel, b\'{"step": 1, "cer": 0.5}\\n\')\n'
    "time.sleep(600)\n"
)
SPACE: dict[str, dict[str, Any]] = {
    "learning_rate": {"type": "loguniform", "low": 1e-5, "high": 1e-3},
    "warmup_ratio": {"type": "uniform", "low": 0.0, "high": 0.2},
    "lora_dropout": {"type": "uniform", "low": 0.0, "high": 0.2},
    "num_train_epochs": {"type": "int", "low": 1, "high": 5},
    "lora_r": {"type": "categorical", "choices": [8, 16, 32, 64]},
    "lr_scheduler_type": {"type": "categorical", "choices": ["linear", "cosine", "constant"]},
}
# Of trials, these name others by number, or are the trial's own; a copy's are shifted.
_NUMBERED = (attrs.ROOT, attrs.RETRY_OF)


def definition_of(folder: Path, **keys: Any) -> StudyDefinition:
    """A search over six parameters, judged sixteen times a trial. ``keys`` change it."""
    (folder / "program.py").write_text(PROGRAM)
    flat = {
        "command": ["python3", "-I", "-S", str(folder / "program.py"), *(f"{{{name}}}" for name in SPACE)],
        "search_space": SPACE,
        "search_mode": "random",
        "objective": {"metric": "cer", "direction": "minimize"},
    }
    return StudyDefinition.from_flat(flat | keys, source="the benchmark")


def play(job: Job) -> Generator[dict[str, Any], bool, None]:
    """A trial: CER falls to a floor that the parameters decide. Some crash, and are run again; some diverge."""
    chance, settings = random.Random(f"{job.seed} {job.attempt}"), job.settings
    off = math.log10(settings["learning_rate"] / BEST_RATE)
    floor = 0.05 + 0.08 * off**2 + 0.005 * abs(math.log2(settings["lora_r"] / 32)) + 0.1 * settings["lora_dropout"]
    crash = chance.randrange(1, STEPS) if chance.random() < 0.1 else 0
    for step in range(1, STEPS + 1):
        falling = 0.9 * math.exp(-3 * settings["num_train_epochs"] * step / STEPS)
        value = math.nan if off > 0.65 and step > STEPS // 2 else floor + falling + chance.gauss(0, 0.01)
        if step == crash:
            raise SystemExit(1)
        if (yield {"step": step, "cer": value, "loss": 3 * value}):
            return
    yield {"cer": floor + chance.gauss(0, 0.005), "wer": min(1.0, 3 * floor), "train_seconds": 600.0}


def search(
    url: str,
    base: Path,
    name: str,
    definition: StudyDefinition,
    more: int,
    view: View = silent,
    playing: Play = play,
) -> None:
    """Go on with a study until ``more`` trials than it has are finished: as a run does, but its trials are played."""
    folders, storage_url = study_folders(base, name), StorageUrl(url)
    storage = storage_url.open(create=True)
    with lease_for(storage_url, name) as lease:
        place = StudyLocation(storage_url, storage, name, lease, folders.root / SPOOL_FILE)
        with writing(place) as session:
            ledger = replace(open_study(session.storage, name, definition), writer=session.writer)
            folders.claim(ledger.study.user_attrs[attrs.ID])
            session.begin()
            target = finished(ledger.trials()) + more
            jobs = JobMaker(definition, folders, {})
            Runner(ledger, folders, jobs, FakeExecutor(playing), view, Interruption(), target=target).run()
            ledger.study.set_user_attr(attrs.TARGET, target)
            ledger.settle()


def make_study(base: Path, name: str, count: int, **keys: Any) -> str:
    """Make a study with so many trials, its folder and its storage in ``base``; the storage's URL. ``keys`` change the
    definition."""
    base.mkdir(parents=True, exist_ok=True)
    url = StorageUrl.default(base).full
    search(url, base, name, definition_of(base, **keys), min(SEED_TRIALS, count))
    grow(url, name, count, study_folders(base, name))
    return url


def grow(url: str, name: str, count: int, folders: StudyFolders) -> None:
    """Copy the trials of a study until it has ``count`` of them; what has more is left with what it has."""
    engine, tables = create_engine(url), MetaData()
    tables.reflect(engine)
    with engine.begin() as connection:
        copier = _Copier(connection, tables.tables, name)
        copier.copy_until(count)
    engine.dispose()
    for number in range(copier.seed, count):
        _copy_folder(folders, number % copier.seed, number)


class _Copier:
    """The rows of a study's trials, written again under new numbers."""

    def __init__(self, connection: Connection, tables: Mapping[str, Table], name: str) -> None:
        self._connection, self._tables = connection, tables
        studies, trials = tables["studies"], tables["trials"]
        study = select(studies.c.study_id).where(studies.c.study_name == name).scalar_subquery()
        self._trials = self._rows(select(trials).where(trials.c.study_id == study).order_by(trials.c.number))
        self._ids = {row["trial_id"]: row["number"] for row in self._trials}
        self.seed = len(self._trials)

    def _rows(self, query: Any) -> list[dict[str, Any]]:
        return [dict(row) for row in self._connection.execute(query).mappings()]

    def copy_until(self, count: int) -> None:
        """Write copies of all trials in turn, the last round of them cut."""
        ids: dict[int, int] = {}  # of the new trials by number
        first = 1 + max(self._ids)
        for number in range(self.seed, count):
            ids[number] = first + number - self.seed
        self._insert("trials", [self._copy_trial(number, ids[number]) for number in ids])
        for name, table in self._tables.items():
            if "trial_id" in table.c and name != "trials":
                self._copy_table(name, table, ids)

    def _copy_trial(self, number: int, trial_id: int) -> dict[str, Any]:
        row, start = self._trials[number % self.seed], self._trials[0]["datetime_start"]
        began = start + timedelta(seconds=number * TRIAL_S)
        times = {"datetime_start": began, "datetime_complete": began + timedelta(seconds=TRIAL_S)}
        return row | times | {"trial_id": trial_id, "number": number}

    def _copy_table(self, name: str, table: Table, ids: Mapping[int, int]) -> None:
        (key,) = table.primary_key.columns
        by_number: dict[int, list[dict[str, Any]]] = {}
        for row in self._rows(select(table).where(table.c.trial_id.in_(self._ids)).order_by(key)):
            del row[key.name]
            by_number.setdefault(self._ids[row["trial_id"]], []).append(row)
        chance, copies = random.Random(name), []
        for number, trial_id in ids.items():
            shift = number - number % self.seed
            rows = by_number.get(number % self.seed, [])
            copies += [_changed(row, shift, chance) | {"trial_id": trial_id} for row in rows]
        self._insert(name, copies)

    def _insert(self, name: str, rows: list[dict[str, Any]]) -> None:
        if rows:
            self._connection.execute(insert(self._tables[name]), rows)


def _changed(row: dict[str, Any], shift: int, chance: random.Random) -> dict[str, Any]:
    """A row of a trial for a copy of it: other values of the same kind, and its own numbers."""
    if "distribution_json" in row:
        return row | {"param_value": _value(json.loads(row["distribution_json"]), row["param_value"], chance)}
    for column in ("value", "intermediate_value"):
        if row.get(column) is not None:
            return row | {column: row[column] * (0.9 + 0.2 * chance.random())}
    if row.get("key") == MARK:
        return row | {"value_json": json.dumps(uuid.UUID(int=chance.getrandbits(128)).hex)}
    if row.get("key") in _NUMBERED:
        return row | {"value_json": json.dumps(json.loads(row["value_json"]) + shift)}
    if row.get("key") == attrs.FOLDER:
        root, *rest = json.loads(row["value_json"]).removeprefix("trial_").split("/")
        return row | {"value_json": json.dumps("/".join([f"trial_{int(root) + shift}", *rest]))}
    if row.get("key") == attrs.DURATION:
        return row | {"value_json": json.dumps(round(chance.uniform(0.3, 1.0) * TRIAL_S, 3))}
    return row


def _value(distribution: Mapping[str, Any], value: float, chance: random.Random) -> float:
    """Another value of a parameter, as Optuna stores it; whole numbers and choices are left."""
    told = distribution["attributes"]
    if distribution["name"] != "FloatDistribution":
        return value
    near: float = value * math.exp(chance.gauss(0, 0.4))
    return min(max(near, told["low"]), told["high"])


def _copy_folder(folders: StudyFolders, source: int, number: int) -> None:
    """The files of a trial, for a copy of it; a retry's lie in the folder of its first attempt."""
    if folders.trial(source).is_dir():
        shutil.copytree(folders.trial(source), folders.trial(number), dirs_exist_ok=True)
