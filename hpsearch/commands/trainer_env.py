"""`hpsearch setup-trainer`: an environment for the built-in training from a lock file that ships.

Every package is pinned. torch is installed first and by the index's choice of build (CPU or CUDA), with what that build
needs; all others then exactly as the lock file lists them, so nothing is resolved and nothing else comes along.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from hpsearch.errors import JobFailed, UsageError
from hpsearch.execution.environment import has_gpu
from hpsearch.execution.files import make_folder, write_text
from hpsearch.execution.trainer_python import OLDEST, Trainer

LOCKS = Path(__file__).resolve().parents[1] / "assets" / "trainers"
# In the folder from the first moment, so that an unfinished one may be removed; says when it is complete.
MARKER = ".hpsearch-trainer.json"

Say = Callable[[str], None]


@dataclass(frozen=True)
class TrainerEnvRequest:
    """The lock file's ``name``, the ``python`` that makes the environment and stays its base, and whether packages that
    only a GPU needs are installed too (``gpu``; None: if this machine has one)."""

    name: str
    folder: Path
    python: str = sys.executable
    gpu: bool | None = None

    @property
    def with_gpu(self) -> bool:
        """True if packages for a GPU are installed too."""
        return has_gpu() if self.gpu is None else self.gpu

    @property
    def locks(self) -> list[Path]:
        """The lock files to install."""
        return [LOCKS / f"{self.name}.txt", *([LOCKS / f"{self.name}-gpu.txt"] if self.with_gpu else [])]

    @property
    def stamp(self) -> str:
        """A digest of Python and packages: while it stays the same, so does the environment."""
        digest = hashlib.sha256(f"{Path(self.python).absolute()}\0{self.with_gpu}".encode())
        for lock in self.locks:
            digest.update(lock.read_bytes())
        return digest.hexdigest()


def lock_names() -> list[str]:
    """Return the names of the environments that can be made."""
    return sorted(path.stem for path in LOCKS.glob("*.txt") if not path.stem.endswith("-gpu"))


def default_folder(name: str) -> Path:
    """Return the folder of an environment that is given none: beside other data of the user's programs."""
    data = os.environ.get("XDG_DATA_HOME") or "~/.local/share"
    return Path(data).expanduser() / "hpsearch" / "trainers" / name


def set_up(request: TrainerEnvRequest, say: Say) -> Path:
    """Make the environment, unless it is complete already. Returns its Python.

    What an interrupted set-up left is removed and made again, and so is one from another lock file or Python.

    Raises:
        UsageError: the folder holds something else, or ``python`` cannot make an environment.
        JobFailed: a package could not be installed.
    """
    python = request.folder / "bin" / "python"
    if python.is_file() and _is_complete(request):
        say(f"{request.folder} is complete already")
        return python
    _claim_folder(request.folder, say)
    steps = _steps(request, python)
    for number, (step, words) in enumerate(steps, start=1):
        say(f"[{number}/{len(steps)}] {step}")
        if subprocess.run(words, stdin=subprocess.DEVNULL, check=False).returncode != 0:
            remedy = "see the lines above; the same command makes it again"
            raise JobFailed(f"setup-trainer could not install {step}", remedy)
    Trainer(str(python)).require()
    _mark(request.folder, request.stamp)
    return python


def _is_complete(request: TrainerEnvRequest) -> bool:
    try:
        marker = json.loads((request.folder / MARKER).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    return isinstance(marker, dict) and marker.get("complete") == request.stamp


def _claim_folder(folder: Path, say: Say) -> None:
    """Make an empty folder with our mark; what an earlier set-up left is removed.

    Raises:
        UsageError: it holds something else.
    """
    if folder.exists() and any(folder.iterdir()):
        if not (folder / MARKER).is_file():
            raise UsageError(
                f"setup-trainer makes a folder of its own, but {folder} is there and holds something else",
                "name another one with --dir",
            )
        say(f"{folder} is unfinished or of another lock file: it is made again")
        shutil.rmtree(folder)
    make_folder(folder)  # what others could change in it would be run by this user
    _mark(folder, "")


def _mark(folder: Path, stamp: str) -> None:
    write_text(folder / MARKER, json.dumps({"complete": stamp}) + "\n")


def _steps(request: TrainerEnvRequest, python: Path) -> list[tuple[str, Sequence[str]]]:
    """Return the commands that make the environment, each with a text to show."""
    base, lock = Trainer(request.python).python, request.locks[0]
    pip = (str(python), "-m", "pip", "install", "--disable-pip-version-check")
    torch = next(line for line in lock.read_text(encoding="utf-8").splitlines() if line.startswith("torch=="))
    others = [word for path in request.locks for word in ("-r", str(path))]
    return [
        (f"an environment in {request.folder}", (base, "-m", "venv", str(request.folder))),
        (f"{torch}: 200 MB for a CPU, gigabytes with CUDA", (*pip, "-c", str(lock), torch)),
        ("the other packages", (*pip, "--no-deps", *others)),
    ]


def require_python(python: str) -> None:
    """Refuse a Python that cannot make an environment, before a folder is touched.

    Raises:
        UsageError: it is no Python, too old, or has no module venv.
    """
    oldest = ".".join(map(str, OLDEST))
    code = f"import sys, venv, ensurepip; sys.exit(sys.version_info[:2] < {OLDEST})"
    try:
        done = subprocess.run((Trainer(python).python, "-c", code), capture_output=True, check=False)
    except OSError as error:
        raise UsageError(f"--python names a program, but {python!r} cannot be run: {error.strerror}") from error
    if done.returncode != 0:
        what = f"an environment is made by Python {oldest} or newer with its venv module, but {python} cannot"
        raise UsageError(what, "name another one with --python; on Debian: apt-get install python3-venv")
