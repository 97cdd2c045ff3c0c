"""hpsearch's own packages: the ranges of its metadata, the versions installed, and the commands that install others."""

from __future__ import annotations

import json
import platform
import shlex
import shutil
import sys
from collections.abc import Iterator
from importlib.metadata import Distribution, PackageNotFoundError, distribution
from pathlib import Path
from urllib.parse import unquote, urlparse

from packaging.specifiers import SpecifierSet

from hpsearch.commands.doctor.machine import DoctorContext
from hpsearch.execution.doctor_question import Finding, ok, red, warning
from hpsearch.execution.versions import misfits, requirements_of


def python(context: DoctorContext) -> Iterator[Finding]:
    """Check the interpreter's version."""
    own = _distribution()
    required = str(own.metadata["Requires-Python"] or "") if own else ""
    text = f"{platform.python_version()} ({sys.executable})"
    if required and not SpecifierSet(required).contains(platform.python_version(), prereleases=True):
        remedy = f"make the environment with a Python {required}: python3.12 -m venv .venv"
        yield red("python", f"{text}, but hpsearch needs {required}", remedy)
    else:
        yield ok("python", text)


def packages(context: DoctorContext) -> Iterator[Finding]:
    """Check that the searching side's packages are in their ranges."""
    own = _distribution()
    if own is None:
        yield warning("hpsearch", "runs from a folder without being installed: versions cannot be compared")
    elif wrong := list(misfits(requirements_of("hpsearch"))):
        yield red("hpsearch", ", ".join(map(str, wrong)), install_command(""))
    else:
        yield ok("hpsearch", f"{own.version}, and the packages it searches with are in their ranges")


def pip_command(python: str = sys.executable) -> str:
    """Return the pip of this interpreter: the plain word where it is the one that a shell finds."""
    path = shutil.which("pip")
    if path and Path(path).parent == Path(python).parent:
        return "pip"
    return f"{shlex.quote(python)} -m pip"


def install_command(extra: str, python: str = sys.executable) -> str:
    """Return the command that installs hpsearch with an extra: an editable checkout from its folder, in the tested
    versions."""
    own, brackets = _distribution(), f"[{extra}]" if extra else ""
    checkout = _checkout(own) if own else None
    if checkout is None:
        return f"{pip_command(python)} install {shlex.quote(f'hpsearch{brackets}')}"
    constraints = checkout / "constraints.txt"
    tested = f"-c {shlex.quote(str(constraints))} " if constraints.is_file() else ""
    return f"{pip_command(python)} install {tested}-e {shlex.quote(f'{checkout}{brackets}')}"


def _distribution() -> Distribution | None:
    try:
        return distribution("hpsearch")
    except PackageNotFoundError:
        return None


def _checkout(own: Distribution) -> Path | None:
    """Return the folder that an editable installation leads to."""
    try:
        origin = json.loads(own.read_text("direct_url.json") or "{}")
    except ValueError:
        return None
    if not origin.get("dir_info", {}).get("editable"):
        return None
    return Path(unquote(urlparse(origin["url"]).path))
