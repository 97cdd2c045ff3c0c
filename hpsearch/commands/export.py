"""`hpsearch export`: the best files of a study again, and its archive; and opening such an archive.

An archive is one file that holds a study: its trials as a database, results, metrics, logs, predictions; no weights, no
rows. It is analysed with hpsearch alone, without torch and without the machine it came from.
"""

from __future__ import annotations

import shutil
import tempfile
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import optuna

from hpsearch.errors import UsageError
from hpsearch.study.folders import StudyFolders, study_folders
from hpsearch.study.ledger import Ledger
from hpsearch.study.open import only_study, read_study, stored_definition
from hpsearch.study.preparation import PreparedInfo
from hpsearch.study.results import write_best_files
from hpsearch.study.storage.open import SQLITE_PREFIX, StorageUrl

DATABASE = "hpsearch.db"
# Endings of the files in an archive; weights and prepared rows are too large, and the rows may be private.
KINDS = {".json", ".jsonl", ".txt", ".csv"}
LEFT_OUT = {"prepared", "adapter", "checkpoints", "report"}
# An archive is somebody else's file: refuse to unpack more than this many bytes from it.
MAX_UNPACKED_BYTES = 2 * 1024**3


def export_study(
    study: str | None, storage: str | None, base_output_dir: Path, output_dir: Path | None, archive: Path | None
) -> list[Path]:
    """Write the best parameters and configuration of a study and, if asked for, its archive.

    Returns:
        The files written.

    Raises:
        UsageError: there is no such study, or none of its trials has succeeded yet.
    """
    with StorageUrl.of(storage, base_output_dir).opened() as opened:
        loaded = read_study(opened, study or only_study(opened))
        ledger = Ledger(loaded, opened, stored_definition(loaded))
        folders = study_folders(base_output_dir, loaded.study_name)
        if output_dir:
            output_dir.mkdir(parents=True, exist_ok=True)  # for others, so as the umask says
        target = StudyFolders(output_dir, loaded.study_name) if output_dir else folders
        best = write_best_files(ledger, target, PreparedInfo.stored(loaded))
        if best is None and archive is None:
            raise UsageError(f"no trial of {loaded.study_name} has succeeded yet", "see `hpsearch status`")
        written = [target.best_params, target.best_config] if best else []
        return written + ([write_archive(loaded, opened, folders, archive)] if archive else [])


def write_archive(
    study: optuna.Study, storage: optuna.storages.BaseStorage, folders: StudyFolders, target: Path
) -> Path:
    """Write the archive of a study to ``target`` (.zip), in one step."""
    target.parent.mkdir(parents=True, exist_ok=True)
    temporary = target.with_name(f".{target.name}.tmp")
    temporary.unlink(missing_ok=True)
    with tempfile.TemporaryDirectory() as scratch:
        database = Path(scratch) / DATABASE
        # Not opened as a study's storage is: in WAL mode the newest pages would stay in a file beside it.
        optuna.copy_study(
            from_study_name=study.study_name, from_storage=storage, to_storage=f"{SQLITE_PREFIX}{database}"
        )
        try:
            with zipfile.ZipFile(temporary, "x", zipfile.ZIP_DEFLATED, strict_timestamps=False) as archive:
                archive.write(database, DATABASE)
                for path in sorted(folders.root.rglob("*")) if folders.root.exists() else ():
                    inside = path.relative_to(folders.root)
                    hidden = any(part.startswith(".") for part in inside.parts)
                    if path.is_file() and path.suffix in KINDS and not hidden and not LEFT_OUT & set(inside.parts):
                        archive.write(path, str(PurePosixPath(folders.root.name) / inside.as_posix()))
            temporary.replace(target)
        finally:
            temporary.unlink(missing_ok=True)
    return target


@dataclass(frozen=True)
class OpenArchive:
    """An archive unpacked for reading: the storage's URL and the folder of studies."""

    url: StorageUrl
    base: Path
    studies: tuple[str, ...]


@contextmanager
def open_archive(path: Path) -> Iterator[OpenArchive]:
    """Unpack an archive into a folder that lives as long as the ``with`` block.

    Raises:
        UsageError: the file is not an archive made by ``hpsearch export``.
    """
    scratch = Path(tempfile.mkdtemp(prefix="hpsearch-archive-"))
    try:
        _unpack(path, scratch)
        names = tuple(sorted(item.name for item in scratch.iterdir() if item.is_dir()))
        yield OpenArchive(StorageUrl(f"{SQLITE_PREFIX}{scratch / DATABASE}"), scratch, names)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def _unpack(path: Path, scratch: Path) -> None:
    try:
        with zipfile.ZipFile(path) as archive:
            if DATABASE not in archive.namelist():
                raise UsageError(f"{path} holds no study", "name a file made by `hpsearch export --archive`")
            _refuse_hostile(path, archive.infolist())
            archive.extractall(scratch)
    except FileNotFoundError as error:
        raise UsageError(f"there is no file {path}", "correct --archive") from error
    except zipfile.BadZipFile as error:
        raise UsageError(
            f"{path} is not an archive: {error}", "name a file made by `hpsearch export --archive`"
        ) from error


def _refuse_hostile(path: Path, members: list[zipfile.ZipInfo]) -> None:
    size = sum(member.file_size for member in members)
    if size > MAX_UNPACKED_BYTES:
        raise UsageError(f"{path} unpacks to {size} bytes, more than {MAX_UNPACKED_BYTES}", "do not trust it")
    for member in members:
        parts = PurePosixPath(member.filename).parts
        if member.filename.startswith("/") or ".." in parts or "\\" in member.filename:
            raise UsageError(f"{path} names a file outside itself: {member.filename!r}", "do not trust it")
