"""`hpsearch storage rebuild`: a study made again from its folder, after its storage was lost or damaged."""

from __future__ import annotations

import fcntl
import time
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from hpsearch.config.definition import StudyDefinition
from hpsearch.config.load import find_study, load_definition
from hpsearch.config.names import check_study_name
from hpsearch.errors import StudyOwned, UsageError
from hpsearch.execution.executors import EXECUTORS
from hpsearch.execution.gpu_slots import Slot
from hpsearch.study import attributes as attrs
from hpsearch.study.folders import StudyFolders, study_folders
from hpsearch.study.rebuild import Rebuilt, rebuild
from hpsearch.study.second_copy import STUDY_FILE, last_trial, study_values
from hpsearch.study.storage.lease import lease_for
from hpsearch.study.storage.open import StorageUrl


@dataclass(frozen=True)
class RebuildResult:
    """What was made again, and the new place of the damaged file, if there was one."""

    rebuilt: Rebuilt
    damaged: Path | None


def rebuild_study(name: str, url: StorageUrl, base_output_dir: Path, config: Path | None = None) -> RebuildResult:
    """Make the study ``name`` in the storage at ``url`` again, or add the trials that the storage lacks.

    A damaged SQLite file is kept under another name. ``config`` is the definition of a folder that holds none.

    Raises:
        UsageError: the folder holds no trial, or no definition is known.
        StudyOwned: it is being run; or another study of a damaged file is.
        DefinitionChanged: the storage has the study with another definition.
        StorageError: the storage cannot be used.
    """
    folders = study_folders(base_output_dir.absolute(), check_study_name(name))
    if last_trial(folders) < 0:
        raise UsageError(f"a study is made again from its trials, but {folders.root} holds none", "name another folder")
    definition = _definition(folders, config)
    damaged = _move_damaged(url)
    with url.errors(), closing(EXECUTORS["local"]((Slot(),))) as executor, lease_for(url, name) as lease:
        made = rebuild(url.open(create=True), folders, definition, executor, lease.identity)
        return RebuildResult(made, damaged)


def _definition(folders: StudyFolders, config: Path | None) -> StudyDefinition:
    """Return the definition that the folder holds, else the one in a file."""
    stored = study_values(folders).get("attributes", {}).get(attrs.DEFINITION)
    path = folders.root / STUDY_FILE
    if stored is not None and config is not None:
        raise UsageError(f"{path} holds the study's definition, but --config names one", "leave --config out")
    if stored is not None:
        return StudyDefinition.from_flat(stored, source=str(path))
    if find_study(folders.study, config) is None:
        raise UsageError(
            f"there is no {path}, as an older hpsearch ran the study, and no definition is named {folders.study}",
            "name the one that it ran with by --config",
        )
    return load_definition(folders.study, config)


def _move_damaged(url: StorageUrl) -> Path | None:
    """Rename a damaged SQLite file, with those beside it. Returns its new path; None where it is not damaged."""
    path = url.sqlite_path
    if path is None or not path.exists() or not url.is_damaged():
        return None
    for lock in path.parent.glob(f"{path.name}.*.lock"):
        with lock.open("rb") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except BlockingIOError as error:
                what = f"{path} is damaged and would be moved away, but a run writes to it ({lock.name} is locked)"
                raise StudyOwned(what, "end it with `hpsearch stop`") from error
    aside = path.with_name(f"{path.name}.damaged-{time.strftime('%Y%m%d-%H%M%S')}")
    for suffix in ("-wal", "-shm", "-journal", ""):
        beside = path.with_name(path.name + suffix)
        if beside.exists():
            beside.rename(aside.with_name(aside.name + suffix))
    return aside
