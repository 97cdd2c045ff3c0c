"""Upgrading a SQLite file that an older Optuna made to the tables of this one; a copy of it is kept."""

from __future__ import annotations

import logging
import sqlite3
import time
import warnings
from contextlib import ExitStack, closing
from dataclasses import dataclass
from pathlib import Path

from hpsearch.errors import UsageError
from hpsearch.study.storage import sqlite
from hpsearch.study.storage.lease import lease_for
from hpsearch.study.storage.open import StorageUrl
from hpsearch.study.storage.patience import Patience


@dataclass(frozen=True)
class SchemaUpgrade:
    """The schemas before and after, by Optuna's names for them, and the copy; None if there was nothing to do."""

    before: str
    after: str
    copy: Path | None


def upgrade_storage(url: StorageUrl) -> SchemaUpgrade:
    """Upgrade the tables at ``url``. No study of it may run meanwhile. When it fails, the file is as it was.

    Raises:
        UsageError: it is not a SQLite file.
        StudyOwned: a study of it is being run.
        StorageError: it cannot be used, is damaged, or was made by a newer Optuna.
    """
    path = url.sqlite_path
    if path is None:
        raise UsageError("hpsearch upgrades SQLite files, of which it can keep a copy", url.upgrade_remedy)
    with url.errors(), ExitStack() as held:
        url.require_studies()
        held.enter_context(url.table_lock(wait=False))
        with closing(sqlite.connector(path, url.patience)()) as connection:
            names = [name for (name,) in connection.execute("SELECT study_name FROM studies")]
        for name in names:
            held.enter_context(lease_for(url, name))
        sqlite.require_sound(path, url.patience, any_size=True)
        return _upgrade(url, path)


def _upgrade(url: StorageUrl, path: Path) -> SchemaUpgrade:
    from optuna.storages import RDBStorage

    storage = RDBStorage(url.full, skip_compatibility_check=True, skip_table_creation=True)
    before, after = storage.get_current_version(), storage.get_head_version()
    if before == after:
        return SchemaUpgrade(before, after, None)
    if before not in storage.get_all_versions():
        raise url.newer_optuna()
    copy = path.with_name(f"{path.name}.before-upgrade-{time.strftime('%Y%m%d-%H%M%S')}")
    _copy(path, copy, url.patience)
    unheard = logging.NullHandler()  # without any handler alembic sets up its own, and logs its steps
    logging.root.addHandler(unheard)
    try:
        with warnings.catch_warnings(action="ignore"):  # of what was deprecated since the storage was made
            storage.upgrade()
    except BaseException:
        _copy(copy, path, url.patience)
        copy.unlink()
        raise
    finally:
        logging.root.removeHandler(unheard)
    return SchemaUpgrade(before, after, copy)


def _copy(source: Path, target: Path, patience: Patience) -> None:
    """Copy a database, in one transaction, and check the copy."""
    sqlite.make_file(target)
    with closing(sqlite3.connect(source)) as there, closing(sqlite3.connect(target)) as here:
        there.backup(here)
    sqlite.require_sound(target, patience, any_size=True)
