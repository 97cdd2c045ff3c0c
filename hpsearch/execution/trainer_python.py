"""The Python that runs the built-in training: the one that runs hpsearch, or one with other versions of libraries."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hpsearch.errors import UsageError

TRAINER_VARIABLE = "HPSEARCH_TRAINER_PYTHON"
OLDEST = (3, 11)
REMEDY = "make one with `hpsearch setup-trainer`, which ends with the option to give"

_LAUNCHER = Path(__file__).resolve().parents[1] / "training" / "launch.py"
_ASK_S = 120.0  # for an interpreter to start; only against hanging
_VERSION = "import sys; print('hpsearch: %d.%d' % tuple(sys.version_info[:2]))"  # Python 2 understands it too


def named_python(given: str | None, environ: Mapping[str, str]) -> str | None:
    """Return the trainer that a definition (or its option) or else the environment names; None where neither does."""
    return given or environ.get(TRAINER_VARIABLE) or None


@dataclass(frozen=True)
class Trainer:
    """The Python of the built-in training: ``named`` is a program, a path to one, the folder of an environment, or None
    for the Python that runs hpsearch."""

    named: str | None = None

    @property
    def python(self) -> str:
        """The interpreter's path, or the name itself where there is no such program."""
        if self.named is None:
            return sys.executable
        inside = Path(self.named).expanduser() / "bin" / "python"
        program = shutil.which(str(inside) if inside.is_file() else Path(self.named).expanduser())
        return (
            str(Path(program).absolute()) if program else self.named
        )  # not resolved: an environment's Python is a link

    @property
    def environment(self) -> dict[str, str]:
        """Variables for its processes: torchrun starts the ranks without the option that keeps the launcher's folder
        out of the module search path."""
        return {} if self.named is None else {"PYTHONSAFEPATH": "1"}

    @property
    def command(self) -> tuple[str, ...]:
        """The training program's argv."""
        return self.command_of(1)

    def command_of(self, ranks: int) -> tuple[str, ...]:
        """Return the training program's argv, for ``ranks`` processes with a GPU each."""
        program = ("-m", "hpsearch.training") if self.named is None else (str(_LAUNCHER),)
        safe = () if self.named is None else ("-P",)
        if ranks > 1:
            torchrun = ("-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(ranks))
            return (self.python, *safe, *torchrun, *program)
        return (self.python, *safe, *program)

    def require(self) -> None:
        """Refuse another Python that cannot train.

        Raises:
            UsageError: it is not there, no Python, too old, or lacks libraries.
        """
        if self.named is None:
            return
        rule = "trainer_python must be a Python with the training's libraries, but"
        if shutil.which(self.python) is None:
            raise UsageError(f"{rule} {self.named!r} is no program, nor the folder of an environment", REMEDY)
        answer = _ask(self.python, "-c", _VERSION)
        if not answer.startswith("hpsearch: "):
            raise UsageError(f"{rule} {self.python} is no Python: it answers {answer[:100]!r}", REMEDY)
        release = answer.removeprefix("hpsearch: ")
        if tuple(map(int, release.split("."))) < OLDEST:
            oldest = ".".join(map(str, OLDEST))
            raise UsageError(f"{rule} {self.python} is Python {release}, and {oldest} is the oldest", REMEDY)
        missing = [name for name, version in self.versions().items() if version is None]
        if missing:
            raise UsageError(f"{rule} {self.python} lacks {', '.join(missing)}", REMEDY)

    def versions(self) -> dict[str, Any]:
        """Ask for the versions of the training's libraries by name; None for a missing one.

        Raises:
            UsageError: it does not answer.
        """
        answer = _ask(self.python, "-P", str(_LAUNCHER), "--check")
        try:
            return dict(json.loads(answer)["versions"])
        except (ValueError, KeyError) as error:
            what = f"cannot ask {self.python} for its libraries: it answers {answer[:300]!r}"
            raise UsageError(what, REMEDY) from error


def _ask(*words: str) -> str:
    """Return the output of a program, or its errors; empty where there are neither."""
    try:
        done = subprocess.run(
            words,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=_ASK_S,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return str(error)
    return done.stdout.strip() or done.stderr.strip()
