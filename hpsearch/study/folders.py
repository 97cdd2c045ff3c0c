"""The folders of a study: where its files lie, and whether the disk has room for them."""

from __future__ import annotations

import errno
import hashlib
import os
import re
import shutil
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from hpsearch.config.definition import StudyDefinition
from hpsearch.config.names import is_study_name
from hpsearch.errors import StorageError, UsageError
from hpsearch.execution.files import make_folder, replace_file, require_space, sync, sync_tree
from hpsearch.execution.job import BASE_PREDICTIONS_FILE, CHECKPOINTS

MARKER = ".study"  # in a study's folder: the study's id
_HALF_WRITTEN = re.compile(r"\..+\.\d+\.tmp")  # what execution/files.py writes before it renames
# Folders with such files that only the lease's owner writes; `hpsearch analyze` may be writing a report meanwhile.
_WITH_FILES = re.compile(r"trial_\d+|attempt-\d+|prepared")

# A trial's log may take 50 MB (execution/log.py); SQLite writes some 4 MB beside its file before that grows.
RESERVE_BYTES = 64 * 2**20
CHECKPOINT = 3  # times the adapter: its weights and what the optimiser keeps of each


@dataclass(frozen=True)
class StudyFolders:
    """The study's folder, ``root``, and what lies in it."""

    root: Path
    study: str

    @property
    def prepared(self) -> Path:
        """The result of the prepare job: rows by split, and prepared.json."""
        return self.root / "prepared"

    @property
    def base_predictions(self) -> Path:
        """The untuned base's reading of each row of the final evaluations; missing where it was not evaluated."""
        return self.root / BASE_PREDICTIONS_FILE

    @property
    def best(self) -> Path:
        """The best trial's adapter, processor and config."""
        return self.root / "best"

    @property
    def report(self) -> Path:
        """The report's folder."""
        return self.root / "report"

    @property
    def best_params(self) -> Path:
        """The best parameters with their metadata."""
        return self.root / f"{self.study}_best_params.json"

    @property
    def best_config(self) -> Path:
        """The best configuration, usable by ``hpsearch train``."""
        return self.root / f"{self.study}_best_config.json"

    def keep_base_predictions(self) -> None:
        """Copy the untuned base's predictions out of the prepare job's folder, which may be deleted. Where there are
        none, as the base was not evaluated, remove earlier ones. On a full disk they are left out."""
        made = self.prepared / BASE_PREDICTIONS_FILE
        with suppress(OSError):
            if made.is_file():
                replace_file(str(self.base_predictions), made.read_bytes(), durable=True, mode=0o666)
            else:
                self.base_predictions.unlink(missing_ok=True)

    def trial(self, root: int) -> Path:
        """The folder of a trial and all its attempts."""
        return self.root / f"trial_{root}"

    def attempt(self, root: int, attempt: int) -> Path:
        """The folder of one attempt: the trial's own for the first, attempt-N in it for the others."""
        return self.trial(root) if attempt == 1 else self.trial(root) / f"attempt-{attempt}"

    def checkpoints(self, root: int) -> Path:
        """The folder in which a trial's attempts leave what the next one goes on from."""
        return self.trial(root) / CHECKPOINTS

    def drop_half_written(self) -> None:
        """Remove files that a dead process had written and not yet given their name (``replace_file``)."""
        folders = [str(self.root)]
        while folders:
            folder = folders.pop()
            try:
                names = os.listdir(folder)  # noqa: PTH208 - of thousands of folders, pathlib takes ten times as long
            except OSError:
                continue
            for name in names:
                if _HALF_WRITTEN.fullmatch(name):
                    _remove(Path(folder, name))
                elif _WITH_FILES.fullmatch(name):
                    folders.append(f"{folder}/{name}")

    def claim(self, study_id: str) -> None:
        """Make the folder, readable by its owner alone, for the study with this id.

        Raises:
            UsageError: it holds the results of another study, or cannot be made.
        """
        marker = self.root / MARKER
        try:
            make_folder(self.root)
            if marker.is_file() and not marker.stat().st_size:  # a run died while it wrote it
                marker.unlink()
            # "x" goes through no link, not even through one that leads nowhere
            with suppress(FileExistsError), marker.open("x", encoding="utf-8") as file:
                file.write(study_id + "\n")
                file.flush()
                os.fsync(file.fileno())
            owner = marker.read_text(encoding="utf-8").strip()
        except OSError as error:
            if error.errno in (errno.ENOSPC, errno.EDQUOT):
                raise no_room((self.root,)) from error
            remedy = "choose another --study name or --base-output-dir"
            raise UsageError(f"cannot use the folder {self.root}: {error.strerror}", remedy) from error
        if owner != study_id:
            raise UsageError(
                f"{self.root} holds the results of another study of this name, from another or a deleted storage",
                "move the folder away, or choose another --study name or --base-output-dir",
            )

    @property
    def marker(self) -> str:
        """The id of the study that the folder was claimed for; empty where that is not known."""
        try:
            return (self.root / MARKER).read_text(encoding="utf-8").strip()
        except OSError:
            return ""

    @property
    def claimed_for(self) -> str:
        """The id of the study that the folder was claimed for, where it holds nothing else; else empty."""
        try:
            return self.marker if [path.name for path in self.root.iterdir()] == [MARKER] else ""
        except OSError:
            return ""


def attempt_folder(study_dir: Path, named: str | None, root: int, attempt: int) -> Path | None:
    """Return the folder of an attempt, which the storage may have ``named``, relative to the study's; None if it does
    not exist or is not inside the study's: others may have written its name."""
    retry = f"/attempt-{attempt}" if attempt > 1 else ""
    folder = (study_dir / (named or f"trial_{root}{retry}")).resolve()
    return folder if folder.is_relative_to(study_dir.resolve()) and folder.is_dir() else None


def study_folders(base: Path, study: str) -> StudyFolders:
    """Return the folders of a study under the base output directory.

    Raises:
        UsageError: a symbolic link in the study's place leads elsewhere.
    """
    root = base / folder_name(study)
    if not root.resolve().is_relative_to(base.resolve()):
        raise UsageError(
            f"a study's folder lies in the folder of studies, but {root} leads to {root.resolve()}",
            "move the link away, or name the folder above that one with --base-output-dir",
        )
    return StudyFolders(root, study)


def folder_name(study: str) -> str:
    """Return the name of a study's folder: its own, except where another program's name could lead elsewhere."""
    if is_study_name(study):
        return study
    plain = re.sub(r"[^A-Za-z0-9_-]", "_", study)[:100]
    return f"{plain}-{hashlib.sha256(study.encode()).hexdigest()[:8]}"


def publish_folder(staged: Path, link: Path) -> None:
    """Move ``staged`` to where ``link`` shows it, in one step, once its files are on the disk.

    A folder cannot be replaced in one step, a symbolic link can: ``link`` points to a hidden folder beside it. A copy
    of a study that followed links has a folder in its place: that one is moved away first.
    """
    sync_tree(str(staged))
    hidden = link.with_name(f".{link.name}-{os.urandom(4).hex()}")
    staged.rename(hidden)
    temporary = link.with_name(f".{link.name}.{os.getpid()}.tmp")
    _remove(temporary)
    temporary.symlink_to(hidden.name, target_is_directory=True)
    if link.is_dir() and not link.is_symlink():
        link.rename(f"{hidden}-copied")
    temporary.replace(link)
    sync(str(link.parent))
    for old in link.parent.glob(f".{link.name}-*"):
        if old != hidden:
            shutil.rmtree(old, ignore_errors=True)


def _remove(path: Path) -> None:
    """Remove a file, a link or a folder that may be absent."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


def full_place(places: Sequence[Path]) -> Path | None:
    """Return the first of these folders whose disk has less than the reserve left; None where all have it."""
    return next((place for place in places if shutil.disk_usage(place).free < RESERVE_BYTES), None)


def no_room(places: Sequence[Path]) -> StorageError:
    """Make the error of a run that cannot launch another trial; the disks are looked at again."""
    place = full_place(places) or places[0]
    free, reserve = (size // 2**20 for size in (shutil.disk_usage(place).free, RESERVE_BYTES))
    return StorageError(
        f"no space left on the disk of {place}: a trial is launched with {reserve} MB free, but there are {free} MB",
        "make room, then run the same command again",
    )


def require_room(definition: StudyDefinition, adapter_bytes: int, folder: Path, row_bytes: int = 0) -> None:
    """Refuse a study whose files do not fit on the disk of ``folder``; ``row_bytes`` of rows are still to be copied.

    Raises:
        UsageError: they do not fit; the message says what they need and what is free.
    """
    checkpoints = 0 if definition.settings.get("save_steps") == 0 else definition.settings.get("save_total_limit", 0)
    adapters = definition.keep_adapters + 2 + CHECKPOINT * checkpoints  # best/ and the trial that runs
    require_space(
        folder,
        row_bytes + adapter_bytes * adapters,
        "a study's rows, adapters and checkpoints",
        "free some space, name another --base-output-dir, or lower keep_adapters or save_total_limit",
    )
