"""`hpsearch delete`: a study removed from its storage, with its folder and what a dead runner left of it."""

from __future__ import annotations

import os
import shutil
from contextlib import closing, nullcontext, suppress
from dataclasses import dataclass
from pathlib import Path

import optuna

from hpsearch.config.names import check_study_name
from hpsearch.config.problems import did_you_mean
from hpsearch.errors import StudyOwned, UsageError
from hpsearch.execution.executors import EXECUTORS
from hpsearch.execution.gpu_slots import without_gpus
from hpsearch.execution.names import REPORT_FIFO
from hpsearch.execution.units import bytes_text
from hpsearch.study import attributes as attrs
from hpsearch.study.confirmed import confirming
from hpsearch.study.folders import MARKER, StudyFolders, study_folders
from hpsearch.study.open import read_study, study_names
from hpsearch.study.storage.lease import can_be_run, lease_for, live_owner, lock_path
from hpsearch.study.storage.open import StorageUrl


@dataclass(frozen=True)
class Deletion:
    """What is to be removed of one study: its ``trials`` in the storage, its folder with ``files`` of ``size`` bytes;
    None for what is not there. ``kept`` says what stays, and why."""

    study: str
    url: StorageUrl
    folders: StudyFolders
    trials: int | None
    files: int | None
    size: int
    kept: tuple[str, ...] = ()

    def lines(self) -> list[str]:
        """Return what is removed and what stays, a line for each."""
        lines = []
        if self.trials is not None:
            lines.append(f"storage {self.url}: {self.trials} trials")
        if self.files is not None:
            lines.append(f"folder {self.folders.root}: {self.files} files, {bytes_text(self.size)}")
        return [*lines, "processes that a dead runner left, if any", *(f"kept: {text}" for text in self.kept)]


def plan_deletion(study: str, url: StorageUrl, base: Path) -> Deletion:
    """Look at what there is of a study. Nothing is changed.

    Raises:
        UsageError: there is nothing, or the study is another program's.
        StudyOwned: a runner is at work on it.
        StorageError: the storage cannot be read.
    """
    check_study_name(study)
    owner = live_owner(url, study) if can_be_run(url) else None
    if owner is not None:
        raise StudyOwned(f"the study is owned by {owner}", "wait for it, or end it with `hpsearch stop`")
    return _look(study, url, base)


def delete_study(study: str, url: StorageUrl, base: Path) -> str:
    """Remove a study: from the storage first, so that a deletion that was broken off can be repeated.

    Returns:
        What was removed, in one line.

    Raises:
        UsageError, StudyOwned, StorageError: as for ``plan_deletion``.
        OSError: a file cannot be removed.
    """
    with lease_for(url, study) if can_be_run(url) else nullcontext() as lease:
        planned = _look(study, url, base)  # again: the user took time to answer
        with closing(EXECUTORS["local"](without_gpus(1))) as executor:
            ended = executor.take_over(study, lease.identity) if lease else 0
        if planned.trials is not None:
            with url.opened() as storage:
                optuna.delete_study(study_name=study, storage=storage)
        if planned.files is not None:
            _remove(planned.folders.root)
        if url.sqlite_path is not None:
            lock_path(url, study).unlink(missing_ok=True)
    parts = [f"{planned.trials} trials"] if planned.trials is not None else []
    parts += [f"{planned.files} files, {bytes_text(planned.size)}"] if planned.files is not None else []
    parts += [f"ended {ended} leftover process{'es' if ended > 1 else ''}"] if ended else []
    return f"deleted {study}: {'; '.join(parts)}"


def _look(study: str, url: StorageUrl, base: Path) -> Deletion:
    folders, names, loaded = study_folders(base, study), [], None
    if url.holds_studies():
        with url.opened() as storage:
            names = study_names(storage)
            loaded = read_study(storage, study) if study in names else None
    if loaded is not None and not {attrs.DEFINITION, attrs.ID} & loaded.user_attrs.keys():
        raise UsageError(f"the study {study!r} was not made by hpsearch", "delete it with the program that made it")
    claimed = _claimed_for(folders)
    has_folder = claimed is not None and (loaded is None or claimed == loaded.user_attrs.get(attrs.ID, claimed))
    if loaded is None and not has_folder:
        known = did_you_mean(study, names) or f"studies: {', '.join(names) or 'none'}"
        raise UsageError(f"there is no study {study!r} in {url}, and no folder of one in {base}", known)
    if loaded is None:
        _refuse_running(folders)
    kept = [f"{folders.root}, not a folder of this study"] if folders.root.exists() and not has_folder else []
    kept += [f"{file}, the definition" for file in [Path("studies") / f"{study}.json"] if file.is_file()]
    if (fresh := confirming(study)) in names:
        kept.append(f"its fresh runs, which are the study {fresh}: `hpsearch delete --study {fresh}`")
    files, size = _measure(folders.root) if has_folder else (None, 0)
    trials = None if loaded is None else len(loaded.get_trials(deepcopy=False))
    return Deletion(study, url, folders, trials, files, size, tuple(kept))


def _claimed_for(folders: StudyFolders) -> str | None:
    """Return the id of the study whose folder it is; None if it is no study's, or a link to another place."""
    try:
        return None if folders.root.is_symlink() else (folders.root / MARKER).read_text(encoding="utf-8").strip()
    except OSError:
        return None


def _refuse_running(folders: StudyFolders) -> None:
    """Refuse a folder in which a job runs, for a runner with another storage: its channel has a reader. Raises
    StudyOwned."""
    for channel in folders.root.rglob(REPORT_FIFO):
        with suppress(OSError):  # ENXIO: nobody reads
            os.close(os.open(channel, os.O_WRONLY | os.O_NONBLOCK))
            remedy = "name its --storage, or wait for it"
            raise StudyOwned(f"a runner with another storage is at work in {channel.parent}", remedy)


def _measure(folder: Path) -> tuple[int, int]:
    """Count the files below a folder and their bytes; links are counted, not followed."""
    sizes = [Path(place, name).lstat().st_size for place, _, names in os.walk(folder) for name in names]
    return len(sizes), sum(sizes)


def _remove(folder: Path) -> None:
    """Remove a study's folder; the file that says whose it is goes last, so that this can be repeated."""
    for path in folder.iterdir():
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        elif path.name != MARKER:
            path.unlink(missing_ok=True)
    (folder / MARKER).unlink()
    folder.rmdir()
