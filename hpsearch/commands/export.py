"""`hpsearch export`: the best files of a study again, and its archive.

An archive is one file that holds a study: its trials as a database, results, metrics, logs, predictions; no weights, no
rows. It is analysed with hpsearch alone, without torch and without the machine it came from.
"""

from __future__ import annotations

import os
import sqlite3
import zipfile
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path, PurePosixPath

import optuna

from hpsearch.commands.archive import DATABASE, MOST_MEMBERS
from hpsearch.errors import UsageError
from hpsearch.execution.environment import looks_secret, without_secrets
from hpsearch.execution.files import open_new
from hpsearch.execution.temporary import temporary_folder
from hpsearch.study.folders import StudyFolders, study_folders
from hpsearch.study.ledger import Ledger
from hpsearch.study.open import only_study, read_study, stored_definition
from hpsearch.study.preparation import PreparedInfo
from hpsearch.study.results import write_best_files
from hpsearch.study.storage.open import SQLITE_PREFIX, StorageUrl

# Endings of the files in an archive; weights and prepared rows are too large, and the rows may be private.
KINDS = {".json", ".jsonl", ".txt", ".csv"}
LEFT_OUT = {"prepared", "adapter", "checkpoints", "report"}
_LEAST_SECRET = 8  # characters: a shorter value would be found in other words


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
        best = write_best_files(ledger, target, PreparedInfo.stored(loaded), folders)
        if best is None and archive is None:
            raise UsageError(f"no trial of {loaded.study_name} has succeeded yet", "see `hpsearch status`")
        written = [target.best_params, target.best_config] if best else []
        return written + ([write_archive(loaded, opened, folders, archive)] if archive else [])


def write_archive(
    study: optuna.Study, storage: optuna.storages.BaseStorage, folders: StudyFolders, target: Path
) -> Path:
    """Write the archive of a study to ``target`` (.zip), in one step, for this user alone. What looks like a token, and
    the secrets in this process's environment, are withheld.

    Raises:
        UsageError: the study has too many files for an archive.
    """
    files = _files(folders.root)
    if len(files) >= MOST_MEMBERS:
        what = f"an archive holds at most {MOST_MEMBERS} files, but {folders.root} has {len(files)}"
        raise UsageError(what, "copy the study with `hpsearch storage copy`, and its folder")
    target.parent.mkdir(parents=True, exist_ok=True)
    temporary = target.with_name(f".{target.name}.{os.getpid()}.tmp")
    secrets = [value for name, value in os.environ.items() if len(value) >= _LEAST_SECRET and looks_secret(name, value)]
    with temporary_folder() as scratch:
        database = scratch / DATABASE
        # Not opened as a study's storage is: in WAL mode the newest pages would stay in a file beside it.
        optuna.copy_study(
            from_study_name=study.study_name, from_storage=storage, to_storage=f"{SQLITE_PREFIX}{database}"
        )
        _withhold(database, secrets)
        try:
            with (
                os.fdopen(open_new(str(temporary)), "w+b") as file,
                zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED, strict_timestamps=False) as archive,
            ):
                archive.write(database, DATABASE)
                for path in files:
                    inside = PurePosixPath(folders.root.name) / path.relative_to(folders.root).as_posix()
                    member = zipfile.ZipInfo.from_file(path, str(inside), strict_timestamps=False)
                    member.compress_type = zipfile.ZIP_DEFLATED
                    # Read as bytes that are text: what is not UTF-8 stays as it is.
                    text = path.read_bytes().decode("utf-8", "surrogateescape")
                    archive.writestr(member, without_secrets(text, secrets).encode("utf-8", "surrogateescape"))
            temporary.replace(target)
        finally:
            temporary.unlink(missing_ok=True)
    return target


def _files(root: Path) -> list[Path]:
    """Return the files of a study's folder that belong into its archive."""
    files = []
    for path in sorted(root.rglob("*")) if root.exists() else ():
        inside = path.relative_to(root).parts
        hidden = any(part.startswith(".") for part in inside)
        if path.suffix in KINDS and path.is_file() and not hidden and not LEFT_OUT & set(inside):
            files.append(path)
    return files


def _withhold(database: Path, secrets: Sequence[str]) -> None:
    """Take secrets out of the attributes of a copied study, and out of the file's free pages."""
    with closing(sqlite3.connect(database)) as connection:
        connection.create_function("withheld", 1, lambda text: without_secrets(text, secrets), deterministic=True)
        for table in ("study_user_attributes", "trial_user_attributes"):
            connection.execute(f"UPDATE {table} SET value_json = withheld(value_json)")  # noqa: S608 - our own names
        connection.commit()
        connection.execute("VACUUM")
