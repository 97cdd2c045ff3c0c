"""Studies for tests of the search: opened in a storage, and run by the real loop with trials that are played."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from optuna.storages import BaseStorage

from hpsearch.config.definition import StudyDefinition
from hpsearch.execution.executors.fake import FakeExecutor, Play
from hpsearch.execution.signals import Interruption
from hpsearch.study.events import View, silent
from hpsearch.study.folders import study_folders
from hpsearch.study.jobs import JobMaker
from hpsearch.study.ledger import Ledger
from hpsearch.study.loop import LoopEnding, Runner
from hpsearch.study.open import open_study
from hpsearch.study.storage.open import StorageUrl


def open_storage(path: Path) -> BaseStorage:
    """Open a SQLite storage, or make it."""
    return StorageUrl(f"sqlite:///{path}").open(create=True)


def open_ledger(storage: BaseStorage, definition: StudyDefinition | Mapping[str, Any], name: str = "a") -> Ledger:
    """Open a study, or make it; ``definition`` may be flat."""
    if not isinstance(definition, StudyDefinition):
        definition = StudyDefinition.from_flat(definition, source="test")
    return open_study(storage, name, definition)


def run_played(
    ledger: Ledger, folder: Path, play: Play, target: int, *, slots: int = 1, view: View = silent, **limits: Any
) -> LoopEnding:
    """Run a study's trials as ``play`` does, to ``target`` finished ones; ``limits`` are the runner's."""
    folders = study_folders(folder, ledger.study.study_name)
    folders.claim(ledger.study.user_attrs["hps:id"])
    jobs = JobMaker(ledger.definition, folders, {})
    return Runner(ledger, folders, jobs, FakeExecutor(play, slots), view, Interruption(), target=target, **limits).run()
