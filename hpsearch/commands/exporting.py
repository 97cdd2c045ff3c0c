"""`hpsearch export`: the best files again, and the archive."""

from __future__ import annotations

from pathlib import Path

from hpsearch.commands.export import write_archive
from hpsearch.errors import UsageError
from hpsearch.study.folders import StudyFolders, study_folders
from hpsearch.study.ledger import Ledger
from hpsearch.study.open import only_study, read_study, stored_definition
from hpsearch.study.results import prepared_info, write_best_files
from hpsearch.study.storage.open import default_url, open_storage, storage_errors


def export_study(
    study: str | None, storage: str | None, base_output_dir: Path, output_dir: Path | None, archive: Path | None
) -> list[Path]:
    """Write the best parameters and configuration of a study and, if asked for, its archive.

    Returns:
        The files written.

    Raises:
        UsageError: there is no such study, or none of its trials has succeeded yet.
    """
    url = storage or default_url(base_output_dir)
    with storage_errors(url):
        opened = open_storage(url)
        loaded = read_study(opened, study or only_study(opened), url)
        ledger = Ledger(loaded, opened, stored_definition(loaded))
        folders = study_folders(base_output_dir, loaded.study_name)
        if output_dir:
            output_dir.mkdir(parents=True, exist_ok=True)  # for others, so as the umask says
        target = StudyFolders(output_dir, loaded.study_name) if output_dir else folders
        best = write_best_files(ledger, target, prepared_info(ledger))
        if best is None and archive is None:
            raise UsageError(f"no trial of {loaded.study_name} has succeeded yet", "see `hpsearch status`")
        written = [target.best_params, target.best_config] if best else []
        return written + ([write_archive(loaded, opened, folders, archive)] if archive else [])
