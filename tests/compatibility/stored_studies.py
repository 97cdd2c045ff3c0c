"""Restore the studies that commit bb3fe56 stored: their folders and their database.

From hpsearch only the path of the package is used, so this works whatever its modules are called.
"""

from __future__ import annotations

import json
import os
import platform
import re
import sqlite3
import sys
import tarfile
from contextlib import closing
from importlib.metadata import version
from pathlib import Path
from typing import Any

import optuna

import hpsearch

HERE = Path(__file__).parent / "bb3fe56"
UNFINISHED = ("own", "digits")  # the third one, source, is finished
_ARCHIVES = {"sqlite": ("own-sqlite", "digits"), "postgres": ("own-postgres", "digits")}
# Placeholders in the stored files: the folder in which the studies were started, Python, and the package.
FOLDER, PYTHON, PACKAGE = "@FOLDER@", "@PYTHON@", "@PACKAGE@"
_LIBRARIES = ("numpy", "scipy", "optuna", "torch", "transformers", "trl", "peft", "accelerate", "tokenizers", "pillow")
# Attributes of a trial that do not depend on the time it took.
_REPEATABLE = ("outcome", "seed", "root", "attempt", "retry_of", "folder", "default", "carried", "try_first")


def restore(folder: Path, storage: str) -> None:
    """Write definitions, program and the studies' folders as they were with this ``storage`` (sqlite, postgres); for
    sqlite, the database too."""
    for name in _ARCHIVES[storage]:
        with tarfile.open(HERE / f"{name}.tar.xz") as archive:
            archive.extractall(folder, filter="tar")
    for name in ("program.py", "own.json", "digits.json"):
        (folder / name).write_bytes((HERE / name).read_bytes())
    for path in folder.rglob("*"):
        if path.is_file() and not path.is_symlink():
            status = path.stat()
            path.write_bytes(_with_paths(path.read_bytes(), folder))
            os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
    if storage == "sqlite":
        with closing(sqlite3.connect(folder / "studies/hpsearch.db")) as connection:
            connection.executescript(dump(folder, storage))


def dump(folder: Path, storage: str) -> str:
    """Return the SQL statements that fill the storage of the studies in this folder."""
    return _with_paths((HERE / f"{storage}.sql").read_bytes(), folder).decode()


def trials(url: str, study: str) -> list[optuna.trial.FrozenTrial]:
    """Return the trials of a study, read by Optuna alone."""
    storage = optuna.storages.RDBStorage(url.replace("postgresql://", "postgresql+psycopg://"))
    try:
        return optuna.load_study(study_name=study, storage=storage).get_trials()
    finally:
        storage.engine.dispose()


def described(trial: optuna.trial.FrozenTrial) -> dict[str, Any]:
    """Return the parts of a trial that are equal in each run of it, as JSON; numbers that are not finite are texts."""
    attributes = {name: trial.user_attrs[f"hps:{name}"] for name in _REPEATABLE if f"hps:{name}" in trial.user_attrs}
    values = {
        "number": trial.number,
        "state": trial.state.name,
        "value": trial.value,
        "params": trial.params,
        "reports": trial.intermediate_values,
        "attributes": attributes,
    }
    found: dict[str, Any] = json.loads(json.dumps(values), parse_constant=str)
    return found


def continued(storage: str, study: str) -> list[dict[str, Any]]:
    """Return the trials that had not ended when the study was stored, and those after them, as commit bb3fe56 ran them
    when it resumed the study."""
    found: list[dict[str, Any]] = _expected()[storage][study]
    return found


def is_same_machine() -> bool:
    """Return True if numbers must be equal to the last bit: same kind of processor, same libraries."""
    return bool(_expected()["machine"] == machine())


def machine() -> dict[str, str]:
    """Return the processor and the versions that the numbers of a sampler and a fine-tune depend on."""
    text = Path("/proc/cpuinfo").read_text() if Path("/proc/cpuinfo").exists() else ""
    names = ("vendor_id", "cpu family", "model", "flags")
    found = {name: re.search(rf"^{name}\s*: (.*)$", text, re.MULTILINE) for name in names}
    cpu = {name: match[1] if match else "" for name, match in found.items()}
    cpu["flags"] = " ".join(sorted(flag for flag in cpu["flags"].split() if flag.startswith(("avx", "fma", "amx"))))
    return {"python": platform.python_version(), **cpu, **{name: version(name) for name in _LIBRARIES}}


def _expected() -> dict[str, Any]:
    found: dict[str, Any] = json.loads((HERE / "expected.json").read_text())
    return found


def _with_paths(content: bytes, folder: Path) -> bytes:
    places = {FOLDER: str(folder), PYTHON: sys.executable, PACKAGE: str(Path(hpsearch.__file__).parent)}
    for placeholder, path in places.items():
        content = content.replace(placeholder.encode(), path.encode())
    return content
