"""Bringing a SQLite file that an older Optuna made to the tables of this one, with a copy of it kept."""

from __future__ import annotations

import logging
import sqlite3
import time
import warnings
from contextlib import ExitStack, closing
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from hpsearch.errors import StorageError, UsageError
from hpsearch.study.storage import sqlite
from hpsearch.study.storage.lease import lease_for
from hpsearch.study.storage.lock import table_lock
from hpsearch.study.storage.open import (
    holds_studies,
    newer_optuna,
    require_file,
    sqlite_path,
    storage_errors,
    upgrade_remedy,
)

if TYPE_CHECKING:
    from optuna.storages import RDBStorage


@dataclass(frozen=True)
class SchemaUpgrade:
    """The schemas before and after, by Optuna's names for them, and the copy; None where there was nothing to do."""

    before: str
    after: str
    copy: Path | None


def upgrade_storage(url: str) -> SchemaUpgrade:
    """Upgrade the tables at ``url``. Nobody may run a study of it meanwhile. When it fails, the file is as it was.

    Raises:
        UsageError: it is not a SQLite file.
        StudyOwned: a study of it is being run.
        StorageError: it cannot be used, is damaged, or was made by a newer Optuna.
    """
    path = sqlite_path(url)
    if path is None:
        raise UsageError("hpsearch upgrades SQLite files, of which it can keep a copy", upgrade_remedy(url))
    require_file(path)
    with storage_errors(url), ExitStack() as held:
        if not holds_studies(url):
            raise StorageError(f"this database holds no studies: {path}", "name a storage that Optuna made")
        _keep_others_out(url, path, held)
        sqlite.require_sound(path, any_size=True)
        return _upgrade(url, path)


def _keep_others_out(url: str, path: Path, held: ExitStack) -> None:
    held.enter_context(table_lock(url, path, wait=False))
    with closing(sqlite.connector(path)()) as connection:
        names = [name for (name,) in connection.execute("SELECT study_name FROM studies")]
    for name in names:
        held.enter_context(lease_for(url, name))


def _upgrade(url: str, path: Path) -> SchemaUpgrade:
    from optuna.storages import RDBStorage

    storage = RDBStorage(url, skip_compatibility_check=True, skip_table_creation=True)
    before, after = storage.get_current_version(), storage.get_head_version()
    if before == after:
        return SchemaUpgrade(before, after, None)
    if before not in storage.get_all_versions():
        raise newer_optuna(url)
    copy = path.with_name(f"{path.name}.before-upgrade-{time.strftime('%Y%m%d-%H%M%S')}")
    _copy(path, copy)
    try:
        _make_changes(storage)
    except BaseException:
        _copy(copy, path)
        copy.unlink()
        raise
    return SchemaUpgrade(before, after, copy)


def _make_changes(storage: RDBStorage) -> None:
    unheard = logging.NullHandler()  # without any handler alembic sets up its own, and tells its steps
    logging.root.addHandler(unheard)
    try:
        with warnings.catch_warnings(action="ignore"):  # of what was deprecated since the storage was made
            storage.upgrade()
    finally:
        logging.root.removeHandler(unheard)


def _copy(source: Path, target: Path) -> None:
    """Copy a database, in one transaction, and see that the copy is sound."""
    sqlite.make_file(target)
    with closing(sqlite3.connect(source)) as there, closing(sqlite3.connect(target)) as here:
        there.backup(here)
    sqlite.require_sound(target, any_size=True)
