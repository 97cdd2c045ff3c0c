"""What commit bb3fe56 left, laid out in a folder of one's own: studies, their folders and their storage.

Nothing of hpsearch is imported but the place of its package, so this holds whatever the package looks like inside.
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
STUDIES = ("own", "digits")  # those that are unfinished; the source of a warm start is finished
_ARCHIVES = {"sqlite": ("own-sqlite", "digits"), "postgres": ("own-postgres", "digits")}
# The stored files have these in the place of paths: the folder the studies were begun in, Python, and the package.
FOLDER, PYTHON, PACKAGE = "@FOLDER@", "@PYTHON@", "@PACKAGE@"
_LIBRARIES = ("numpy", "scipy", "optuna", "torch", "transformers", "trl", "peft", "accelerate", "tokenizers", "pillow")
# Attributes of a trial that follow from the study alone, and not from the time it took.
_FOLLOWS = ("outcome", "seed", "root", "attempt", "retry_of", "folder", "default", "carried", "try_first")


def lay_out(folder: Path, storage: str) -> None:
    """Write definitions, program and the studies' folders as they were with this ``storage`` (sqlite, postgres); with
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
    """The statements that make the storage of the studies in this folder."""
    return _with_paths((HERE / f"{storage}.sql").read_bytes(), folder).decode()


def trials(url: str, study: str) -> list[optuna.trial.FrozenTrial]:
    """The trials of a study, read by Optuna itself."""
    storage = optuna.storages.RDBStorage(url.replace("postgresql://", "postgresql+psycopg://"))
    try:
        return optuna.load_study(study_name=study, storage=storage).get_trials()
    finally:
        storage.engine.dispose()


def described(trial: optuna.trial.FrozenTrial) -> dict[str, Any]:
    """What is the same each time a trial is run, as JSON has it; numbers that are not finite are texts."""
    attributes = {name: trial.user_attrs[f"hps:{name}"] for name in _FOLLOWS if f"hps:{name}" in trial.user_attrs}
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


def gone_on(storage: str, study: str) -> list[dict[str, Any]]:
    """The trials that had not ended when the study was stored, and those after them, as commit bb3fe56 itself made
    them when it went on."""
    found: list[dict[str, Any]] = _expected()[storage][study]
    return found


def is_same_machine() -> bool:
    """Whether numbers are to be the same to the last bit: on such a processor, with such libraries."""
    return bool(_expected()["machine"] == machine())


def machine() -> dict[str, str]:
    """What the numbers of a sampler and of a fine-tune depend on."""
    described = Path("/proc/cpuinfo").read_text() if Path("/proc/cpuinfo").exists() else ""
    names = ("vendor_id", "cpu family", "model", "flags")
    found = {name: re.search(rf"^{name}\s*: (.*)$", described, re.MULTILINE) for name in names}
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
