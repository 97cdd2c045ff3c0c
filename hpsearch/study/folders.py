"""Where a study's files lie, and writing them so that no reader ever sees half a file."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hpsearch.definitions.names import is_study_name
from hpsearch.errors import UsageError


@dataclass(frozen=True)
class StudyFolders:
    """The study's folder, ``root``, and what lies in it."""

    root: Path
    study: str

    @property
    def prepared(self) -> Path:
        """What the prepare job left: rows by split, and prepared.json."""
        return self.root / "prepared"

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

    def trial(self, root: int) -> Path:
        """The folder of a trial and all its attempts."""
        return self.root / f"trial_{root}"

    def attempt(self, root: int, attempt: int) -> Path:
        """The folder of one attempt: the trial's own for the first, attempt-N in it for the others."""
        return self.trial(root) if attempt == 1 else self.trial(root) / f"attempt-{attempt}"

    def claim(self, study_id: str) -> None:
        """Make the folder, readable by its owner alone, for the study with this id.

        Raises:
            UsageError: it holds the results of another study, or cannot be made.
        """
        marker = self.root / ".study"
        try:
            self.root.mkdir(parents=True, exist_ok=True, mode=0o700)
            if not marker.exists():
                marker.write_text(study_id + "\n", encoding="utf-8")
            owner = marker.read_text(encoding="utf-8").strip()
        except OSError as error:
            remedy = "choose another --study name or --base-output-dir"
            raise UsageError(f"cannot use the folder {self.root}: {error.strerror}", remedy) from error
        if owner != study_id:
            raise UsageError(
                f"{self.root} holds the results of another study of this name, from another or a deleted storage",
                "move the folder away, or choose another --study name or --base-output-dir",
            )


def study_folders(base: Path, study: str) -> StudyFolders:
    """The folders of a study under the base output directory."""
    return StudyFolders(base / folder_name(study), study)


def folder_name(study: str) -> str:
    """The name of a study's folder: its own, but for studies of other programs whose names could lead elsewhere."""
    if is_study_name(study):
        return study
    plain = re.sub(r"[^A-Za-z0-9_-]", "_", study)[:100]
    return f"{plain}-{hashlib.sha256(study.encode()).hexdigest()[:8]}"


def write_json(path: Path, value: Any) -> None:
    """Write JSON to ``path`` in one step: a reader finds the old file or the new one, also after a power loss."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    with temporary.open("w", encoding="utf-8") as file:
        json.dump(value, file, indent=2, ensure_ascii=False)
        file.write("\n")
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)
    _sync_folder(path.parent)


def publish_folder(staged: Path, link: Path) -> None:
    """Make ``link`` show ``staged``, in one step, and take ``staged`` over.

    A folder cannot be replaced in one step, a symbolic link can: ``link`` points to a hidden folder beside it.
    """
    hidden = link.with_name(f".{link.name}-{os.urandom(4).hex()}")
    staged.rename(hidden)
    temporary = link.with_name(f".{link.name}.{os.getpid()}.tmp")
    temporary.unlink(missing_ok=True)
    temporary.symlink_to(hidden.name, target_is_directory=True)
    temporary.replace(link)
    _sync_folder(link.parent)
    for old in link.parent.glob(f".{link.name}-*"):
        if old != hidden:
            shutil.rmtree(old, ignore_errors=True)


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
